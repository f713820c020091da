"""One retraining at a time, and what becomes of one that was killed or overtaken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes import Recipe, retrain
from hfrecipes.errors import ModelError, RunError
from hfrecipes.fencing import Fence, Superseded
from hfrecipes.folder import Run, read_json
from hfrecipes.retraining import decisions
from hfrecipes.retraining.champion import champion
from tests.conftest import write_lines
from tests.retraining.conftest import moved

HOLDS = """
import sys, time
from pathlib import Path
from hfrecipes.fencing import Fence
with Fence(Path(sys.argv[1])).taken() as taken:
    print(taken.token, flush=True)
    time.sleep(60)
"""
OVERTAKES = '''
"""A check in the middle of which another process takes over, and does the same work to its end."""
from pathlib import Path

from hfrecipes import retrain
from hfrecipes.checks import Check, Verdict
from hfrecipes.part import value


@value
class Overtakes(Check):
    """Overtaken, once."""

    def judge(self, trial):
        other = Path("OTHER")
        if not other.is_file():
            other.touch()
            other.write_text(str(retrain("RUN", "NEW", ["check=[MINE]", "retrain.cool_down=1d"], take_over=True)))
        return Verdict(self.name, True, "taken over")
'''


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_tokens_only_grow_and_a_second_process_is_kept_out(tmp_path: Path) -> None:
    fence = Fence(tmp_path / "retrain")
    assert fence.newest() == 0
    with fence.taken() as first:
        assert (first.token, first.over) == (1, False)
        with pytest.raises(RunError, match=rf"process {os.getpid()} on .* since 20.* is at work\. Wait for it"), fence.taken():
            raise AssertionError
        with fence.guarded(1):
            pass
    with fence.taken() as second:
        assert second.token == 2


def test_who_was_taken_over_from_can_change_nothing(tmp_path: Path) -> None:
    fence = Fence(tmp_path)
    with fence.taken() as first, fence.taken(take_over=True) as second:
        assert (second.token, second.over) == (2, True)
        with (
            pytest.raises(Superseded, match=r"token 1 is no longer the newest: process .* has taken 2"),
            fence.guarded(first.token),
        ):
            raise AssertionError
        with fence.guarded(second.token):
            pass


def test_nobody_takes_a_token_while_something_is_done_under_the_newest(tmp_path: Path) -> None:
    fence, taken = Fence(tmp_path), threading.Event()

    def other() -> None:
        with fence.taken(take_over=True):
            taken.set()

    with fence.taken() as mine:
        with fence.guarded(mine.token):
            thread = threading.Thread(target=other)
            thread.start()
            assert not taken.wait(0.2)
        assert taken.wait(20)
        thread.join()


def test_the_turn_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        with pytest.raises(RunError, match=f"process {process.pid} on"), Fence(tmp_path).taken():
            raise AssertionError
        process.kill()
    with Fence(tmp_path).taken() as mine:
        assert (mine.token, mine.over) == (2, False)


def test_a_damaged_token_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "token.json").write_text("{}")
    with pytest.raises(ModelError, match=r"token\.json: is not one that a retraining wrote"), Fence(tmp_path).taken():
        raise AssertionError


def test_who_is_overtaken_in_the_middle_promotes_nothing(run: Path, tmp_path: Path) -> None:
    new = write_lines(tmp_path / "new.jsonl", moved(200, seed=1))
    check, other = tmp_path / "overtakes.py", tmp_path / "other.txt"
    text = OVERTAKES
    for name, path in {"OTHER": other, "RUN": run, "NEW": new, "MINE": check}.items():
        text = text.replace(f'"{name}"', f'"{path}"').replace(f"[{name}]", f"[{path}]")
    check.write_text(text, "utf-8")
    found = retrain(run, new, [f"check=[{check}]", "retrain.cool_down=1d"])
    assert (found.event, found.failed, found.token, found.candidate) == ("superseded", True, 1, run.parent / "films_r2")
    assert found.reason.startswith("token 1 is no longer the newest") and found.gains["window"].better
    assert other.read_text("utf-8").startswith("Decision(event='promoted'")
    events = [(record["event"], record["token"], record["candidate"]) for record in decisions(run)]
    assert events == [
        ("started", 1, "films_r2"),
        ("started", 2, "films_r3"),
        ("promoted", 2, "films_r3"),
        ("superseded", 1, "films_r2"),
    ]
    assert champion(Run(run), Recipe.load(run / "recipe.yaml"), decisions(run)).run.path == run.parent / "films_r3"


def test_a_retraining_that_was_killed_goes_on_when_it_is_given_again(run: Path, tmp_path: Path) -> None:
    new = write_lines(tmp_path / "new.jsonl", moved(200, seed=1))
    candidate = run.parent / "films_r2"
    command = [sys.executable, "-m", "hfrecipes", "retrain", str(run), str(new)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as process:
        until(lambda: (candidate / "stages/prepare.json").is_file() or process.poll() is not None)
        second = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        process.send_signal(signal.SIGKILL)
    assert second.returncode == 2 and f"process {process.pid} on" in second.stderr and second.stderr.count("\n") == 1
    assert [record["event"] for record in decisions(run)] == ["started"]
    prepared = read_json(candidate / "stages/prepare.json")
    found = retrain(str(run), str(new))
    assert (found.event, found.candidate, found.token) == ("promoted", candidate, 2)
    assert [record["event"] for record in decisions(run)] == ["started", "resumed", "promoted"]
    assert read_json(candidate / "stages/prepare.json") == prepared
