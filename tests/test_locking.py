"""A run folder belongs to one process at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hfrecipes import verbs
from hfrecipes.config import build
from hfrecipes.errors import RecipeError, RunError
from hfrecipes.locking import LOCK, alone
from hfrecipes.recipe import Recipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")
HOLDING = """
import sys, time
from hfrecipes.locking import alone
with alone(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def holding(folder: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work in a folder."""
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        yield child
        child.kill()


def test_a_second_process_is_refused_in_one_line(tmp_path: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hfrecipes.cli import main

    folder, recipe = tmp_path / "run", tmp_path / "recipe.yaml"
    recipe.write_text(f"recipe: bert\ntask: text-classification\ndata: {{path: {tmp_path}}}\nmodel: {tiny_bert}\n", "utf-8")
    with holding(folder, 60), pytest.raises(SystemExit) as stop:
        main(["fit", str(recipe), "-o", str(folder)])
    [line] = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert line.startswith(f"error: {folder}: another process is at work in it. Write --wait to wait for it, or give another")
    with alone(folder):
        pass  # the lock of a process that was killed is free


def test_or_it_waits(tmp_path: Path) -> None:
    with holding(tmp_path / "run", 1.0) as child, alone(tmp_path / "run", wait=True):
        assert child.wait() == 0


def test_the_process_itself_may_come_again(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").touch()
    with alone(tmp_path), alone(tmp_path), pytest.raises(RuntimeError), alone(tmp_path):
        raise RuntimeError
    with alone(tmp_path):
        assert (tmp_path / LOCK).is_file()


def test_a_recipe_that_is_refused_leaves_no_folder(tmp_path: Path, tiny_bert: Path) -> None:
    values = {"recipe": "bert", "task": "summarization", "data": {"path": str(tmp_path)}, "model": str(tiny_bert)}
    recipe: Recipe = build(Recipe, values)
    with pytest.raises(RecipeError):
        verbs.fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written: Not a directory"), alone(tmp_path / "file/run"):
        pass
