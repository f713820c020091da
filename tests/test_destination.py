"""The destination of releases: one place, a folder or a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from pydantic import TypeAdapter, ValidationError

from hfrecipes.destination import Publish
from hfrecipes.folder import seal
from hfrecipes.registry import Registry
from hfrecipes.release import without_paths


@pytest.mark.parametrize("given", [{}, {"registry": "a", "repo": "b/c"}, {"private": True}])
def test_no_place_and_two_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="names no place, or two"):
        TypeAdapter(Publish).validate_python(given)


def test_a_repository_has_an_owner() -> None:
    with pytest.raises(ValidationError, match=r"'intents' is no repository\. Write `repo: owner/name`"):
        TypeAdapter(Publish).validate_python({"repo": "intents"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"registry": "a", "apart": True}, r"`apart` is for repositories on the Hub\. Write `repo: owner/name`, or leave it out"),
        ({"repo": "me/x", "apart": True, "pull_request": True}, r"Leave out `apart` or `pull_request`"),
        ({"repo": "me/x", "collection": "All"}, r"`collection` is the title of what `apart: true` makes"),
        ({"repo": "me/x", "apart": True, "collection": " "}, r"Write both, or neither"),
        ({"repo": "me/x", "appart": True}, r"unknown key 'appart'\. Did you mean 'apart'\?"),
    ],
)
def test_what_cannot_be_apart_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Publish).validate_python(given)


def test_before_the_first_release_nothing_is_in_production(tmp_path: Path) -> None:
    place = Publish(registry=str(tmp_path / "models/intents"))
    assert place.production() is None
    assert place.where == "intents" and Publish(repo="me/x").where == "me/x"


def test_what_is_in_production_is_found(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    seal(tmp_path / "release", {})
    registry = Registry(tmp_path / "registry")
    registry.add(tmp_path / "release")
    place = Publish(registry=str(tmp_path / "registry"))
    assert place.production() is None
    registry.promote("v1")
    found = place.production()
    assert found is not None and found == registry.current()
    assert (found.name, place.releases().folder(found.name)) == ("v1", registry.folder("v1"))


def test_of_an_absolute_path_its_last_part_is_left() -> None:
    given = {"data": {"path": "/home/me/rows"}, "model": ["~/m/bert", "google-bert/bert", "C:\\me\\x"], "n": 3}
    assert without_paths(given) == {"data": {"path": "rows"}, "model": ["bert", "google-bert/bert", "x"], "n": 3}


def test_publishing_without_a_token_is_seen_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert Publish(repo="me/x").lacking() == "there is no access token. Log in with `hf auth login`, or set HF_TOKEN"
    assert Publish(registry="releases/x").lacking() is None
    monkeypatch.setenv("HF_TOKEN", "hf_" + "w" * 34)
    assert Publish(repo="me/x").lacking() is None
