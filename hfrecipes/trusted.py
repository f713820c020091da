"""Trusted: a folder of a model is looked at once before anything in it is read by a library.

What gets through holds regular files alone, of types that hold no code, none of them a link to elsewhere or larger than its kind
can be; no JSON names code or a file outside; no graph has data outside; and no expression of a tokenizer can take for ever. It
takes milliseconds: of weights the length of the header is read, of graphs the names of files.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import stat
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from hfrecipes.errors import ModelError
from hfrecipes.patterns import is_bounded

KNOWN = (
    *("*.json", "*.safetensors", "*.onnx", "*.onnx_data", "*.onnx.data", "*.txt", "*.model", "*.md", "*.png", "*.yaml"),
    *("*.jinja", "*.sig", "*.jpg", "*.svg", ".gitattributes", ".gitignore", "LICENSE*", "NOTICE*"),
)
"""Files that a folder of a model may hold: none of them is code, nor becomes code when it is read."""
CODE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib", "*.npy", "*.npz", "*.py", "*.so", "*.pt2", "*.dill")
UNREAD = (".git", ".cache")
"""Folders that are never looked into."""
FILES, DEPTH = 10_000, 8
VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "*.model")
NAMED = (
    *(
        "config.json",
        "*_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "task.json",
        "manifest.json",
        "bundle.json",
    ),
    *("index.json", "*.index.json", "export.json", "production.json", "smoke.json", "uncertainty.json", "modules.json"),
)
"""JSON that decides what is read; it is read here first."""
OBJECTS = ("config.json", "tokenizer_config.json", "task.json", "manifest.json", "index.json", "*.index.json")
LARGEST = ((VOCABULARIES, 64 << 20), (NAMED, 8 << 20), (("*.json", "*.yaml", "*.txt", "*.jinja", "*.sig", "*.md"), 64 << 20))
HEADER = 8 << 20
LAYER, LAYERS, NUMBER = re.compile(r"layers?$"), 1_000, 1 << 40
"""How many layers a model can have, and how large other numbers of its configuration can be."""
REMOTE = ("auto_map", "custom_pipelines", "custom_generate")
KERNELS = re.compile(r"^_?(?:attn|experts)_implementation$")
PLACES = re.compile(r"(?:^|_)(?:files?|paths?|weight_map|default|targets|init_inputs|transformers_weights)$")
STALE = re.compile(r"name_or_path$|^special_tokens_map_file$")
"""Places that are written into every checkpoint, and read by nothing."""
EXPRESSION = re.compile(
    rb'"(?:R|\\u0052)(?:e|\\u0065)(?:g|\\u0067)(?:e|\\u0065)(?:x|\\u0078)"\s*:\s*("(?:[^"\\]|\\.)*")', re.IGNORECASE
)
Fields = dict[int, "Fields"]
TENSOR: Fields = {9: {}}
GRAPH: Fields = {5: TENSOR}
NODE: Fields = {5: {5: TENSOR, 6: GRAPH}}
GRAPH[1] = NODE
MODEL: Fields = {7: GRAPH}
"""The fields of ONNX that lead to the bytes of weights: from ModelProto.graph through GraphProto.initializer, or through
GraphProto.node, NodeProto.attribute and AttributeProto.t or .g (a branch is a graph, too), to TensorProto.raw_data."""
FEW = 1024
"""Bytes of a node that hold no weights worth looking for."""
FIXED = {1: 8, 5: 4}
"""Bytes of the other values of protobuf, by kind; there are no more kinds in ONNX."""
PICKLED = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04|\x1f\x8b|BZh")
ELSEWHERE = "names a file outside of the folder"
TAKE_OUT = "Take it out, or give a folder that you trust"


def trusted(folder: Path) -> Path:
    """The folder, where nothing in it can do harm when it is read: of a run the checkpoint and the bundles. Raises ModelError for
    the first thing that can."""
    root = folder.resolve()
    parts = [root / "model", root / "trained", root / "bundles"] if (root / "recipe.yaml").is_file() else [root]
    for part in parts:
        if part.is_symlink():
            raise ModelError(str(part), "is a link", TAKE_OUT)
        if part.is_dir():
            for number, file in enumerate(_files(part)):
                if number > FILES:
                    raise ModelError(str(part), f"holds more than {FILES} files", "Give the folder of the model alone")
                _look(file, root)
    for file in root.glob("*.json") if parts[0] != root else ():
        trusted_file(file)
    return folder


def trusted_file(file: Path) -> Path:
    """The JSON file, where it is a regular one in its folder and no larger than can be read."""
    _regular(file, file.parent.resolve())
    _look_at_size(file)
    if _of(file.name, NAMED):
        _look_at_json(file)
    return file


def inside(name: str) -> bool:
    """Whether a name in a manifest is that of a file in its folder, or below it."""
    every = (PurePosixPath(name), PureWindowsPath(name))
    return not any(path.is_absolute() or path.anchor or ".." in path.parts for path in every) and not name.startswith("~")


def _files(folder: Path, depth: int = 0) -> Iterator[Path]:
    if depth > DEPTH:
        raise ModelError(str(folder), f"lies more than {DEPTH} folders deep", TAKE_OUT)
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in UNREAD:
                yield from _files(Path(entry.path), depth + 1)
        else:
            yield Path(entry.path)


def _look(file: Path, root: Path) -> None:
    """Refuse a file that can do harm."""
    if not _of(file.name, KNOWN):
        if _blobs(root):  # other programs fetched it into the cache of the Hub; nothing here reads it
            return
        if _of(file.name, CODE):
            what = "can run code when it is read"
            raise ModelError(str(file), what, "Delete it: weights are read from safetensors and ONNX alone")
        raise ModelError(str(file), "is of a type that no model needs", "Take it out of the folder")
    _regular(file, root)
    _look_at_size(file)
    if file.suffix == ".safetensors":
        _look_at_header(file)
    elif _of(file.name, ("*.onnx",)):
        _look_at_graph(file)
    elif file.name == "tokenizer.json":
        _look_at_expressions(file)
    elif _of(file.name, NAMED):
        _look_at_json(file)
    elif file.suffix == ".model":
        with file.open("rb") as stream:
            if PICKLED.match(stream.read(4)):
                raise ModelError(str(file), "can run code when it is read", "Delete it: it is no vocabulary")


def _of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _blobs(root: Path) -> Path | None:
    """Where the files lie that those in a snapshot in the cache of the Hub are links to; None elsewhere."""
    found = [place for place in root.parents if place.name == "snapshots" and place.parent.name.startswith("models--")]
    return found[0].parent / "blobs" if found else None


def _regular(file: Path, root: Path) -> None:
    found = file.lstat()
    if stat.S_ISLNK(found.st_mode):
        try:
            target = file.resolve(strict=True)
        except (OSError, RuntimeError):
            raise ModelError(str(file), "is a link that leads nowhere", "Put the file itself there") from None
        if not (target.parent == _blobs(root) or target.is_relative_to(root)) or not target.is_file():
            raise ModelError(str(file), "is a link to something outside of the folder", "Put the file itself there")
        found = target.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ModelError(str(file), "is no regular file", TAKE_OUT)
    if found.st_nlink > 1 and not file.is_relative_to(sys.prefix):  # installers of packages link theirs
        raise ModelError(str(file), "is a hard link to a file that may be outside of the folder", "Copy the file itself there")


def _look_at_size(file: Path) -> None:
    size = file.stat().st_size
    limit = next((limit for patterns, limit in LARGEST if _of(file.name, patterns)), None)
    if limit is not None and size > limit:
        what = f"is {size / 1e6:.0f} MB large, and {limit / 1e6:.0f} MB are the most that is read"
        raise ModelError(str(file), what, TAKE_OUT)


def _look_at_header(file: Path) -> None:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    if length > min(HEADER, file.stat().st_size - 8):
        raise ModelError(str(file), f"has a header of {length} bytes", "Write it again: save_pretrained")


def _look_at_graph(file: Path) -> None:
    """Refuse data outside of the folder. An entry of a graph that says where data lies is a key of eight letters and a value."""
    if not file.stat().st_size:
        raise ModelError(str(file), "is empty", "Export it again: hfrecipes ship RUN")
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as graph:
        for start, end in _beside_weights(graph):
            if graph.find(b"ep_cache_context", start, end) >= 0:
                what = "holds what was compiled for a device"
                raise ModelError(str(file), what, "Export it for this device: hfrecipes ship RUN")
            at = graph.find(b"location", start, end)
            while at >= 0:
                if graph[at - 1 : at] in (b"\x08", b"\x00"):  # the length of the key, perhaps in more bytes than it needs
                    head, value = graph[at + 8 : at + 10], graph[at + 10 : at + 10 + graph[at + 9]]
                    if head[:1] != b"\x12" or head[1] > 127 or not inside(value.decode("utf-8", "replace")):
                        raise ModelError(str(file), ELSEWHERE, "Export it again: hfrecipes ship RUN")
                at = graph.find(b"location", at + 1, end)


def _beside_weights(graph: mmap.mmap) -> list[tuple[int, int]]:
    """The parts of a graph that are not the raw data of its weights, nearly all of its bytes; all of it where it is not in the
    form that protobuf writes."""
    try:
        return list(_beside(graph, 0, len(graph), MODEL))
    except (ValueError, LookupError, RecursionError):
        return [(0, len(graph))]


def _beside(data: mmap.mmap, start: int, end: int, fields: Fields) -> Iterator[tuple[int, int]]:
    """The parts of a message that are not in the last ones that `fields` lead to."""
    at = start
    while at < end:
        tag, inner = _varint(data, at)
        if tag & 7 == 2:
            size, inner = _varint(data, inner)
            at = inner + size
            if at > end:
                raise ValueError
            further = fields.get(tag >> 3)
            if further is not None and (further is not NODE or size > FEW):
                yield start, inner
                if further:
                    yield from _beside(data, inner, at, further)
                start = at
        elif tag & 7 == 0:
            _, at = _varint(data, inner)
        else:
            at = inner + FIXED[tag & 7]
    yield start, end


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number as protobuf writes it, and where it ends."""
    found = shift = 0
    while data[at] > 127:
        found |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError
    return found | data[at] << shift, at + 1


