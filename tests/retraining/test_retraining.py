"""Retraining: what is promoted, what is kept aside, and what is not begun."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from datasets import load_from_disk
from safetensors.numpy import load_file

from hfrecipes import Recipe, retrain
from hfrecipes.cli import main
from hfrecipes.folder import Run, read_json, sha256, write_json
from hfrecipes.retraining import decisions
from hfrecipes.retraining.champion import champion
from hfrecipes.retraining.rows import known
from tests.conftest import reviews, write_lines
from tests.retraining.conftest import moved

QUICK = "train.num_train_epochs=1"


def spoken(capsys: pytest.CaptureFixture[str], *argv: str | Path, code: int) -> str:
    """The last line that a command prints; all lines of the error where it ends with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in argv])
    said = capsys.readouterr()
    assert stop.value.code == code, said.err
    return said.err if code == 2 else said.out.splitlines(keepends=True)[-1]


def test_a_candidate_that_is_better_takes_the_place_of_the_champion(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = moved(240, seed=1)
    new = write_lines(tmp_path / "new.jsonl", [*rows[:200], *({"text": row["text"]} for row in rows[200:])])
    found = retrain(run, new)
    assert (found.event, found.candidate, found.release, found.failed) == ("promoted", run.parent / "films_r2", "", False)
    assert found.gains["window"].better and found.gains["window"].was < 0.75 and not found.gains["before"].worse(0.01)
    assert found.candidate is not None
    facts = read_json(found.candidate / "retrain.json")
    assert facts["drift"]["drifted"] and facts["drift"]["moved"]
    assert facts["rows"]["judged"] == 60 and facts["rows"]["learned"] == 140 and facts["rows"]["seen"] == 0
    assert (facts["new"]["sha256"], facts["new"]["labelled"]) == (sha256(new), 200)
    assert facts["old"] == {"run": "films", "fingerprint": read_json(run / "data/facts.json")["fingerprint"]}
    parts = {name: set(load_from_disk(str(found.candidate / "judged" / name))["text"]) for name in ("window", "before")}
    assert parts["window"] < {row["text"] for row in rows[:200]}
    assert parts["before"] == {row["text"] for row in reviews(400, seed=0)[360:]}
    own = Recipe.load(found.candidate / "recipe.yaml")
    assert own.data.fingerprint and own.model == Recipe.load(run / "recipe.yaml").model
    learned = {row["text"] for name in ("train", "validation") for row in read_rows(found.candidate / f"source/{name}.parquet")}
    assert len(learned) == 360 + 140 and not learned & parts["window"]

    successor = known(Run(found.candidate))  # what judged this candidate tests the next one
    assert set(successor["test"]["text"]) == parts["before"] | parts["window"]

    assert champion(Run(run), own, decisions(run)).run.path == found.candidate
    again = spoken(capsys, "retrain", run, new, code=0)
    assert again == "skipped: none of the labelled rows is new to films_r2\n"
    with pytest.raises(SystemExit):
        main(["retrain", str(run), "--log"])
    table = capsys.readouterr().out
    assert [word in table for word in ("started", "promoted", "skipped", "films_r2", sha256(new)[:8])] == [True] * 5


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return found


def test_a_candidate_that_learned_noise_is_kept_aside_with_the_reason(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(3)
    noise = [{**row, "label": draw.choice(["positive", "negative"])} for row in moved(200, seed=1)]
    new = write_lines(tmp_path / "new.jsonl", noise)
    said = spoken(capsys, "retrain", run, new, QUICK, code=1)
    assert said.startswith(f"refused {run.parent / 'films_r2'}: not better for certain on the new rows: accuracy 0.")
    kept = read_json(run.parent / "films_r2/retrain.json")
    assert (kept["event"], said) == ("refused", f"refused {run.parent / 'films_r2'}: {kept['reason']}\n")
    assert champion(Run(run), Recipe.load(run / "recipe.yaml"), decisions(run)).run.path == run
    said = spoken(capsys, "retrain", run, new, QUICK, code=0)
    assert said == f"skipped: films_r2 was refused on the same rows: {kept['reason']}\n"
    assert not (run.parent / "films_r3").exists()


def test_a_candidate_that_forgot_the_old_world_is_refused(run: Path, tmp_path: Path) -> None:
    """Old words with other labels, as often as the old ones: what is learned from them is wrong on the old test rows."""
    flipped = [{**row, "label": "negative" if row["label"] == "positive" else "positive"} for row in reviews(1600, seed=5)]
    found = retrain(run, write_lines(tmp_path / "new.jsonl", flipped), ["retrain.when=always", QUICK])
    assert found.event == "refused" and found.reason.startswith("worse on the old test rows: accuracy 1.0000 -> ")
    assert found.gains["window"].better


def test_where_nothing_moved_nothing_is_done(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = write_lines(tmp_path / "new.jsonl", reviews(200, seed=9))
    said = spoken(capsys, "retrain", run, new, code=0)
    assert said == "skipped: no drift: 0 of 1 windows raised an alarm, chance may bring 0\n"
    assert [each.name for each in run.parent.iterdir()] == ["films"]
    [record] = decisions(run)
    assert (record["event"], record["token"], record["drift"]["drifted"]) == ("skipped", 1, False)


def test_the_head_alone_learns_from_the_weights_in_production(run: Path, tmp_path: Path) -> None:
    new = write_lines(tmp_path / "new.jsonl", moved(200, seed=1))
    found = retrain(run, new, ["retrain={when: always, adapt: head}", QUICK])
    assert found.candidate is not None
    old, now = (load_file(folder / "model/model.safetensors") for folder in (run, found.candidate))
    changed = {name for name in old if (old[name] != now[name]).any()}
    assert changed and all(name.startswith(("classifier", "bert.pooler")) for name in changed)


def test_the_body_gets_used_to_the_new_texts_first(run: Path, tmp_path: Path) -> None:
    rows = moved(240, seed=1)
    new = write_lines(tmp_path / "new.jsonl", [*rows[:200], *({"text": row["text"]} for row in rows[200:])])
    found = retrain(run, new, ["retrain={when: always, adapt: domain}", QUICK])
    assert found.candidate is not None
    assert Recipe.load(found.candidate / "domain/recipe.yaml").model.path == str(run / "model")
    assert Recipe.load(found.candidate / "recipe.yaml").model.path == str(found.candidate / "domain")
    texts = (found.candidate / "texts.jsonl").read_text("utf-8")
    window = load_from_disk(str(found.candidate / "judged/window"))["text"]
    assert texts.count("\n") == 180 and not any(text in texts for text in window)
    assert all(row["text"] in texts for row in rows[200:])
    old, now = (load_file(run / name) for name in ("model/model.safetensors", "../films_r2/domain/model/model.safetensors"))
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert (old[name] != now[name]).any()


BAD: list[tuple[Any, list[str], str]] = [
    ([{**row, "label": "odd"} for row in moved(60, 1)], [], "new.jsonl: the label 'odd' is not among the 2 of the training rows"),
    ([{"text": row["text"]} for row in moved(60, 1)], [], "data.label: there is no column 'label' in the split 'train' of"),
    ([{**row, "label": None} for row in moved(60, 1)], [], "new.jsonl: no row has a label. Fill the column 'label'."),
    (moved(3, 1), [], "window: 3 rows are too few to tell drift from chance. Take 30 or more"),
    (moved(60, 1), [], "60 labelled rows that are new leave 42 to learn from and 18 to judge by, and 30 of each are needed."),
    (moved(60, 1), ["retrain.adapt=tail"], "bert.retrain.adapt: should be 'all', 'head' or 'domain', not 'tail'"),
    (moved(60, 1), ["retrain.when=schedule"], "bert.retrain: a schedule needs its interval. Write `when: schedule` and"),
    (moved(60, 1), ["retrain.cool_down=7"], "bert.retrain.cool_down: '7' is no duration. Write one such as 7d, 12h or 30m"),
    (moved(60, 1), ["retrain.budget.within=7d"], "bert.retrain.budget: names no limit. Write `retrainings`, `minutes`, or both"),
    (moved(60, 1), ["retrain.adopt=all"], "bert.retrain: unknown key 'adopt'. Did you mean 'adapt'?"),
    (moved(60, 1), ["publish={registry: none}"], "none: no release is in production yet. Write: hfrecipes promote none NAME."),
    (None, [], "there is no file or folder"),
    (moved(60, 1), ["--column", "words=text"], "--column: 'words=text' names no column of the task"),
]


@pytest.mark.parametrize(("rows", "more", "said"), BAD, ids=[said[:50] for _, _, said in BAD])
def test_what_cannot_be_used_is_refused_in_one_line(
    rows: Any, more: list[str], said: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.jsonl"
    if rows is not None:
        write_lines(new, rows)
    line = spoken(capsys, "retrain", run, new, *more, code=2)
    assert said in line and line.count("\n") == 1
    assert [each.name for each in run.parent.iterdir()] == ["films"]


def test_a_baseline_of_another_model_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hfrecipes.folder import opened, seal

    bundle = run / "bundles/cpu"
    facts = {key: entry for key, entry in opened(bundle).items() if key not in ("files", "format")}
    write_json(bundle / "baseline.json", {**read_json(bundle / "baseline.json"), "weights": "0" * 64})
    seal(bundle, facts)
    line = spoken(capsys, "retrain", run, write_lines(tmp_path / "new.jsonl", moved(120, 1)), code=2)
    assert "baseline.json: is not that of the checkpoint's weights. Fit it again: hfrecipes fit." in line


def test_old_rows_that_changed_since_are_refused(
    run: Path, served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = write_lines(tmp_path / "data/train.jsonl", reviews(360, seed=6))
    write_lines(tmp_path / "data/test.jsonl", reviews(40, seed=7))
    text = (run / "recipe.yaml").read_text("utf-8").replace(str(served.parent / "data"), str(changed.parent))
    (run / "recipe.yaml").write_text(text, "utf-8")
    line = spoken(capsys, "retrain", run, write_lines(tmp_path / "new.jsonl", moved(120, 1)), code=2)
    assert "data.fingerprint: the rows of" in line
