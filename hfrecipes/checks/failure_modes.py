"""failure_modes: somebody has written down what the model should not be used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.card import FILE, LIMITS, section
from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value

if TYPE_CHECKING:
    from hfrecipes.checks import Case
    from hfrecipes.recipe import Recipe

HOW = f"under '{LIMITS}' in {FILE} of the run, or as `card: {{limits: …}}`"


@value
class FailureModes(Check):
    """The section on limits of the model card has at least `min_words` words: write it in the card of the run (`README.md`),
    where what the other checks found is listed beside it, or as `card: {limits: …}` in the recipe."""

    min_words: Annotated[int, Field(gt=0)] = 5

    def foreseen(self, recipe: Recipe) -> str | None:
        written = recipe.card.limits if recipe.card else None
        return None if written else f"unless the limits of the model are written {HOW}"

    def gather(self, case: Case) -> dict[str, Any]:
        file = case.run.path / FILE
        written = section(file.read_text("utf-8"), LIMITS) if file.is_file() else ""
        card = case.recipe.card
        return {"limits": written or (card.limits if card and card.limits else "")}

    def judge(self, trial: Trial) -> Verdict:
        count = len(trial.evidence[self.name]["limits"].split())
        if count < self.min_words:
            what = f"the limits of the model are described in {count} words (at least {self.min_words})"
            return Verdict(self.name, False, f"{what}. Write them {HOW}")
        return Verdict(self.name, True, f"the limits of the model are described in {count} words")
