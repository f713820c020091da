"""Answers to whole files: every row, in order, in shards that a job goes on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from hfrecipes import Data, Predictor
from hfrecipes.cli import main
from hfrecipes.errors import DataError, UserError
from hfrecipes.inference.files import predict_file
from tests.conftest import sentiment, write_lines

ROWS = [{"number": i, **row} for i, row in enumerate(sentiment(25, start=700))]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of 25 rows with a label of their own."""
    return write_lines(tmp_path / "rows.jsonl", ROWS)


@pytest.fixture(scope="module")
def predictor(finished: Path) -> Predictor:
    return Predictor.open(finished, threads=1)


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file, whatever its kind."""
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    table = pa.parquet.read_table(file) if file.suffix == ".parquet" else pa.csv.read_csv(file)
    found: list[dict[str, Any]] = table.to_pylist()
    return found


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_every_row_comes_back_in_order_with_its_answer(ending: str, source: Path, predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / f"answers{ending}"
    assert predict_file(predictor, Data(str(source)), out, shard=10) == 25
    found = read(out)
    assert [{key: row[key] for key in ROWS[0]} for row in found] == ROWS
    answers = predictor([row["text"] for row in ROWS])
    assert [row["predicted_label"] for row in found] == [answer.label for answer in answers]
    assert [row["predicted_score"] for row in found] == pytest.approx([answer.score for answer in answers], abs=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, source.name])


def test_a_job_that_was_cut_short_goes_on_where_it_was(
    source: Path, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = tmp_path / "answers.parquet", []
    whole = Predictor.answer

    def counted(self: Predictor, rows: Any) -> Any:
        asked.append(len(rows))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return whole(self, rows)

    monkeypatch.setattr(Predictor, "answer", counted)
    with pytest.raises(KeyboardInterrupt):
        predict_file(predictor, Data(str(source)), out, shard=10)
    assert not out.exists() and len(list((tmp_path / "answers.parquet.parts").glob("*.parquet"))) == 1
    predict_file(predictor, Data(str(source)), out, shard=10)
    assert asked == [10, 10, 10, 5]
    assert [row["number"] for row in read(out)] == list(range(25))


def test_shards_of_another_job_are_not_taken(source: Path, predictor: Predictor, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.parquet"
    (tmp_path / "answers.parquet.parts").mkdir()
    (tmp_path / "answers.parquet.parts/job.json").write_text(json.dumps({"model": "another", "data": [], "rows a shard": 10_000}))
    with pytest.raises(UserError, match=r"holds shards of another job \(model, data changed\)\. Delete it"):
        predict_file(predictor, Data(str(source)), out)
    assert Predictor.open(finished, "fp32").fingerprint != predictor.fingerprint != ""


def test_each_process_answers_its_share(source: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    program = (
        "from pathlib import Path; from hfrecipes import Data, Predictor, distributed\n"
        "from hfrecipes.inference.files import predict_file\n"
        f"p = Predictor.open({str(finished)!r}, threads=1)\n"
        f"predict_file(p, Data({str(source)!r}), Path({str(out)!r}), shard=4)\n"
        f"(Path({str(tmp_path)!r}) / str(distributed.rank())).write_text(str(distributed.processes()))\n"
    )
    (tmp_path / "job.py").write_text(program)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(tmp_path / "job.py")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["2", "2"]
    assert [row["number"] for row in read(out)] == list(range(25))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rows.jsonl", "-o", "answers.txt"], "--out: answers.txt has the ending '.txt'. One of: .parquet, .jsonl, .csv"),
        (["-o", "answers.csv"], "predict: one source of rows goes with --out"),
        (["rows.jsonl", "more.jsonl", "-o", "answers.csv"], "predict: one source of rows goes with --out"),
        (["rows.jsonl", "--column", "text=number"], "predict: one source of rows goes with --out"),
        (["rows.jsonl", "-o", "answers.csv", "--column", "txt=number"], "--column: 'txt=number' names no column of the task"),
        (
            ["rows.jsonl", "-o", "answers.csv", "--column", "text=number"],
            "text: text-classification cannot read {'text': 0, 'label'",
        ),
        (
            ["rows.jsonl", "-o", "answers.csv", "--column", "text=sentence"],
            "text: text-classification cannot read {'label': 'negative'}",
        ),
        (["none.jsonl", "-o", "answers.csv"], "data.path: there is no file or folder none.jsonl"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    said: str,
    source: Path,
    finished: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(source.parent)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(finished), *arguments])
    error = capsys.readouterr().err
    assert ended.value.code == 2, error
    assert said in error and error.count("\n") == 1


def test_the_command_answers_a_file_with_several_sessions(
    source: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(finished), str(source), "-o", str(tmp_path / "out.csv"), "--devices", "cpu,cpu"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"25 rows in {tmp_path / 'out.csv'}\n"
    assert len(read(tmp_path / "out.csv")) == 25


def test_a_data_set_without_the_split_is_refused(predictor: Predictor, tiny_data: Path, tmp_path: Path) -> None:
    assert predict_file(predictor, Data(str(tiny_data)), tmp_path / "a.csv") == 32
    with pytest.raises(DataError, match="there is no split 'extra'"):
        predict_file(predictor, Data(str(tiny_data), test="extra"), tmp_path / "b.csv")
