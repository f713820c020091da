"""fill-mask: the word behind a mask (masked language modelling)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from hfrecipes.columns import Column
from hfrecipes.errors import DataError
from hfrecipes.family import Architecture
from hfrecipes.metrics.perplexity import Perplexity
from hfrecipes.part import value
from hfrecipes.tasks import IGNORED, Features, Row, Task, Window
from hfrecipes.tasks._packing import masked_sample, pack

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens


@dataclass(frozen=True)
class Filled:
    """The likeliest words for the first mask of a text, with their probabilities, and the text with the first of them."""

    words: tuple[tuple[str, float], ...]
    text: str

    def __str__(self) -> str:
        return "\t".join(f"{word} {score:.4f}" for word, score in self.words)


@value
class FillMask(Task):
    """The word behind a mask (Devlin et al. 2019, arXiv:1810.04805); measured by the perplexity of masked tokens.

    The texts are packed into blocks of `max_length` tokens. A text to fill holds the tokenizer's mask, or `<mask>`, or
    `[MASK]`; `top` words are given. `share` of the tokens is masked: 80 % become the mask, 10 % a random token, 10 % stay.
    """

    max_length: Annotated[int, Field(gt=4)] | None = 128
    top: Annotated[int, Field(gt=0)] = 5
    share: Annotated[float, Field(gt=0, lt=1)] = 0.15

    heads: ClassVar[Mapping[Architecture, str]] = {"encoder": "fill-mask"}
    columns: ClassVar[Mapping[str, Column]] = {"text": Column("the text", text=True)}
    per_token: ClassVar[bool] = True
    scored_in_training: ClassVar[bool] = False
    by_likelihood: ClassVar[bool] = True
    reads_as_encoded: ClassVar[bool] = False

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        mask = tokens.special("mask_token")
        texts = [tokens.masked(row["text"]) for row in rows]
        if any(mask not in text for text in texts):
            raise DataError("text", "has no mask", f"Write {mask} where a word is missing")
        return [{**tokens.features(e), "row": i} for i, e in enumerate(tokens.encode(texts))]

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        frame = tokens.tokenizer.encode("").ids
        head, tail = frame[: (len(frame) + 1) // 2], frame[(len(frame) + 1) // 2 :]
        blocks = pack([row["text"] for row in rows], tokens, [], tokens.max_length - len(frame))
        found = []
        for block in blocks:
            ids = [*head, *block["input_ids"], *tail]
            labels = [IGNORED] * len(head) + block["input_ids"] + [IGNORED] * len(tail)
            every = {"input_ids": ids, "token_type_ids": [0] * len(ids), "attention_mask": [1] * len(ids)}
            found.append({**{k: v for k, v in every.items() if k in tokens.inputs}, "row": block["row"], "labels": labels})
        return found

    def probes(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        mask = tokens.tokenizer.token_to_id(tokens.special("mask_token"))
        found = []
        for number, block in enumerate(self.examples(rows, tokens, config)):
            chosen = np.random.default_rng(number).random(len(block["labels"])) < self.share
            labels = np.array(block.pop("labels"))
            chosen &= labels != IGNORED
            ids = [mask if masked else i for i, masked in zip(block["input_ids"], chosen, strict=True)]
            found.append({**block, "input_ids": ids, "targets": np.where(chosen, labels, IGNORED).tolist()})
        return found

    def loss(self, model: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """The model's loss on tokens that are masked anew at every step; in evaluation mode always the same ones."""
        import torch

        labels, ids = batch["labels"], batch["input_ids"]
        seed = None if model.training else torch.Generator(ids.device).manual_seed(int(ids.sum()))
        draw = torch.rand(ids.shape, generator=seed, device=ids.device)
        chosen = (draw < self.share) & (labels != IGNORED)
        random = torch.randint(0, model.config.vocab_size, ids.shape, generator=seed, device=ids.device)
        swapped = torch.where(draw < 0.9 * self.share, random, ids)
        masked = torch.where(draw < 0.8 * self.share, model.config.mask_token_id, swapped)
        read = {"input_ids": torch.where(chosen, masked, ids), "labels": labels.masked_fill(~chosen, IGNORED)}
        outputs = model(**{**batch, **read})
        return outputs.loss, outputs

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Filled:
        mask = tokens.special("mask_token")
        position = windows[0].features["input_ids"].index(tokens.tokenizer.token_to_id(mask))
        logits = windows[0].outputs["logits"][position].astype(np.float64)
        odds = np.exp(logits - logits.max())
        best = np.argsort(-odds)[: self.top]
        words = tuple((tokens.text([i]), float(odds[i] / odds.sum())) for i in best)
        return Filled(words, tokens.masked(row["text"]).replace(mask, words[0][0], 1))

    def row(self, given: Any) -> Row:
        return {"text": given} if isinstance(given, str) else {"text": given["text"]}

    def sample(self, row: Row) -> Any:
        return masked_sample(str(row["text"]))

    def prediction(self, answer: Filled, config: Mapping[str, Any]) -> str:
        return answer.words[0][0]

    def reference(self, row: Row, config: Mapping[str, Any]) -> str:
        return str(row["text"])

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Perplexity(),)
