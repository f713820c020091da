"""slices: the figures with their intervals, and no part of the rows that they hide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.bootstrap import drawn, interval
from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value
from hfrecipes.slices import per_class, slices
from hfrecipes.traffic import text_of

if TYPE_CHECKING:
    from hfrecipes.checks import Case


@value
class Slices(Check):
    """Every figure that the answers give, with an interval that holds 95 of 100 values over rows drawn again; precision and
    recall of each class; and the figure that decides on each slice of `min_rows` or more. The worst slice is named, and has to
    reach `min_share` of the figure over all rows, unless its interval does."""

    min_share: Annotated[float, Field(ge=0, le=1)] = 0.7
    min_rows: Annotated[int, Field(gt=1)] = 20

    def gather(self, case: Case) -> dict[str, Any]:
        task, config = case.predictor.task, case.predictor.config
        metrics = [metric for metric in case.recipe.metrics(config) if metric.wants == "label"]
        references, said = case.references, case.predictions
        figures = {}
        for metric in metrics:
            scores, again = drawn(metric, [said], references)
            figures[metric.figure] = {"score": scores[0], "interval": interval([each[0] for each in again])}
        texts = [text_of(task.row(row), task.columns) for row in case.rows]
        parts = {}
        for name, rows in slices(texts, references).items() if metrics else ():
            if len(rows) >= self.min_rows:
                scores, again = drawn(metrics[0], [[said[i] for i in rows]], [references[i] for i in rows])
                parts[name] = {"rows": len(rows), "score": scores[0], "interval": interval([each[0] for each in again])}
        return {
            "figure": metrics[0].figure if metrics else None,
            "lower_is_better": bool(metrics) and metrics[0].lower_is_better,
            "figures": figures,
            "classes": per_class(said, references),
            "slices": parts,
        }

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        if found["figure"] is None:
            return Verdict(self.name, False, "no metric reads the answers, so there are no slices. Name one in `evaluate`")
        whole = found["figures"][found["figure"]]
        words = ", ".join(
            f"{name} {each['score']:.4f} ({each['interval'][0]:.4f} … {each['interval'][1]:.4f})"
            for name, each in found["figures"].items()
        )
        lower = found["lower_is_better"]
        ranked = sorted(found["slices"].items(), key=lambda entry: entry[1]["score"], reverse=lower)
        if not ranked:
            return Verdict(self.name, True, f"{words}; no slice has {self.min_rows} rows")
        name, worst = ranked[0]
        best = worst["interval"][0 if lower else 1]
        reached = best * self.min_share <= whole["score"] if lower else best >= self.min_share * whole["score"]
        low, high = worst["interval"]
        return Verdict(
            self.name,
            reached,
            f"{words}; worst slice: {name}, {worst['score']:.4f} ({low:.4f} … {high:.4f}) on {worst['rows']} rows (at least "
            f"{self.min_share:.0%} of {whole['score']:.4f})",
        )
