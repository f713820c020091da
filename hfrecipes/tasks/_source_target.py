"""What summarization, translation and text2text-generation share: a source text in, a target text out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from hfrecipes.columns import Column
from hfrecipes.errors import RecipeError
from hfrecipes.family import Architecture
from hfrecipes.part import value
from hfrecipes.tasks import IGNORED, Features, Row, Task, Window
from hfrecipes.tasks._shown import fitting, nearest, spread
from hfrecipes.tokens import PROMPT

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

    from hfrecipes.tokens import Tokens

PLACE = "{source}"
GAP = "\n\n"
SHOWN, POOL = "shown_examples", 256
"""The entry of a configuration that holds prompts with their targets, and how many it may hold."""


def _has_place(template: str) -> str:
    if template.count(PLACE) != 1:
        raise ValueError(f"has no place for the text. Write {PLACE} once where the text goes")
    return template


Template = Annotated[str, AfterValidator(_has_place)]


@dataclass(frozen=True)
class Generated:
    """The text that the model wrote."""

    text: str

    def __str__(self) -> str:
        return self.text


@value
class SourceTarget(Task):
    """Base of tasks that turn a source into a target.

    `template` is what the model reads, with the text at `{source}`. A source that is too long is cut, so that the template
    stays whole; `max_length` and `max_target_length` count tokens. `generation` goes to transformers' GenerationConfig. A
    decoder reads template and target in one row and learns from the target alone.

    With `shots` so many solved examples stand in front of it, each before a blank line: of the training rows those that share
    most words with the source (Brown et al. 2020, arXiv:2005.14165; Liu et al. 2022, arXiv:2101.06804), as far as half of the
    room goes. `before: true` shows what that does for a model that was not trained.
    """

    template: Template = PLACE
    max_length: Annotated[int, Field(gt=8)] | None = 512
    max_target_length: Annotated[int, Field(gt=1)] = 64
    generation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    shots: Annotated[int, Field(ge=0)] = 0

    heads: ClassVar[Mapping[Architecture, str]] = {"decoder": "text-generation", "encoder-decoder": "text2text-generation"}
    columns: ClassVar[Mapping[str, Column]] = {
        "source": Column("the text to read", text=True),
        "target": Column("the text to write, or a list of equally good ones"),
    }
    outputs: ClassVar[tuple[str, ...]] = ("sequences",)
    scored_in_training: ClassVar[bool] = False
    generates: ClassVar[bool] = True

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        if not self.shots:
            return {}
        if self.shots >= len(rows):
            what = f"{self.shots} shots need as many rows beside the one that is asked, and there are {len(rows)}"
            raise RecipeError(f"task.{self.name}.shots", what, "Write fewer")
        pool = [self.sourced(rows[i]) for i in spread(len(rows), POOL)]
        return {
            SHOWN: [[self.frame(row).replace(PLACE, row["source"]), next(iter(self.reference(row, config)), "")] for row in pool]
        }

    def sourced(self, row: Row) -> Row:
        """A row with what stands at `{source}` under that name."""
        return row

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        rows = [self.sourced(row) for row in rows]
        frames = [self._before(row, tokens, config) + self.frame(row) for row in rows]
        taken = [len(e.ids) for e in tokens.encode([frame.replace(PLACE, "") for frame in frames])]
        prompts = []
        for row, frame, length in zip(rows, frames, taken, strict=True):
            room = self._room(tokens, config) - length
            if room < 1:
                written, read = self.max_target_length, tokens.max_length
                what = f"{written} of the {read} tokens that the model reads leave no room for the source"
                raise RecipeError(f"task.{self.name}.max_target_length", what, "Write less")
            prompts.append(frame.replace(PLACE, tokens.cut(row["source"], room)))
        return [{**tokens.features(e), "row": i} for i, e in enumerate(tokens.encode(prompts))]

    def _before(self, row: Row, tokens: Tokens, config: Mapping[str, Any]) -> str:
        """The solved examples in front of a row's prompt."""
        if not self.shots:
            return ""
        prompts = tuple(prompt for prompt, _ in config[SHOWN])
        near = nearest(prompts).of(self.frame(row).replace(PLACE, row["source"]), self.shots)
        found = [f"{config[SHOWN][i][0]} {config[SHOWN][i][1]}{GAP}".replace(PLACE, "") for i in near]
        lengths = [len(encoding.ids) for encoding in tokens.encode(found)]
        return "".join(fitting(found, lengths, self._room(tokens, config) // 2))

    def frame(self, row: Row) -> str:
        """The template as this row fills it, but for the place of the source."""
        return self.template

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        read = self.encode(rows, tokens, config)
        targets = [tokens.cut(next(iter(self.reference(row, config)), ""), self.max_target_length - 1) for row in rows]
        if config.get("is_encoder_decoder"):
            prompt = set(config.get(PROMPT) or ())
            written = [[i for i in encoding.ids if i not in prompt] for encoding in tokens.encode(targets)]
            return [{**features, "labels": ids} for features, ids in zip(read, written, strict=True)]
        end = config["eos_token_id"]
        found = []
        for features, target in zip(read, targets, strict=True):
            ids = [*tokens.tokenizer.encode(target, add_special_tokens=False).ids, end]
            prompt = features["input_ids"]
            whole = {"input_ids": [*prompt, *ids], "attention_mask": [1] * (len(prompt) + len(ids))}
            found.append({**features, **whole, "labels": [IGNORED] * len(prompt) + ids})
        return found

    def collate(self, features: Sequence[Features], tokens: Tokens) -> dict[str, np.ndarray]:
        batch = super().collate(features, tokens)
        if "decoder_input_ids" in features[0]:
            batch["decoder_input_ids"] = tokens.pad([f["decoder_input_ids"] for f in features], tokens.pad_id)
        return batch

    def probes(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        """The first target of each row behind its source."""
        found = []
        for features in self.examples(rows, tokens, config):
            ids, row = features["labels"], features["row"]
            if config.get("is_encoder_decoder"):
                read = {name: features[name] for name in tokens.inputs}
                found.append(
                    {**read, "row": row, "decoder_input_ids": [config["decoder_start_token_id"], *ids[:-1]], "targets": ids}
                )
            else:
                whole = {name: features[name] for name in ("input_ids", "attention_mask")}
                found.append({**whole, "row": row, "targets": [*ids[1:], IGNORED]})
        return found

    def right(self, answer: Generated, row: Row, config: Mapping[str, Any]) -> list[bool]:
        """Whether the text is one of the row's targets, to the letter but for white space at its ends."""
        targets = [target.strip() for target in self.reference(row, config)] or [""]
        return [answer.text.strip() in targets]

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Generated:
        text = tokens.text(windows[0].outputs["sequences"]).strip()
        return Generated(text.partition(GAP)[0] if self.shots else text)

    def taught(self, row: Row, answer: Generated) -> Row:
        return {**row, "target": answer.text}

    def writing(self) -> dict[str, Any]:
        return {"max_new_tokens": self.max_target_length, **self.generation}

    def row(self, given: Any) -> Row:
        return {"source": given} if isinstance(given, str) else {"source": given["source"]}

    def prediction(self, answer: Generated, config: Mapping[str, Any]) -> str:
        return answer.text

    def reference(self, row: Row, config: Mapping[str, Any]) -> list[str]:
        return [row["target"]] if isinstance(row["target"], str) else list(row["target"])

    def _room(self, tokens: Tokens, config: Mapping[str, Any]) -> int:
        """Tokens that the prompt may have: a decoder's context holds the target too."""
        return tokens.max_length if config.get("is_encoder_decoder") else tokens.max_length - self.max_target_length
