"""Hub: a repository as a folder."""

from __future__ import annotations

import re
from pathlib import Path

from hfrecipes.errors import ModelError
from hfrecipes.pointer import FILE, in_production
from hfrecipes.trusted import trusted, trusted_file

NAME = re.compile(r"[\w.-]+/[\w.-]+")
WANTED = [
    "*.json",
    "*.safetensors",
    "*.onnx",
    "*.onnx_data",
    "*.onnx.data",
    "*.txt",
    "*.model",
    "*.md",
    "*.png",
    "*.yaml",
    "*.jinja",
    "*.sig",
]
"""What answers can need; the pickled weights that a repository may also have are never fetched."""


def local_folder(path: str | Path) -> Path:
    """The folder at `path`, or the repository `owner/name` of the Hub in the local cache, fetched where it is not there yet: its
    head, or a branch, tag or commit as `owner/name@production`. Of a registry the folder of the release in production.

    Raises ModelError where there is neither.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        if (folder / FILE).is_file():
            trusted_file(folder / FILE)
        return trusted(in_production(folder))
    name, _, revision = str(path).partition("@")
    if not NAME.fullmatch(name):
        raise ModelError(str(path), "there is no such folder", "Give a run, a bundle, a checkpoint, or owner/name on the Hub")
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(name, revision=revision or None, allow_patterns=WANTED))
    except (OSError, ValueError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            str(path), f"there is no such folder, and on the Hub: {first}", "Give a run, a bundle, a checkpoint, or owner/name"
        ) from error
    return trusted(found)