def _look_at_expressions(file: Path) -> None:
    for found in EXPRESSION.finditer(file.read_bytes()):
        try:
            bounded = is_bounded(str(json.loads(found[1])))
        except ValueError:
            bounded = False
        if not bounded:
            what = f"has an expression that may take for ever, {found[1].decode('utf-8', 'replace'):.60}"
            raise ModelError(str(file), what, "Take a tokenizer without it")


def _look_at_json(file: Path) -> None:
    try:
        values = json.loads(file.read_bytes(), object_pairs_hook=_once)
        _look_at_values(values, file)
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelError(str(file), f"cannot be read: {said}", "Write it again, or restore it") from None
    if file.name == "adapter_config.json" and (file.parent / "config.json").is_file():
        raise ModelError(str(file), "would put an adapter on a model elsewhere", "Give the adapter a folder of its own")
    if not isinstance(values, dict) and _of(file.name, OBJECTS):
        raise ModelError(str(file), "holds no keys", "Write it again, or restore it")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r:.40} stands twice")
    return found


def _look_at_values(values: Any, file: Path, place: bool = False, key: str = "") -> None:
    """Refuse what names code, a place outside of the folder, or a number that no model has. `place`: texts here name files."""
    if isinstance(values, dict):
        for name, entry in values.items():
            if name in REMOTE and entry:
                raise ModelError(str(file), f"asks for code of its own ({name})", "Take the entry out")
            if place and not inside(name):
                raise ModelError(str(file), f"{ELSEWHERE}, {name!r:.80}", TAKE_OUT)
            named = place or bool(PLACES.search(name) and not STALE.search(name))
            _look_at_values(entry, file, named, name)
    elif isinstance(values, list):
        for entry in values:
            _look_at_values(entry, file, place, key)
    elif isinstance(values, str):
        if place and not inside(values):
            raise ModelError(str(file), f"{ELSEWHERE}, {values!r:.80}", TAKE_OUT)
        if KERNELS.match(key) and "/" in values:
            raise ModelError(str(file), f"asks for code of its own ({key})", "Take the entry out")
    elif isinstance(values, int) and file.name == "config.json" and abs(values) > (LAYERS if LAYER.search(key) else NUMBER):
        raise ModelError(str(file), f"{key} is {values}", "Write the number that the model has")
