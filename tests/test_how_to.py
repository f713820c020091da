"""The page of what one wants first: its recipes build, and its commands are given what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hfrecipes import Recipe
from hfrecipes.errors import RecipeError
from hfrecipes.stages.check import foreseen

PAGE = (Path(__file__).parent.parent / "examples/docs/how_to.md").read_text("utf-8")
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^hfrecipes .+$", PAGE, flags=re.MULTILINE)]
WITH_A_RECIPE = [words for words in COMMANDS if words[1] in ("doctor", "frontier", "run", "show")]


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder with the recipes of the page."""
    found = re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(found) == PAGE.count("```yaml") == 4
    for name, text in found:
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize("words", WITH_A_RECIPE, ids=" ".join)
def test_a_command_reads_a_recipe_of_the_page(words: list[str], recipes: Path) -> None:
    changes = words[3 : words.index("-o")] if "-o" in words else words[3:]
    assert Recipe.load(recipes / words[2], changes).name == "bert"


def test_each_recipe_has_a_command_and_a_change_that_is_none_is_refused(recipes: Path) -> None:
    assert {words[2] for words in WITH_A_RECIPE} == {file.name for file in recipes.iterdir()}
    with pytest.raises(RecipeError, match="unknown strategy 'lorra'"):
        Recipe.load(recipes / "intents.yaml", ["strategy=lorra"])


def test_runs_and_places_are_those_that_the_recipes_make(recipes: Path) -> None:
    made = {f"runs/{file.stem}" for file in recipes.iterdir()} | {words[-1] for words in COMMANDS if "-o" in words}
    named = {word for words in COMMANDS for word in words if word.startswith("runs/")}
    assert len(named) >= 4 and named <= made
    place = Recipe.load(recipes / "release.yaml").publish
    assert place is not None and place.private
    assert {words[2] for words in COMMANDS if words[1] in ("promote", "releases", "rollback", "verify")} == {place.repo}


def test_the_recipe_of_a_release_is_refused_for_nothing_that_it_says_itself(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "w" * 34)
    (tmp_path / "tickets").mkdir()
    for split in ("train", "test"):
        (tmp_path / f"tickets/{split}.csv").write_text("question,intent\nwhere is it,lost\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert foreseen(Recipe.load(recipes / "release.yaml")) == []
    lacking = foreseen(Recipe.load(recipes / "release.yaml", ["publish=null", "validate=null"]))
    assert [line.partition(":")[0] for line in lacking] == ["cross_validation", "rollback"]
