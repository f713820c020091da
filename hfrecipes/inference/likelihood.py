"""Likelihood: how improbable a model finds what tokens should have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.inference.planning import plan
from hfrecipes.tasks import IGNORED, Row, Task

if TYPE_CHECKING:
    from hfrecipes.inference.engines import Engine
    from hfrecipes.tokens import Tokens


def likelihood(
    task: Task, config: Mapping[str, Any], tokens: Tokens, scorer: Engine, rows: Sequence[Row]
) -> list[tuple[float, int]]:
    """For each row the negative log-likelihood (in nats, summed) and the number of the tokens that the task's probes ask for."""
    found = [(0.0, 0)] * len(rows)
    probes = task.probes(rows, tokens, config)
    for batch in plan([len(probe["input_ids"]) for probe in probes]):
        chosen = [probes[i] for i in batch]
        logits = scorer(task.collate(chosen, tokens))["logits"]
        targets = tokens.pad([probe["targets"] for probe in chosen], IGNORED)
        for probe, line, wanted in zip(chosen, logits, targets, strict=True):
            at = np.flatnonzero(wanted != IGNORED)
            rows_of = line[at].astype(np.float64)
            top = rows_of.max(axis=1, initial=-np.inf)
            losses = top + np.log(np.exp(rows_of - top[:, None]).sum(axis=1)) - rows_of[np.arange(len(at)), wanted[at]]
            total, count = found[probe["row"]]
            found[probe["row"]] = (total + float(losses.sum()), count + len(at))
    return found
