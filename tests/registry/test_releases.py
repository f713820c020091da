"""The registry: releases come in whole, production moves whole, and back."""

from __future__ import annotations

import json
import shutil
import stat
import time
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json, seal, sha256, verified
from hfrecipes.hub import local_folder
from hfrecipes.inference.predictor import Predictor
from hfrecipes.registry import Registry
from hfrecipes.releases import Release
from tests.registry.conftest import changed, files, production

TEXTS = ["the film was good", "the film was awful", "my old card", "a great plot"]


def test_releases_are_numbered_in_the_order_they_come_in(registry: Registry) -> None:
    found = registry.releases()
    assert [(each.name, each.current) for each in found] == [("v1", False), ("v2", False), ("v3", False)]
    assert [each.fingerprint for each in found] == [sha256(registry.folder(each.name) / "manifest.json") for each in found]
    assert registry.current() is None


def test_a_release_is_a_read_only_copy_with_the_manifests_of_its_bundles(registry: Registry, tmp_path: Path) -> None:
    folder = registry.folder("v1")
    assert folder == registry.path / "releases/v1"
    assert files(folder) == files(tmp_path / "one")
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*") if each.is_file()} == {0o444}
    assert "bundles/cpu/manifest.json" in verified(folder)["files"]
    assert files(registry.path / "releases") == sorted(f"v{n}/{name}" for n in (1, 2, 3) for name in files(folder))


def test_the_same_release_is_added_once(registry: Registry, tmp_path: Path) -> None:
    first = registry.promote("v2")
    assert registry.add(tmp_path / "two") == first == Release("v2", first.created, first.fingerprint, current=True)
    assert registry.add(registry.folder("v2")) == first
    assert [each.name for each in registry.releases()] == ["v1", "v2", "v3"]


def test_a_damaged_release_is_added_anew_and_a_number_is_never_given_twice(registry: Registry, tmp_path: Path) -> None:
    changed(registry.folder("v3") / "README.md")
    assert registry.add(tmp_path / "three").name == "v4"
    shutil.rmtree(registry.folder("v4"))
    assert [each.name for each in registry.releases()] == ["v1", "v2", "v3"]
    assert registry.add(tmp_path / "three").name == "v5"


def test_promote_and_rollback_move_production(registry: Registry) -> None:
    assert registry.promote("v1").current
    registry.promote("v2")
    assert production(registry) == ("v2", ["v1"])
    assert registry.current() == registry.releases()[1]
    assert read_json(registry.path / "production.json")["fingerprint"] == registry.releases()[1].fingerprint
    assert registry.rollback() == registry.current() == registry.releases()[0]
    assert production(registry) == ("v1", [])


def test_a_second_rollback_goes_one_further_back(registry: Registry) -> None:
    for name in ("v1", "v2", "v3"):
        registry.promote(name)
    assert [registry.rollback().name, registry.rollback().name] == ["v2", "v1"]
    registry.promote("v3")
    assert production(registry) == ("v3", ["v1"])


def test_promoting_what_is_in_production_keeps_the_history(registry: Registry) -> None:
    registry.promote("v1")
    registry.promote("v2")
    registry.promote("v2")
    assert production(registry) == ("v2", ["v1"])


def test_the_check_sees_the_release_before_production_moves(registry: Registry) -> None:
    seen: list[tuple[Path, str | None]] = []
    asked = Registry(registry.path, lambda folder: seen.append((folder, production(registry)[0])))
    asked.promote("v1")
    asked.promote("v2")
    asked.rollback()
    assert seen == [(registry.folder("v1"), ""), (registry.folder("v2"), "v1"), (registry.folder("v1"), "v2")]


def test_a_rollback_beside_a_promotion_starts_from_what_is_in_production_by_then(registry: Registry) -> None:
    registry.promote("v1")
    registry.promote("v2")
    asked: list[str] = []

    def meanwhile(folder: Path) -> None:
        asked.append(folder.name)
        if len(asked) == 1:
            registry.promote("v3")

    assert Registry(registry.path, meanwhile).rollback().name == "v2"
    assert asked == ["v1", "v2"]
    assert production(registry) == ("v2", ["v1"])


def test_a_rollback_takes_at_most_a_second(registry: Registry) -> None:
    registry.promote("v1")
    registry.promote("v2")
    cpu, wall = time.process_time(), time.perf_counter()
    registry.rollback()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert cpu <= 1, f"a rollback took {cpu:.4f} s of CPU time, {wall:.4f} s on the wall"


def test_a_predictor_opens_what_is_in_production(finished: Path, tmp_path: Path) -> None:
    bundle = finished / "bundles/cpu"
    other = shutil.copytree(bundle, tmp_path / "other")
    config = read_json(other / "config.json")
    (other / "config.json").write_text(json.dumps({**config, "id2label": {"0": "thumbs down", "1": "thumbs up"}}))
    seal(other, {key: entry for key, entry in read_json(bundle / "manifest.json").items() if key not in ("format", "files")})
    registry = Registry(tmp_path / "registry")
    for folder in (bundle, other):
        registry.add(folder)
    with pytest.raises(ModelError, match=r"no release is in production yet\. Write: hfrecipes promote"):
        Predictor.open(registry.path)
    said = []
    for move in (lambda: registry.promote("v1"), lambda: registry.promote("v2"), registry.rollback):
        move()
        said.append(repr(Predictor.open(registry.path, threads=1)(TEXTS)).encode())
    assert said[0] == said[2] == repr(Predictor.open(bundle, threads=1)(TEXTS)).encode()
    assert b"thumbs" in said[1] and b"thumbs" not in said[0]
    changed(registry.folder("v1") / "manifest.json")
    with pytest.raises(ModelError, match=r"v1: manifest\.json is not the one that was added\. Write: hfrecipes rollback"):
        local_folder(registry.path)
