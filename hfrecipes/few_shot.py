"""Few-shot: how well tasks of few examples are done, as the field reports it: a mean over many episodes, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from hfrecipes.episodes import Episode, Episodes
from hfrecipes.errors import DataError

if TYPE_CHECKING:
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.objectives import Objective
    from hfrecipes.tasks import Row

Answer = Callable[[Episode], np.ndarray]
"""An episode -> the way that each of its queries is said to be of, in the order of the queries."""
STEPS, RATE = 10, 1e-4
"""Of AdamW in the baseline that trains every weight on the support."""
NORMAL = 1.96


@dataclass(frozen=True)
class Result:
    """The accuracy of a `method` over `episodes`: their mean, and half of its 95 % interval."""

    method: str
    mean: float
    half: float
    episodes: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.half:.4f}"


def result(method: str, answer: Answer, episodes: Sequence[Episode]) -> Result:
    """What a method is worth over episodes. Raises DataError where they are fewer than two."""
    right = []
    for episode in tqdm(episodes, desc=method, disable=None, leave=False):
        ways, queries = episode.query.shape
        right.append(float(np.mean(answer(episode) == np.repeat(np.arange(ways), queries))))
    if len(right) < 2:
        raise DataError("episodes.measured", f"{len(right)} episodes have no interval", "Write 600")
    return Result(method, float(np.mean(right)), NORMAL * float(np.std(right, ddof=1)) / math.sqrt(len(right)), len(right))


def by_embeddings(objective: Objective, vectors: np.ndarray) -> Answer:
    """What an objective that needs no more than embeddings says, of rows with these `vectors`."""
    import torch

    rows = torch.from_numpy(vectors)

    def answer(episode: Episode) -> np.ndarray:
        logits = objective.logits(rows[torch.from_numpy(episode.support)], rows[torch.from_numpy(episode.query.ravel())])
        assert logits is not None
        return np.asarray(logits.argmax(dim=-1))

    return answer


def by_regression(vectors: np.ndarray) -> Answer:
    """A baseline: logistic regression on the vectors of the support."""
    from sklearn.linear_model import LogisticRegression

    def answer(episode: Episode) -> np.ndarray:
        ways, shots = episode.support.shape
        fitted = LogisticRegression(max_iter=1000).fit(vectors[episode.support.ravel()], np.repeat(np.arange(ways), shots))
        return np.asarray(fitted.predict(vectors[episode.query.ravel()]))

    return answer


class Asked:
    """Rows as the batches that a PyTorch model reads, without the words that an episode does not have.

    Descent changes the embeddings of words that are there and of no others: with those alone the weights that move are half as
    many, and their values the same.
    """

    def __init__(self, predictor: Predictor, model: Any, rows: Sequence[Row], episodes: Episodes) -> None:
        self.predictor, self.model, self.episodes = predictor, model.eval(), episodes
        self.features = predictor.task.encode(rows, predictor.tokens, predictor.config)
        self.words = model.get_input_embeddings()
        self.whole, self.padding = self.words.weight, self.words.padding_idx

    def batch(self, episode: Episode) -> dict[str, Any]:
        """An episode as one batch; the model has its words alone until `whole_again`."""
        import torch

        read = self.predictor.task.collate([self.features[i] for i in episode.rows], self.predictor.tokens)
        found = {name: torch.from_numpy(array).to(self.whole.device) for name, array in read.items()}
        there, found["input_ids"] = torch.unique(found["input_ids"], return_inverse=True)
        self.words.weight = torch.nn.Parameter(self.whole.detach()[there])
        if self.padding is not None:
            places = (there == self.padding).nonzero().ravel().tolist()
            self.words.padding_idx = places[0] if places else None
        return found | {"labels": torch.zeros(len(found["input_ids"]), dtype=torch.long, device=self.whole.device)}

    def whole_again(self) -> None:
        """Give the model all of its words back."""
        self.words.weight, self.words.padding_idx = self.whole, self.padding

    def autocast(self) -> Any:
        """What the device computes fast. It keeps what it made of weights until it ends, so it must end before they move."""
        import torch

        from hfrecipes.arguments import native_bf16

        return torch.autocast(self.whole.device.type, torch.bfloat16, enabled=native_bf16())

    def by(self, logits: Callable[[dict[str, Any]], Any]) -> Answer:
        """The answers of what gives logits for the queries of a batch."""

        def answer(episode: Episode) -> np.ndarray:
            try:
                found = logits(self.batch(episode))
                return np.asarray(found.detach().float().argmax(dim=-1).cpu())
            finally:
                self.whole_again()

        return answer


def by_adapting(objective: Objective, asked: Asked) -> Answer:
    """What an objective says whose weights adapt to an episode."""

    def logits(batch: dict[str, Any]) -> Any:
        with asked.autocast():
            return objective.adapted(asked.model, batch, asked.episodes)[0]

    return asked.by(logits)


def by_training(asked: Asked, scale: float = 10.0) -> Answer:
    """A baseline: every weight trained on the support, with a linear head that starts from its means."""
    import torch
    from torch.nn.functional import cross_entropy

    from hfrecipes.objectives._adaptation import answer, embeddings, halves, start, trained

    def logits(batch: dict[str, Any]) -> Any:
        support, query, told, _ = halves(batch, asked.episodes)
        with torch.no_grad(), asked.autocast():
            first = embeddings(asked.model, {}, support).float()
            begin = start(first.reshape(asked.episodes.ways, asked.episodes.shots, -1), scale)
        own = {name: weight.detach().clone().requires_grad_() for name, weight in (trained(asked.model) | begin).items()}
        optimizer = torch.optim.AdamW(own.values(), lr=RATE, weight_decay=0.0, fused=True)
        for _ in range(STEPS):
            optimizer.zero_grad()
            with asked.autocast():
                loss = cross_entropy(answer(own, embeddings(asked.model, own, support)), told)
            loss.backward()
            optimizer.step()
        with torch.no_grad(), asked.autocast():
            return answer(own, embeddings(asked.model, own, query))

    return asked.by(logits)
