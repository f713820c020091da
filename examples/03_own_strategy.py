"""A strategy of one's own in one file: norms and the head learn, nothing else. Nothing else has to be edited.

hfrecipes run recipes/bert/banking77.yaml strategy=examples/03_own_strategy.py
"""

from __future__ import annotations

from typing import Any

from hfrecipes.family import Family, depths
from hfrecipes.part import value
from hfrecipes.strategies import Strategy


@value
class NormsAndHead(Strategy):
    """The norms and the head learn."""

    rate_factor = 10.0

    def prepare(self, model: Any, family: Family) -> Any:
        found = depths(model)
        top = max(found.values())
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("norm" in name.lower() or found[name] == top)
        return model

    def finish(self, model: Any) -> Any:
        return model.requires_grad_(True)
