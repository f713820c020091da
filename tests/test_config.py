"""YAML to recipe and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.config import build, dump, override, parse, read, schema, to_yaml
from hfrecipes.errors import RecipeError
from hfrecipes.part import names
from hfrecipes.recipe import Recipe

ROOT = Path(__file__).parents[1]
RECIPES = sorted(file for file in (ROOT / "recipes").rglob("*.yaml") if file.parent.name != "accelerate")


@pytest.mark.parametrize(
    ("text", "number"),
    [("5e-3", 0.005), ("1E5", 1e5), ("-2e-4", -2e-4), ("1.5e3", 1500.0), (".5e1", 5.0), ("3", 3), ("0.1", 0.1)],
)
def test_a_number_as_people_write_it_is_a_number(text: str, number: float) -> None:
    found = parse(text, "here")
    assert found == number
    assert not isinstance(found, str)


@pytest.mark.parametrize("text", ["5e", "e5", "1e5x", "v1e5", "12ab"])
def test_a_word_stays_a_word(text: str) -> None:
    assert parse(text, "here") == text


def test_a_key_twice_is_refused_at_any_depth() -> None:
    with pytest.raises(RecipeError, match=r"here line 2: is not valid YAML: the key 'b' stands twice"):
        parse("a:\n  b: 1\n  b: 2\n", "here")


def test_a_file_is_read_as_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("recipe: bert\ntrain: {learning_rate: 2e-4}\n")
    assert read(tmp_path / "x.yaml") == {"recipe": "bert", "train": {"learning_rate": 2e-4}}


OVERRIDES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"seed": 0}, "seed=1", {"seed": 1}),
    ({}, "train.learning_rate=5e-3", {"train": {"learning_rate": 0.005}}),
    ({"train": None}, "train.seed=1", {"train": {"seed": 1}}),
    ({"train": {"seed": 0, "bf16": True}}, "train.seed=1", {"train": {"seed": 1, "bf16": True}}),
    (
        {"check": ["parity", {"quality": {"max_drop": 0.1}}]},
        "check.1.quality.max_drop=0",
        {"check": ["parity", {"quality": {"max_drop": 0}}]},
    ),
    ({"check": ["parity", "quality"]}, "check.1.quality.max_drop=0", {"check": ["parity", {"quality": {"max_drop": 0}}]}),
    ({"check": ["parity"]}, "check.0=quality", {"check": ["quality"]}),
    ({"check": ["parity"]}, "check=[]", {"check": []}),
    ({"strategy": "full"}, "strategy.full.x=1", {"strategy": {"full": {"x": 1}}}),
    ({"model": "a/b"}, "model={path: c, pad_token: '[PAD]'}", {"model": {"path": "c", "pad_token": "[PAD]"}}),
    ({"model": "a/b"}, "model=x=y", {"model": "x=y"}),
    ({"model": "a/b"}, "model=", {"model": None}),
]


@pytest.mark.parametrize(("before", "change", "after"), OVERRIDES)
def test_an_override_reaches_every_field(before: dict[str, Any], change: str, after: dict[str, Any]) -> None:
    copied = json.loads(json.dumps(before))
    assert override(before, [change]) == after
    assert before == copied


def test_overrides_are_applied_in_their_order() -> None:
    assert override({}, ["a.b=1", "a.c=2", "a.b=3"]) == {"a": {"b": 3, "c": 2}}


@pytest.mark.parametrize("change", ["check.1=x", "check.first=x", "check.-1=x"])
def test_a_position_that_is_not_there_is_refused(change: str) -> None:
    with pytest.raises(RecipeError, match=r"no position in a list of 1\. Positions start at 0"):
        override({"check": ["parity"]}, [change])


def test_the_number_of_recipes_that_come_with_the_library() -> None:
    assert len(RECIPES) >= 12
    assert {parse(file.read_text("utf-8"), file.name)["recipe"] for file in RECIPES} <= set(names("recipes"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_of_the_library_builds_and_reads_back_as_the_same(file: Path) -> None:
    recipe = Recipe.load(file)
    assert build(Recipe, recipe.dump()) == recipe
    assert build(Recipe, parse(to_yaml(recipe.dump()), "again")) == recipe


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_of_the_library_opens_with_the_command_that_runs_it(file: Path) -> None:
    comment = [line for line in file.read_text("utf-8").splitlines() if line.startswith("#")]
    loaded = Recipe.load(file)
    verb = "frontier" if loaded.frontier else "vectors" if loaded.origin and not loaded.export else "run"
    assert f"hfrecipes {verb} {file.relative_to(ROOT)}" in comment[1]


def test_a_dump_leaves_out_what_is_the_default(values: dict[str, Any]) -> None:
    assert build(Recipe, values).dump() == {
        **values,
        "data": {"path": values["data"]["path"]},
        "model": {"path": values["model"]},
    }


def test_a_part_without_options_is_dumped_as_its_name(values: dict[str, Any]) -> None:
    recipe = build(Recipe, {**values, "evaluate": ["accuracy", {"f1": {"average": "micro"}}, {"f1": {"average": "macro"}}]})
    assert dump(recipe.evaluate) == ["accuracy", {"f1": {"average": "micro"}}, "f1"]


def test_the_place_of_a_mistake_is_a_path_into_the_yaml(values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as refused:
        build(Recipe, {**values, "check": ["parity", {"quality": {"max_drop": "little"}}]})
    assert refused.value.where == "bert.check.1.quality.max_drop"


def test_several_mistakes_are_counted(values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"1 more after it"):
        build(Recipe, {**values, "seed": "x", "train": 3})


def test_the_schema_describes_every_recipe_in_its_place() -> None:
    made = schema(Recipe)
    assert [leaf["properties"]["recipe"]["const"] for leaf in made["oneOf"]] == names("recipes")
    assert len(made["oneOf"]) >= 1
    assert list(_references(made)) == [], "what a part holds stands in the part"


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_the_schema_knows_each_key_and_each_part_of_the_recipes(file: Path) -> None:
    values = read(file)
    leaf = next(leaf for leaf in schema(Recipe)["oneOf"] if leaf["properties"]["recipe"]["const"] == values["recipe"])
    assert set(leaf["required"]) <= set(values) <= set(leaf["properties"])
    assert leaf["additionalProperties"] is False
    for key in ("evaluate", "export", "check"):
        taken = leaf["properties"][key]
        listed = taken if "items" in taken else taken["anyOf"][0]
        choices = listed["items"]["anyOf"][0]["enum"]
        used = [entry if isinstance(entry, str) else next(iter(entry)) for entry in values.get(key, [])]
        assert [name for name in used if name not in choices] == []


def _references(made: Any) -> Any:
    if isinstance(made, dict):
        if "$ref" in made:
            yield made["$ref"].removeprefix("#/$defs/")
        made = list(made.values())
    if isinstance(made, list):
        for entry in made:
            yield from _references(entry)


@pytest.mark.parametrize(("text", "meant"), [("no", "no"), ("yes", "yes"), ("off", "off"), ("true", True), ("False", False)])
def test_only_true_and_false_are_booleans(text: str, meant: object) -> None:
    assert parse(text, "here") == meant


@pytest.mark.parametrize("block", ["model", "data"])
def test_an_override_reaches_into_a_block_that_is_written_as_its_path(block: str) -> None:
    changed = override({"model": "me/model", "data": "me/data"}, [f"{block}.revision=v1"])
    assert changed[block] == {"path": f"me/{block}", "revision": "v1"}
    assert override({"model": "me/model"}, ["model=me/other"]) == {"model": "me/other"}
