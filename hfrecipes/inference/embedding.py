"""Embedding: what a model whose head pools makes of texts, kept in the feature store where the weights have a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes import feature_store
from hfrecipes.errors import ModelError
from hfrecipes.feature_store import Space, key_of
from hfrecipes.inference.planning import plan

if TYPE_CHECKING:
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

OUTPUT = "embeddings"
"""The output of a model or a graph that holds them."""


def embeddings(predictor: Predictor, texts: Sequence[Any], weights: str = "") -> np.ndarray:
    """One vector of unit length a text, of shape (texts, units). With a name for the `weights`, what was computed before is read
    from the feature store. Raises ModelError where the model says none."""
    rows = [predictor._row(text) for text in texts]
    if not weights:
        return np.stack(_computed(predictor, rows))
    folder = feature_store.home() / hashlib.sha256(f"{OUTPUT} {weights}".encode()).hexdigest()[:32]
    keys = [key_of(json.dumps(row, sort_keys=True).encode("utf-8", "surrogatepass")) for row in rows]
    if absent := Space(folder, 1, "float32").missing(keys):
        found = _computed(predictor, [rows[i] for i in absent])
        Space(folder, len(found[0]), "float32").add((keys[i], vector[None]) for i, vector in zip(absent, found, strict=True))
    width = int(predictor.config["hidden_size"])
    stored = Space(folder, width, "float32").open(keys)
    return np.concatenate([stored[i] for i in range(len(stored))])


def _computed(predictor: Predictor, rows: Sequence[Row]) -> list[np.ndarray]:
    """The vectors of rows, in batches of like length."""
    features = predictor.task.encode(rows, predictor.tokens, predictor.config)
    found: dict[int, np.ndarray] = {}
    for batch in plan([len(f["input_ids"]) for f in features], predictor.slots, equal=predictor.batch_dependent):
        outputs = predictor.engine(predictor.task.collate([features[i] for i in batch], predictor.tokens))
        if OUTPUT not in outputs:
            raise ModelError("model", "says no embeddings of texts", "Train it with a head that pools: `head: prototype`")
        found.update(zip(batch, outputs[OUTPUT].astype(np.float32), strict=True))
    return [found[i] for i in range(len(rows))]
