"""Launching: one recipe in many processes, on this machine or as a job for a cluster.

The processes are started by torchrun, which counts them right on CPU, too. Each is told how many there have to be, and refuses to
run as fewer. torchrun restarts nothing: a mistake stays one. What was preempted the cluster starts again, and it goes on from its
last checkpoint.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from hfrecipes.distributed import EXPECTED
from hfrecipes.errors import UserError
from hfrecipes.value import hint

Cluster = Literal["slurm", "kubernetes"]
PORT, RESTARTS = 29500, 3


@dataclass(frozen=True)
class Launch:
    """`hfrecipes run` of a recipe in `processes` processes on each of `nodes` machines."""

    recipe: str
    overrides: tuple[str, ...] = ()
    out: str | None = None
    processes: int = 1
    nodes: int = 1
    gpus: bool = False
    name: str = ""
    image: str = "hfrecipes:latest"
    hours: int = 24

    @property
    def world(self) -> int:
        """All processes."""
        return self.processes * self.nodes

    @property
    def environment(self) -> dict[str, str]:
        """What each process is told."""
        threads = {} if self.gpus else {"OMP_NUM_THREADS": "1"}
        return {EXPECTED: str(self.world), **threads}

    def torchrun(self, *rendezvous: str) -> list[str]:
        """The arguments of Python that start the processes of one machine."""
        verb = ["-m", "hfrecipes", "run", self.recipe, *self.overrides, *(["-o", self.out] if self.out else [])]
        several = [f"--nnodes={self.nodes}", f"--nproc-per-node={self.processes}", *rendezvous]
        return ["-m", "torch.distributed.run", *several, *verb]

    def command(self) -> list[str]:
        """What starts it on this machine. Raises UserError where it is meant for several."""
        if self.nodes > 1:
            raise UserError("launch", f"{self.nodes} machines cannot be started from one", "Write --render slurm or kubernetes")
        return [sys.executable, *self.torchrun("--standalone")]

    def render(self, cluster: Cluster) -> str:
        """The job as SLURM's batch script or as a Kubernetes manifest (an indexed Job and the headless service that its pods find
        each other by)."""
        return self._slurm() if cluster == "slurm" else self._kubernetes()

    @property
    def job(self) -> str:
        """A name that SLURM and Kubernetes take."""
        words = "".join(
            letter if letter.isascii() and letter.isalnum() else "-" for letter in (self.name or Path(self.recipe).stem)
        )
        return words.lower().strip("-")[:50] or "recipe"

    def _slurm(self) -> str:
        wanted = [f"--gpus-per-node={self.processes}"] if self.gpus else [f"--cpus-per-task={self.processes}"]
        options = [
            f"--job-name={self.job}", f"--nodes={self.nodes}", "--ntasks-per-node=1", *wanted, f"--time={self.hours}:00:00",
            "--requeue", "--open-mode=append", "--signal=B:TERM@120",
        ]  # fmt: skip
        exports = [f"export {name}={shlex.quote(entry)}" for name, entry in self.environment.items()]
        rendezvous = ("--rdzv-backend=c10d", "--rdzv-id=$SLURM_JOB_ID", f"--rdzv-endpoint=$MAIN:{PORT}")
        command = " ".join(word if word.startswith("--rdzv") else shlex.quote(word) for word in self.torchrun(*rendezvous))
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in options),
            "# SIGTERM comes 120 s before the time is over: the training commits a checkpoint, and the job is queued again.",
            *exports,
            'MAIN=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            f"srun python {command} &",
            "step=$!",
            "preempted=",
            "trap 'preempted=yes; kill -TERM \"$step\"' TERM",
            'wait "$step"',
            "code=$?",
            'if [ "$preempted" ]; then wait "$step"; scontrol requeue "$SLURM_JOB_ID"; fi',
            'exit "$code"',
        ]
        return "\n".join(lines) + "\n"

    def _kubernetes(self) -> str:
        from hfrecipes.config import to_yaml

        main = f"{self.job}-0.{self.job}:{PORT}"
        rendezvous = ("--rdzv-backend=c10d", f"--rdzv-id={self.job}", f"--rdzv-endpoint={main}")
        amount = {"nvidia.com/gpu": str(self.processes)} if self.gpus else {"cpu": str(self.processes)}
        container = {
            "name": "recipe",
            "image": self.image,
            "command": ["python", *self.torchrun(*rendezvous)],
            "env": [{"name": name, "value": entry} for name, entry in self.environment.items()],
            "resources": {"limits": amount},
            "volumeMounts": [{"name": "runs", "mountPath": "/workspace/runs"}],
        }
        pod = {
            "subdomain": self.job,
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": 120,
            "containers": [container],
            "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}],
        }
        spec = {"completions": self.nodes, "parallelism": self.nodes, "completionMode": "Indexed", "backoffLimit": RESTARTS}
        labels = {"app": self.job}
        headless = {"clusterIP": "None", "selector": labels}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": self.job}, "spec": headless}
        job = {
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": self.job},
            "spec": {**spec, "template": {"metadata": {"labels": labels}, "spec": pod}},
        }  # fmt: skip
        return "\n---\n".join(to_yaml(json.loads(json.dumps(part))).rstrip() for part in (service, job)) + "\n"


def launch(recipe: str, overrides: Sequence[str] = (), **options: Any) -> Launch:
    """A launch of a recipe. Raises UserError for fewer than one process or machine."""
    made = Launch(recipe, tuple(overrides), **options)
    for name in ("processes", "nodes", "hours"):
        if getattr(made, name) < 1:
            raise UserError(f"--{name}", f"is {getattr(made, name)}", "Write 1 or more")
    return made


def check_cluster(name: str) -> Cluster:
    """The cluster of that name. Raises UserError with those that there are."""
    if name not in get_args(Cluster):
        raise UserError("--render", f"unknown '{name}'", hint(name, get_args(Cluster)))
    return cast("Cluster", name)


def check_world(environment: Mapping[str, str]) -> None:
    """Refuse to run as another number of processes than was asked for. Raises UserError."""
    expected, found = environment.get(EXPECTED), environment.get("WORLD_SIZE", "1")
    if expected is not None and expected != found:
        what = f"{found} process{'es' * (found != '1')} came up where {expected} were asked for"
        raise UserError("launch", what, f"Start it with torchrun --nproc-per-node, or take {EXPECTED} out of the environment")
