"""Folders: what is written is whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError, RunError
from hfrecipes.folder import Run, listing, opened, read_json, seal, staged, verified, write_json, write_text

IDENTITY = {"recipe": "bert", "data": "a"}


def names(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_text_is_written_over_the_old_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "néw\n")
    assert (tmp_path / "a.txt").read_text("utf-8") == "néw\n"
    assert names(tmp_path) == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a.txt", "old")

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_json_cannot_hold_leaves_the_old_content(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_staged_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with staged(tmp_path / "model") as folder:
            (folder / content).write_text(content)
            assert content == "old" or names(tmp_path / "model") == ["old"]
    assert names(tmp_path) == ["model", "model/new"]


def test_a_staged_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    with staged(tmp_path / "model") as folder:
        (folder / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "model") as folder:
        (folder / "a").write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "model/a").read_text() == "old"
    assert names(tmp_path) == ["model", "model/a"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".model.abc").mkdir()
    (tmp_path / ".model.abc/half").touch()
    with staged(tmp_path / "model") as folder:
        (folder / "a").touch()
    assert names(tmp_path) == ["model", "model/a"]


def sealed(folder: Path) -> Path:
    """A sealed folder with a file in a folder."""
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(b"12345")
    seal(folder, {"target": "cpu"})
    return folder


def test_a_seal_holds_the_facts_and_size_and_hash_of_each_file(tmp_path: Path) -> None:
    manifest = opened(sealed(tmp_path))
    assert manifest["target"] == "cpu"
    assert manifest["files"] == listing(tmp_path)
    assert manifest["files"]["onnx/model.onnx"]["size"] == 5
    assert manifest["files"]["onnx/model.onnx"]["sha256"].startswith("5994471abb01112afcc18159f6cc74b4")


@pytest.mark.parametrize("content", [b"", b"1234", b"123456", None])
def test_a_sealed_file_that_is_gone_or_of_another_size_is_noticed(content: bytes | None, tmp_path: Path) -> None:
    file = sealed(tmp_path) / "onnx/model.onnx"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(ModelError, match=r"onnx/model.onnx is not the file that its manifest names. Export it again"):
        opened(tmp_path)


def test_a_folder_without_a_seal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no manifest\.json\. Export it"):
        opened(tmp_path)


def test_a_run_is_created_once_and_opened_again(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "deep/run", IDENTITY, "recipe: bert\n")
    assert run.recipe_file.read_text() == "recipe: bert\n"
    assert Run.create(tmp_path / "deep/run", IDENTITY, "recipe: bert\n") == run == Run.open(tmp_path / "deep/run")
    assert os.fspath(run) == str(tmp_path / "deep/run")


def test_a_run_of_another_recipe_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Run.create(tmp_path, IDENTITY, "recipe: bert\n")
    write_json(tmp_path / "stages/prepare.json", {})
    with pytest.raises(RunError, match=r"holds a run of another recipe \(data: a, not b\). Give another folder"):
        Run.create(tmp_path, {**IDENTITY, "data": "b"}, "recipe: other\n")
    assert (tmp_path / "recipe.yaml").read_text() == "recipe: bert\n"
    assert read_json(tmp_path / "stages/identity.json") == IDENTITY


def test_a_run_in_which_nothing_was_finished_takes_another_recipe(tmp_path: Path) -> None:
    Run.create(tmp_path, {**IDENTITY, "data": "a typing error"}, "recipe: wrong\n")
    Run.create(tmp_path, IDENTITY, "recipe: bert\n")
    assert (tmp_path / "recipe.yaml").read_text() == "recipe: bert\n"
    assert read_json(tmp_path / "stages/identity.json") == IDENTITY


def test_a_recipe_that_no_run_wrote_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("recipe: bert    # of my own\n")
    with pytest.raises(RunError, match="is neither empty nor a run"):
        Run.create(tmp_path, IDENTITY, "recipe: bert\n")
    assert (tmp_path / "recipe.yaml").read_text() == "recipe: bert    # of my own\n"


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunError, match="is neither empty nor a run"):
        Run.create(tmp_path, IDENTITY, "recipe: bert\n")
    assert names(tmp_path) == ["thesis.txt"]


def test_an_empty_folder_becomes_a_run(tmp_path: Path) -> None:
    assert Run.create(tmp_path, IDENTITY, "recipe: bert\n").recipe_file.is_file()


def test_a_manifest_in_a_folder_is_sealed_like_other_files(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    sealed(tmp_path / "bundle")
    seal(tmp_path, {})
    assert sorted(verified(tmp_path)["files"]) == ["bundle/manifest.json", "bundle/onnx/model.onnx"]


def test_verified_reads_every_byte_and_counts_every_file(tmp_path: Path) -> None:
    file = sealed(tmp_path) / "onnx/model.onnx"
    assert verified(tmp_path) == opened(tmp_path)
    file.write_bytes(b"12346")
    assert opened(tmp_path)
    with pytest.raises(ModelError, match=r"onnx/model\.onnx is not the file that its manifest names"):
        verified(tmp_path)
    file.write_bytes(b"12345")
    (tmp_path / "onnx/.more").touch()
    with pytest.raises(ModelError, match=r"onnx/\.more is not in its manifest"):
        verified(tmp_path)
