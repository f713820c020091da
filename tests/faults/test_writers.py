"""Two processes write into one folder in turn and a third reads: it gets one of the two, or is told to read again."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json, seal, staged, verified, write_json
from hfrecipes.locking import alone
from tests.faults.trainings import ALL

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="folders change places in one step on Linux alone")
SAVES = 200 if ALL else 40


def write(run: Path, writer: int) -> None:
    """A version of two files, many times."""
    for number in range(SAVES):
        with alone(run, wait=True), staged(run / "model") as folder:
            version = f"{writer}-{number}"
            write_json(folder / "config.json", {"version": version})
            (folder / "weights").write_text(f"{version}\n" * 5000, "utf-8")
            seal(folder, {"version": version})


def test_no_read_is_torn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").touch()
    with staged(run / "model") as folder:
        write_json(folder / "config.json", {"version": "first"})
        (folder / "weights").write_text("first\n" * 5000, "utf-8")
        seal(folder, {"version": "first"})
    children = []
    for writer in (1, 2):
        child = os.fork()
        if not child:
            try:
                write(run, writer)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    seen, refused, missing, codes = set(), 0, 0, []
    try:
        while len(codes) < len(children):
            for child in children[len(codes) :]:
                if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    break
                codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            missing += not (run / "model").is_dir()
            try:
                said = verified(run / "model")["version"]
                found = read_json(run / "model/config.json")["version"]
                weights = set((run / "model/weights").read_text("utf-8").split())
                again = verified(run / "model")["version"]
            except (ModelError, FileNotFoundError):
                refused += 1
                continue
            if said == again:  # nobody wrote in between
                assert weights == {found} == {said}, "a torn read"
                seen.add(said)
    finally:
        for child in children[len(codes) :]:
            os.kill(child, signal.SIGKILL)
    assert codes == [0, 0] and not missing and len(seen) > 3
    assert [path.name for path in run.glob(".model*")] == []
    with capsys.disabled():
        print(f"\n{2 * SAVES} of {2 * SAVES} saves, {len(seen)} versions read, {refused} reads told to come again, 0 torn")
