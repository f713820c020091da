"""Programs of a benchmark, each in a process of its own: nothing that one leaves behind makes the next one faster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

QUIET = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def answer(program: list[str], label: str, **environment: str) -> dict[str, Any]:
    """The JSON object that a Python program (a file, `-m` and a module, or `-c` and code, with its arguments) prints last."""
    command = [sys.executable, *program]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **QUIET, **environment})
    if done.returncode:
        sys.exit(f"{label}: exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(label, found, file=sys.stderr)
    return found
