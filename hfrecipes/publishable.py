"""Publishable: what of a sealed folder may leave this machine, and the search for what may not."""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from hfrecipes.errors import ModelError
from hfrecipes.folder import verified

TEXT = ("*.md", "*.json", "*.txt", "*.yaml", "*.jinja", "*.sig", ".gitattributes")
BINARY = ("*.safetensors", "*.onnx", "*.onnx_data", "*.onnx.data", "*.model", "*.png")
TRAINING = ("training_args.*", "trainer_state.*", "optimizer.*", "scheduler.*", "scaler.*", "rng_state*")
"""What the Trainer leaves in a checkpoint; refused whatever its type is."""
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt")
"""Files in which `/root` can be a token of the model; a path below it is refused there, too."""
PICKLED = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04")
ACCESS_TOKEN = re.compile(rb"hf_[A-Za-z0-9]{20,}")
HOMES = re.compile(rb"(?<![\w.])/(?:home|Users|root)/[\w.-]+|\b[A-Za-z]:\\{1,2}Users\\{1,2}[\w.-]+")


@dataclass(frozen=True)
class File:
    """A file that may be published: its `name` in the folder, where it is, its size in bytes, and their sha256; of a text the
    `content`, so that what is sent is what was searched."""

    name: str
    path: Path
    size: int
    sha256: str
    content: bytes | None

    @property
    def blob_id(self) -> str:
        """The git id of the content."""
        content = self.path.read_bytes() if self.content is None else self.content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def publishable(folder: Path, token: str) -> list[File]:
    """The files of a sealed folder, its manifest among them.

    Raises ModelError that names the first file that may not be published: a link, a type that is not on the list, what training
    left, a file that is not as its manifest says, or one that holds `token`, another access token, or a path of a user.
    """
    for each in sorted(folder.rglob("*")):
        if each.is_symlink():
            raise ModelError(str(each), "is a link", "Publish a folder that holds the files themselves")
    named = verified(folder)["files"]
    names = [*named, "manifest.json"]
    for name in names:
        _refuse_type(folder / name)
    hidden = re.compile(re.escape(token.encode()) + rb"|" + ACCESS_TOKEN.pattern)
    return [_searched(folder, name, named.get(name), hidden) for name in names]


def _refuse_type(file: Path) -> None:
    if any(fnmatch(file.name, pattern) for pattern in TRAINING):
        raise ModelError(str(file), "is what training left, and may not be published", "Seal the folder without it")
    if not any(fnmatch(file.name, pattern) for pattern in (*TEXT, *BINARY)):
        allowed = ", ".join((*TEXT, *BINARY))
        raise ModelError(str(file), "is of a type that may not be published", f"Seal the folder with these alone: {allowed}")


def _searched(folder: Path, name: str, facts: dict[str, object] | None, hidden: re.Pattern[bytes]) -> File:
    path = folder / name
    if any(fnmatch(path.name, pattern) for pattern in TEXT):
        content = path.read_bytes()
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
        if facts is not None and facts != {"size": size, "sha256": sha256}:
            raise ModelError(str(path), "changed while it was read", "Publish again")
        _refuse_text(folder, path, content, hidden)
        return File(name, path, size, sha256, content)
    assert facts is not None
    _refuse_binary(folder, path, hidden)
    return File(name, path, int(str(facts["size"])), str(facts["sha256"]), None)


def _refuse_text(folder: Path, path: Path, content: bytes, hidden: re.Pattern[bytes]) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise ModelError(str(path), "is not text in UTF-8", "Seal the folder without it") from None
    if found := hidden.search(content):
        raise ModelError(f"{path}:{_line(content, found)}", "holds an access token", "Take it out, and seal the folder again")
    if found := _path(folder, path, content):
        raise ModelError(f"{path}:{_line(content, found)}", _said(found), "Take it out, and seal the folder again")


def _refuse_binary(folder: Path, path: Path, hidden: re.Pattern[bytes]) -> None:
    if path.stat().st_size == 0:
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if path.suffix == ".model" and PICKLED.match(content):
            raise ModelError(str(path), "is a pickle, and may not be published", "Seal the folder without it")
        if hidden.search(content):
            raise ModelError(str(path), "holds an access token", "Take it out, and seal the folder again")
        if path.suffix == ".onnx" and (found := _path(folder, path, content)):
            raise ModelError(str(path), _said(found), "Export it again, without the places in the code that it was traced from")


def _path(folder: Path, path: Path, content: bytes | mmap.mmap) -> re.Match[bytes] | None:
    """The first path of this machine, or of a user, in a file."""
    bare = path.name not in VOCABULARIES and path.suffix != ".onnx"
    places = b"|".join(re.escape(place.encode()) for place in _places(folder, bare))
    return HOMES.search(content) or re.search(rb"(?<![\w.])(?:" + places + rb")(?![\w-])", content)


def _said(found: re.Match[bytes]) -> str:
    return f"holds a path of this machine ({found[0].decode()})"


def _places(folder: Path, bare: bool) -> Iterator[str]:
    """Paths of this machine: the folder, the one it is in (the run's), where one works, and the user's home; where `bare` also a
    home such as /root."""
    whole, home = folder.resolve(), Path.home()
    yield from (str(place) for place in (whole, whole.parent, Path.cwd(), home) if len(place.parts) > 2)
    if bare and len(home.parts) == 2:
        yield str(home)


def _line(content: bytes, found: re.Match[bytes]) -> int:
    return content.count(b"\n", 0, found.start()) + 1
