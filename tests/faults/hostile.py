"""Folders of models that somebody made to do harm: each is a sound one with one thing changed.

`Place.pwned` is there once code of a folder was run, `Place.secret` is a file outside that none may read.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfrecipes.folder import seal


@dataclass(frozen=True)
class Place:
    """A folder that is to be spoilt, with what lies outside of it."""

    folder: Path
    outside: Path

    @property
    def secret(self) -> Path:
        return self.outside / "secret.safetensors"

    @property
    def pwned(self) -> Path:
        return self.outside / "pwned"


Poison = Callable[[Place], None]


@dataclass(frozen=True)
class Case:
    """What is done to a folder of a `kind`: a `checkpoint`, a `bundle`, a `release` or a `run`. `sealed`: its manifest is written
    anew behind it, as somebody would who wants to get through."""

    kind: str
    poison: Poison
    sealed: bool = True

    def spoil(self, place: Place) -> None:
        """Do it."""
        self.poison(place)
        manifest = place.folder / "manifest.json"
        if self.sealed and manifest.is_file() and not manifest.is_symlink():
            facts = json.loads(manifest.read_text("utf-8"))
            seal(place.folder, {key: entry for key, entry in facts.items() if key not in ("format", "files")})


class Bomb:
    """A pickle that makes a folder when it is read."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.place,)


