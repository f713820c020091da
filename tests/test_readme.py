"""What the README says is true of the repository."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfrecipes import BertRecipe, Recipe, config
from hfrecipes.part import names
from tests.conftest import films
from tests.test_layers import LEVEL

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_commands_are_targets_of_the_makefile() -> None:
    commands = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{name}:", makefile, flags=re.MULTILINE) for name in commands)


def test_the_yaml_is_a_recipe() -> None:
    [text] = blocks("yaml")
    assert isinstance(config.build(Recipe, config.parse(text, "README.md")), BertRecipe)


def test_the_python_runs(tiny_bert: Path, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = blocks("python")
    films(tmp_path, values)
    monkeypatch.chdir(tmp_path)
    for theirs, ours in {"me/intents": "data", "google-bert/bert-base-uncased": str(tiny_bert)}.items():
        assert f'"{theirs}"' in text
        text = text.replace(f'"{theirs}"', repr(ours))
    names: dict[str, Any] = {}
    exec(compile(text, "README.md", "exec"), names)
    assert names["report"].frontier and names["predictor"]("my card has not come").label in ("negative", "positive")


def test_the_arrows_are_those_of_the_layers() -> None:
    [text] = re.findall(r"```\n(errors →.*?)```", README, flags=re.DOTALL)
    steps = [[LEVEL[name] for name in step.split()] for step in text.split("→")]
    assert len(steps) > 8
    assert all(max(below) < min(above) for below, above in itertools.pairwise(steps)), steps


def test_the_map_names_what_is_there() -> None:
    [text] = re.findall(r"```\n(hfrecipes/.*?)```", README, flags=re.DOTALL)
    mapped = [name for line in text.splitlines()[1:] for name in re.split(r"\s{2,}", line.strip())[0].split()]
    assert len(mapped) >= 15
    assert [name for name in mapped if not (ROOT / "hfrecipes" / name).exists()] == []


def test_every_recipe_opens_with_the_command_that_runs_it_and_stands_in_the_table() -> None:
    files = sorted((ROOT / "recipes").glob("*/*.yaml"))
    table = (ROOT / "recipes/README.md").read_text("utf-8")
    assert len(files) >= 2
    for file in files:
        path = str(file.relative_to(ROOT))
        opening = file.read_text("utf-8").splitlines()[:4]
        assert all(line.startswith("#") for line in opening[:2]), path
        assert any(path in line for line in opening), path
        assert path.removeprefix("recipes/") in table, path


def test_every_recipe_of_a_family_builds() -> None:
    files = [file for family in names("recipes") for file in sorted((ROOT / "recipes" / family).glob("*.yaml"))]
    assert len(files) >= 1
    for file in files:
        loaded = Recipe.load(file)
        assert config.build(Recipe, yaml.safe_load(config.to_yaml(loaded.dump()))) == loaded
