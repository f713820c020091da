"""fit, ship and run: what is skipped, what goes on after a kill, what two processes give, and what a refusal leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import BertRecipe, Data, Report, fit, verbs
from hfrecipes.config import build
from hfrecipes.errors import CheckFailed
from hfrecipes.folder import Run, read_json
from hfrecipes.recipe import Recipe
from tests.test_embedding_rows import widened

STAGES = ["prepare", "train", "calibrate", "evaluate", "export", "measure", "check"]
KILLED = """
import os, signal, sys
import matplotlib.pyplot, onnxruntime, torch, transformers.exporters, transformers.trainer  # once, for all that are forked
torch.set_num_threads(1)
import hfrecipes.stages as stages
from hfrecipes.cli import main
record = stages._record

def killed(name, moment):
    def recorded(stage, *rest):
        if stage == name and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        record(stage, *rest)
        if stage == name:
            os.kill(os.getpid(), signal.SIGKILL)
    stages._record = recorded
    main(sys.argv[2:])

for each in sys.argv[1].split():
    if not (child := os.fork()):
        killed(*each.split(":"))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("killed", each, os.waitstatus_to_exitcode(status), flush=True)
"""


def figures(run: Path) -> list[dict[str, Any]]:
    """The candidates of a report without what depends on the clock."""
    clock = {"p50_ms", "p95_ms", "sentences_per_s"}
    return [{key: entry for key, entry in c.items() if key not in clock} for c in Report.load(run).values["candidates"]]


def test_a_run_reports_every_candidate_as_measured(finished: Path) -> None:
    report = Report.load(finished)
    assert [candidate.name for candidate in report.frontier] == ["pytorch", "cpu/fp32", "cpu/int8"]
    assert report.passed
    assert report.frontier[1].scores == report.frontier[0].scores
    assert report.scores["accuracy"] > 0.9
    for name in ("report.md", "loss.png", "confusion.png", "frontier.png"):
        assert (finished / name).stat().st_size > 0


def test_a_second_run_skips_every_stage(finished: Path, values: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "hfrecipes")
    before = {name: read_json(finished / f"stages/{name}.json") for name in STAGES}
    verbs.run(build(Recipe, values), finished)
    assert caplog.text.count("nothing has changed, skipped") == len(STAGES)
    assert before == {name: read_json(finished / f"stages/{name}.json") for name in STAGES}


def test_killed_after_each_stage_a_run_ends_with_the_same_figures(
    finished: Path, recipe_file: Callable[..., Path], tmp_path: Path
) -> None:
    arguments = ["run", str(recipe_file(export=[{"cpu": {"quantize": "static"}}])), "-o", str(tmp_path / "run")]
    moments = ["prepare:after", "train:before", *(f"{name}:after" for name in STAGES[1:])]
    done = subprocess.run([sys.executable, "-c", KILLED, " ".join(moments), *arguments], capture_output=True, text=True)
    killed = [line for line in done.stdout.splitlines() if line.startswith("killed ")]
    assert killed == [f"killed {moment} {-signal.SIGKILL}" for moment in moments], done.stderr
    done = subprocess.run([sys.executable, "-m", "hfrecipes", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("skipped") == len(STAGES)
    assert figures(tmp_path / "run") == figures(finished)


@pytest.mark.parametrize("taught", [False, True])
def test_two_processes_give_the_loss_and_the_metric_of_one(
    taught: bool, values: dict[str, Any], recipe_file: Callable[..., Path], finished: Path, tmp_path: Path
) -> None:
    path = values["model"] if taught else str(widened(Path(values["model"]), tmp_path / "wide"))
    model = {"path": path, "config": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    train = {**values["train"], "logging_steps": 1}
    objective = {"distill": {"teacher": str(finished), "losses": ["soft_targets"]}} if taught else "supervised"
    recipe = str(recipe_file(model=model, train=train, objective=objective))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HFRECIPES_FEATURES": str(tmp_path / "features")}
    alone = [sys.executable, "-m", "hfrecipes", "fit", recipe, "-o", str(tmp_path / "one")]
    both = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hfrecipes", "fit", recipe),
        *("train.per_device_train_batch_size=4", "-o", str(tmp_path / "two")),
    ]
    for command in (alone, both):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        assert ("embedding_rows" in done.stderr) is not taught
    assert "2 processes" in done.stderr
    curves = [[h["loss"] for h in read_json(tmp_path / name / "model/history.json") if "loss" in h] for name in ("one", "two")]
    assert len(curves[0]) == len(curves[1]) == 33
    assert curves[1] == pytest.approx(curves[0], abs=1e-3)
    one, two = Report.load(tmp_path / "one"), Report.load(tmp_path / "two")
    assert two.scores["accuracy"] == pytest.approx(one.scores["accuracy"], abs=0.01)
    assert (one.values["processes"], two.values["processes"]) == (1, 2)
    files = [sorted(str(f.relative_to(tmp_path / name)) for f in (tmp_path / name).rglob("*")) for name in ("one", "two")]
    assert files[0] == files[1]


def test_a_failed_check_leaves_the_report_and_is_judged_again_without_training(
    values: dict[str, Any], finished: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    strict = build(Recipe, {**values, "check": [{"size": {"max_mb": 0.001}}]})
    with pytest.raises(CheckFailed, match=r"not released\. size: .* MB"):
        verbs.run(strict, run)
    report = Report.load(run)
    assert not report.passed
    assert "**failed**" in (run / "report.md").read_text("utf-8")
    assert verbs.run(build(Recipe, values), run).passed


def test_a_recipe_made_in_python_is_the_one_of_the_yaml(values: dict[str, Any]) -> None:
    made = BertRecipe(
        task="text-classification",
        data=Data(values["data"]["path"]),
        model=values["model"],
        train=values["train"],
        export=["cpu"],
        check=["parity", {"quality": {"max_drop": 0.1}}],
    )
    assert made == build(Recipe, values)


def test_the_run_folder_holds_a_recipe_that_repeats_it(finished: Path) -> None:
    again = Recipe.load(Run.open(finished).recipe_file)
    assert again.data.fingerprint == json.loads((finished / "data/facts.json").read_text())["fingerprint"]
    assert again.task.name == "text-classification"


def test_rows_that_changed_are_refused_by_the_recipe_of_a_run(finished: Path, tmp_path: Path) -> None:
    recipe = Recipe.load(finished / "recipe.yaml", ["data.max_samples=40"])
    with pytest.raises(Exception, match="are not those of the recipe"):
        fit(recipe, tmp_path / "other")


def test_a_run_keeps_the_adapter_beside_the_merged_model(values: dict[str, Any], tmp_path: Path) -> None:
    from safetensors import safe_open

    run = verbs.fit(build(Recipe, {**values, "strategy": {"lora": {"keep_adapter": True}}}), tmp_path)
    with (
        safe_open(run.model / "model.safetensors", "pt") as merged,
        safe_open(run.model / "adapter/adapter_model.safetensors", "pt") as adapter,
    ):
        assert not any("lora" in name for name in merged.keys())  # noqa: SIM118
        assert any("lora" in name for name in adapter.keys())  # noqa: SIM118
