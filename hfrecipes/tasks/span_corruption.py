"""span-corruption: the words behind the gaps of a text (what T5 is pretrained with)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from hfrecipes.columns import Column
from hfrecipes.errors import DataError, ModelError, RecipeError
from hfrecipes.family import Architecture
from hfrecipes.metrics.perplexity import Perplexity
from hfrecipes.part import value
from hfrecipes.tasks import IGNORED, Features, Row, Task, Window
from hfrecipes.tasks._packing import masked_sample, pack

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens

GAP = re.compile(r"<mask>|<extra_id_\d+>")


@dataclass(frozen=True)
class Completed:
    """What the model wrote for each gap of a text, and the text with it."""

    spans: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return self.text


@value
class SpanCorruption(Task):
    """The words behind the gaps of a text (Raffel et al. 2020, arXiv:1910.10683, 3.1.4); on the Hub it is a
    text2text-generation model. Measured by the perplexity of the missing tokens.

    The texts are packed into blocks of `max_length` tokens. `share` of a block's tokens is missing, in spans of `mean_span`
    tokens on average, each replaced by a token of its own; the model writes these tokens, each followed by what it stands for.
    A text to complete holds `<mask>` at every gap.
    """

    max_length: Annotated[int, Field(gt=4)] | None = 128
    share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    mean_span: Annotated[float, Field(ge=1)] = 3.0
    generation: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    heads: ClassVar[Mapping[Architecture, str]] = {"encoder-decoder": "text2text-generation"}
    columns: ClassVar[Mapping[str, Column]] = {"text": Column("the text", text=True)}
    outputs: ClassVar[tuple[str, ...]] = ("sequences",)
    scored_in_training: ClassVar[bool] = False
    generates: ClassVar[bool] = True
    by_likelihood: ClassVar[bool] = True
    reads_as_encoded: ClassVar[bool] = False

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        texts = []
        for row in rows:
            parts = GAP.split(row["text"])
            if len(parts) == 1:
                raise DataError("text", "has no gap", "Write <mask> where words are missing")
            texts.append(parts[0] + "".join(f"<extra_id_{i}>{part}" for i, part in enumerate(parts[1:])))
        return [{**tokens.features(e), "row": i} for i, e in enumerate(tokens.encode(texts))]

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        """Whole blocks: their gaps are drawn anew whenever the model reads them."""
        blocks = pack([row["text"] for row in rows], tokens, [int(config["eos_token_id"])], tokens.max_length - 1)
        return [{**b, "attention_mask": [1] * len(b["input_ids"]), "labels": b["input_ids"]} for b in blocks]

    def collate(self, features: Sequence[Features], tokens: Tokens) -> dict[str, np.ndarray]:
        batch = super().collate(features, tokens)
        if "labels" in batch:
            needed = max(self._spans(len(f["input_ids"]))[1] for f in features) + 1
            batch["gaps"] = np.tile(self._gaps(tokens, needed), (len(features), 1))
        if "decoder_input_ids" in features[0]:
            batch["decoder_input_ids"] = tokens.pad([f["decoder_input_ids"] for f in features], tokens.pad_id)
        return batch

    def probes(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        found = []
        for number, block in enumerate(self.examples(rows, tokens, config)):
            gaps = self._gaps(tokens, self._spans(len(block["input_ids"]))[1] + 1)
            source, target = self.corrupt(block["input_ids"], gaps, config["eos_token_id"], np.random.default_rng(number))
            read = {"input_ids": source, "attention_mask": [1] * len(source), "row": block["row"]}
            found.append({**read, "decoder_input_ids": [config["decoder_start_token_id"], *target[:-1]], "targets": target})
        return found

    def loss(self, model: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """The model's loss on gaps that are drawn anew at every step; in evaluation mode a block always has the same ones."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        ids, device = batch["input_ids"].cpu().numpy(), batch["input_ids"].device
        drawn = int(torch.randint(2**62, ())) if model.training else 0
        pairs: list[tuple[list[int], list[int]]] = []
        for row, kept, gaps in zip(ids, batch["attention_mask"].cpu().numpy(), batch["gaps"].tolist(), strict=True):
            block = row[kept == 1]
            draw = np.random.default_rng([drawn, len(pairs)] if model.training else int(block.sum()))
            pairs.append(self.corrupt(block.tolist(), gaps, model.config.eos_token_id, draw))
        sources, targets = ([torch.tensor(side) for side in sides] for sides in zip(*pairs, strict=True))
        read = pad_sequence(sources, batch_first=True, padding_value=model.config.pad_token_id).to(device)
        mask = pad_sequence([torch.ones_like(s) for s in sources], batch_first=True).to(device)
        labels = pad_sequence(targets, batch_first=True, padding_value=IGNORED).to(device)
        outputs = model(input_ids=read, attention_mask=mask, labels=labels)
        return outputs.loss, outputs

    def corrupt(
        self, ids: Sequence[int], gaps: Sequence[int], end: int, draw: np.random.Generator
    ) -> tuple[list[int], list[int]]:
        """A block with gaps, and what is missing in it: every span behind its gap's token, then the next gap's token."""
        missing, spans = self._spans(len(ids))
        source: list[int] = []
        target: list[int] = []
        at = 0
        for gap, kept, cut in zip(gaps, _parts(len(ids) - missing, spans, draw), _parts(missing, spans, draw), strict=False):
            source += [*ids[at : at + kept], gap]
            target += [gap, *ids[at + kept : at + kept + cut]]
            at += kept + cut
        return [*source, end], [*target, gaps[spans], end]

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Completed:
        wanted = len(GAP.findall(row["text"]))
        gaps = self._gaps(tokens, wanted + 1)
        spans: list[list[int]] = [[] for _ in gaps]
        current = spans[-1]
        for i in windows[0].outputs["sequences"].tolist():
            if i in gaps:
                current = spans[gaps.index(i)]
            else:
                current.append(i)
        texts = tuple(tokens.text(span).strip() for span in spans[:wanted])
        parts = GAP.split(row["text"])
        return Completed(texts, parts[0] + "".join(text + part for text, part in zip(texts, parts[1:], strict=True)))

    def writing(self) -> dict[str, Any]:
        return {"max_new_tokens": 32, **self.generation}

    def row(self, given: Any) -> Row:
        return {"text": given} if isinstance(given, str) else {"text": given["text"]}

    def sample(self, row: Row) -> Any:
        return masked_sample(str(row["text"]))

    def prediction(self, answer: Completed, config: Mapping[str, Any]) -> str:
        return answer.text

    def reference(self, row: Row, config: Mapping[str, Any]) -> str:
        return str(row["text"])

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Perplexity(),)

    def _spans(self, length: int) -> tuple[int, int]:
        """How many tokens of a block are missing, and in how many spans."""
        missing = min(max(round(length * self.share), 1), length - 1)
        return missing, min(max(round(missing / self.mean_span), 1), length - missing)

    def _gaps(self, tokens: Tokens, count: int) -> list[int]:
        """The ids of the first tokens that stand for gaps."""
        ids = [tokens.tokenizer.token_to_id(f"<extra_id_{i}>") for i in range(count)]
        found = [i for i in ids if i is not None]
        if not found:
            raise ModelError("model", "the tokenizer has no tokens <extra_id_0>, <extra_id_1> … for gaps", "Take a T5 or mT5")
        if len(found) < count:
            what = f"a block or text has {count - 1} gaps and the tokenizer tokens for {len(found) - 1}"
            raise RecipeError(f"task.{self.name}.max_length", what, "Write less, or a longer mean_span")
        return found


def _parts(total: int, count: int, draw: np.random.Generator) -> list[int]:
    """`total` cut into `count` parts of 1 at least, every way as likely as any other."""
    cuts = sorted(draw.choice(total - 1, count - 1, replace=False) + 1) if count > 1 else []
    return [int(part) for part in np.diff([0, *cuts, total])]
