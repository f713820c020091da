"""A recipe or a data set with a mistake in it is one line that says where and what instead, however strange the mistake is."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hfrecipes import verbs
from hfrecipes.cli import main
from hfrecipes.errors import UserError
from hfrecipes.recipe import Recipe
from tests.faults import malformed as m
from tests.faults.trainings import ALL

SECONDS = 2.0
DRAWN = settings(
    max_examples=350 if ALL else 15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
SMALL = {"recipe": "bert", "task": "text-classification", "data": {"path": ""}, "model": "", "train": {"bf16": False}}


@dataclass
class Asked:
    """Recipes that are shown, and prepared where nothing was said against them; `refused` counts those that were not."""

    root: Path
    recipe: dict[str, Any]
    small: dict[str, Any]
    tried: int = 0
    refused: int = 0

    def new(self) -> Path:
        """A folder of its own."""
        self.tried += 1
        return self.root / str(self.tried)

    def __call__(self, content: bytes) -> str:
        """What is said against a recipe; nothing where it is sound. Whatever else is raised is a fault."""
        folder = self.new()
        file, started, words = m.write(folder, "recipe.yaml", content), time.process_time(), io.StringIO()
        with contextlib.redirect_stderr(words), contextlib.redirect_stdout(io.StringIO()):
            with pytest.raises(SystemExit) as stop:
                main(["show", str(file)])
            if not stop.value.code:
                try:
                    verbs.begin(Recipe.load(file), folder / "run")
                    return ""
                except UserError as error:
                    print(f"error: {error}", file=words)
            else:
                assert stop.value.code == 2, words.getvalue()
        [line] = [line for line in words.getvalue().splitlines() if line.startswith("error: ")]
        assert words.getvalue().endswith(f"{line}\n") and "Traceback" not in words.getvalue()
        assert ": " in line.removeprefix("error: ") and ". " in line, f"no way out: {line}"
        assert time.process_time() - started < SECONDS
        self.refused += 1
        return line


@pytest.fixture(scope="module")
def asked(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """What asks, with sound recipes to spoil; each was tried once, so that what is imported then is in no time below."""
    root = tmp_path_factory.mktemp("malformed")
    rows = m.write(root / "rows", "rows.jsonl", m.as_lines(m.ROWS))
    recipe, small = copy.deepcopy(m.RECIPE), copy.deepcopy(SMALL)
    recipe["data"]["path"] = small["data"]["path"] = str(rows)
    recipe["model"]["path"] = small["model"] = str(tiny_bert)
    made = Asked(root, recipe, small)
    assert not made(m.as_yaml(recipe).encode())
    assert not made(m.as_yaml(small).encode())
    return made


@contextlib.contextmanager
def counted(asked: Asked, least: float) -> Iterator[None]:
    """Check at the end that so many of those that were tried were refused: a mistake can be none."""
    tried, refused = asked.tried, asked.refused
    yield
    assert asked.refused - refused >= least * (asked.tried - tried) > 0


def test_values_of_a_recipe(asked: Asked) -> None:
    @DRAWN
    @given(m.recipes(asked.recipe))
    def one(values: Any) -> None:
        asked(m.as_yaml(values).encode())

    with counted(asked, 0.5):
        one()


def test_the_text_of_a_recipe(asked: Asked) -> None:
    @DRAWN
    @given(m.texts(m.as_yaml(asked.recipe).encode()))
    def one(content: bytes) -> None:
        asked(content)

    with counted(asked, 0.5):
        one()


def files() -> st.SearchStrategy[tuple[str, bytes]]:
    """Files of rows in each format, by their endings."""
    lines, table = m.as_lines(m.ROWS), m.as_csv(m.ROWS)
    spoilt = {".jsonl": lines, ".json": lines, ".parquet": lines, ".csv": table, ".tsv": table, ".txt": table}
    return st.one_of(
        m.rows().map(lambda found: (".jsonl", m.as_lines(found))),
        m.rows().map(lambda found: (".csv", m.as_csv(found))),
        *(m.texts(whole).map(lambda content, ending=ending: (ending, content)) for ending, whole in spoilt.items()),
    )


def test_rows(asked: Asked) -> None:
    @DRAWN
    @given(files())
    def one(file: tuple[str, bytes]) -> None:
        place = m.write(asked.new(), f"rows{file[0]}", file[1])
        asked(m.as_yaml({**asked.small, "data": {"path": str(place)}}).encode())

    with counted(asked, 0.3):
        one()


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "null"])
def test_what_is_no_file_of_rows(kind: str, asked: Asked) -> None:
    place = asked.new() / "rows.jsonl"
    place.parent.mkdir(parents=True)
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/null" if kind == "null" else place)
    assert "data.path" in asked(m.as_yaml({**asked.small, "data": {"path": str(place)}}).encode())


STRANGE = [
    ("text-classification", [None, *m.ROWS], "is null"),
    ("token-classification", [{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["a"], "tags": 0}], "a row holds no list"),
    ("token-classification", [{"tokens": [1], "tags": ["O"]}] * 4, "where a text should be"),
    ("fill-mask", [{"text": ""}] * 4, "have nothing to learn from"),
]
"""Rows that once ended the process, or were an error of Python's."""


@pytest.mark.parametrize(("task", "rows", "word"), STRANGE)
def test_rows_of_other_tasks(task: str, rows: list[Any], word: str, asked: Asked) -> None:
    place = m.write(asked.new(), "rows.jsonl", m.as_lines(rows))
    assert word in asked(m.as_yaml({**asked.small, "task": task, "data": {"path": str(place)}}).encode())
