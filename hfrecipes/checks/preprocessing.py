"""preprocessing: the release folder alone answers as the run did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.folder import READER_FILES, read_json, sha256
from hfrecipes.part import value
from hfrecipes.release import assemble

if TYPE_CHECKING:
    from hfrecipes.checks import Case

WRITTEN = 4
PROGRAM = """
import json, sys
from hfrecipes import Predictor
predictor = Predictor.open(sys.argv[1], threads=1)
task = predictor.task
print(json.dumps([task.prediction(predictor.together([row])[0], predictor.config) for row in json.load(sys.stdin)]))
"""


@value
class Preprocessing(Check):
    """The release is put together in an empty folder, and a new process that has nothing else answers `rows` test rows as this
    one does. Tokenizer, task and label names of each bundle are those of the checkpoint, byte for byte, and the label names are
    those of the training rows, in their order."""

    rows: Annotated[int, Field(gt=0)] = 32

    def gather(self, case: Case) -> dict[str, Any]:
        predictor, run = case.predictor, case.run
        task = predictor.task
        count = WRITTEN if task.generates else self.rows
        rows = [task.row(task.sample(row)) for row in case.rows[:count]]
        here = [task.prediction(predictor.together([row])[0], predictor.config) for row in rows]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "release"
            assemble(run, folder)
            there, error = _answers(folder, rows)
        digests = {name: sha256(run.model / name) for name in READER_FILES if (run.model / name).is_file()}
        differing = [
            f"{bundle.name}/{name}"
            for bundle in sorted(path for path in run.bundles.iterdir() if path.is_dir())
            for name in READER_FILES
            if not (bundle / name).is_file() or sha256(bundle / name) != digests.get(name)
        ]
        return {
            "rows": len(rows),
            "equal": None if there is None else sum(a == b for a, b in zip(here, there, strict=True)),
            "error": error,
            "differing": differing,
            "missing": [name for name in READER_FILES if name not in digests],
            "labels": _labels(read_json(run.model / "config.json"), read_json(run.data / "facts.json")["learned"]),
            "sha256": digests,
        }

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        wrong = [f"the checkpoint has no {name}" for name in found["missing"]]
        wrong += [f"{name} is not that of the checkpoint" for name in found["differing"]]
        wrong += [found["labels"]] if found["labels"] else []
        if found["error"]:
            wrong.append(f"the release does not answer in a new process: {found['error']}")
        elif found["equal"] < found["rows"]:
            wrong.append(f"in a new process {found['rows'] - found['equal']} of {found['rows']} answers are others")
        if wrong:
            return Verdict(self.name, False, "; ".join(wrong))
        return Verdict(
            self.name, True, f"a new process with the folder alone gave {found['equal']} of {found['rows']} equal answers"
        )


def _answers(folder: Path, rows: list[Any]) -> tuple[list[Any] | None, str]:
    """What a new process answers from a folder, or how it failed."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    alone = {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HOME": str(folder.parent)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        cwd=folder.parent,
        env=alone,
    )
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["no message"])[-1].replace(str(folder), "the release")
    return json.loads(done.stdout.splitlines()[-1]), ""


def _labels(config: dict[str, Any], learned: dict[str, Any]) -> str:
    """How the label names of a checkpoint differ from those that its training rows taught; nothing where they do not."""
    names, taught = ({int(k): v for k, v in each.get("id2label", {}).items()} for each in (config, learned))
    if not taught or names == taught:
        return ""
    at = next(number for number in sorted(taught) if names.get(number) != taught[number])
    return f"label {at} is called '{names.get(at)}' and was '{taught[at]}' in the training rows"
