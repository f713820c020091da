"""What may be published: types, and what is in the files; nothing is sent where something may not."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.folder import seal
from hfrecipes.hub import WANTED
from hfrecipes.hub_calls import Patience
from hfrecipes.publishable import BINARY, TEXT, publishable
from hfrecipes.publishing import publish
from tests.hub.conftest import release
from tests.hub.server import WRITE, Hub

CANARY = "hf_" + "Canary" * 6
Write = Callable[[str, bytes | str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A sealed folder with one file more."""

    def written(name: str, content: bytes | str) -> Path:
        folder = release(tmp_path / "run/release")
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        seal(folder, {})
        return folder

    return written


def test_all_that_may_be_published_is_fetched() -> None:
    assert {*TEXT, *BINARY} - {*WANTED} == {".gitattributes"}


def refused(folder: Path) -> str:
    """Why a folder may not be published."""
    with pytest.raises(ModelError) as error:
        publishable(folder, WRITE)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_file_of_a_sealed_folder_is_publishable_with_its_manifest(write: Write) -> None:
    folder = write("report.png", b"\x89PNG\r\n")
    (folder / "vocab.txt").write_text("the\n/root\n/home\n")
    (folder / "tokenizer.json").write_text('{"/root": 3, "hf_": 4}')
    (folder / ".gitattributes").write_text("*.onnx filter=lfs\n")
    (folder / "empty.txt").write_text("")
    seal(folder, {})
    found = {file.name: file for file in publishable(folder, WRITE)}
    assert {*found} == {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    assert found["model.safetensors"].content is None
    assert found["README.md"].content == (folder / "README.md").read_bytes()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("training_args.bin", "is what training left"),
        ("optimizer.safetensors", "is what training left"),
        ("trainer_state.json", "is what training left"),
        ("rng_state_0.json", "is what training left"),
        ("pytorch_model.bin", "is of a type that may not be published"),
        ("a/model.pkl", "is of a type that may not be published"),
        ("modeling.py", "is of a type that may not be published"),
        (".env", "is of a type that may not be published"),
        ("README.MD.bak", "is of a type that may not be published"),
    ],
)
def test_types_that_are_not_on_the_list_are_refused(name: str, why: str, write: Write) -> None:
    folder = write(name, b"x")
    assert refused(folder).startswith(f"{folder / name}: {why}")


def test_a_pickle_under_another_name_is_refused(write: Write) -> None:
    assert "is a pickle" in refused(write("spiece.model", pickle.dumps({"a": 1})))


def test_a_pickle_as_a_text_is_refused(write: Write) -> None:
    assert "is not text in UTF-8" in refused(write("notes.txt", pickle.dumps({"a": 1})))


def test_links_are_refused_wherever_they_lead(write: Write, tmp_path: Path) -> None:
    folder = write("notes.md", "x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.txt").write_text("secret")
    for name, target in (("a.txt", tmp_path / "outside/secret.txt"), ("b", tmp_path / "outside"), ("c.md", folder / "notes.md")):
        (folder / name).symlink_to(target)
        seal(folder, {})
        assert refused(folder).startswith(f"{folder / name}: is a link")
        (folder / name).unlink()


def test_a_folder_that_changed_since_it_was_sealed_is_refused(write: Write) -> None:
    folder = write("notes.md", "x")
    (folder / "notes.md").write_text("y")
    assert "notes.md is not the file that its manifest names" in refused(folder)
    (folder / "more.md").write_text("y")
    assert "more.md is not in its manifest" in refused(folder)


@pytest.mark.parametrize(
    "name", ["README.md", "a/b.json", "vocab.txt", "recipe.yaml", ".gitattributes", "model.safetensors", "x.onnx"]
)
@pytest.mark.parametrize("token", [WRITE, CANARY])
def test_a_token_is_refused_in_every_file(name: str, token: str, write: Write) -> None:
    folder = write(name, f"a\nb {token} c\n".encode())
    said = refused(folder)
    assert "holds an access token" in said
    assert token not in said
    line = ":2" if name not in ("model.safetensors", "x.onnx") else ""
    assert said.startswith(f"{folder / name}{line}: ")


@pytest.mark.parametrize("name", ["README.md", "config.json", "tokenizer.json", "notes.txt", "recipe.yaml"])
@pytest.mark.parametrize(
    "path", ["/home/ann/data", "/Users/ann", "/root/.cache", r"C:\Users\ann\x", r"C:\\Users\\ann", "RUN", "FOLDER", "HOME", "CWD"]
)
def test_paths_of_this_machine_are_refused_in_every_text(
    name: str, path: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/srv/people/ann")
    places = {"RUN": tmp_path / "run", "FOLDER": tmp_path / "run/release", "HOME": Path.home(), "CWD": Path.cwd()}
    folder = write(name, f'{{"path": "{places.get(path, path)}/x"}}\n')
    assert refused(folder).startswith(f"{folder / name}:1: holds a path of this machine (")


def test_a_graph_that_says_where_its_code_was_is_refused(write: Write) -> None:
    folder = write("a/model.onnx", b'\0\x08stack_trace\x12File "/home/ann/venv/lib/modeling_bert.py"\0')
    assert refused(folder).startswith(f"{folder}/a/model.onnx: holds a path of this machine (/home/ann). Export it again")


def test_a_bare_home_is_refused_but_not_as_a_token_of_a_vocabulary(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    assert publishable(write("vocab.json", '{"/root": 1}'), WRITE)
    assert "(/root)" in refused(write("config.json", '{"_name_or_path": "/root"}'))


@pytest.mark.parametrize("text", ["see https://huggingface.co/home/x", "a/root/b", "/homes/x", "hf_short", "the /rooted/ tree"])
def test_what_only_looks_like_a_path_or_a_token_is_published(text: str, write: Write) -> None:
    assert publishable(write("notes.md", text), WRITE)


def test_nothing_is_sent_of_a_folder_that_is_refused(hub: Hub, sending: object, write: Write, patience: Patience) -> None:
    with pytest.raises(ModelError, match="holds an access token"):
        publish(write("notes.md", CANARY), "me/intents", endpoint=hub.url, patience=patience)
    assert hub.requests == []
