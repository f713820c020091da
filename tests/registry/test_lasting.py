"""Whoever is killed, and whoever else writes: a release that verifies is in production."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.registry import Registry
from tests.registry.conftest import ALL, production, release


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
