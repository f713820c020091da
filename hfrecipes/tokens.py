"""Tokens: texts to token ids, the same in training, in evaluation and in production.

Works on the `tokenizer.json` of a checkpoint through the `tokenizers` library alone, so a service needs neither torch nor
transformers, and what was trained is what is served.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.edge import explained
from hfrecipes.errors import DataError, ModelError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerBase

LONE_SURROGATES = re.compile("[\ud800-\udfff]")
CHARACTERS_PER_TOKEN = 40
"""A text is cut to this many characters for each token that fits, before it is tokenized: truncation alone does not bound
the time that tokenizing takes. Words of ordinary text are far shorter."""

MASKS = ("<mask>", "[MASK]")
"""What people write where a word is masked, whatever the tokenizer calls it."""
SAVE = "Save a fast tokenizer into it: AutoTokenizer.from_pretrained(...).save_pretrained(folder)"
PROMPT = "prompt_tokens"
"""The entry of a model's configuration with the ids, one after another, of the tokens that its tokenizer writes in front of every
text."""


@dataclass(frozen=True)
class Tokens:
    """A tokenizer with what a batch needs to know: the padding and the length that the model can read."""

    tokenizer: Tokenizer
    max_length: int
    pad_id: int
    padding_side: str
    inputs: tuple[str, ...]
    names: Mapping[str, str]

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
                SAVE,
            )
        with explained(str(folder), "its tokenizer cannot be read", SAVE):
            options = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            return cls._bounded(tokenizer, options, str(folder), (max_length, positions))

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, max_length: int | None, positions: int | None) -> Tokens:
        """A copy of a fast tokenizer of transformers."""
        from tokenizers import Tokenizer

        options = {
            **tokenizer.special_tokens_map,
            "model_max_length": tokenizer.model_max_length,
            "padding_side": tokenizer.padding_side,
        }
        options["model_input_names"] = tokenizer.model_input_names
        copied = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        return cls._bounded(copied, options, tokenizer.name_or_path, (max_length, positions))

    @classmethod
    def _bounded(cls, tokenizer: Tokenizer, options: Mapping[str, Any], where: str, lengths: Sequence[int | None]) -> Tokens:
        tokenizer.no_padding()
        limit = int(min((n for n in (*lengths, options.get("model_max_length")) if n), default=512))
        named = {key: entry for key, entry in options.items() if key.endswith("_token") and entry is not None}
        given = {key: entry["content"] if isinstance(entry, dict) else str(entry) for key, entry in named.items()}
        pad_id = tokenizer.token_to_id(given["pad_token"]) if "pad_token" in given else None
        if pad_id is None:
            instead = "Name one of its tokens: `model: {path: …, pad_token: '[PAD]'}`"
            raise ModelError(where, "its tokenizer has no pad token", instead)
        inputs = tuple(options.get("model_input_names") or ("input_ids", "token_type_ids", "attention_mask"))
        return cls(tokenizer, limit, pad_id, options.get("padding_side", "right"), inputs, given)

    def special(self, name: str) -> str:
        """The text of a special token, such as `mask_token`. Raises ModelError where the tokenizer has none."""
        if not self.names.get(name):
            raise ModelError("model", f"its tokenizer has no {name.replace('_', ' ')}", "Take a model that was trained with one")
        return self.names[name]

    def masked(self, text: str) -> str:
        """A text with the tokenizer's own mask where people wrote one."""
        for name in MASKS:
            text = text.replace(name, self.special("mask_token"))
        return text

    def encode(self, texts: Sequence[str], pairs: Sequence[str | None] = ()) -> list[Encoding]:
        """One encoding a text with special tokens, cut to `max_length`; of a text and its partner where `pairs` has one."""
        self.tokenizer.enable_truncation(self.max_length)
        partners = pairs or [None] * len(texts)
        both = [(self.clean(a), b) for a, b in zip(texts, partners, strict=True)]
        return self._encoded([a if b is None else (a, self.clean(b)) for a, b in both])

    def windows(self, texts: Sequence[str], pairs: Sequence[str], stride: int) -> list[list[Encoding]]:
        """For each pair the encodings of the first text whole with one window after another of the second; neighbours share
        `stride` tokens. A first text that leaves no room is cut to half of the length."""
        half = self.max_length // 2
        self.tokenizer.no_truncation()
        firsts = [self.clean(text) for text in texts]
        short = []
        for text, encoding in zip(firsts, self._encoded(firsts, add_special_tokens=False), strict=True):
            short.append(text if len(encoding.ids) <= half else text[: encoding.offsets[half - 1][1]])
        room = min(stride, half // 2)
        self.tokenizer.enable_truncation(self.max_length, stride=room, strategy="only_second")
        cleaned = [self.clean(text, whole=True) for text in pairs]
        found = self._encoded(list(zip(short, cleaned, strict=True)))
        return [[encoding, *encoding.overflowing] for encoding in found]

    def words(self, rows: Sequence[Sequence[str]]) -> list[list[Encoding]]:
        """For each row of words its encodings: one, or several where it is longer than the model reads. `word_ids` of an
        encoding says to which word each token belongs."""
        self.tokenizer.enable_truncation(self.max_length)
        cleaned = [[self.clean(word) for word in row] for row in rows]
        return [[e, *e.overflowing] for e in self._encoded(cleaned, is_pretokenized=True)]

    def _encoded(self, given: Sequence[Any], **how: bool) -> list[Encoding]:
        """What the library makes of texts. Raises ModelError where its own code fails on one."""
        with explained("model", "its tokenizer fails on a text", "Take another tokenizer"):
            return list(self.tokenizer.encode_batch(given, **how))

    def clean(self, text: str, whole: bool = False) -> str:
        """A text that the tokenizer can read in bounded time: no lone surrogates, not much longer than the model reads."""
        if not isinstance(text, str):
            raise DataError("data", f"{text!r:.60} stands where a text should be", "Write texts there alone")
        limit = self.max_length * CHARACTERS_PER_TOKEN
        return LONE_SURROGATES.sub("\ufffd", text if whole else text[:limit])

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
        """Pad the model's inputs of several rows to one batch; each array has the shape (rows, longest row).

        Rows that are padded on the left carry `position_ids` counted from their first token, so that a row has the same
        positions alone and in a batch.
        """
        fillers = {"input_ids": self.pad_id}
        batch = {name: self.pad([f[name] for f in features], fillers.get(name, 0)) for name in self.inputs if name in features[0]}
        if self.padding_side == "left":
            batch["position_ids"] = np.maximum(batch["attention_mask"].cumsum(axis=1) - 1, 0)
        return batch

    def text(self, ids: Iterable[int]) -> str:
        """The text of token ids, without special tokens."""
        return str(self.tokenizer.decode([int(i) for i in ids], skip_special_tokens=True))

    def cut(self, text: str, length: int) -> str:
        """The beginning of a text that has at most `length` tokens."""
        self.tokenizer.no_truncation()
        [encoding] = self._encoded([self.clean(text)], add_special_tokens=False)
        return text if len(encoding.ids) <= length else text[: encoding.offsets[length - 1][1]]


def positions(config: Mapping[str, Any]) -> int | None:
    """How many positions a model has, under either name that configurations give them; None where there is no bound."""
    return config.get("max_position_embeddings") or config.get("n_positions")
