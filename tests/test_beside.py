"""Two runs beside each other, and what a machine lacks for a recipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import verbs
from hfrecipes.beside import compare, differing
from hfrecipes.bootstrap import Difference
from hfrecipes.cli import main
from hfrecipes.config import build
from hfrecipes.folder import read_json, write_json
from hfrecipes.recipe import Recipe
from hfrecipes.stages.check import foreseen
from tests.conftest import sentiment, write_lines


@pytest.fixture(scope="module")
def worse(values: dict[str, Any], finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, trained at a rate that teaches it nothing."""
    folder = tmp_path_factory.mktemp("runs") / "worse"
    train = {**values["train"], "learning_rate": 1e-9, "num_train_epochs": 1}
    verbs.fit(build(Recipe, {**values, "train": train, "check": []}), folder)
    return folder


def test_only_keys_that_differ_are_named() -> None:
    one, other = {"train": {"seed": 1, "bf16": False}, "export": ["cpu"]}, {"train": {"seed": 2, "bf16": False}}
    assert differing(one, other) == [("export", ["cpu"], None), ("train.seed", 1, 2)]
    assert differing(one, one) == []


def test_a_run_that_learned_nothing_is_worse_for_certain(finished: Path, worse: Path) -> None:
    found = compare(finished, worse)
    assert {key for key, *_ in found.recipe} == {"check", "train.learning_rate", "train.num_train_epochs"}
    gain = found.gains["pytorch"]
    assert isinstance(gain, Difference) and gain.interval[1] < 0
    assert set(found.gains) == {"pytorch"}, "the second was not exported"
    assert [cost for cost, *_ in found.costs] == ["pytorch MB", "pytorch p50 ms", "pytorch sentences/s", "minutes of training"]


def test_a_run_beside_itself_gains_nothing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["diff", str(finished), str(finished)])
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert "(the same)" in said and "+0.0000 (+0.0000 … +0.0000) | may be chance |" in said


def test_runs_on_other_rows_are_not_compared(finished: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(finished, tmp_path / "other"))
    write_json(other / "answers/rows.json", read_json(other / "answers/rows.json")[1:])
    assert set(compare(finished, other).gains.values()) == {"measured on other rows"}


def test_doctor_finds_nothing_missing_for_a_recipe_that_runs(
    recipe_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", str(recipe_file(export=["cpu", "cuda"]))])
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert "can run here" in said and "likely fastest" in said and "[serve]" in said
    assert "note     export.cuda: is exported and checked, not timed: this machine lacks the provider CUDA" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.path=/no/such/folder", "MISSING  data.path: there is no file or folder /no/such/folder."),
        ("model=package:nothing_of_this_name/model", "MISSING  model: "),
        ("data.teacher=runs/nowhere", "MISSING  bert.data.teacher: there is no folder runs/nowhere."),
        ("objective={distill: {teacher: runs/nowhere}}", "MISSING  objective.distill.teacher: there is no folder runs/nowhere."),
        ("data.label=labl", "MISSING  data.label: there is no column 'labl' in the split 'train' of "),
        ("data.lable=label", "MISSING  data: unknown key 'lable'. Did you mean 'label'?"),
        ("train.learning_rat=0.1", "MISSING  bert.train.learning_rat: unknown key. Did you mean learning_rate"),
        ("train.learning_rate=0", "MISSING  train.learning_rate: is 0."),
        ("train.report_to=comet_ml", "MISSING  bert.train.report_to: comet_ml is not installed."),
    ],
)
def test_doctor_names_what_is_missing(
    change: str, said: str, recipe_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", str(recipe_file()), change])
    told = capsys.readouterr().out
    assert stop.value.code == 1
    assert said in told and "can run here" not in told
    assert json.dumps(told).count("MISSING") == 1


def test_doctor_and_run_say_before_what_will_be_refused(
    recipe_file: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = str(write_lines(tmp_path / "rows.jsonl", sentiment(20)))
    place = {"registry": str(tmp_path / "releases")}
    bare = Recipe.load(recipe_file(data=rows, export=["cpu"], check=None))
    assert [line.partition(":")[0] for line in foreseen(bare)] == [
        "held_out",
        "cross_validation",
        "budget",
        "failure_modes",
        "rollback",
    ]
    some = recipe_file(data=rows, export=["cpu"], check=["held_out"], publish=place)
    assert [line.partition(":")[0] for line in foreseen(Recipe.load(some))] == ["held_out", "publish"]
    with pytest.raises(SystemExit) as stop:
        main(["doctor", str(some)])
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert "note     ship will refuse it: held_out: there is no test split" in said
    assert "note     ship will refuse it: publish: the checklist does not show cross_validation, slices" in said
