"""A user's mistake: one line that says where, what and what to write instead, exit code 2, and nothing is lost.

Long, since each mistake stands beside its line, so that all can be read as one list.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfrecipes.cli import main
from hfrecipes.folder import sha256
from tests.conftest import make_tokenizer, sentiment, write_lines

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Calls the command line, and gives the one line that it says no with."""

    def call(*argv: str | Path) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in argv])
        said = capsys.readouterr().err
        assert stop.value.code == 2, said
        assert "Traceback" not in said
        lines = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, said
        assert said.splitlines()[-1] == lines[0]
        return lines[0]

    return call


def contents(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder."""
    return {str(file.relative_to(folder)): sha256(file) for file in folder.rglob("*") if file.is_file()}


IN_THE_RECIPE = [
    pytest.param("trian={}", ("bert: ", "unknown key 'trian'", "Did you mean 'train'"), id="unknown key"),
    pytest.param("data.lable=x", ("data", "unknown key 'lable'", "Did you mean 'label'"), id="unknown role of a column"),
    pytest.param("strategy=lora_", ("bert.strategy", "unknown strategy 'lora_'", "Did you mean 'lora'"), id="unknown part"),
    pytest.param(
        "task=text-clasification", ("bert.task", "unknown task", "Did you mean 'text-classification'"), id="unknown task"
    ),
    pytest.param("recipe=brt", ("recipe", "unknown recipe 'brt'", "Did you mean 'bert'"), id="unknown recipe"),
    pytest.param("evaluate=[acuracy]", ("bert.evaluate.0", "unknown metric", "Did you mean 'accuracy'"), id="unknown metric"),
    pytest.param("check=[{quality: {drop: 1}}]", ("bert.check.0.quality", "unknown key 'drop'", "max_drop"), id="unknown option"),
    pytest.param("strategy=[full, full]", ("bert.strategy", "expected one name", "One of: adalora"), id="two parts for one"),
    pytest.param("seed=often", ("bert.seed", "valid integer", "not 'often'"), id="wrong type"),
    pytest.param("data.validation_size=2", ("bert.data.validation_size", "less than 1", "not 2"), id="number out of range"),
    pytest.param(
        "train.learning_rte=1e-3", ("bert.train.learning_rte", "unknown key", "learning_rate"), id="unknown key in train"
    ),
    pytest.param(
        "train.learning_rate=fast", ("bert.train.learning_rate", "valid number", "not 'fast'"), id="wrong type in train"
    ),
    pytest.param(
        "train.train_sampling_strategy=sorted",
        ("bert.train.train_sampling_strategy", "unknown 'sorted'", "One of: group_by_length, random"),
        id="unknown sampling strategy",
    ),
    pytest.param("train.per_device_train_batch_size=0", ("batch_size", "is 0", "Write 1 or more"), id="batch of no rows"),
    pytest.param(
        "train={save_strategy: 'no', load_best_model_at_end: true}",
        ("bert.train", "save"),
        id="arguments that contradict each other",
    ),
    pytest.param("train", ("train", "is not an override", "Write key.key=value"), id="override without a value"),
    pytest.param("export.7=cpu", ("export.7=cpu", "no position in a list of 1"), id="override of an entry that is not there"),
    pytest.param(
        "train={a: 1, a: 2}", ("train={a: 1, a: 2} line 1", "the key 'a' stands twice"), id="a key twice in an override"
    ),
    pytest.param("model=package:no_such_package/model", ("model", "not installed", "pip install"), id="package not installed"),
    pytest.param(
        "model=./no/such/folder", ("model", "there is no folder ./no/such/folder", "Give a folder"), id="no model folder"
    ),
    pytest.param("data.path=./no/such.jsonl", ("data.path", "no file or folder ./no/such.jsonl", "relative"), id="no data file"),
    pytest.param("data.train=training", ("data", "no split 'training'", "It has: train, test"), id="no such split"),
    pytest.param("data.text=sentence", ("data.text", "no column 'sentence'", "It has: text, label"), id="no such column"),
    pytest.param(
        "data.fingerprint=abc", ("data.fingerprint", "are not those of the recipe", "Take the line out"), id="other rows"
    ),
]


@pytest.mark.parametrize(("change", "words"), IN_THE_RECIPE)
def test_a_mistake_in_the_recipe_is_one_line(
    change: str, words: Sequence[str], recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    line = refused("fit", recipe_file(), change, "-o", tmp_path / "run")
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("change", [pytest.param(case.values[0], id=case.id) for case in IN_THE_RECIPE])
def test_a_mistake_in_the_recipe_of_a_finished_run_loses_nothing_of_it(
    change: str, recipe_file: Callable[..., Path], refused: Refused, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    before = contents(run)
    assert len(before) > 20
    refused("fit", recipe_file(), change, "-o", run)
    assert contents(run) == before


ROWS = "".join(json.dumps(row) + "\n" for row in sentiment(12))
ONE_CLASS = "".join(json.dumps({**row, "label": "positive"}) + "\n" for row in sentiment(12))
NUMBERS = "".join(json.dumps({"text": i, "label": "ab"[i % 2]}) + "\n" for i in range(12))
IN_THE_DATA = [
    pytest.param("rows.jsonl", "", ("data.path", "rows.jsonl is empty"), id="empty file"),
    pytest.param("rows.csv", "text,label\n", ("data.path", "cannot read", "Give a CSV"), id="header only"),
    pytest.param("rows.xls", ROWS, ("data.path", "the ending '.xls'", "Readable are: .jsonl"), id="unreadable ending"),
    pytest.param(
        "rows.jsonl", '{"text": "a", "label": "b"}\n{"text": ', ("data.path", "cannot read", "Give a CSV"), id="half a row"
    ),
    pytest.param(
        "rows.csv", "text,mark\na,b\nc,d\n", ("data.label", "no column 'label'", "It has: text, mark"), id="missing column"
    ),
    pytest.param("rows.jsonl", ONE_CLASS, ("data.label", "one class only, 'positive'", "two classes"), id="one class only"),
    pytest.param(
        "rows.csv", "text,label\na,x\nb,\nc,y\n", ("data.label", "1 rows without a value", "Remove those"), id="empty label"
    ),
    pytest.param(
        "rows.csv", "text,label\na,1.5\nb,\nc,2\n", ("data.label", "1 rows without a value", "Remove"), id="NaN as a label"
    ),
    pytest.param("rows.csv", "text,label\na,x\n,y\nc,y\n", ("data.text", "1 rows without a value", "Remove"), id="empty text"),
    pytest.param("rows.jsonl", NUMBERS, ("data.text", "holds int64, not text", "Name a column of texts"), id="numbers as texts"),
    pytest.param("rows.jsonl", '{"text": "a", "label": "b"}\n', ("data", "one class only"), id="one row"),
]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        pytest.param(["a", None], ("the column 'label' has 6 rows without a value", "Remove"), id="a hole in a list"),
        pytest.param({"name": "a"}, ("cannot read", "Name a column of names"), id="a mapping"),
        pytest.param([["a"]], ("cannot read", "Name a column of names"), id="lists of lists"),
    ],
)
def test_a_label_of_another_kind_is_one_line(
    label: Any, words: Sequence[str], recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [{**row, "label": label} for row in sentiment(6)])
    line = refused("fit", recipe_file(data=str(path)), "-o", tmp_path / "run")
    assert "data.label" in line
    assert [word for word in words if word not in line] == []


def test_names_are_not_read_as_lists_of_letters(recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path) -> None:
    task = {"text-classification": {"problem": "multi_label_classification"}}
    line = refused("fit", recipe_file(task=task), "-o", tmp_path / "run")
    assert "data.label: multi_label_classification cannot read" in line


@pytest.mark.parametrize(("name", "content", "words"), IN_THE_DATA)
def test_a_mistake_in_the_data_is_one_line(
    name: str, content: str, words: Sequence[str], recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    line = refused("fit", recipe_file(data=str(tmp_path / name)), "-o", tmp_path / "run")
    assert [word for word in words if word not in line] == []


def test_a_folder_with_an_empty_file_is_refused(recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path) -> None:
    write_lines(tmp_path / "rows/train.jsonl", sentiment(12))
    (tmp_path / "rows/test.jsonl").touch()
    line = refused("fit", recipe_file(data=str(tmp_path / "rows")), "-o", tmp_path / "run")
    assert "data.path" in line and "test.jsonl is empty" in line


def test_a_label_of_the_test_split_that_training_never_saw_is_refused(
    recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    write_lines(tmp_path / "rows/train.jsonl", sentiment(12))
    write_lines(tmp_path / "rows/validation.jsonl", [{"text": "it was fine", "label": "mixed"}])
    line = refused("fit", recipe_file(data=str(tmp_path / "rows")), "-o", tmp_path / "run")
    assert "data.label" in line and "'mixed' is not among the 2" in line and "needs training rows" in line


IN_THE_YAML = [
    pytest.param("- bert\n- text\n", ("is not a recipe", "A recipe is a mapping that starts with `recipe:`"), id="a list"),
    pytest.param("bert", ("is not a recipe", "A recipe is a mapping"), id="a word"),
    pytest.param("", ("is not a recipe", "A recipe is a mapping"), id="nothing"),
    pytest.param("task: text-classification\n", ("recipe", "the key 'recipe' is missing", "one of: bert"), id="no family"),
    pytest.param("recipe: bert\ntask: [a\n", ("line 3", "is not valid YAML"), id="a bracket not closed"),
    pytest.param("recipe: bert\n\ttask: a\n", ("line 2", "is not valid YAML"), id="a tab"),
    pytest.param("recipe: bert\nseed: 1\nseed: 2\n", ("line 1", "the key 'seed' stands twice"), id="a key twice"),
    pytest.param("recipe: bert\ndata: x\nmodel: y\n", ("bert.task", "is missing"), id="a block that is missing"),
    pytest.param("recipe: !!python/name:os.system\n", ("line 1", "is not valid YAML"), id="code"),
]


@pytest.mark.parametrize(("content", "words"), IN_THE_YAML)
def test_a_mistake_in_the_yaml_is_one_line(content: str, words: Sequence[str], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content, "utf-8")
    line = refused("show", tmp_path / "mine.yaml")
    assert [word for word in words if word not in line] == []


def test_a_yaml_that_is_not_there_is_one_line(refused: Refused, tmp_path: Path) -> None:
    line = refused("fit", tmp_path / "none.yaml")
    assert "none.yaml: there is no such recipe" in line and "`hfrecipes init DATA` writes one" in line


def test_a_yaml_that_is_a_folder_or_no_text_is_one_line(refused: Refused, tmp_path: Path) -> None:
    assert "cannot be read" in refused("show", tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused("show", tmp_path / "bytes.yaml")


@pytest.fixture
def copied_model(tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint that a test may spoil."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "model"))


def test_pickled_weights_are_refused(
    copied_model: Path, recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    (copied_model / "model.safetensors").rename(copied_model / "pytorch_model.bin")
    line = refused("fit", recipe_file(model=str(copied_model)), "-o", tmp_path / "run")
    assert "model" in line and "has no safetensors file" in line and "save_pretrained" in line


def test_a_folder_without_a_config_is_refused(
    copied_model: Path, recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    (copied_model / "config.json").unlink()
    line = refused("fit", recipe_file(model=str(copied_model)), "-o", tmp_path / "run")
    assert "has no config.json" in line and "save_pretrained" in line


def test_weights_that_are_cut_short_are_refused(
    copied_model: Path, recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    whole = (copied_model / "model.safetensors").read_bytes()
    (copied_model / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    line = refused("fit", recipe_file(model=str(copied_model)), "-o", tmp_path / "run")
    assert "model: cannot load" in line


def test_a_tokenizer_without_a_pad_token_is_refused_until_one_is_named(
    copied_model: Path, recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(copied_model)
    line = refused("fit", recipe_file(model=str(copied_model)), "-o", tmp_path / "run")
    assert "has no pad token" in line and "pad_token: '[PAD]'" in line
    wrong = {"path": str(copied_model), "pad_token": "<pad>"}
    assert "model.pad_token: '<pad>' is not in the vocabulary" in refused("fit", recipe_file(model=wrong), "-o", tmp_path / "run")


def test_an_entry_that_the_model_does_not_have_is_refused(
    tiny_bert: Path, recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    model = {"path": str(tiny_bert), "config": {"droput": 0.1}}
    line = refused("fit", recipe_file(model=model), "-o", tmp_path / "run")
    assert "model.config: bert has no entry 'droput'" in line


def test_a_run_folder_of_another_recipe_is_left_alone(
    finished: Path, recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    before = contents(run)
    rows = write_lines(tmp_path / "other.jsonl", sentiment(12))
    line = refused("fit", recipe_file(data=str(rows)), "-o", run)
    assert "holds a run of another recipe (data: " in line and "Give another folder with -o" in line
    assert contents(run) == before


def test_a_folder_that_is_no_run_is_left_alone(recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("years of work")
    line = refused("fit", recipe_file(), "-o", tmp_path / "thesis")
    assert "is neither empty nor a run" in line and "Give another folder with -o" in line
    assert [file.name for file in (tmp_path / "thesis").rglob("*")] == ["chapter.txt"]


def test_a_folder_that_cannot_be_written_is_refused(recipe_file: Callable[..., Path], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a regular file")
    for place in ("file", "file/run"):
        line = refused("fit", recipe_file(), "-o", tmp_path / place)
        assert "cannot be written" in line and "Give another folder with -o" in line
    assert (tmp_path / "file").read_text() == "a regular file"


ON_A_RUN = [
    pytest.param(["predict", "{none}", "a text"], ("none", "there is no such folder", "Give a run"), id="predict on nothing"),
    pytest.param(["predict", "{empty}", "a text"], ("empty", "has no manifest.json"), id="predict on a folder that is no run"),
    pytest.param(
        ["predict", "{fitted}", "a text"], ("fitted", "has no bundle yet", "hfrecipes ship"), id="predict without a bundle"
    ),
    pytest.param(
        ["predict", "{finished}", "a text", "--graph", "int4"], ("has no graph 'int4'", "It has: fp32, int8"), id="unknown graph"
    ),
    pytest.param(["predict", "{finished}", "a", "--graph", "npu/fp32"], ("npu", "has no manifest.json"), id="unknown target"),
    pytest.param(["ship", "{empty}"], ("empty", "is not a run folder", "hfrecipes fit"), id="ship on a folder that is no run"),
    pytest.param(["ship", "{none}"], ("none", "is not a run folder", "hfrecipes fit"), id="ship on nothing"),
    pytest.param(["ship", "{begun}"], ("begun", "has not finished", "hfrecipes fit"), id="ship on a run that was stopped"),
    pytest.param(["list", "tsks"], ("list", "unknown kind 'tsks'", "One of: recipes, tasks"), id="list of an unknown kind"),
]


@pytest.mark.parametrize(("argv", "words"), ON_A_RUN)
def test_a_mistake_about_a_run_is_one_line(
    argv: Sequence[str], words: Sequence[str], refused: Refused, finished: Path, tmp_path: Path
) -> None:
    places = {name: tmp_path / name for name in ("none", "empty", "fitted", "begun")} | {"finished": finished}
    (tmp_path / "empty").mkdir()
    shutil.copytree(finished, places["fitted"], ignore=shutil.ignore_patterns("bundles"))
    shutil.copytree(finished, places["begun"], ignore=shutil.ignore_patterns("train.json"))
    line = refused(*(word.format(**places) for word in argv))
    assert [word for word in words if word not in line] == []


def test_ship_of_a_recipe_without_a_target_is_refused(
    values: dict[str, Any], finished: Path, refused: Refused, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "recipe.yaml").write_text(yaml.safe_dump({**values, "export": []}), "utf-8")
    line = refused("ship", run)
    assert "bert.export: names no target" in line and "Write `export: [cpu]`" in line
