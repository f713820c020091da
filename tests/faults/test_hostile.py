"""A folder that was made to do harm is refused in one line: nothing of it is run, and nothing outside of it is read."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.errors import UserError
from tests.faults.hostile import Place
from tests.faults.hostile_cases import CASES
from tests.faults.trainings import ALL, forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="links, pipes and limits are those of Linux")
SECONDS, BYTES = 2.0, 200e6
CALLS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.", "ctypes.dlopen", "pickle.find_class")
"""What no folder makes anybody do."""
TEXT = "the film was good"
CHOSEN = [name for number, name in enumerate(CASES) if ALL or number % 3 == 0]


@dataclass
class Watched:
    """What happens in a process, by its audit hook, as far as it has to do with a place."""

    place: Place
    seen: list[str] = field(default_factory=list)

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(given[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(given[0]))
            if Path(path).is_relative_to(self.place.outside):
                self.seen.append(f"open {path}")
        elif event in ("exec", "compile"):
            source = given[0].co_filename if event == "exec" else given[1]
            if Path(os.path.realpath(os.fsdecode(source or ""))).is_relative_to(self.place.outside.parent):
                self.seen.append(f"{event} {source}")
        elif event.startswith(CALLS):
            self.seen.append(f"{event} {given!r:.80}")


def train(folder: Path) -> None:
    """Load a checkpoint as a training does."""
    from hfrecipes.family import Family
    from hfrecipes.models import Model, load_config, load_model, load_tokenizer
    from hfrecipes.recipes.bert import BertRecipe

    model, family = Model(path=str(folder)), BertRecipe.family
    assert isinstance(family, Family)
    load_tokenizer(model, family)
    load_model(model, "text-classification", load_config(model))


def answer(graph: str | None) -> Callable[[Path], object]:
    """Answer a text with what is in a folder."""
    from hfrecipes.inference.predictor import Predictor

    return lambda folder: Predictor.open(folder, graph)(TEXT)


def serve(folder: Path) -> object:
    """Open a folder as the service does."""
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.serving.served import Served

    return Served.open(folder, Predictor.open)


def watch(folder: Path) -> object:
    """Open the monitor of a folder."""
    from hfrecipes.monitor import Monitor

    return Monitor.from_pretrained(folder, window=30)


def check(folder: Path) -> object:
    """Verify a release."""
    from hfrecipes.verification import verify

    return verify(folder)


def read(folder: Path) -> object:
    """Read the recipe in a folder, with a change."""
    from hfrecipes.recipe import Recipe

    return Recipe.load(folder / "recipe.yaml", ["seed=1"]).dump()


OPENERS: dict[str, dict[str, Callable[[Path], object]]] = {
    "checkpoint": {"train": train, "predict": answer("pytorch")},
    "answering": {"predict": answer("pytorch")},
    "bundle": {"predict": answer(None), "serve": serve},
    "watched": {"watch": watch},
    "release": {"verify": check, "predict": answer(None), "serve": serve},
    "run": {"verify": check, "predict": answer(None), "serve": serve},
    "recipe": {"load": read},
}
"""How people open what."""


@pytest.fixture(scope="module")
def sound(shown: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind that nothing is wrong with."""
    from hfrecipes.folder import Run
    from hfrecipes.release import assemble

    release = tmp_path_factory.mktemp("sound") / "release"
    assemble(Run(shown), release)
    for name in ("serving.served", "monitor", "verification", "reshaping"):  # what is imported here is not in the seconds below
        __import__(f"hfrecipes.{name}")
    train(shown / "model")
    return {
        **dict.fromkeys(("checkpoint", "answering"), shown / "model"),
        **dict.fromkeys(("bundle", "watched"), shown / "bundles/cpu"),
        **dict.fromkeys(("run", "recipe"), shown),
        "release": release,
    }


def opened(kind: str, place: Place, log: Path) -> dict[str, Any]:
    """What comes of opening a folder in each way, in a process of its own."""
    report = log.with_suffix(".json")

    def work() -> None:
        said: dict[str, Any] = {}
        signal.alarm(120)
        watched = Watched(place)
        before = resource.getrusage(resource.RUSAGE_SELF)
        sys.addaudithook(watched)
        for name, opener in OPENERS[kind].items():
            started = time.process_time()
            try:
                opener(place.folder)
                words = None
            except UserError as error:
                words = str(error)
            said[name] = {"words": words, "seconds": time.process_time() - started}
        bytes_ = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss) * 1024
        report.write_text(json.dumps({"said": said, "bytes": bytes_, "seen": watched.seen}), "utf-8")

    assert forked(work, log) == 0, log.read_text("utf-8")
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return found


def copied(sound: Path, root: Path) -> Place:
    """A copy of a folder beside an outside with a secret, whose time of access is long ago."""
    place = Place(root / "folder", root / "outside")
    shutil.copytree(sound, place.folder)
    place.outside.mkdir()
    shutil.copyfile((sound / "model.safetensors") if (sound / "model.safetensors").exists() else __file__, place.secret)
    os.utime(place.secret, (0, place.secret.stat().st_mtime))
    return place


@pytest.mark.parametrize("kind", OPENERS)
def test_a_sound_folder_is_opened(kind: str, sound: dict[str, Path], tmp_path: Path) -> None:
    found = opened(kind, copied(sound[kind], tmp_path), tmp_path / "log")
    assert {name: each["words"] for name, each in found["said"].items()} == dict.fromkeys(OPENERS[kind])
    assert found["seen"] == []


@pytest.mark.parametrize("name", CHOSEN)
def test_a_hostile_folder_is_refused(name: str, sound: dict[str, Path], tmp_path: Path) -> None:
    case = CASES[name]
    place = copied(sound[case.kind], tmp_path)
    case.spoil(place)
    os.utime(place.secret, (0, place.secret.stat().st_mtime))
    found = opened(case.kind, place, tmp_path / "log")
    for opener, each in found["said"].items():
        assert each["words"] is not None, f"{opener} did not refuse it"
        assert "\n" not in each["words"] and each["words"].count(". ") >= 1, each["words"]
        assert each["seconds"] < SECONDS
    assert found["bytes"] < BYTES
    assert found["seen"] == []
    assert not place.pwned.exists()
    assert place.secret.stat().st_atime == 0, "a file outside was read"


def test_a_file_that_is_read_is_seen_to_be_read(tmp_path: Path) -> None:
    """What the tests above would not see on a disk without times of access."""
    file = tmp_path / "file"
    file.write_bytes(b"1")
    os.utime(file, (0, file.stat().st_mtime))
    file.read_bytes()
    if file.stat().st_atime == 0:
        pytest.skip("this disk keeps no times of access")


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
