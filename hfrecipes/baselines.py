"""Baselines: the smallest models of a text's tokens, as engines, so that they are measured like any other candidate.

A classifier has two: words and pairs of words counted (TF-IDF) under a logistic regression, and static embeddings: one vector a
token out of the trained encoder, reduced, weighted and averaged (Model2Vec, Tulkens and van Dongen 2024,
https://github.com/MinishLab/model2vec), under a logistic regression.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_from_disk
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from hfrecipes.checkpoint import load_trained, open_reader
from hfrecipes.folder import Run
from hfrecipes.inference.engines import Engine
from hfrecipes.inference.predictor import Predictor
from hfrecipes.vectors import Corpus, rarities
from hfrecipes.vectors._encoder import reduced, states

WIDTH = 256
"""Units of a static embedding."""
Rows = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Baseline:
    """A predictor, and what its weights take on disk in 10^6 bytes, as fp32."""

    predictor: Predictor
    mb: float


def baselines(run: Run) -> dict[str, Baseline]:
    """The baselines of a run that classifies texts under one label each; none for other tasks."""
    task, config, tokens = open_reader(checkpoint(run))
    if task.name != "text-classification" or config.get("problem_type") != "single_label_classification":
        return {}
    rows = load_from_disk(str(run.data / "train"))
    read, labels = [list(ids) for ids in rows["input_ids"]], np.array(rows["labels"])
    classes = len(config["id2label"])
    makers: dict[str, Callable[[], tuple[Engine, int]]] = {
        "tf-idf": lambda: counted(read, labels, classes),
        "static embeddings": lambda: averaged(static_vectors(run, read), read, labels, classes),
    }
    found = {}
    for name, make in makers.items():
        engine, numbers = make()
        found[name] = Baseline(Predictor(task, config, tokens, engine, engine), 4 * numbers / 1e6)
    return found


def checkpoint(run: Run) -> Path:
    """The trained model that reads the run's rows as they are: the one from before a compression."""
    return run.trained if run.trained.is_dir() else run.model


def counted(rows: Rows, labels: np.ndarray, classes: int) -> tuple[Engine, int]:
    """TF-IDF of tokens and pairs of tokens under a logistic regression, and how many numbers it holds."""
    counts = TfidfVectorizer(analyzer=_pairs, sublinear_tf=True)
    regression = LogisticRegression(C=30.0, max_iter=300).fit(counts.fit_transform(rows), labels)

    def engine(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"logits": _logits(regression, counts.transform(_unpadded(batch)), classes)}

    return engine, regression.coef_.size + regression.intercept_.size + len(counts.vocabulary_)


def averaged(vectors: np.ndarray, rows: Rows, labels: np.ndarray, classes: int) -> tuple[Engine, int]:
    """The average of the tokens' vectors, of shape (vocabulary, units), each unit brought to one spread, under a logistic
    regression."""

    def mean(texts: Rows) -> np.ndarray:
        return np.stack([vectors[list(ids)].mean(axis=0) for ids in texts])

    found = mean(rows)
    center, spread = found.mean(axis=0), found.std(axis=0) + 1e-9
    regression = LogisticRegression(C=0.1, max_iter=300).fit((found - center) / spread, labels)

    def engine(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"logits": _logits(regression, (mean(_unpadded(batch)) - center) / spread, classes)}

    return engine, vectors.size + regression.coef_.size + regression.intercept_.size


def static_vectors(run: Run, rows: Rows) -> np.ndarray:
    """A vector for each token of the vocabulary, of shape (tokens, at most `WIDTH`): what the trained encoder makes of the token
    alone, its main directions, weighted by how rare the token is in `rows`."""
    _, config, tokens = open_reader(checkpoint(run))
    size = int(config["vocab_size"])
    table = reduced(states(load_trained(checkpoint(run)).base_model.eval(), tokens, size), WIDTH)
    weights = rarities(Corpus(rows, tokens, config).counts)
    weighted: np.ndarray = (table * weights[:, None]).astype(np.float32)
    return weighted


def _logits(regression: LogisticRegression, features: Any, classes: int) -> np.ndarray:
    """Log-probabilities of all classes, also of those that the training rows lack."""
    found = np.full((features.shape[0], classes), -50.0, np.float32)
    found[:, regression.classes_] = regression.predict_log_proba(features)
    return found


def _unpadded(batch: Mapping[str, np.ndarray]) -> Rows:
    return [list(ids[mask.astype(bool)]) for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]


def _pairs(ids: Sequence[int]) -> list[str]:
    """A row's tokens, and its pairs of neighbours."""
    return [*map(str, ids), *(f"{a} {b}" for a, b in itertools.pairwise(ids))]