def bomb(name: str, place: Place) -> None:
    """A pickle under a name, of the shape that readers of such files look for."""
    file, held = place.folder / name, pickle.dumps({"weight": Bomb(place.pwned)})
    if file.suffix == ".npy":
        np.save(file, np.array([Bomb(place.pwned)], dtype=object), allow_pickle=True)
    elif file.suffix == ".npz":
        np.savez(file, weight=np.array([Bomb(place.pwned)], dtype=object))
    elif name in ("pytorch_model.bin", "optimizer.pt", "program.pt2"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", held)
            archive.writestr("archive/version", "3\n")
    else:
        file.write_bytes(held)


def code(place: Place) -> Path:
    """A Python file in the folder that makes a folder when it is run."""
    file = place.folder / "evil.py"
    file.write_text(f"import os\nos.mkdir({str(place.pwned)!r})\n", "utf-8")
    return file


def edit(name: str, change: Callable[[dict[str, Any], Place], object], place: Place) -> None:
    """Change the values in a JSON file of the folder."""
    file = place.folder / name
    values = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    change(values, place)
    file.write_text(json.dumps(values), "utf-8")


def entry(name: str, key: str, made: Callable[[Place], Any], place: Place) -> None:
    """Set an entry of a JSON file."""
    edit(name, lambda values, there: values.update({key: made(there)}), place)


def remote(name: str, key: str, value: Any, place: Place) -> None:
    """An entry that asks for code, with the code beside it under a name that guards of endings let through."""
    (code(place)).rename(place.folder / "evil.txt")
    entry(name, key, lambda _: value, place)


def part(name: str, where: Callable[[dict[str, Any], str], object], place: Place) -> None:
    """A JSON file that names a Python file, which lies outside, as a part of ours."""
    file = code(place).rename(place.outside / "evil.py")
    edit(name, lambda values, _: where(values, str(file)), place)


def shards(target: Callable[[Place], str], place: Place) -> None:
    """An index that says that the weights lie elsewhere."""
    (place.folder / "model.safetensors").rename(place.folder / "other.safetensors")
    index = {"metadata": {}, "weight_map": {"bert.pooler.dense.bias": target(place)}}
    (place.folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def header(make: Callable[[dict[str, Any]], object], place: Place) -> None:
    """Change what the header of the weights says."""
    file = place.folder / "model.safetensors"
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    values = json.loads(content[8 : 8 + length])
    make({name: held for name, held in values.items() if name != "__metadata__"})
    said = json.dumps(values).encode()
    file.write_bytes(struct.pack("<Q", len(said)) + said + content[8 + length :])


def first(change: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """Change the entry of the first weight."""
    return lambda values: next(iter(values.values())).update(change)


def long_header(length: int, place: Place) -> None:
    """Weights that say that their header has so many bytes."""
    file = place.folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])


def weights(number: float, place: Place) -> None:
    """A number that is none in the weights."""
    from safetensors.numpy import load_file, save_file

    file = place.folder / "model.safetensors"
    held = load_file(file)
    name = sorted(held)[-1]
    held[name] = np.full_like(held[name], number)
    save_file(held, file, {"format": "pt"})


def graph(change: Callable[[Any, Place], object], place: Place) -> None:
    """Change the graph that a bundle serves."""
    import onnx

    for file in (place.folder / "onnx").glob("*.onnx"):
        model: Any = onnx.load(str(file), load_external_data=False)
        change(model.graph, place)
        file.write_bytes(model.SerializeToString())


def external(location: Callable[[Place], str], held: Any, place: Place) -> None:
    """Say that a tensor lies in a file."""
    del held.external_data[:]
    held.ClearField("raw_data")
    held.data_location = 1
    held.external_data.add(key="location", value=location(place))


def in_a_constant(made: Any, place: Place) -> None:
    """Data outside in an attribute of a node, not among the weights."""
    node = made.node.add(op_type="Constant", output=["unused"], name="unused")
    node.attribute.add(name="value", type=4).t.CopyFrom(made.initializer[0])
    external(outside, node.attribute[0].t, place)


def padded(place: Place) -> None:
    """Data outside, with the length of the key written in more bytes than it needs."""
    graph(lambda made, there: external(outside, made.initializer[0], there), place)
    for file in (place.folder / "onnx").glob("*.onnx"):
        content = file.read_bytes()
        file.write_bytes(content.replace(b"\x0a\x08location", b"\x0a\x88\x00location"))


def outside(place: Place) -> str:
    """The secret, as a path up from the folder."""
    return f"../{place.outside.name}/{place.secret.name}"


def absolute(place: Place) -> str:
    """The secret as an absolute path."""
    return str(place.secret)


def link(name: str, target: Callable[[Place], str | Path], place: Place) -> None:
    """A symbolic link in the place of a file."""
    (place.folder / name).unlink(missing_ok=True)
    (place.folder / name).symlink_to(target(place))


def hard_link(name: str, place: Place) -> None:
    """A second name of a file outside."""
    (place.folder / name).unlink()
    os.link(place.secret, place.folder / name)


def fifo(name: str, place: Place) -> None:
    """A pipe in the place of a file: who reads it waits for ever."""
    (place.folder / name).unlink()
    os.mkfifo(place.folder / name)


def listening(place: Place) -> None:
    """A socket in the place of a file."""
    held, before = socket.socket(socket.AF_UNIX), Path.cwd()
    os.chdir(place.folder)  # a name of a socket has a hundred bytes at most
    try:
        held.bind("notes.txt")
    finally:
        os.chdir(before)
        held.close()


def slip(name: str, place: Place) -> None:
    """An archive with a name that leaves the folder in which it is unpacked."""
    content = b"import os"
    if name.endswith(".zip"):
        with zipfile.ZipFile(place.folder / name, "w") as zipped:
            zipped.writestr("../outside/pwned", content)
        return
    with tarfile.open(place.folder / name, "w:gz" if name.endswith("gz") else "w") as tarred:
        facts = tarfile.TarInfo("../outside/pwned")
        facts.size = len(content)
        tarred.addfile(facts, io.BytesIO(content))


def text(name: str, content: Callable[[Place], str], place: Place) -> None:
    """Other text in a file."""
    (place.folder / name).write_text(content(place), "utf-8")


def sparse(name: str, size: int, place: Place) -> None:
    """A file of a size that no such file has."""
    with (place.folder / name).open("ab") as stream:
        stream.truncate(size)


def tokenizer(change: Callable[[dict[str, Any]], object], place: Place) -> None:
    """Change the tokenizer."""
    edit("tokenizer.json", lambda values, _: change(values), place)


def spelled(place: Place) -> None:
    """An expression that takes for ever, with the key that names it written in escapes."""
    tokenizer(splits(r"(\w+\s?)+$"), place)
    file = place.folder / "tokenizer.json"
    file.write_text(file.read_text("utf-8").replace('"Regex"', '"\\u0052egex"'), "utf-8")


def splits(expression: str) -> Callable[[dict[str, Any]], object]:
    """A tokenizer that splits texts by an expression."""
    made = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    return lambda values: values.update(pre_tokenizer=made)


def replaces(expression: str) -> Callable[[dict[str, Any]], object]:
    """A tokenizer that replaces what an expression finds."""
    made = {"type": "Replace", "pattern": {"Regex": expression}, "content": "x"}
    return lambda values: values.update(normalizer=made)


def crowded(place: Place) -> None:
    """More files than any model has."""
    for number in range(10_050):
        (place.folder / f"{number}.txt").touch()


def deep_folders(place: Place) -> None:
    """Folders in folders."""
    (place.folder / "/".join(["a"] * 40)).mkdir(parents=True)


DEEP = '{"a":' * 5000 + "1" + "}" * 5000
TWICE = '{"model_type": "bert", "model_type": "gpt2"}'
LAUGHS = "a0: &a0 [1, 1]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(12))
RESHAPED = {"model_type": "reshaped", "base_model_type": "bert"}
"""What says in a configuration that a model has shapes of its own, and perhaps a head."""
