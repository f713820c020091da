"""What language modelling tasks share: texts one after another, cut into blocks that are read whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hfrecipes.tasks import IGNORED, Features

if TYPE_CHECKING:
    from hfrecipes.tokens import Tokens

SAMPLE = 16
"""Words of a text with a mask in its middle, to measure the speed of answers on."""


def pack(texts: Sequence[str], tokens: Tokens, separator: Sequence[int], length: int) -> list[Features]:
    """Blocks of `length` token ids (the last may be shorter, not below 2); `row` is the text in which a block begins."""
    tokens.tokenizer.no_truncation()
    encoded = tokens.tokenizer.encode_batch([*texts], add_special_tokens=False)
    ids: list[int] = []
    owners: list[int] = []
    for row, encoding in enumerate(encoded):
        ids += [*encoding.ids, *separator]
        owners += [row] * (len(encoding.ids) + len(separator))
    blocks = range(0, len(ids), length)
    return [{"input_ids": ids[i : i + length], "row": owners[i]} for i in blocks if len(ids[i : i + length]) > 1]


def slide(blocks: Sequence[Features], length: int) -> list[Features]:
    """Blocks of half of `length` as windows that hold the block before them too: every token is predicted once, all but the
    first block's with at least half a window before it."""
    found = []
    before: list[int] = []
    for block in blocks:
        ids = block["input_ids"]
        fresh = list(ids) if before else [IGNORED, *ids[1:]]
        found.append({"input_ids": [*before, *ids], "row": block["row"], "targets": [IGNORED] * len(before) + fresh})
        before = list(ids)[-(length - length // 2) :]
    return found


def masked_sample(text: str) -> str:
    """The beginning of a text with a mask in its middle."""
    words = text.split()[:SAMPLE]
    return " ".join([*words[: len(words) // 2], "<mask>", *words[len(words) // 2 + 1 :]])
