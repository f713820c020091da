"""monitoring: the checkpoint carries the baseline that a monitor compares with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.folder import read_json, sha256
from hfrecipes.part import value
from hfrecipes.traffic import FILE, NEEDED

if TYPE_CHECKING:
    from hfrecipes.checks import Case


@value
class Monitoring(Check):
    """`baseline.json` is in the checkpoint, belongs to its weights, and says what answers, confidence, texts and embeddings of
    held-out rows look like."""

    def gather(self, case: Case) -> dict[str, Any]:
        file = case.run.model / FILE
        if not file.is_file():
            return {"there": False}
        found = read_json(file)
        return {
            "there": True,
            "belongs": found.get("weights") == sha256(case.run.weights),
            "missing": [name for name in NEEDED if name not in found],
            "rows": found.get("rows", 0),
            "answers": len(found.get("answers", {})),
        }

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        if not found["there"]:
            return Verdict(self.name, False, f"the checkpoint has no {FILE}. Fit again: hfrecipes fit")
        if not found["belongs"]:
            return Verdict(self.name, False, f"{FILE} is not that of the checkpoint's weights. Fit again: hfrecipes fit")
        if found["missing"] or not found["rows"]:
            lacks = ", ".join(found["missing"]) or "none"
            return Verdict(self.name, False, f"{FILE} has {found['rows']} rows and lacks {lacks}. Fit again: hfrecipes fit")
        return Verdict(self.name, True, f"a baseline of {found['rows']} held-out rows with {found['answers']} kinds of answer")
