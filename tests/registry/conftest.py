"""A registry with three releases, and what can be seen of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfrecipes.folder import read_json, seal
from hfrecipes.registry import Registry

ALL = ("README.md", "bundles/cpu/manifest.json", "bundles/cpu/onnx/model.onnx", "manifest.json", "model.safetensors")
"""Every file of a release."""


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


def changed(file: Path) -> None:
    """Change one bit in the middle of a file, in place."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
