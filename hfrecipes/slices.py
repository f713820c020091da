"""Slices: parts of the test rows that a mean hides, by what their texts are like and by their label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hfrecipes.traffic import script

NEGATED = re.compile(r"\b(not|no|never|none|nobody|nothing|neither|nor|cannot|without)\b|n't\b", re.IGNORECASE)
RARE = 0.5
"""A label is rare that has less than this share of the rows it would have if all labels had as many."""
MOST_LABELS = 200


def slices(texts: Sequence[str], references: Sequence[Any]) -> dict[str, list[int]]:
    """The positions of the rows in each slice: thirds by length, scripts, with negation, with numbers, questions, each label, and
    the rare ones together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    third = len(order) // 3
    found: dict[str, list[int]] = {
        "short texts": order[:third],
        "texts of middling length": order[third : len(order) - third],
        "long texts": order[len(order) - third :],
        "with a negation": [i for i, text in enumerate(texts) if NEGATED.search(text)],
        "with a number": [i for i, text in enumerate(texts) if any(letter.isdigit() for letter in text)],
        "questions": [i for i, text in enumerate(texts) if "?" in text],
        "without a letter": [],
    }
    for i, text in enumerate(texts):
        name = script(text)
        found.setdefault("without a letter" if name == "none" else f"script {name}", []).append(i)
    if references and all(isinstance(reference, str) for reference in references):
        counts = Counter(references)
        if 1 < len(counts) <= MOST_LABELS:
            fair = len(references) / len(counts)
            rare = {label for label, count in counts.items() if count < RARE * fair}
            found["rare labels"] = [i for i, label in enumerate(references) if label in rare]
            for label in sorted(counts):
                found[f"label {label}"] = [i for i, each in enumerate(references) if each == label]
    return {name: rows for name, rows in found.items() if 0 < len(rows) < len(texts)}


def per_class(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Mapping[str, float]]:
    """Precision, recall and rows of each label; empty where answers are no labels."""
    if not references or not all(isinstance(each, str) for each in references):
        return {}
    true, said = Counter(references), Counter(predictions)
    if len(true) > MOST_LABELS:
        return {}
    both = Counter(a for a, b in zip(predictions, references, strict=True) if a == b)
    return {
        name: {
            "precision": both[name] / said[name] if said[name] else 0.0,
            "recall": both[name] / true[name],
            "rows": true[name],
        }
        for name in sorted(true)
    }
