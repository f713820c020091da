"""The pages under examples/docs: links lead somewhere, and commands, recipes and parts that they name are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hfrecipes
from hfrecipes.cli import COMMANDS
from hfrecipes.part import names
from tests.benchmarks.__main__ import AREAS

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted((ROOT / "examples/docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "recipes/README.md",
    ROOT / ".github/CONTRIBUTING.md",
]
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@BY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    for target in targets:
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        headings = {
            re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in lines(file) if line[:1] == "#"
        }
        assert not anchor or anchor in headings, f"{page.name}: {target}"


def lines(file: Path) -> list[str]:
    """The lines of a page; none of a folder."""
    return file.read_text("utf-8").splitlines() if file.is_file() else []


@BY_PAGE
def test_commands_and_recipes_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    assert set(re.findall(r"(?:^|`|; |\| )hfrecipes ([a-z][a-z-]*)(?=[ `])", text, flags=re.MULTILINE)) <= {*COMMANDS}, page.name
    assert {f"area_{found}" for found in re.findall(r"make bench ONLY=(\w+)", text)} <= {*AREAS}, page.name
    for path in re.findall(r"\brecipes/[\w/]+\.yaml|\btests/[\w/]+\.py|\bhfrecipes/[\w/]+\.py", text):
        assert (ROOT / path).is_file(), f"{page.name}: {path}"


def test_the_guide_names_parts_that_there_are() -> None:
    text = (ROOT / "examples/docs/guide.md").read_text("utf-8")
    for field, kind in (("strategy", "strategies"), ("objective", "objectives"), ("tokenizer", "tokenizers")):
        named = [name for found in re.findall(rf"`{field}: ([\w| ]+)`", text) for name in found.split(" | ")]
        assert named and {*named} <= {*names(kind)}, (field, named)


def test_the_reference_is_made_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="needs pdoc: pip install pdoc")
    command = [sys.executable, "-W", "error", str(ROOT / "examples/docs/reference.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    public = (tmp_path / "hfrecipes.html").read_text("utf-8")
    assert all(f'id="{name}"' in public for name in hfrecipes.__all__)
    assert "early_stopping" in public, "a recipe's fields are its signature"
