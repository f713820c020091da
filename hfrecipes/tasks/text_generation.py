"""text-generation: go on with a text (causal language modelling)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.columns import Column
from hfrecipes.errors import DataError
from hfrecipes.family import Architecture
from hfrecipes.metrics.perplexity import Perplexity
from hfrecipes.part import value
from hfrecipes.tasks import IGNORED, Features, Row, Task, Window
from hfrecipes.tasks._packing import pack, slide
from hfrecipes.tasks._source_target import Generated

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens

NEW = 20
"""Tokens that are written where nothing else is asked for."""
SAMPLE = 8
"""Words of a prompt to measure the speed of answers on."""


@value
class TextGeneration(Task):
    """Go on with a text; measured by the perplexity of the test split over windows that slide by half of their length.

    The texts are packed one after another into blocks of `max_length` tokens, with `separator` between them (the end-of-text
    token where it is not given). `generation` goes to transformers' GenerationConfig.
    """

    max_length: Annotated[int, Field(gt=2)] | None = None
    separator: str | None = None
    generation: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    heads: ClassVar[Mapping[Architecture, str]] = {"decoder": "text-generation"}
    columns: ClassVar[Mapping[str, Column]] = {"text": Column("the text", text=True)}
    outputs: ClassVar[tuple[str, ...]] = ("sequences",)
    scored_in_training: ClassVar[bool] = False
    generates: ClassVar[bool] = True
    by_likelihood: ClassVar[bool] = True

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        room = tokens.max_length - int(self.writing()["max_new_tokens"])
        found = []
        for i, encoding in enumerate(tokens.encode([row["text"] for row in rows])):
            if len(encoding.ids) > room:
                raise DataError(
                    "text",
                    f"the prompt has {len(encoding.ids)} tokens or more and there is room for {room}",
                    "Shorten it, or ask for fewer max_new_tokens",
                )
            found.append({**tokens.features(encoding), "row": i})
        return found

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        blocks = pack([row["text"] for row in rows], tokens, self._between(tokens, config), tokens.max_length)
        return [{**b, "attention_mask": [1] * len(b["input_ids"]), "labels": b["input_ids"]} for b in blocks]

    def probes(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        blocks = pack([row["text"] for row in rows], tokens, self._between(tokens, config), tokens.max_length // 2)
        windows = slide(blocks, tokens.max_length)
        shifted = [[*w["targets"][1:], IGNORED] for w in windows]
        return [{**w, "attention_mask": [1] * len(w["input_ids"]), "targets": t} for w, t in zip(windows, shifted, strict=True)]

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Generated:
        return Generated(tokens.text(windows[0].outputs["sequences"]))

    def writing(self) -> dict[str, Any]:
        return {"max_new_tokens": NEW, **self.generation}

    def row(self, given: Any) -> Row:
        return {"text": given} if isinstance(given, str) else {"text": given["text"]}

    def sample(self, row: Row) -> Any:
        return " ".join(str(row["text"]).split()[:SAMPLE])

    def prediction(self, answer: Generated, config: Mapping[str, Any]) -> str:
        return answer.text

    def reference(self, row: Row, config: Mapping[str, Any]) -> str:
        return str(row["text"])

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Perplexity(),)

    def _between(self, tokens: Tokens, config: Mapping[str, Any]) -> list[int]:
        if self.separator is None:
            return [int(config["eos_token_id"])]
        return list(tokens.tokenizer.encode(self.separator, add_special_tokens=False).ids)
