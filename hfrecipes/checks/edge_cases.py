"""edge_cases: the model answers whatever it is sent, and small changes of a text seldom change the answer."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.config import parse
from hfrecipes.errors import RecipeError
from hfrecipes.part import value
from hfrecipes.perturbations import PERTURBATIONS, Perturbation

if TYPE_CHECKING:
    from hfrecipes.checks import Case
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

WRITTEN = 8
ANSWERED = 10
"""Rows of a kind of text of which it is asked only that it is answered."""
SHOWN = 3


@value
class EdgeCases(Check):
    """Typing errors, case, emoji, greetings, negation, other numbers and scripts, markup, control characters, nothing at all and
    very long texts, made from `rows` test rows each (ten, where any answer will do). The model has to answer each with a
    confidence that is a number; where the meaning stays, at most `max_changed` of the answers may change. `file` is a YAML list
    of cases of your own, each with the task's columns and the answer that is `expected`: every one has to be given."""

    texts: ClassVar[tuple[str, ...]] = ("examples", "own")

    rows: Annotated[int, Field(gt=0)] = 100
    max_changed: Annotated[float, Field(ge=0, le=1)] = 0.25
    file: str | None = None

    def gather(self, case: Case) -> dict[str, Any]:
        predictor = case.predictor
        task = predictor.task
        count = WRITTEN if task.generates else self.rows
        rows = [task.row(task.sample(row)) for row in case.rows[:: max(1, len(case.rows) // count)]][:count]
        first = next((role for role in task.columns if task.columns[role].text and role in rows[0]), "tokens")
        before = _said(predictor, rows)
        cases = {name: _asked(predictor, change, rows, first, before) for name, change in PERTURBATIONS.items()}
        examples = {name: each.pop("examples") for name, each in cases.items()}
        return {"rows": len(rows), "cases": cases, "examples": examples, "own": self._own(predictor)}

    def _own(self, predictor: Predictor) -> list[dict[str, Any]]:
        """What was said to the cases of the user's file."""
        if self.file is None:
            return []
        where, file = "check.edge_cases.file", Path(self.file)
        if not file.is_file():
            raise RecipeError(where, f"there is no file {file}", "Paths are relative to the folder you are in")
        given = parse(file.read_text("utf-8"), str(file))
        rows = given if isinstance(given, list) else [None]
        if not all(isinstance(each, Mapping) and "expected" in each and len(each) > 1 for each in rows):
            roles = ", ".join(predictor.task.columns)
            raise RecipeError(where, f"{file} is no list of cases", f"Write for each `expected` and columns: {roles}")
        asked = [{key: entry for key, entry in each.items() if key != "expected"} for each in given]
        said = _said(predictor, [predictor.task.row(each) for each in asked])
        return [{"given": a, "expected": g["expected"], "answer": s[0]} for a, g, s in zip(asked, given, said, strict=True)]

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        broken = [f"{name}: {each['error']}" for name, each in found["cases"].items() if each["error"]]
        wrong = [f"'{each['given']}' gave {each['answer']}" for each in found["own"] if each["answer"] != each["expected"]]
        shares = {name: each["changed"] for name, each in found["cases"].items() if each["changed"] is not None}
        often = [f"{name} changes {share:.0%} of the answers" for name, share in shares.items() if share > self.max_changed]
        if broken or wrong or often:
            return Verdict(
                self.name, False, f"{'; '.join([*broken, *wrong, *often])} (at most {self.max_changed:.0%} may change)"
            )
        worst = max(shares, key=lambda name: shares[name], default=None)
        most = f"the most, {shares[worst]:.0%}, by {worst}" if worst else "none can be compared"
        return Verdict(
            self.name,
            True,
            f"{len(found['cases'])} kinds of text were answered, {len(found['own'])} cases of your own as expected; of "
            f"answers that should stay {most} changed (at most {self.max_changed:.0%})",
        )


def _asked(
    predictor: Predictor, kind: Perturbation, rows: Sequence[Row], role: str, before: Sequence[tuple[Any, bool]]
) -> dict[str, Any]:
    """How many answers a change of the texts changes (None where nothing can be said), and what the model failed with."""
    draw = random.Random(0)
    if not kind.same:
        rows = rows[:ANSWERED]
    changed = [_changed(row, role, kind, draw) for row in rows]
    try:
        after = _said(predictor, changed)
    except Exception as error:  # any failure to answer is what is looked for: it is told and refuses the release
        return {"changed": None, "error": f"{type(error).__name__}: {error!s:.200}", "examples": []}
    odd = "" if all(fine for _, fine in after) else "a confidence that is no number"
    whole = kind.same and (role != "tokens" or kind.word_by_word) and not predictor.task.generates
    if not whole or isinstance(before[0][0], float):
        return {"changed": None, "error": odd, "examples": []}
    told = [(row, old[0], new[0]) for row, old, new in zip(changed, before, after, strict=True) if old[0] != new[0]]
    examples = [{"text": str(row[role])[:200], "was": old, "became": new} for row, old, new in told[:SHOWN]]
    return {"changed": len(told) / len(rows), "error": odd, "examples": examples}


def _changed(row: Row, role: str, kind: Perturbation, draw: random.Random) -> Row:
    if role != "tokens":
        return {**row, role: kind.change(row[role], draw)}
    text = kind.change(" ".join(row["tokens"]), draw)
    return {"tokens": text.split(" ") if kind.word_by_word else text.split()}


def _said(predictor: Predictor, rows: Sequence[Row]) -> list[tuple[Any, bool]]:
    """What is answered to each row alone, and whether its confidences are numbers."""
    task = predictor.task
    found = []
    for row in rows:
        [answer] = predictor.together([row])
        sure = all(math.isfinite(each) for each in task.confidences(answer))
        found.append((task.prediction(answer, predictor.config), sure))
    return found
