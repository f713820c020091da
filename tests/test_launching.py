"""Launches: processes here, and jobs for clusters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from hfrecipes.cli import main
from hfrecipes.distributed import check_gpus
from hfrecipes.errors import UserError
from hfrecipes.launching import launch
from hfrecipes.report import Report

ROOT = Path(__file__).parents[1]


def test_two_processes_come_up_here(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    recipe = recipe_file(train={"num_train_epochs": 1, "per_device_train_batch_size": 4, "bf16": False}, check=[])
    done = launched(recipe, tmp_path / "run")
    assert done.returncode == 0 and "2 processes" in done.stderr, done.stderr
    assert Report.load(tmp_path / "run").values["processes"] == 2


def test_a_mistake_is_not_tried_again(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    done = launched(recipe_file(data={"path": str(tmp_path / "nowhere")}), tmp_path / "run")
    assert done.returncode != 0 and done.stderr.count("error: data.path: there is no file or folder ") == 1, done.stderr


def launched(recipe: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """A recipe in two processes of this machine."""
    command = [sys.executable, "-m", "hfrecipes", "launch", str(recipe), "-n", "2", "-o", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_fewer_processes_than_asked_for_are_refused(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hfrecipes", "fit", str(recipe_file()), "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HFRECIPES_PROCESSES": "2"}, check=False)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: launch: 1 process came up where 2 were asked for. Start it with torchrun")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("gpus", "on_cpu", "refused"), [(1, "", True), (1, "true", False), (0, "", False), (2, "", False), (3, "", False)]
)
def test_processes_without_a_gpu_each_are_refused(gpus: int, on_cpu: str, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_CPU", on_cpu)
    said = "launch: 2 processes share 1 GPU, and each needs one of its own. Start 1, or write CUDA_VISIBLE_DEVICES= before it"
    with pytest.raises(UserError, match=said) if refused else nullcontext():
        check_gpus(gpus)


def test_a_job_for_slurm_is_a_script_that_names_its_processes(tmp_path: Path) -> None:
    script = launch("my recipe.yaml", ["train.seed=1"], processes=8, nodes=4, gpus=True, hours=12).render("slurm")
    file = tmp_path / "job.sh"
    file.write_text(script, "utf-8")
    assert subprocess.run(["bash", "-n", str(file)], check=False).returncode == 0
    assert "#SBATCH --nodes=4\n" in script and "#SBATCH --gpus-per-node=8\n" in script and "#SBATCH --time=12:00:00\n" in script
    assert "export HFRECIPES_PROCESSES=32\n" in script and "--nnodes=4 --nproc-per-node=8" in script
    assert "'my recipe.yaml' train.seed=1" in script and "--rdzv-endpoint=$MAIN:29500" in script
    assert "#SBATCH --job-name=my-recipe\n" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(("code", "signalled", "requeued"), [(0, False, False), (1, False, False), (1, True, True)])
def test_what_was_preempted_is_queued_again_and_what_failed_is_not(
    code: int, signalled: bool, requeued: bool, tmp_path: Path
) -> None:
    """With stand-ins of SLURM's commands on the path."""
    tools = {
        "scontrol": 'if [ "$1" = requeue ]; then echo "$2" > requeued; else echo node0; fi',
        "srun": f"trap 'exit {code}' TERM; echo \"$@\" > started; for i in $(seq 100); do sleep 0.1; "
        f"[ {int(signalled)} = 0 ] && exit {code}; done",
    }
    for name, body in tools.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(launch("recipe.yaml", processes=2).render("slurm"), "utf-8")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node0"}
    with subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=environment) as job:
        while signalled and not (tmp_path / "started").exists():
            assert job.poll() is None
        if signalled:
            job.terminate()
        job.wait()
    assert (tmp_path / "requeued").exists() is requeued
    assert "--rdzv-endpoint=node0:29500" in (tmp_path / "started").read_text()
    if not signalled:
        assert job.returncode == code


def test_a_job_for_kubernetes_finds_its_pods_by_a_service() -> None:
    service, job = yaml.safe_load_all(launch("a.yaml", processes=2, nodes=3, gpus=True, image="me/x:1").render("kubernetes"))
    assert service["spec"] == {"clusterIP": "None", "selector": {"app": "a"}} and job["kind"] == "Job"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 3 and job["spec"]["completionMode"] == "Indexed"
    pod = job["spec"]["template"]
    assert pod["metadata"]["labels"] == service["spec"]["selector"] and pod["spec"]["subdomain"] == service["metadata"]["name"]
    [container] = pod["spec"]["containers"]
    assert container["image"] == "me/x:1" and container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert {"name": "HFRECIPES_PROCESSES", "value": "6"} in container["env"]
    assert "--rdzv-endpoint=a-0.a:29500" in container["command"] and "--nnodes=3" in container["command"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--render", "slrum"], "--render: unknown 'slrum'. Did you mean 'slurm'? One of: slurm, kubernetes."),
        (["-n", "0"], "--processes: is 0. Write 1 or more."),
        (["--nodes", "2"], "launch: 2 machines cannot be started from one. Write --render slurm or kubernetes."),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str], said: str, recipe_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["launch", str(recipe_file()), *argv])
    [line] = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and line.startswith(f"error: {said}")


@pytest.mark.parametrize("file", sorted((ROOT / "recipes/accelerate").glob("*.yaml")), ids=lambda file: file.stem)
def test_accelerate_reads_every_configuration(file: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(file))
    assert found.num_processes == 2
