"""Packages built and installed as a user's pip does, but for the network: into a folder, without what they ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
ALONE = ["--no-deps", "--no-build-isolation", "--no-index"]
BUILT = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def write_package(source: Path, name: str, module: str, files: Mapping[str, str]) -> Path:
    """The source of a package that says by its entry point that `module` holds parts."""
    entry = f'[project.entry-points."hfrecipes.parts"]\nmine = "{module}"\n'
    wheel = f'[tool.hatch.build.targets.wheel]\npackages = ["{module.partition(".")[0]}"]\nbypass-selection = true\n'
    texts = {"pyproject.toml": f'{BUILT}[project]\nname = "{name}"\nversion = "1.0"\n{entry}{wheel}', **files}
    for place, text in texts.items():
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        (source / place).write_text(text, "utf-8")
    return source


def install(source: Path, target: Path) -> Path:
    """Install a source or a wheel into a folder."""
    subprocess.run([*PIP, "install", *ALONE, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


def call(*command: str | Path, path: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that finds what is installed in `path`."""
    environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run([*map(str, command)], env=environment, cwd=cwd, text=True, capture_output=True, check=False)
