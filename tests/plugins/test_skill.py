"""The skill for coding agents: its commands run, in their order, and what its table says can be built."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
import yaml

import hfrecipes
from hfrecipes import Recipe
from hfrecipes.cli import main
from tests.conftest import sentiment

SKILL = (Path(hfrecipes.__file__).parent / "skills/hfrecipes/SKILL.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```\n(.*?)```", SKILL, flags=re.DOTALL) for line in block.splitlines()]


def test_it_opens_as_agents_read_it() -> None:
    told = yaml.safe_load(SKILL.split("---")[1])
    assert told["name"] == "hfrecipes" and 40 < len(told["description"]) < 1024
    assert len(SKILL.splitlines()) < 80


def test_its_commands_run(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("data.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(sentiment(64))
    assert len(COMMANDS) == 13
    for command in COMMANDS:
        program, *words = shlex.split(command.replace("MODEL", str(tiny_bert)))
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert (program, stop.value.code) == ("hfrecipes", 0), (command, capsys.readouterr().err)


def test_what_its_table_says_can_be_built(tiny_bert: Path, tiny_data: Path, tmp_path: Path) -> None:
    rows = [row.split("|")[2] for row in SKILL.splitlines() if row.startswith("| ")][2:]
    written = [code for row in rows for code in re.findall(r"`([^`]+: [^`]+)`", row) if "mine.py" not in code]
    assert len(written) == 7
    base = f"recipe: bert\ntask: text-classification\ndata: {{path: {tiny_data}}}\n"
    for code in written:
        file = tmp_path / "recipe.yaml"
        model = "" if code.startswith("model") else f"model: {tiny_bert}\n"
        file.write_text(f"{base}{model}{code.replace('MODEL', str(tiny_bert))}\n", "utf-8")
        assert Recipe.load(file).name == "bert"
