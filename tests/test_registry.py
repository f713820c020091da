"""The registry: releases come in whole, production moves whole, whoever is killed."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json, seal, sha256, verified
from hfrecipes.hub import local_folder
from hfrecipes.inference.predictor import Predictor
from hfrecipes.registry import Registry
from hfrecipes.releases import Release

TEXTS = ["the film was good", "the film was awful", "my old card", "a great plot"]


def release(folder: Path, said: str) -> Path:
    """A sealed folder as one is released: files at its root, and a bundle with a manifest of its own."""
    (folder / "bundles/cpu/onnx").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights" * 100)
    (folder / "README.md").write_text(said)
    (folder / "bundles/cpu/onnx/model.onnx").write_bytes(said.encode() * 100)
    seal(folder / "bundles/cpu", {"target": "cpu"})
    seal(folder, {"said": said})
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with the releases v1, v2 and v3, none in production."""
    found = Registry(tmp_path / "registry")
    for said in ("one", "two", "three"):
        found.add(release(tmp_path / said, said))
    return found


def production(registry: Registry) -> tuple[str | None, list[str]]:
    """What production.json names, and its history."""
    pointer = read_json(registry.path / "production.json")
    return pointer["release"], pointer["history"]


def files(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


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


def changed(file: Path) -> None:
    """Change one bit in the middle of a file, in place."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


ALL = ("README.md", "bundles/cpu/manifest.json", "bundles/cpu/onnx/model.onnx", "manifest.json", "model.safetensors")


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


def test_the_check_sees_the_release_before_production_moves(registry: Registry) -> None:
    seen: list[tuple[Path, str | None]] = []
    asked = Registry(registry.path, lambda folder: seen.append((folder, production(registry)[0])))
    asked.promote("v1")
    asked.promote("v2")
    asked.rollback()
    assert seen == [(registry.folder("v1"), ""), (registry.folder("v2"), "v1"), (registry.folder("v1"), "v2")]


def test_what_the_check_refuses_is_not_promoted(registry: Registry) -> None:
    registry.promote("v1")

    def refuse(folder: Path) -> None:
        raise ModelError(str(folder), "answers nothing")

    with pytest.raises(ModelError, match="v2: answers nothing"):
        Registry(registry.path, refuse).promote("v2")
    assert production(registry) == ("v1", [])


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


def test_a_registry_that_cannot_be_written_says_so(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"one/README.md: cannot be written: File exists\. Give a folder where you may write\.$"):
        Registry(tmp_path / "one/README.md").add(tmp_path / "two")
    registry.promote("v1")
    before = production(registry)

    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = release(tmp_path / "four", "four")
    monkeypatch.setattr(os, "fsync", full)
    for move in (lambda: registry.promote("v2"), lambda: registry.add(source)):
        with pytest.raises(ModelError, match=r"registry: cannot be written: No space left on device"):
            move()
    monkeypatch.undo()
    assert production(registry) == before
    assert sorted(each.name for each in (registry.path / "releases").iterdir()) == ["v1", "v2", "v3"]


def test_what_is_written_is_on_the_disk_before_and_after_it_gets_its_name(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int | str] = []
    replace, rename = os.replace, os.rename

    def moving(move: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Path, target: Path) -> None:
            synced.append(Path(target).name)
            move(source, target)

        return moved

    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(os, "replace", moving(replace))
    monkeypatch.setattr(os, "rename", moving(rename))
    for move in (lambda: registry.promote("v1"), lambda: registry.promote("v2"), registry.rollback):
        synced.clear()
        move()
        pointer = (registry.path / "production.json").stat().st_ino
        assert synced == [pointer, "production.json", registry.path.stat().st_ino]
    source = release(tmp_path / "four", "four")
    synced.clear()
    registry.add(source)
    folder = registry.folder("v4")
    first, last = synced.index("production.json"), synced.index("v4")
    whole = {folder.stat().st_ino, *(each.stat().st_ino for each in folder.rglob("*"))}
    assert whole <= set(synced[:first]) and len(whole) == len(ALL) + 4
    assert first < last and synced[last + 1 :] == [folder.parent.stat().st_ino]


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


KILLING = """
import json, os, random, signal, sys, time
from functools import partial
from pathlib import Path
from hfrecipes.folder import seal, verified
from hfrecipes.pointer import Pointer, in_production
from hfrecipes.registry import Registry

assert "torch" not in sys.modules and "numpy" not in sys.modules
path, source, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
registry, dice = Registry(path), random.Random(0)

def cycle(number):
    (source / "README.md").write_text(str(number))
    seal(source, {"said": number})
    promotions = [partial(registry.promote, name) for name in ("v1", "v2", "v3")]
    steps = [partial(registry.add, source), *promotions, *promotions, *[registry.rollback] * 4]
    for step in dice.sample(steps, len(steps)):
        if step != registry.rollback or Pointer.read(path).history:
            step()

registry.promote("v1")
started = time.perf_counter()
for number in range(3):
    cycle(number)
typical = (time.perf_counter() - started) / 3
told = {"killed": 0, "in_pointer": 0, "in_copy": 0, "moved": 0, "typical_ms": round(1000 * typical, 2)}
for number in range(1000, 1000 + rounds):
    before, delay = Pointer.read(path), dice.uniform(0, typical)
    child = os.fork()
    if not child:
        dice.seed(number)
        while True:
            cycle(number)
            number += 1000
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    pointer = Pointer.read(path)
    verified(in_production(path))
    assert set(pointer.history) <= {each.name for each in registry.releases()}
    told["killed"] += 1
    told["moved"] += pointer != before
    told["in_pointer"] += any(path.glob(".production.json.*"))
    told["in_copy"] += any((path / "releases").glob(".*"))
registry.promote("v3")
for each in registry.releases():
    verified(registry.folder(each.name))
told["left"] = [str(each) for each in [*path.glob(".production.json.*"), *(path / "releases").glob(".*")]]
print(json.dumps(told))
"""


def ran(program: str, *given: object) -> str:
    """What a program prints that ends well."""
    done = subprocess.run([sys.executable, "-c", program, *map(str, given)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_hundred_kills_leave_a_release_in_production_that_verifies(registry: Registry, tmp_path: Path) -> None:
    told = json.loads(ran(KILLING, registry.path, tmp_path / "one", 100))
    assert told["killed"] == 100 and told["left"] == [], told
    assert told["moved"] >= 3 and told["in_pointer"] + told["in_copy"] >= 3, f"the kills miss what they are for: {told}"


TOGETHER = """
import os, sys
from pathlib import Path
from hfrecipes.registry import Registry

path, sources, times = Path(sys.argv[1]), sys.argv[3:], int(sys.argv[2])
children = []
for names in (("v1", "v2"), ("v3", "v4")):
    children.append(os.fork())
    if not children[-1]:
        for source in sources:
            Registry(path).add(source)
        for time in range(times):
            Registry(path).promote(names[time % 2])
        os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_two_processes_at_once_lose_no_entry_and_add_nothing_twice(registry: Registry, tmp_path: Path) -> None:
    sources = [release(tmp_path / f"more{i}", f"more {i}") for i in range(4)]
    ran(TOGETHER, registry.path, 20, *sources)
    assert [each.name for each in registry.releases()] == [f"v{n}" for n in range(1, 8)]
    release_, history = production(registry)
    assert sorted([*history, release_]) == sorted(["v1", "v2", "v3", "v4"] * 10)
    assert all(one != other for one, other in itertools.pairwise(history))
