"""Senses: one word in several texts, by its vectors in context, beside the one vector that it has without."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hfrecipes.errors import ModelError, UserError
from hfrecipes.folder import Run
from hfrecipes.models import Model, load_config, load_model, load_tokens
from hfrecipes.tokens import Tokens
from hfrecipes.words import Words

WORD = re.compile(r"\w+")
MOST, AT_ONCE = 1_000, 32
"""How many training rows are looked through for neighbours, and how many are read in one pass."""

Neighbour = tuple[str, str, float]
"""A word, the text that it stands in, and its cosine."""


@dataclass(frozen=True)
class Senses:
    """A word in `texts`. `likeness` holds the cosines of its vectors in context, of shape (texts, texts), `near` the nearest
    words of other texts to each of them, and `static` those that are nearest by the one vector of a word without context."""

    word: str
    texts: tuple[str, ...]
    likeness: np.ndarray
    near: tuple[tuple[Neighbour, ...], ...]
    static: tuple[tuple[str, float], ...]


def senses(where: Path, word: str, texts: Sequence[str], count: int = 5) -> Senses:
    """A word in texts that hold it, among the words of a run's training rows (of the other texts, where a checkpoint has none).
    Raises UserError for a text without the word."""
    given = Model(str(where))
    config: Any = load_config(given)
    if config.is_encoder_decoder:
        raise ModelError("model", "a model with a decoder beside its encoder reads a text twice", "Give an encoder")
    body: Any = load_model(given, "feature-extraction", config).eval()
    tokens = load_tokens(Path(given.locate()), None, config.to_dict())
    asked = [WORD.findall(text) for text in texts]
    for text, words in zip(texts, asked, strict=True):
        if word.lower() not in map(str.lower, words):
            raise UserError("--within", f"'{text}' does not hold the word '{word}'", "Write texts with it")
    rows = [*asked, *_training(where, tokens)]
    table = body.get_input_embeddings().weight.detach().numpy()
    places, vectors, plain = [], [], dict[str, np.ndarray]()
    for number, found in enumerate(_read(body, tokens, rows)):
        for at, (ids, vector) in found.items():
            places.append((number, at))
            vectors.append(vector)
            plain.setdefault(rows[number][at].lower(), table[ids].mean(axis=0))
    unit = np.stack(vectors)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    mine = [_place(places, rows, i, word, texts[i]) for i in range(len(texts))]
    names = list(plain)
    return Senses(
        word,
        tuple(texts),
        unit[mine] @ unit[mine].T,
        tuple(_near(unit, places, rows, i, count) for i in mine),
        tuple(Words.of(names, np.stack([plain[name] for name in names])).nearest(word, count)),
    )


def _training(where: Path, tokens: Tokens) -> list[list[str]]:
    """The words of a run's training rows as the model reads them; none for a checkpoint."""
    from datasets import load_from_disk

    folder = Run(where).data / "train"
    if not folder.is_dir():
        return []
    rows = load_from_disk(str(folder))
    texts = dict.fromkeys(tokens.text(ids) for ids in rows[: min(MOST, len(rows))]["input_ids"])
    return [words for words in map(WORD.findall, texts) if words]


def _read(body: Any, tokens: Tokens, rows: Sequence[Sequence[str]]) -> list[dict[int, tuple[list[int], np.ndarray]]]:
    """For each row its words by their place: the ids of the tokens, and the mean of their last hidden states. What is longer than
    the model reads is left out."""
    found: list[dict[int, tuple[list[int], np.ndarray]]] = []
    for start in range(0, len(rows), AT_ONCE):
        encodings = [windows[0] for windows in tokens.words(rows[start : start + AT_ONCE])]
        batch = tokens.collate([tokens.features(encoding) for encoding in encodings])
        with torch.inference_mode():
            states = body(**{name: torch.from_numpy(array) for name, array in batch.items()}).last_hidden_state.float().numpy()
        for encoding, state in zip(encodings, states, strict=True):
            first = len(state) - len(encoding.ids) if tokens.padding_side == "left" else 0
            held: dict[int, list[int]] = {}
            for token, place in enumerate(encoding.word_ids):
                if place is not None:
                    held.setdefault(place, []).append(token)
            found.append(
                {
                    place: ([encoding.ids[i] for i in here], state[[first + i for i in here]].mean(axis=0))
                    for place, here in held.items()
                }
            )
    return found


def _place(places: list[tuple[int, int]], rows: Sequence[Sequence[str]], number: int, word: str, text: str) -> int:
    """Which of the vectors is that of the word in a text."""
    for i, (row, at) in enumerate(places):
        if row == number and rows[row][at].lower() == word.lower():
            return i
    raise UserError("--within", f"'{text:.60}' has the word behind what the model reads", "Write a shorter text")


def _near(
    unit: np.ndarray, places: list[tuple[int, int]], rows: Sequence[Sequence[str]], mine: int, count: int
) -> tuple[Neighbour, ...]:
    """The words nearest to one of the vectors, none twice, and none of its own text."""
    near, found = unit @ unit[mine], dict[str, Neighbour]()
    for i in np.argsort(-near):
        row, at = places[i]
        name = rows[row][at].lower()
        if row != places[mine][0] and name not in found:
            found[name] = (name, " ".join(rows[row]), float(near[i]))
        if len(found) == count:
            break
    return tuple(found.values())
