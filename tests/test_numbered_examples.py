"""The examples 01 to 12 run, on tiny models and rows: what they print and leave behind is what they speak of.

02 and 03 are parts in one's own hands (`test_examples.py`), 10 goes to the Hub (`hub/test_shipping.py`).
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes import Report, bootstrap
from hfrecipes.folder import read_json
from tests.conftest import reviews, write_lines
from tests.retraining.conftest import moved

EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBERED = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
Example = Callable[..., None]


def test_there_are_twelve_none_of_them_long() -> None:
    assert [path.name[:2] for path in NUMBERED] == [f"{number:02}" for number in range(1, 13)]
    for path in NUMBERED:
        assert len(path.read_text("utf-8").splitlines()) < 60, path.name


def example(number: int) -> Example:
    """What an example does."""
    main: Example = runpy.run_path(str(NUMBERED[number - 1]))["main"]
    return main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with rows of two classes in `data`."""
    rows = reviews(400, seed=0)
    write_lines(tmp_path / "data/train.jsonl", rows[:340])
    write_lines(tmp_path / "data/test.jsonl", rows[340:])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HFRECIPES_FEATURES", str(tmp_path / "store"))
    monkeypatch.setattr(bootstrap, "DRAWS", 50)
    return tmp_path


def test_fit(here: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example(1)("out", str(tiny_bert), "data")
    said = capsys.readouterr().out
    assert "'accuracy': " in said and re.search(r"^0\.\d+\t(negative|positive)$", said, re.MULTILINE), said
    assert (here / "out/model/adapter/adapter_config.json").is_file()


def test_distil(here: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example(4)("out", str(tiny_bert), "data", 1)
    assert re.search(r"[Tt]he student", capsys.readouterr().out)
    assert read_json(here / "out/student/model/config.json")["num_hidden_layers"] == 1


def test_prune_and_recover(here: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example(5)("out", str(tiny_bert), "data")
    assert "parameters" in capsys.readouterr().out
    assert read_json(here / "out/model/config.json")["layer_shapes"], "what was cut is in the configuration"


def test_frontier(here: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example(6)("out", str(tiny_bert), "data", (2, 1))
    assert len(list((here / "out/runs").iterdir())) == 2
    said = capsys.readouterr().out
    assert "| candidate | graph |" in said and "the fastest of" in said


def test_export_serve_drift_and_retrain(here: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fastapi", reason="needs fastapi: pip install 'hfrecipes[serve]'")
    example(7)("out", str(tiny_bert), "data")
    assert "'label': " in capsys.readouterr().out
    new = write_lines(here / "new.jsonl", moved(240, seed=1))
    example(9)("out", str(new))
    said = capsys.readouterr().out
    assert "window 1: " in said and re.search(r"^(promoted|refused): ", said, re.MULTILINE)
    example(9)("out", str(write_lines(here / "same.jsonl", reviews(640, seed=0)[400:])))
    assert capsys.readouterr().out == "as before\n"


def test_few_shot(here: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["good", "bad", "fine", "awful", "great", "poor", "lovely", "dull", "new", "old", "plot", "end"]
    rows = [{"text": f"the {word} {row['text']}", "label": word} for word in words for row in reviews(40, seed=1)]
    write_lines(here / "words/train.jsonl", rows)
    write_lines(here / "words/test.jsonl", rows[::4])
    example(8)("out", str(tiny_bert), "words", 2)
    assert "prototypes" in capsys.readouterr().out
    assert "travel_insurance" in read_json(here / "out_more/config.json")["label2id"]


def test_pretrain(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example(11)("out", "data", 1)
    assert "tokens: [" in capsys.readouterr().out


def test_two_processes(here: Path, recipe_file: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_file(train={"num_train_epochs": 1, "per_device_train_batch_size": 4, "bf16": False})
    example(12)(str(recipe), "out", "check=[]")
    said = capfd.readouterr().out
    assert "2 processes" in said and "#SBATCH --nodes=4" in said
    assert Report.load(here / "out").values["processes"] == 2
