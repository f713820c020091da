"""Tokens: texts to token ids, the same in training, in evaluation and in production.

Works on the `tokenizer.json` of a checkpoint through the `tokenizers` library alone, so a service needs neither torch nor
transformers, and what was trained is what is served.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

CHARACTERS_PER_TOKEN = 40
"""A text is cut to this many characters for each token that fits, before it is tokenized: truncation alone does not bound
the time that tokenizing takes. Words of ordinary text are far shorter."""


@dataclass(frozen=True)
class Tokens:
    """A tokenizer with what a batch needs to know: the padding and the length that the model can read."""

    tokenizer: Tokenizer
    max_length: int
    pad_id: int
    padding_side: str
    inputs: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path, max_length: int | None, positions: int | None) -> Tokens:
        """Read `tokenizer.json` and `tokenizer_config.json` of a checkpoint.

        The length is the smallest of what the task asks for, what the tokenizer says and what the model has positions for.
        """
        from tokenizers import Tokenizer

        if not (folder / "tokenizer.json").is_file():
            raise ModelError(
                str(folder),
                "has no tokenizer.json",
                "Save a fast tokenizer into it: AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
            )
        options = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        lengths = [n for n in (max_length, options.get("model_max_length"), positions) if n]
        limit = int(min(lengths, default=512))
        tokenizer.enable_truncation(limit)
        pad = options.get("pad_token")
        pad = pad["content"] if isinstance(pad, dict) else pad
        pad_id = tokenizer.token_to_id(pad) if pad else None
        if pad_id is None:
            raise ModelError(
                str(folder), "its tokenizer has no pad token", "Name one of its tokens: `model: {path: …, pad_token: '[PAD]'}`"
            )
        names = tuple(options.get("model_input_names") or ("input_ids", "token_type_ids", "attention_mask"))
        return cls(tokenizer, limit, pad_id, options.get("padding_side", "right"), names)

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Encoding]:
        """One encoding a text (or a pair of texts), with special tokens, cut to `max_length`."""
        limit = self.max_length * CHARACTERS_PER_TOKEN
        first = [text[:limit] for text in texts]
        batch: list[Any] = first if pairs is None else list(zip(first, [text[:limit] for text in pairs], strict=True))
        return list(self.tokenizer.encode_batch(batch))

    def features(self, encoding: Encoding) -> dict[str, list[int]]:
        """What the model reads of an encoding, under the names of transformers."""
        every = {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids, "attention_mask": encoding.attention_mask}
        return {name: every[name] for name in self.inputs if name in every}

    def pad(self, rows: Sequence[Sequence[int]], filler: int) -> np.ndarray:
        """Rows of ids as one int64 array of shape (rows, longest row), filled up on the tokenizer's padding side."""
        width = max(map(len, rows))
        out = np.full((len(rows), width), filler, dtype=np.int64)
        for line, row in zip(out, rows, strict=True):
            line[slice(width - len(row), None) if self.padding_side == "left" else slice(0, len(row))] = row
        return out

    def collate(self, features: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        """Pad the model's inputs of several rows to one batch; each array has the shape (rows, longest row)."""
        fillers = {"input_ids": self.pad_id}
        return {name: self.pad([f[name] for f in features], fillers.get(name, 0)) for name in self.inputs if name in features[0]}
