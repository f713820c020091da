"""`optimum-cli` has our verbs, and pays nothing for them until they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.building import call

OPTIMUM = Path(sys.executable).with_name("optimum-cli")


def optimum_cli(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What optimum's own command says."""
    return call(OPTIMUM, *words)


def test_recipes_is_a_command_of_optimum() -> None:
    found = optimum_cli("recipes", "list", "losses")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("losses\n") and "\n  soft_targets " in found.stdout
    assert found.stdout == call(sys.executable, "-m", "hfrecipes", "list", "losses").stdout


def test_options_and_exit_codes_are_handed_on(tmp_path: Path) -> None:
    found = optimum_cli("export", "recipe", tmp_path / "none.yaml", "train.seed=1", "-o", tmp_path / "run")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("error: ") and "none.yaml" in found.stderr and found.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("--help",), ("export", "--help")])
def test_the_commands_are_named_in_the_help(words: tuple[str, ...]) -> None:
    assert "recipe" in optimum_cli(*words).stdout


def test_registering_imports_nothing_of_ours() -> None:
    code = (
        "import sys; from optimum.commands.optimum_cli import load_optimum_namespace_cli_commands as load; found = load();"
        "print(len([c for c in found if 'ecipe' in str(c)]), sorted(m for m in sys.modules if m.partition('.')[0] in "
        "('hfrecipes', 'torch', 'transformers', 'onnxruntime')))"
    )
    assert call(sys.executable, "-c", code).stdout == "2 []\n"
