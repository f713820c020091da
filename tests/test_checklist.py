"""The checklist: a run that shows every item is published, and for each item a planted defect is refused with its reason."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfrecipes import Predictor, bootstrap, verbs
from hfrecipes.checks import CHECKLIST
from hfrecipes.errors import CheckFailed, ModelError, UserError
from hfrecipes.folder import Run, read_json, write_json
from hfrecipes.perturbations import PERTURBATIONS, Perturbation
from hfrecipes.registry import Registry
from hfrecipes.report import Report
from hfrecipes.verification import verify
from tests.conftest import BAD, LIMITS

Defect = Callable[[Path], None]


@pytest.fixture
def ship_again(shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Ships a copy of the run with a defect in it, and one check alone, or with other options."""
    monkeypatch.setattr(bootstrap, "DRAWS", 50)

    def ship(plant: Defect, check: str, options: dict[str, Any] | None = None, **waive: str) -> None:
        run = Path(shutil.copytree(shown, tmp_path / "run"))
        recipe = yaml.safe_load((run / "recipe.yaml").read_text())
        named = {next(iter(c)) if isinstance(c, dict) else c: c for c in recipe["check"]}
        recipe["check"] = [{check: options} if options else named[check]]
        (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        plant(run)
        settle(run)
        (run / "stages/check.json").unlink()
        verbs.ship(Run(run), waive)

    return ship


def settle(run: Path) -> None:
    """Make the records of the stages say that the files are those that they wrote: as if the defect came with the stage."""
    for file in (run / "stages").glob("*.json"):
        record = read_json(file)
        there = [name for name in record.get("files", {}) if (run / name).is_file()]
        write_json(file, {**record, "files": {name: (run / name).stat().st_size for name in there}})


def rewrite(run: Path, file: str, change: Callable[[Any], Any]) -> None:
    """Change the values of a JSON file of a run."""
    values = read_json(run / file)
    write_json(run / file, change(values) or values)


def test_all_ten_items_pass_and_the_release_is_in_the_registry(shown: Path) -> None:
    verdicts = {verdict["check"]: verdict for verdict in read_json(shown / "checks.json")}
    assert tuple(verdicts) == CHECKLIST
    assert [name for name, verdict in verdicts.items() if not verdict["passed"]] == []
    assert {file.stem for file in (shown / "evidence").glob("*.json")} == set(CHECKLIST)
    [release] = Registry(shown.parent / "registry").releases()
    assert release.name == "v1"


def leak(run: Path) -> None:
    data = Path(yaml.safe_load((run / "recipe.yaml").read_text())["data"]["path"])
    seen = json.loads((data / "train.jsonl").read_text().splitlines()[0])
    rewrite(run, "answers/rows.json", lambda rows: [{**seen, "text": f" {seen['text'].upper()}  "}, *rows[1:]])


def unstable(run: Path) -> None:
    rewrite(run, "folds.json", lambda found: found["sd"].update(accuracy=0.3))


def bad_slice(run: Path) -> None:
    file = "measured/cpu-int8.json"
    rows = read_json(run / "answers/rows.json")

    def change(found: Any) -> None:
        short = sorted(range(len(rows)), key=lambda i: len(rows[i]["text"]))[: len(rows) // 3]
        for i in short:
            found["predictions"]["served"][i] = "negative" if rows[i]["label"] == "positive" else "positive"

    rewrite(run, file, change)


def slower(run: Path) -> None:
    rewrite(run, "measured/cpu-int8.json", lambda found: found["facts"].update(p95_ms=1000.5))


def over_confident(run: Path) -> None:
    def change(found: Any) -> None:
        found["claims"] = [[0.9999, i % 2 == 0] for i, _ in enumerate(found["claims"])]

    rewrite(run, "measured/cpu-int8.json", change)


def swapped_labels(run: Path) -> None:
    for file in ("model/config.json", "bundles/cpu/config.json"):
        rewrite(run, file, lambda found: found["id2label"].update({"0": "positive", "1": "negative"}))
    rewrite(
        run,
        "bundles/cpu/manifest.json",
        lambda found: found["files"]["config.json"].update(size=(run / "bundles/cpu/config.json").stat().st_size),
    )


def missing_tokenizer(run: Path) -> None:
    (run / "model/tokenizer_config.json").unlink()


def other_baseline(run: Path) -> None:
    rewrite(run, "model/baseline.json", lambda found: found.update(weights="0" * 64))


def no_limits(run: Path) -> None:
    file = run / "README.md"
    file.write_text(file.read_text().replace(LIMITS, ""))
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["card"].pop("limits")
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def worse_model(run: Path) -> None:
    registry = Path(yaml.safe_load((run / "recipe.yaml").read_text())["publish"]["registry"])
    own = Path(shutil.copytree(registry, run.parent / "registry"))
    Registry(own).promote("v1")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["publish"]["registry"] = str(own)
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    rewrite(run, "measured/cpu-int8.json", lambda found: found["predictions"].update(served=["negative"] * 40))


DEFECTS: dict[str, tuple[Defect, str]] = {
    "held_out": (leak, "of 40 test texts 1 stand among the texts of training (at most 0)"),
    "cross_validation": (unstable, "± 0.3000 over 2 folds (at most ±"),
    "slices": (bad_slice, "worst slice: short texts, 0.0000"),
    "budget": (slower, "p95 1000.50 ms (at most 1000.0)"),
    "uncertainty": (over_confident, "calibration error 0.4999 (at most 0.2)"),
    "preprocessing": (swapped_labels, "label 0 is called 'positive' and was 'negative' in the training rows"),
    "monitoring": (other_baseline, "baseline.json is not that of the checkpoint's weights"),
    "failure_modes": (no_limits, "the limits of the model are described in 0 words (at least 5)"),
    "rollback": (worse_model, "of v1, which loads: -"),
}


def turned_round(text: str, _: Any) -> str:
    """The opposite of a text."""
    return "the film was good" if any(word in text.split() for word in BAD) else "the film was bad"


def test_answers_that_change_with_a_greeting_are_refused(
    ship_again: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PERTURBATIONS, "greeting", Perturbation(turned_round, same=True))
    with pytest.raises(CheckFailed, match=r"edge_cases: .*greeting changes \d+% of the answers \(at most 5% may change\)"):
        ship_again(lambda run: None, "edge_cases", {"rows": 10, "max_changed": 0.05})


@pytest.mark.parametrize("item", DEFECTS)
def test_a_planted_defect_is_refused_with_its_reason(item: str, ship_again: Callable[..., None]) -> None:
    plant, reason = DEFECTS[item]
    with pytest.raises(CheckFailed) as refused:
        ship_again(plant, item)
    assert str(refused.value).startswith(f"not released. {item}: ") and reason in str(refused.value)


def test_an_answer_that_nobody_expected_is_refused(ship_again: Callable[..., None], tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(yaml.safe_dump([{"text": "the film was good", "expected": "negative"}]))
    with pytest.raises(CheckFailed, match=r"edge_cases: '\{'text': 'the film was good'\}' gave positive"):
        ship_again(lambda run: None, "edge_cases", {"rows": 3, "max_changed": 1.0, "file": str(cases)})


def test_a_missing_tokenizer_file_is_refused(ship_again: Callable[..., None]) -> None:
    with pytest.raises(
        CheckFailed, match=r"preprocessing: the checkpoint has no tokenizer_config\.json; cpu/tokenizer_config\.json is not that"
    ):
        ship_again(missing_tokenizer, "preprocessing")


def test_a_waived_defect_is_shipped_with_the_reason_in_card_and_checklist(
    ship_again: Callable[..., None], tmp_path: Path
) -> None:
    with pytest.raises(CheckFailed, match=r"not published: the checklist does not show held_out, cross_validation"):
        ship_again(slower, "budget", budget="the customer waits gladly")
    run = tmp_path / "run"
    [item] = read_json(run / "checklist.json")["items"]
    assert (item["passed"], item["waived"]) == (False, "the customer waits gladly")
    assert "| budget | waived: the customer waits gladly |" in (run / "README.md").read_text()
    assert "| rollback | not shown |" in (run / "README.md").read_text()


@pytest.mark.parametrize(
    ("waive", "said"),
    [
        ({"bugdet": "x"}, "there is no check 'bugdet' in this recipe. Did you mean 'budget'?"),
        ({"budget": " "}, "without a reason"),
    ],
)
def test_a_waiver_of_nothing_or_without_a_reason_is_refused_before_any_work(
    waive: dict[str, str], said: str, shown: Path
) -> None:
    with pytest.raises(UserError) as refused:
        verbs.ship(Run(shown), waive)
    assert said in str(refused.value)


def test_a_release_verifies_loads_and_answers_as_the_run(shown: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = Registry(shown.parent / "registry").folder("v1")
    assert verify(folder)["complete"] and verify(shown)["passed"]
    texts = [row["text"] for row in read_json(shown / "answers/rows.json")]
    assert Predictor.open(folder)(texts) == Predictor.open(shown)(texts)
    assert Predictor.open(folder, "pytorch")(texts) == Predictor.open(shown, "pytorch")(texts)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert AutoTokenizer.from_pretrained(folder)("good").input_ids


def test_nothing_of_this_machine_or_of_the_rows_is_in_a_release(shown: Path) -> None:
    folder = Registry(shown.parent / "registry").folder("v1")
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert not [name for name in names if "training_args" in name or "texts" in name or name.endswith((".bin", ".pt", ".pkl"))]
    told = b"".join((folder / name).read_bytes() for name in names if name.endswith((".json", ".md")))
    assert str(shown.parent).encode() not in told
    texts = [row["text"] for row in read_json(shown / "answers/rows.json")]
    assert not [text for text in texts if text.encode() in told]


def test_the_figure_that_decides_goes_to_the_leaderboard(shown: Path) -> None:
    from huggingface_hub import parse_eval_result_entries

    folder = Registry(shown.parent / "registry").folder("v1")
    [entry] = parse_eval_result_entries(yaml.safe_load((folder / ".eval_results/films.yaml").read_text()))
    assert (entry.dataset_id, entry.task_id) == ("me/films", "default")
    assert entry.value == pytest.approx(Report.load(shown).scores["accuracy"], abs=1e-6)


SPOILS: dict[str, tuple[str, str]] = {
    "weights": ("model.safetensors", "model.safetensors is not the file that its manifest names"),
    "a bundle": ("bundles/cpu/onnx/model.onnx", "is not the file that its manifest names"),
    "a tokenizer": ("bundles/cpu/tokenizer.json", "bundles/cpu/tokenizer.json is not the file that its manifest names"),
    "evidence": ("evidence/budget.json", "evidence/budget.json is not the file that its manifest names"),
}


@pytest.mark.parametrize("what", SPOILS)
def test_a_changed_byte_is_found(what: str, shown: Path, tmp_path: Path) -> None:
    file, said = SPOILS[what]
    folder = Path(shutil.copytree(Registry(shown.parent / "registry").folder("v1"), tmp_path / "release"))
    place = folder / file
    place.chmod(0o644)
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    with pytest.raises(ModelError) as refused:
        verify(folder)
    assert said in str(refused.value)


def test_evidence_of_a_run_that_was_judged_and_then_changed_is_found(shown: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shown, tmp_path / "run"))
    rewrite(run, "evidence/budget.json", lambda found: found.update(hardware={}))
    with pytest.raises(ModelError, match="the evidence of budget is not what was judged"):
        verify(run)


def test_other_answers_than_at_the_release_are_found(shown: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shown, tmp_path / "run"))
    rewrite(run, "smoke.json", lambda found: found.update(answers=["x", *found["answers"][1:]]))
    with pytest.raises(ModelError, match=r"does not answer the texts of smoke\.json as it did"):
        verify(run)


def test_the_code_in_the_card_runs(shown: Path) -> None:
    folder = Registry(shown.parent / "registry").folder("v1")
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    told: list[dict[str, Any]] = [{} for _ in blocks]
    for code, names in zip(blocks, told, strict=True):
        exec(code.replace("path/of/the/release", str(folder)), names)
    assert told[0]["model"].config.label2id == {"negative": 0, "positive": 1}
    assert told[1]["outputs"][0].shape == (1, 2)
    assert told[2]["predictor"].config["id2label"]["0"] == "negative"
