"""The command line: the same verbs as words."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hfrecipes import __version__
from hfrecipes.cli import main
from hfrecipes.cli.on_machine import KINDS
from hfrecipes.config import parse
from hfrecipes.errors import CheckFailed, HfRecipesError, UserError
from hfrecipes.part import names

Called = Callable[..., str]
HEAVY = ("torch", "transformers", "onnxruntime", "datasets", "sklearn", "optimum", "accelerate")


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str]) -> Iterator[Called]:
    """Calls the command line and gives what it printed; it ends well unless another exit code is expected."""

    def call(*argv: str | Path, code: int = 0) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in argv])
        assert stop.value.code == code
        return capsys.readouterr().out

    yield call


def test_list_names_every_part_of_every_kind_with_a_sentence(called: Called) -> None:
    lines = [line for line in called("list").splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines] == [name for kind in KINDS for name in names(kind)]
    assert len(lines) > 10
    assert [line for line in lines if not line.endswith(".") or len(line.split()) < 4] == []


def test_list_of_one_kind(called: Called) -> None:
    assert [line.split()[0] for line in called("list", "checks").splitlines()] == ["checks", *names("checks")]


def test_show_prints_the_recipe_with_its_overrides(called: Called, recipe_file: Callable[..., Path]) -> None:
    shown = parse(called("show", recipe_file(), "train.learning_rate=1e-3", "check.1.quality.max_drop=0.2"), "shown")
    assert shown["train"]["learning_rate"] == 0.001
    assert shown["check"] == ["parity", {"quality": {"max_drop": 0.2}}]


def test_schema_is_json(called: Called) -> None:
    assert json.loads(called("schema"))["title"] == "hfrecipes recipe"


def test_doctor_says_what_is_installed_and_where_it_runs(called: Called) -> None:
    said = called("doctor")
    assert __version__ in said
    assert [word for word in ("torch", "onnxruntime", "trains on", "CPUExecutionProvider") if word not in said] == []


def test_predict_answers_texts(called: Called, finished: Path) -> None:
    lines = called("predict", finished, "the film was good", "the film was awful").splitlines()
    assert [line.split("\t")[1] for line in lines] == ["positive", "negative"]
    assert all(0.5 < float(line.split("\t")[0]) <= 1 for line in lines)


def test_predict_reads_a_text_a_line_from_standard_input(called: Called, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("the film was good\n\nthe film was awful"))
    labels = [line.split("\t")[1] for line in called("predict", finished, "--graph", "fp32").splitlines()]
    assert len(labels) == 3
    assert (labels[0], labels[2]) == ("positive", "negative")


def test_fit_trains_and_prints_its_table(called: Called, recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    said = called("fit", recipe_file(), "train.num_train_epochs=1", "-o", tmp_path / "run")
    assert "measured on 32 rows of the test split" in said
    assert "pytorch" in said
    assert str(tmp_path / "run/report.md") in said.replace("\n", "")
    assert (tmp_path / "run/model/model.safetensors").is_file()


def test_a_check_that_refuses_exits_with_one_and_shows_the_table_and_the_reason(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    recipe = parse((run / "recipe.yaml").read_text(), "recipe")
    (run / "recipe.yaml").write_text(json.dumps({**recipe, "check": [{"size": {"max_mb": 0.001}}]}))
    with pytest.raises(SystemExit) as stop:
        main(["ship", str(run)])
    said = capsys.readouterr()
    assert stop.value.code == 1
    assert "FAILED  size: " in said.out and "cpu/int8" in said.out
    [line] = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert "not released. size: " in line and "at most 0.001 MB" in line
    assert (run / "bundles/cpu/manifest.json").is_file()


def test_errors_have_their_exit_codes() -> None:
    assert (HfRecipesError.exit_code, CheckFailed.exit_code, UserError.exit_code) == (1, 1, 2)
    assert str(UserError("a.b", "is wrong.", "Write c")) == "a.b: is wrong. Write c."


def test_a_flag_that_is_not_there_exits_with_two(called: Called) -> None:
    called("list", "--no-such-flag", code=2)


def loaded(program: str) -> list[str]:
    """The heavy libraries that a program has imported when it ends."""
    report = f"print('HEAVY', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    whole = f"import sys\ntry:\n    {program}\nfinally:\n    {report}\n"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("HEAVY")]
    return line.split()[1:]


@pytest.mark.parametrize(
    "program",
    [
        "import hfrecipes; hfrecipes.__version__, dir(hfrecipes)",
        "from hfrecipes import Run, Recipe, Data, Model, Report",
        "from hfrecipes.cli import main; main(['--help'])",
        "from hfrecipes.cli import main; main(['list'])",
        f"from hfrecipes.cli import main; main(['show', {str(Path(__file__).parents[1] / 'recipes/bert/banking77.yaml')!r}])",
    ],
    ids=["import", "names", "help", "list", "show"],
)
def test_what_must_be_instant_imports_nothing_heavy(program: str) -> None:
    assert loaded(program) == []


def test_the_guard_of_imports_sees_an_import() -> None:
    assert "datasets" in loaded("import datasets")


def test_ship_measures_once_and_again_when_it_is_asked_to(called: Called, finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    measured = {name: (run / f"stages/{name}.json").read_text() for name in ("measure", "check")}
    called("ship", run)
    assert all((run / f"stages/{name}.json").read_text() == record for name, record in measured.items())
    called("ship", run, "--again")
    assert all((run / f"stages/{name}.json").read_text() != record for name, record in measured.items())


def test_predict_reads_columns_from_json(called: Called, finished: Path) -> None:
    one, other = called("predict", finished, '{"text": "the film was great"}', "the film was great").splitlines()
    assert one == other


@pytest.mark.parametrize(
    ("given", "said"), [('{"text": ', "is not JSON"), ('{"question": "a"}', "text-classification cannot read")]
)
def test_predict_refuses_what_it_cannot_read(finished: Path, given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(finished), given])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
