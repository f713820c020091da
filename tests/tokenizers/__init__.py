"""Texts that the tests of tokenizers are trained on."""

from __future__ import annotations

from tests.conftest import sentiment

TEXTS = [
    *(row["text"] for row in sentiment(60)),
    "The new actor's plot: 3 scenes, 2 endings!",
    "naïve cafés in Zürich, déjà vu",
    "Привет, мир 😀",
    "مرحبا بالعالم",
    "你好 世界",
]
