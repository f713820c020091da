"""cross_validation: the figures do not hang on how the rows were cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.folder import read_json
from hfrecipes.label_errors import suspects
from hfrecipes.part import value

if TYPE_CHECKING:
    from hfrecipes.checks import Case
    from hfrecipes.recipe import Recipe

NONE = "no folds were trained. Write `validate: {folds: 5}`"


@value
class CrossValidation(Check):
    """The recipe has a `validate` block, and over its folds the figure that decides has a standard deviation of at most `max_sd`
    of its mean. The rows whose label all folds' models doubt are named, for somebody to look at (needs cleanlab)."""

    texts: ClassVar[tuple[str, ...]] = ("suspects",)

    max_sd: Annotated[float, Field(ge=0)] = 0.1

    def foreseen(self, recipe: Recipe) -> str | None:
        return NONE if recipe.validate is None else None

    def gather(self, case: Case) -> dict[str, Any]:
        file = case.run.path / "folds.json"
        if not file.is_file() or case.recipe.validate is None:
            return {"folds": []}
        found = read_json(file)
        return {**{key: found[key] for key in ("folds", "mean", "sd", "calibration_error")}, **suspects(found["out_of_fold"])}

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        if not found["folds"]:
            return Verdict(self.name, False, NONE)
        mean, sd = found["mean"][trial.metric], found["sd"][trial.metric]
        count = len(found["folds"])
        limit = self.max_sd * abs(mean)
        words = f"{trial.metric} {mean:.4f} ± {sd:.4f} over {count} folds (at most ± {limit:.4f})"
        doubts = f", {len(found['suspects'])} labels to look at" if found["suspects"] is not None else ""
        return Verdict(self.name, sd <= limit, words + doubts)
