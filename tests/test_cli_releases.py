"""The commands on releases, in a registry and on the Hub."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hfrecipes.cli import main
from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json, seal
from hfrecipes.inference import smoke
from hfrecipes.registry import Registry
from hfrecipes.releases import Release
from tests.test_cli import loaded


def spoken(capsys: pytest.CaptureFixture[str], *argv: str | Path, code: int = 0) -> list[str]:
    """The lines that a command prints: of the output, or of the error where it ends with another exit code than 0."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in argv])
    said = capsys.readouterr()
    assert stop.value.code == code, said.err
    return (said.err if code else said.out).splitlines()


@pytest.fixture
def where(finished: Path, tmp_path: Path) -> Path:
    """A registry with two releases: one is a bundle, one a checkpoint with its bundles; none is in production."""
    registry = Registry(tmp_path / "registry")
    registry.add(finished / "bundles/cpu")
    whole = shutil.copytree(finished / "model", tmp_path / "whole")
    shutil.copytree(finished / "bundles", whole / "bundles")
    seal(whole, {})
    registry.add(whole)
    return registry.path


def test_promote_rollback_and_releases(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert spoken(capsys, "promote", where, "v1") == ["production: none -> v1"]
    assert spoken(capsys, "promote", where, "v2") == ["production: v1 -> v2"]
    assert spoken(capsys, "promote", where, "v2") == ["production: v2, as before"]
    head, *rows = spoken(capsys, "releases", where)
    assert head.split() == ["name", "created", "fingerprint"]
    found = Registry(where).releases()
    assert [row.split() for row in rows] == [
        ["v1", found[0].created, found[0].fingerprint[:12]],
        ["*", "v2", found[1].created, found[1].fingerprint[:12]],
    ]
    assert len({row.index(each.created) for row, each in zip(rows, found, strict=True)}) == 1
    assert spoken(capsys, "rollback", where) == ["production: v2 -> v1"]
    [line] = spoken(capsys, "rollback", where, code=2)
    assert re.fullmatch(rf"error: {where}: has nothing to roll back to\. Promote one of: v2\.", line)


def test_a_release_that_does_not_answer_is_not_promoted(where: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(where / "releases/v1", tmp_path / "broken")
    manifest = read_json(broken / "manifest.json")
    graph = broken / manifest["graphs"][manifest["default"]]["file"]
    graph.chmod(0o644)
    graph.write_bytes(b"no graph")
    seal(broken, {key: entry for key, entry in manifest.items() if key not in ("format", "files")})
    Registry(where).add(broken)
    (tmp_path / "empty").mkdir()
    seal(tmp_path / "empty", {})
    Registry(where).add(tmp_path / "empty")
    spoken(capsys, "promote", where, "v1")
    for name in ("v3", "v4"):
        [line] = spoken(capsys, "promote", where, name, code=2)
        assert re.match(rf"error: {where}/releases/{name}: does not answer: .+\. Promote a release that does\.$", line)
    assert read_json(where / "production.json")["release"] == "v1"


def test_errors_are_one_line_and_exit_with_two(where: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert spoken(capsys, "promote", where, "v9", code=2) == [f"error: {where}: has no release 'v9'. It has: v1, v2."]
    [line] = spoken(capsys, "releases", tmp_path, code=2)
    assert line == f"error: {tmp_path}: is not a registry. Give a folder that releases were added to."
    file = where / "releases/v2/config.json"
    file.chmod(0o644)
    file.write_text(file.read_text().replace('"', "'", 1))
    [line] = spoken(capsys, "promote", where, "v2", code=2)
    assert line.startswith(f"error: {where}/releases/v2: config.json is not the file that its manifest names.")


@dataclass
class Hub:
    """Releases as a repository holds them."""

    repo: str
    check: object = None
    names: list[str] = field(default_factory=lambda: ["v1", "v2"])
    asked: list[str] = field(default_factory=list)
    now: Release | None = None

    def releases(self) -> list[Release]:
        return [Release(name, "2026-01-01T00:00:00+00:00", name * 32, name == "v2") for name in self.names]

    def current(self) -> Release | None:
        return self.now

    def promote(self, name: str) -> Release:
        self.now = replace(self.releases()[self.names.index(name)], current=True)
        return self.now

    def rollback(self) -> Release:
        raise ModelError(self.repo, "has nothing to roll back to")


def test_a_name_of_the_hub_is_a_repository_unless_there_is_such_a_folder(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hfrecipes.publishing", SimpleNamespace(HubReleases=Hub))
    monkeypatch.chdir(where.parent.parent)
    assert spoken(capsys, "promote", "me/intents", "v2") == ["production: none -> v2"]
    assert spoken(capsys, "releases", "me/intents")[2] == "* v2    2026-01-01T00:00:00+00:00  v2v2v2v2v2v2"
    asked, refused = spoken(capsys, "rollback", "me/intents", code=2)
    assert asked == "there is no folder me/intents: asking the Hub"
    assert refused == "error: me/intents: has nothing to roll back to."
    here = str(where.relative_to(Path.cwd()))
    assert here.count("/") == 1
    assert spoken(capsys, "promote", here, "v1") == ["production: none -> v1"]


def test_the_smoke_of_a_release_asks_its_bundle_else_its_checkpoint(where: Path, finished: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(finished / "model", tmp_path / "bare")
    said = [smoke.answer(folder).split("\t")[1] for folder in (where / "releases/v1", where / "releases/v2", bare)]
    assert len(said) == 3 and set(said) <= {"positive", "negative"}
    (where / "releases/v2/model.safetensors").unlink()
    assert smoke.answer(where / "releases/v2")


def test_no_command_on_a_registry_imports_torch(where: Path) -> None:
    Registry(where).promote("v1")
    for words, allowed in (
        (["releases", where], []),
        (["promote", where, "v2"], ["onnxruntime"]),
        (["rollback", where], ["onnxruntime"]),
    ):
        program = f"from hfrecipes.cli import main; main({[str(word) for word in words]!r})"
        assert loaded(program) == allowed
    assert json.loads((where / "production.json").read_text())["release"] == "v1"
