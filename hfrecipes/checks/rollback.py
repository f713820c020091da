"""rollback: there is a release to go back to, and this one is not worse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.bootstrap import Difference, difference
from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.errors import HfRecipesError
from hfrecipes.part import value

if TYPE_CHECKING:
    from hfrecipes.checks import Case
    from hfrecipes.recipe import Recipe

NONE = "no place for releases is named, so none could be gone back to. Write `publish: {registry: releases/NAME}`"


@value
class Rollback(Check):
    """The release in production, in the place that `publish` names, still loads, and answers this test split: this one's figure
    may be lower by `max_drop`, unless the interval of the difference over the same rows drawn again (paired bootstrap) lies below
    zero, when it is worse for certain. The first release has none to go back to."""

    max_drop: Annotated[float, Field(ge=0)] = 0.01

    def foreseen(self, recipe: Recipe) -> str | None:
        return NONE if recipe.publish is None else None

    def gather(self, case: Case) -> dict[str, Any]:
        publish = case.recipe.publish
        if publish is None:
            return {"place": None}
        where = publish.where
        found = publish.production()
        if found is None:
            return {"place": where, "previous": None}
        current, folder = found.name, publish.releases().folder(found.name)
        try:
            old = type(case.predictor).open(folder)
            task, config = case.predictor.task, case.predictor.config
            metric = next(metric for metric in case.recipe.metrics(config) if metric.wants == "label")
            before = _predictions(old, case)
        except HfRecipesError as error:
            return {"place": where, "previous": current, "error": str(error)}
        references = [task.reference(row, config) for row in case.rows]
        gained = difference(metric, before, case.predictions, references)
        return {"place": where, "previous": current, "error": "", **gained.values()}

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        if found["place"] is None:
            return Verdict(self.name, False, NONE)
        if found["previous"] is None:
            return Verdict(self.name, True, f"the first release in {found['place']}: there is none to go back to")
        if found["error"]:
            return Verdict(self.name, False, f"{found['previous']} of {found['place']} cannot be gone back to: {found['error']}")
        gained = Difference.of(found)
        low, high = gained.interval
        return Verdict(
            self.name,
            not gained.worse(self.max_drop),
            f"{gained.figure} {gained.now:.4f}, and {gained.was:.4f} of {found['previous']}, which loads: {gained.gain:+.4f} "
            f"({low:+.4f} … {high:+.4f}; at most {self.max_drop} may be lost)",
        )


def _predictions(old: Any, case: Case) -> list[Any]:
    """What an earlier release answers to the test rows."""
    if old.task.by_likelihood:
        return [list(pair) for pair in old.likelihood(case.rows)]
    answers = old.answer([old.task.row(row) for row in case.rows])
    return [old.task.prediction(answer, old.config) for answer in answers]
