"""Origin: the vectors that a static model starts from, learned from the prepared rows before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.vectors import Corpus, Vectors, rarities

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILE = "vectors.safetensors"
"""The file beside prepared rows with the vectors, and the weight of each token."""


def learn(vectors: Vectors, corpus: Corpus, folder: Path) -> None:
    """Learn the vectors, and write them with one spread, however large they came."""
    from safetensors.numpy import save_file

    table = vectors.learn(corpus).astype(np.float32)
    spread = float(table[np.abs(table).sum(axis=1) > 0].std()) or 1.0
    save_file({"vectors": table / spread, "weights": rarities(corpus.counts).astype(np.float32)}, folder / FILE)


def learned(folder: Path) -> dict[str, np.ndarray]:
    """What `learn` wrote."""
    from safetensors.numpy import load_file

    found: dict[str, np.ndarray] = load_file(folder / FILE)
    return found


def fill(model: PreTrainedModel, vectors: Vectors | None, folder: Path) -> None:
    """Give a new static model, in place, the vectors that were learned, and the weights where it has such. Nothing for a model
    that has its own."""
    import torch

    if vectors is None:
        return
    found = learned(folder)
    body: Any = model.base_model
    held: dict[str, Any] = dict(body.named_parameters())
    with torch.no_grad():
        body.get_input_embeddings().weight.copy_(torch.from_numpy(found["vectors"]))
        if "weights" in held:
            held["weights"].copy_(torch.from_numpy(found["weights"]))
