"""Upkeep: when a model in production is trained again, how, and what that may cost."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

from hfrecipes.durations import Duration
from hfrecipes.value import Checked, keywords, value

ALL, DOMAIN = "all", "domain"


@value
class Budget(Checked):
    """What retraining may cost `within` a period: so many `retrainings`, and so many `minutes` in all their stages. Where one is
    used up, none is begun; one that has begun goes on."""

    within: Duration
    retrainings: Annotated[int, Field(gt=0)] | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None

    @classmethod
    def read(cls, given: Any) -> Any:
        """Ask for one limit or both."""
        if isinstance(given, cls):
            return given
        if not {"retrainings", "minutes"} & set(keywords(given)):
            raise PydanticCustomError("budget", "names no limit. Write `retrainings`, `minutes`, or both")
        return super().read(given)


@value
class Retrain(Checked):
    """When and how `hfrecipes retrain RUN new.jsonl` trains the model in production again, on old and new labelled rows.

    `when` its monitor finds `drift` in the new rows, by `schedule` (`every` so long), or `always`. `adapt` says how: `all` runs
    the same recipe on all rows; `head` trains the head alone, from the weights in production; `domain` first gets the body in
    production used to the new texts by masked words (Gururangan et al. 2020, arXiv:2004.10964), then runs the recipe on it.

    `held_out` is the share of the new labelled rows that is not learned from and judges: a candidate is promoted that is better
    there for certain (the 95 % interval of the paired bootstrap lies above zero), and on the old test split worse by `max_drop`
    at most, and not for certain. `window` and `rate` are those of the monitor. `cool_down` is the least time between two
    retrainings, `budget` what they may cost.
    """

    when: Literal["drift", "schedule", "always"] = "drift"
    every: Duration | None = None
    adapt: Literal["all", "head", "domain"] = "all"
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.3
    max_drop: Annotated[float, Field(ge=0)] = 0.01
    window: Annotated[int, Field(gt=0)] = 200
    rate: float = 0.01
    cool_down: Duration | None = None
    budget: Budget | None = None

    @classmethod
    def read(cls, given: Any) -> Any:
        """Accept the occasion alone; ask for `every` where there is a schedule, and nowhere else."""
        given = {"when": given} if isinstance(given, str) else given
        keys = keywords(given)
        if isinstance(given, cls):
            return given
        if (keys.get("when") == "schedule") != (keys.get("every") is not None):
            raise PydanticCustomError(
                "schedule", "a schedule needs its interval. Write `when: schedule` and `every: 7d`, or neither"
            )
        return super().read(given)
