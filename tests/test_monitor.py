"""The monitor of a model, and the command that watches with it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Predictor
from hfrecipes.alarms import Alarms
from hfrecipes.cli import main
from hfrecipes.drift_page import drift_page
from hfrecipes.errors import DataError, ModelError, UserError
from hfrecipes.folder import read_json, seal, write_json
from hfrecipes.monitor import REMEMBERED, Drift, Finding, Monitor
from hfrecipes.watching import Watched
from tests.conftest import reviews, write_lines

Answer = Callable[[Sequence[str]], list[Any]]


def texts(count: int, seed: int, label: str | None = None) -> list[str]:
    """Texts as those of the `shown` run, or those of one label."""
    rows = reviews(count if label is None else 2 * count, seed)
    return [row["text"] for row in rows if label in (None, row["label"])]


@pytest.fixture(scope="module")
def answer(shown: Path) -> Answer:
    """Answers texts from the bundle of the `shown` run."""
    return Predictor.open(shown)


@pytest.fixture
def monitor(shown: Path) -> Monitor:
    """The monitor of the `shown` run, with windows of 100 rows."""
    return Monitor.from_pretrained(shown, window=100)


def copied(shown: Path, folder: Path) -> Path:
    """What a monitor reads of the `shown` run, to be damaged."""
    for name in ("recipe.yaml", "model", "bundles"):
        source = shown / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def test_rows_like_the_held_out_ones_raise_no_alarm(monitor: Monitor, answer: Answer) -> None:
    asked = texts(350, seed=11)
    assert monitor.check() == Drift(0, 0, held_out=monitor.alarms.worth["accuracy"]) and monitor.distances() == {}
    closed = monitor.observe(asked, answer(asked))
    assert [(each.window, each.rows, each.drifted) for each in closed] == [(1, 100, False), (2, 100, False), (3, 100, False)]
    assert monitor.check() == closed[-1]
    assert set(monitor.distances()) == set(monitor.limits()) == {each.detector for each in closed[-1].findings}
    assert all(each.distance <= each.limit and each.since is None for each in closed[-1].findings)


def test_labels_that_are_answered_more_often_are_found_with_the_label_and_the_rows(monitor: Monitor, answer: Answer) -> None:
    before, after = texts(100, seed=12), texts(200, seed=13, label="positive")
    monitor.observe(before, answer(before), [f"old {i}" for i in range(100)])
    said = monitor.observe(after, answer(after), [f"new {i}" for i in range(200)])[-1]
    assert said.drifted
    balance = next(each for each in said.beyond if each.detector == "class_balance(answer)")
    assert balance.moved.startswith("positive: 0.") and balance.moved.endswith("of the rows")
    assert balance.since == 2 and said.window == 3
    assert len(balance.ids) == 5 and all(str(name).startswith("new ") for name in balance.ids)


def test_words_that_the_tokenizer_does_not_know_are_found(monitor: Monitor, answer: Answer) -> None:
    strange = [f"das Kino war gut, {text}" for text in texts(100, seed=14)]
    [said] = monitor.observe(strange, answer(strange))
    assert {"ks(unknown_tokens)", "ks(rare_tokens)", "ks(tokens)", "embedding_shift(token_vectors)"} <= {
        each.detector for each in said.beyond
    }
    assert [each.ratio for each in said.beyond] == sorted((each.ratio for each in said.beyond), reverse=True)
    quiet = texts(100, seed=15)
    assert not monitor.observe(quiet, answer(quiet))[0].drifted
    assert monitor.observe(strange, answer(strange))[0].beyond[0].since == 3


def test_windows_do_not_depend_on_how_rows_come(shown: Path, answer: Answer) -> None:
    asked = texts(230, seed=16)
    said = answer(asked)
    whole, bits = Monitor.from_pretrained(shown, window=100), Monitor.from_pretrained(shown, window=100)
    found = whole.observe(asked, said)
    one_by_one = [each for i in range(230) for each in bits.observe(asked[i : i + 1], said[i : i + 1])]
    assert found == one_by_one and len(found) == 2
    assert whole.close().rows == 30


def test_accuracy_is_estimated_without_labels_and_known_with_them(monitor: Monitor, answer: Answer) -> None:
    rows = reviews(100, seed=17)
    asked = [row["text"] for row in rows]
    [said] = monitor.observe(asked, answer(asked))
    right = sum(each.label == row["label"] for each, row in zip(answer(asked), rows, strict=True)) / 100
    assert said.accuracy is None and said.estimated is not None and said.estimated_by_threshold is not None
    assert abs(said.estimated - right) < 0.1 and abs(said.estimated_by_threshold - right) < 0.1
    assert monitor.observe_labels([*range(100), 7, "x"], [*(row["label"] for row in rows), "positive", "negative"]) == 100
    assert monitor.check().accuracy == right


def test_the_memory_does_not_grow_with_the_rows(monitor: Monitor, answer: Answer) -> None:
    [said] = answer(["the film was good"])
    for _ in range(11):
        monitor.observe(["the film was good"] * 1000, [said] * 1000)
    assert len(monitor._answered) == REMEMBERED and monitor._open == []
    assert monitor.observe_labels([0, 10_999], ["positive", "positive"]) == 1


def test_a_label_that_the_model_does_not_know_is_refused(monitor: Monitor, answer: Answer) -> None:
    monitor.observe(["the film was good"], answer(["the film was good"]))
    with pytest.raises(DataError, match=r"labels: the model does not know the label 'odd'\. Its 2 are: negative, positive\."):
        monitor.observe_labels([0], ["odd"])
    assert monitor.check().accuracy is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.observe(["a", "b"], []), "observe: 2 rows, 0 answers and 2 ids. Give as many of each."),
        (lambda m: m.observe([3], [None]), "text: text-classification cannot read 3. Its columns are: text, text_pair, label."),
        (lambda m: m.observe_labels([1], []), "labels: 1 ids and 0 labels. Give a label an id."),
        (lambda m: m.close(), "window: 0 rows are too few to tell drift from chance. Take 30 or more: the default is 200."),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(call: Callable[[Monitor], Any], said: str, monitor: Monitor) -> None:
    with pytest.raises(UserError) as stop:
        call(monitor)
    assert str(stop.value) == said


def test_a_window_of_three_rows_is_refused(shown: Path) -> None:
    with pytest.raises(UserError, match=r"window: 3 rows are too few to tell drift from chance"):
        Monitor.from_pretrained(shown, window=3)


def test_a_baseline_is_bound_to_weights_and_graph(shown: Path, tmp_path: Path) -> None:
    assert read_json(shown / "bundles/cpu/baseline.json")["graph"] == read_json(shown / "bundles/cpu/manifest.json")["default"]
    run = copied(shown, tmp_path)
    assert Alarms.of(run).summaries == Alarms.of(run / "bundles/cpu").summaries
    assert len((run / "bundles/cpu/baseline.json").read_bytes()) + len((run / "model/baseline.json").read_bytes()) < 200_000
    bundle = run / "bundles/cpu"
    manifest, baseline = read_json(bundle / "manifest.json"), read_json(bundle / "baseline.json")
    write_json(bundle / "baseline.json", {**baseline, "weights": "0" * 64})
    with pytest.raises(ModelError, match=r"baseline\.json: is not that of the checkpoint's weights\. Fit it again"):
        Monitor.from_pretrained(run)
    (bundle / "baseline.json").write_text("{")
    with pytest.raises(ModelError, match=r"baseline\.json is not the file that its manifest names"):
        Monitor.from_pretrained(run)
    (bundle / "baseline.json").unlink()
    seal(bundle, {key: entry for key, entry in manifest.items() if key != "files"})
    assert Alarms.of(run).rows == baseline["monitor"]["rows"]
    other = read_json(run / "model/baseline.json")
    for damaged in ("", '{"weights": 3}', json.dumps({**other, "monitor": {"rows": 60}})):
        (run / "model/baseline.json").write_text(damaged)
        with pytest.raises(ModelError, match=r"baseline\.json: cannot be read: .*\. Fit it again: hfrecipes fit\."):
            Monitor.from_pretrained(run)
    few = {**other["monitor"], "rows": 9, "detectors": [], "limits": {}}
    write_json(run / "model/baseline.json", {**other, "monitor": few})
    with pytest.raises(ModelError, match=r"baseline\.json: was made of 9 held-out rows, and 50 are needed to tell drift from"):
        Monitor.from_pretrained(run)
    (run / "model/baseline.json").unlink()
    with pytest.raises(ModelError, match=r"has no baseline\.json\. Give a run or a release"):
        Monitor.from_pretrained(run)


def test_the_monitor_needs_no_torch(shown: Path) -> None:
    code = (
        "import sys; from hfrecipes.monitor import Monitor; from hfrecipes import Predictor\n"
        f"m, p = Monitor.from_pretrained({str(shown)!r}, window=30), Predictor.open({str(shown)!r})\n"
        "texts = ['the film was good'] * 30\n"
        "print(m.observe(texts, p(texts))[0].drifted, {'torch', 'transformers', 'datasets', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True set()\n"


def test_more_windows_than_chance_may_bring_are_a_drift() -> None:
    assert [Watched((Drift(1, 200),) * count, 0.01).allowed for count in (1, 2, 15, 16, 100, 1000)] == [0, 1, 1, 2, 4, 18]


def watched(capsys: pytest.CaptureFixture[str], *argv: str | Path, code: int) -> str:
    """What `hfrecipes watch` prints."""
    with pytest.raises(SystemExit) as stop:
        main(["watch", *(str(word) for word in argv)])
    said = capsys.readouterr()
    assert stop.value.code == code, said.err
    return said.err if code == 2 else said.out


def test_watch_ends_with_0_without_drift_and_with_1_with_it(
    shown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = write_lines(
        tmp_path / "quiet.jsonl", [{"review": row["text"], "said": row["label"]} for row in reviews(220, seed=18)]
    )
    columns = ("--column", "text=review", "--column", "label=said")
    out = watched(capsys, shown, quiet, *columns, "--window", "100", "-o", tmp_path / "quiet", code=0)
    assert "no drift: 0 of 2 windows raised an alarm, chance may bring 1; the last 20 rows are too few to be judged" in out
    assert "by the labels" in out and "ks(confidence)" in out
    moved = write_lines(tmp_path / "moved.jsonl", [{"text": text} for text in texts(250, seed=19, label="negative")])
    out = watched(capsys, shown, moved, "--window", "100", "-o", tmp_path / "moved", code=1)
    assert "drift: 3 of 3 windows raised an alarm, chance may bring 1" in out and "3 since 1" in out
    found = read_json(tmp_path / "moved/drift.json")
    assert [window["rows"] for window in found["windows"]] == [100, 100, 50] and found["drifted"]
    assert (tmp_path / "moved/drift.png").read_bytes()[:4] == b"\x89PNG"
    assert read_json(tmp_path / "quiet/drift.json")["left"] == 20
    page = (tmp_path / "moved/drift.html").read_text("utf-8")
    assert "3 of 3 windows raised an alarm; chance may bring 1" in page and "data:image/png;base64," in page
    assert page.count("<tr class=beyond>") >= 4 and "The last 20 rows" in (tmp_path / "quiet/drift.html").read_text("utf-8")


def test_what_moved_is_text_on_the_page_and_no_markup() -> None:
    moved = Finding("psi(answer)", "answer", 2.0, 1.0, "<b>mad & bad</b> 1 % -> 9 %", 1, ("<i>7</i>",))
    page = drift_page(Watched((Drift(1, 30, (moved,)),), 0.01), {"data": "<script>"}, None)
    assert "&lt;b&gt;mad &amp; bad&lt;/b&gt;" in page and "&lt;i&gt;7&lt;/i&gt;" in page and "&lt;script&gt;" in page
    assert "<b>" not in page and "<img" not in page


def test_watch_follows_standard_input(
    shown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*texts(40, seed=20), *(json.dumps({"text": f"{text} das ist neu"}) for text in texts(80, seed=21))]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n\n"))
    out = watched(capsys, shown, "--follow", "--window", "40", "-o", tmp_path, code=1).splitlines()
    assert out[0] == "window 1, 40 rows: as before"
    assert out[1].startswith("window 2, 40 rows: ") and "ks(unknown_tokens)" in out[1]


BAD: list[tuple[tuple[str, ...], str]] = [
    ((), "watch: one source of rows is wanted. Write: watch RUN rows.jsonl, or: … | hfrecipes watch RUN --follow."),
    (("few.jsonl",), "window: 5 rows are too few to tell drift from chance. Take 30 or more: the default is 200."),
    (
        ("few.jsonl", "--window", "3"),
        "window: 3 rows are too few to tell drift from chance. Take 30 or more: the default is 200.",
    ),
    (("few.jsonl", "--column", "label=sense"), "data: there is no column 'sense'. It has: text."),
    (("few.jsonl", "--column", "text"), "--column: 'text' names no column of the task. Write ROLE=NAME with one of: text, "),
    (("none.jsonl",), "data.path: there is no file or folder "),
    (("few.jsonl", "--rate", "0.5"), "rate: no limits were found for a false-alarm rate of 0.5. One of: 0.1, 0.05, 0.01."),
]


@pytest.mark.parametrize(("argv", "said"), BAD)
def test_bad_input_is_one_line(
    argv: tuple[str, ...], said: str, shown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(tmp_path / "few.jsonl", [{"text": text} for text in texts(5, seed=22)])
    given = [str(tmp_path / word) if word.endswith(".jsonl") else word for word in argv]
    [line] = watched(capsys, shown, *given, "-o", tmp_path / "out", code=2).splitlines()
    assert line.startswith(f"error: {said}")


def test_what_is_no_run_folder_wants_a_folder_to_write_to(shown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [line] = watched(capsys, shown / "bundles/cpu", "rows.jsonl", code=2).splitlines()
    assert line.endswith("is no run folder that drift.json could be written to. Write -o FOLDER.")
