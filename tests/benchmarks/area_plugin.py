"""plugin: what hfrecipes costs whoever installs it: its import, its commands, its wheel, and whether pip is content."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

from tests.benchmarks.goals import Goal

ROUNDS = 7
HEAVY = "('torch', 'transformers', 'datasets', 'onnxruntime', 'optimum', 'accelerate', 'huggingface_hub')"
LOADED = f"import hfrecipes, sys; print(len([m for m in sys.modules if m in {HEAVY}]))"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
OPTIMUM = str(Path(sys.executable).with_name("optimum-cli"))


def measure() -> list[Goal]:
    """Seconds of new processes, MB and files of the wheel, and pip's own checks."""
    bare = _seconds([sys.executable, "-c", "pass"])
    imported = _seconds([sys.executable, "-c", "import hfrecipes"]) - bare
    peer = _seconds([sys.executable, "-c", "import transformers"]) - bare
    listed = _seconds([sys.executable, "-m", "hfrecipes", "list"])
    of_optimum = _seconds([OPTIMUM, "recipes", "list"]) - _seconds([OPTIMUM, "export", "--help"])
    loaded = int(_said([sys.executable, "-c", LOADED]))
    names = list(tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    extras = ["", *names, ",".join(names)]
    resolved = [extra for extra in extras if _resolves(extra)]
    missing = [extra or "none" for extra in extras if extra not in resolved]
    clean = subprocess.run([*PIP, "check"], capture_output=True, text=True, check=False)
    complaints = len((clean.stdout or "").splitlines())
    mb, lacking = _wheel()
    said = f"{len(resolved)} of {len(extras)}" + (f", not: {', '.join(missing)}" if missing else "")
    return [
        Goal("import hfrecipes, s", f"{imported:.3f} s", f"transformers {peer:.2f} s", imported, 0.1, at_least=False),
        Goal("heavy libraries that it imports", str(loaded), "-", loaded, 0, at_least=False),
        Goal("hfrecipes list, s", f"{listed:.2f} s", "-", listed, 1.0, at_least=False),
        Goal("what ours adds to optimum-cli, s", f"{of_optimum:.2f} s", "-", of_optimum, 1.0, at_least=False),
        Goal("wheel, MB", f"{mb:.2f} MB", "-", mb, 2.0, at_least=False),
        Goal("files of the packages that the wheel lacks", str(lacking), "-", lacking, 0, at_least=False),
        Goal("lines of pip check", str(complaints), "-", complaints if clean.returncode else 0, 0, at_least=False),
        Goal("extras that resolve: none, each alone, all", said, "-", len(resolved), len(extras)),
    ]


def _seconds(command: list[str]) -> float:
    """The median of new processes; the first warms the disk."""
    taken = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        _said(command)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _resolves(extra: str) -> bool:
    """Whether pip finds versions of all that extras ask for, together with everything that hfrecipes needs."""
    asked = f".[{extra}]" if extra else "."
    command = [*PIP, "install", "--dry-run", "--no-build-isolation", "--only-binary", ":all:", asked]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _wheel() -> tuple[float, int]:
    """The size of the wheel, and how many files of the packages are not in it."""
    with tempfile.TemporaryDirectory() as folder:
        _said([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, "."])
        [file] = Path(folder).glob("*.whl")
        packed = set(zipfile.ZipFile(file).namelist())
        kept = [path for top in ("hfrecipes", "optimum") for path in Path(top).rglob("*") if path.is_file()]
        return file.stat().st_size / 1e6, len(
            [path for path in kept if "__pycache__" not in path.parts and str(path) not in packed]
        )
