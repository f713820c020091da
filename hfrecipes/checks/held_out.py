"""held_out: the test split was not seen before it was measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.data import open_splits, take
from hfrecipes.duplicates import duplicates
from hfrecipes.folder import read_json
from hfrecipes.part import value
from hfrecipes.traffic import text_of

if TYPE_CHECKING:
    from hfrecipes.checks import Case
    from hfrecipes.recipe import Recipe

SHOWN = 10
NONE = "there is no test split: the rows that were measured on chose the model, too"


@value
class HeldOut(Check):
    """No test text stands among the texts of training and validation: `max_exact` may, but for case and white space, and a share
    of `max_near` may be like one of them (the Jaccard similarity of runs of five characters is `similarity` or more). The test
    split was measured on for at most `max_reads` checkpoints in this run folder: who looks often chooses by it."""

    texts: ClassVar[tuple[str, ...]] = ("pairs",)

    max_exact: Annotated[int, Field(ge=0)] = 0
    max_near: Annotated[float, Field(ge=0, le=1)] = 0.05
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.9
    max_reads: Annotated[int, Field(gt=0)] = 1

    def foreseen(self, recipe: Recipe) -> str | None:
        data = recipe.data
        return NONE if data.local() is not None and data.test not in open_splits(data) else None

    def gather(self, case: Case) -> dict[str, Any]:
        data, roles = case.recipe.data, case.recipe.task.columns
        splits = open_splits(data)
        seen = [
            text_of(row, roles)
            for split in (data.train, data.validation)
            if split in splits
            for row in take(data, splits, split, roles)
        ]
        asked = [text_of(row, roles) for row in case.rows]
        found = duplicates(asked, seen, self.similarity)
        facts = read_json(case.run.data / "facts.json")
        reads = read_json(case.run.path / "test_reads.json")
        return {
            "test_split": facts["test_split"],
            "fingerprint": facts["fingerprint"],
            "reads": len({read["weights"] for read in reads}),
            "rows": len(asked),
            "exact": sum(pair.similarity == 1 for pair in found),
            "near": sum(pair.similarity < 1 for pair in found),
            "pairs": [{"test": asked[p.here], "train": seen[p.there], "similarity": p.similarity} for p in found[:SHOWN]],
        }

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        if not found["test_split"]:
            return Verdict(self.name, False, NONE)
        share = found["near"] / max(1, found["rows"])
        passed = found["exact"] <= self.max_exact and share <= self.max_near and found["reads"] <= self.max_reads
        return Verdict(
            self.name,
            passed,
            f"of {found['rows']} test texts {found['exact']} stand among the texts of training (at most {self.max_exact}) and "
            f"{share:.1%} are nearly there (at most {self.max_near:.0%}); measured on for {found['reads']} "
            f"checkpoints (at most {self.max_reads})",
        )
