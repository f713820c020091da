"""The examples run: parts of one's own in one file each, named by path. `test_numbered_examples.py` has the others."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes import Predictor, Recipe, Report, fit
from hfrecipes.config import build
from hfrecipes.tasks._source_target import Generated
from tests.conftest import sentiment, write_lines

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = {"learning_rate": 5e-3, "num_train_epochs": 1, "per_device_train_batch_size": 8, "bf16": False}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a copy of the examples."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HFRECIPES_FEATURES", str(tmp_path / "store"))
    return tmp_path


def test_a_task_of_ones_own(here: Path, tiny_t5: Path) -> None:
    write_lines(here / "data/train.jsonl", [{"source": r["text"], "target": r["text"].split()[3]} for r in sentiment(48)])
    task = {"examples/own_task.py": {"capitals": True, "max_length": 48, "max_target_length": 8}}
    recipe = {"recipe": "t5", "task": task, "data": {"path": "data"}, "model": str(tiny_t5), "train": QUICK}
    run = fit(build(Recipe, recipe), "run")
    assert set(Report.load(run.path).values["figures"]) == {"rougeL", "exact_match"}
    predictor = Predictor.open(run.path, "pytorch")
    assert predictor.task.name == "examples/own_task.py"
    assert predictor.task.prediction(Generated("film"), predictor.config) == "FILM"
    assert str(here) not in (run.path / "recipe.yaml").read_text("utf-8").replace(str(tiny_t5), "")


def test_a_family_and_a_metric_of_ones_own(here: Path, values: dict[str, Any]) -> None:
    changed = {"recipe": "examples/own_family.py", "evaluate": ["accuracy", "examples/own_metric.py"], "train": QUICK}
    recipe = build(Recipe, {**values, **changed})
    assert (recipe.name, recipe.seed, recipe.family.name) == ("examples/own_family.py", 1, "electra")
    run = fit(recipe, "run")
    assert set(Report.load(run.path).scores) == {"accuracy", "coverage"}
    assert Recipe.load(run.recipe_file).seed == 1


def test_a_strategy_of_ones_own(here: Path, values: dict[str, Any]) -> None:
    recipe = build(Recipe, {**values, "strategy": "examples/03_own_strategy.py", "train": QUICK})
    assert recipe.strategy.name == "examples/03_own_strategy.py"
    run = fit(recipe, "run")
    listed = json.loads((run.model / "rates.json").read_text())
    trained = {name for group in listed for name in group["parameters"]}
    assert any("LayerNorm" in name for name in trained)
    assert not any("query" in name for name in trained)


def test_a_loss_of_ones_own(here: Path, values: dict[str, Any], finished: Path) -> None:
    losses = [{"examples/own_loss.py": {"least": 0.51}}]
    distill = {"teacher": str(finished), "labels": 0.0, "losses": losses}
    recipe = build(Recipe, {**values, "objective": {"distill": distill}})
    [loss] = recipe.objective.losses  # type: ignore[attr-defined]
    assert (loss.name, loss.least) == ("examples/own_loss.py", 0.51)
    sure = torch.tensor([[3.0, 0.0], [0.01, 0.0]])
    missed = loss(torch.tensor([[0.0, 0.0], [0.0, 9.0]]), sure, torch.ones(2, 1))
    torch.testing.assert_close(missed, torch.tensor([math.log(2), 0.0]))
    assert Report.load(fit(recipe, "run").path).scores["accuracy"] > 0.9


def test_a_trainer_of_ones_own(here: Path, tiny_bert: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    from transformers import AutoModelForSequenceClassification
    from transformers.models.bert.modeling_bert import BertLayer

    ran: list[int] = []
    forward = BertLayer.forward
    monkeypatch.setattr(BertLayer, "forward", lambda *given, **named: (ran.append(1), forward(*given, **named))[1])
    runpy.run_path("examples/02_strategy_in_a_trainer.py")["main"](str(tiny_bert), str(finished / "model"), "out")
    without_a_store = 2 + 2 * 3 * 4  # both blocks for the teacher's one batch, and in 3 epochs of 4 steps
    assert len(ran) < without_a_store
    before = AutoModelForSequenceClassification.from_pretrained(tiny_bert).state_dict()
    after = AutoModelForSequenceClassification.from_pretrained("out").state_dict()
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert any("layer.1" in name for name in changed)
    assert not any("embeddings" in name for name in changed), "unfreezing has not come so far down"
    assert list((here / "store").rglob("*")), "what frozen blocks made is kept"
