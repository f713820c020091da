"""Averaging: the mean of many probabilities, which knows better than one of them how sure it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from hfrecipes.value import Checked, value

if TYPE_CHECKING:
    from hfrecipes.inference.engines import Engine

LEAST = 1e-12
MC_DROPOUT, ENSEMBLE = "mc_dropout", "ensemble"
"""The names of what is measured beside a model."""


@value
class Averaging(Checked):
    """What is measured beside the model, for its accuracy, its confidence and its price in time. `mc_dropout` is the number of
    passes with dropout as in training (Gal and Ghahramani 2016, arXiv:1506.02142), `ensemble` that of models trained with seeds
    of their own beside the model (Lakshminarayanan et al. 2017, arXiv:1612.01474)."""

    mc_dropout: Annotated[int, Field(gt=1)] | None = None
    ensemble: Annotated[int, Field(gt=0)] | None = None


def dropout_engine(model: Any, passes: int, problem: str | None) -> Engine:
    """A PyTorch model that is asked `passes` times with its dropout on; the same each time, as its draws begin anew."""
    import torch

    from hfrecipes.inference.engines import torch_engine

    once = torch_engine(model)
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]

    def run(batch: Mapping[str, Any]) -> dict[str, Any]:
        for layer in layers:
            layer.train()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = [once(batch) for _ in range(passes)]
        for layer in layers:
            layer.eval()
        return averaged(found, problem)

    return run


def ensemble_engine(engines: Sequence[Engine], problem: str | None) -> Engine:
    """Several models as one."""
    return lambda batch: averaged([engine(batch) for engine in engines], problem)


def averaged(outputs: Sequence[Mapping[str, np.ndarray]], problem: str | None) -> dict[str, np.ndarray]:
    """Outputs whose probabilities are the means of those of `outputs`; of numbers (`problem`: regression) the mean itself."""
    return {name: _mean(np.stack([each[name] for each in outputs]).astype(np.float64), problem) for name in outputs[0]}


def _mean(stacked: np.ndarray, problem: str | None) -> np.ndarray:
    if problem == "regression":
        mean: np.ndarray = stacked.mean(axis=0)
        return mean
    if problem == "multi_label_classification":
        chance = (1 / (1 + np.exp(-stacked))).mean(axis=0).clip(LEAST, 1 - LEAST)
        logit: np.ndarray = np.log(chance / (1 - chance))
        return logit
    odds = np.exp(stacked - stacked.max(axis=-1, keepdims=True))
    log: np.ndarray = np.log((odds / odds.sum(axis=-1, keepdims=True)).mean(axis=0).clip(LEAST))
    return log
