"""What is damaged, was changed or is no registry is refused, and left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.folder import sha256
from hfrecipes.registry import Registry
from tests.registry.conftest import ALL, changed, files, production, release


@pytest.mark.parametrize("name", ALL)
def test_one_changed_byte_is_refused_by_its_name(registry: Registry, name: str) -> None:
    assert files(registry.folder("v1")) == sorted(ALL)
    registry.promote("v1")
    registry.promote("v2")
    changed(registry.folder("v1") / name)
    for move in (registry.rollback, lambda: registry.promote("v1")):
        with pytest.raises(ModelError, match=rf"releases/v1: {name} is not .*\. Add it again, or promote another release\.$"):
            move()
    assert production(registry) == ("v2", ["v1"])
    assert registry.promote("v3").name == "v3"


def test_a_file_that_is_gone_or_was_put_in_is_refused_by_its_name(registry: Registry) -> None:
    (registry.folder("v1") / "README.md").unlink()
    with pytest.raises(ModelError, match=r"v1: README.md is not the file that its manifest names"):
        registry.promote("v1")
    (registry.folder("v2") / "bundles/extra.txt").touch()
    with pytest.raises(ModelError, match=r"v2: bundles/extra.txt is not in its manifest"):
        registry.promote("v2")
    (registry.folder("v3") / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"v3: manifest.json is not the one that was added"):
        registry.promote("v3")
    assert production(registry) == ("", [])


def test_what_the_check_refuses_is_not_promoted(registry: Registry) -> None:
    registry.promote("v1")

    def refuse(folder: Path) -> None:
        raise ModelError(str(folder), "answers nothing")

    with pytest.raises(ModelError, match="v2: answers nothing"):
        Registry(registry.path, refuse).promote("v2")
    assert production(registry) == ("v1", [])


def test_a_check_is_not_asked_about_files_that_changed(registry: Registry) -> None:
    changed(registry.folder("v1") / "README.md")
    with pytest.raises(ModelError, match=r"README\.md is not"):
        Registry(registry.path, lambda folder: pytest.fail("was asked")).promote("v1")


@pytest.mark.parametrize("said", ["promote", "rollback", "releases", "current", "folder"])
def test_a_folder_that_is_no_registry_is_refused_and_left_alone(said: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "thesis.txt"):
        found = Registry(path)
        calls: dict[str, Callable[[], object]] = {
            "promote": lambda found=found: found.promote("v1"),
            "rollback": found.rollback,
            "releases": found.releases,
            "current": found.current,
            "folder": lambda found=found: found.folder("v1"),
        }
        with pytest.raises(ModelError, match=rf"^{path}: is not a registry\. Give a folder that releases were added to\.$"):
            calls[said]()
    assert files(tmp_path) == ["thesis.txt"]


def test_what_cannot_be_done_is_said_in_one_line(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no release 'v9'\. It has: v1, v2, v3\.$"):
        registry.promote("v9")
    with pytest.raises(ModelError, match=r"has no release '\.\./one'\. It has: v1, v2, v3\.$"):
        registry.promote("../one")
    registry.promote("v2")
    with pytest.raises(ModelError, match=r"has nothing to roll back to\. Promote one of: v1, v3\.$"):
        registry.rollback()
    (tmp_path / "bare").mkdir()
    with pytest.raises(ModelError, match=r"bare: has no manifest\.json"):
        registry.add(tmp_path / "bare")
    for content in ("", "[]", '{"files": 3}', '{"files": {"a": {}}}', "{}"):
        (tmp_path / "bare/manifest.json").write_text(content)
        (tmp_path / "bare/a").touch()
        with pytest.raises(ModelError, match=r"bare: manifest\.json is not the manifest of a sealed folder"):
            registry.add(tmp_path / "bare")
    with pytest.raises(ModelError, match=r"thesis: is neither empty nor a registry\. Give another folder\.$"):
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis/a.txt").touch()
        Registry(tmp_path / "thesis").add(tmp_path / "one")
    assert [each.name for each in registry.releases()] == ["v1", "v2", "v3"]


@pytest.mark.parametrize("content", ["", "{}", '{"release": "../v1", "history": [], "releases": {}}', "[1]"])
def test_a_pointer_that_no_registry_wrote_is_refused(registry: Registry, content: str) -> None:
    (registry.path / "production.json").write_text(content)
    with pytest.raises(ModelError, match=r"production\.json is not one that a registry wrote"):
        registry.promote("v1")
    assert (registry.path / "production.json").read_text() == content


def test_a_folder_that_was_changed_after_its_seal_is_not_added(registry: Registry, tmp_path: Path) -> None:
    source = release(tmp_path / "four", "four")
    changed(source / "model.safetensors")
    with pytest.raises(ModelError, match=r"four: model\.safetensors is not the file that its manifest names"):
        registry.add(source)
    names = {"../one/README.md": {"size": 3, "sha256": sha256(tmp_path / "one/README.md")}}
    (source / "manifest.json").write_text(json.dumps({"files": names}))
    with pytest.raises(ModelError, match=r"four: \.\./one/README\.md is not the file"):
        registry.add(source)
    assert len(registry.releases()) == 3
