"""Every call that publishes, with every fault: published exactly once or unchanged, within a minute of waiting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.hub_calls import Patience
from hfrecipes.publishing import HubReleases, Published, publish
from tests.hub.faults import DROPPED, KINDS, LOST, SLOW, TRUNCATED, Faults
from tests.hub.server import Hub
from tests.hub.state import Commit

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ALWAYS = ("repo-info", "create-repo", "refs", "tree", "validate-yaml", "preupload", "commit", "tag")
BY_LFS = ("lfs-batch", "lfs-put", "lfs-verify")
PASSING = (429, 500, 503, DROPPED, LOST, TRUNCATED, SLOW)
"""Faults that a later try does not meet."""
Offered = Callable[..., Path]


def published(hub: Hub, folder: Path) -> bool:
    """Whether main has one commit with exactly the files of a folder; false where it has none. Anything else is an error."""
    if ("model", "me/intents") not in hub.state.repos:
        return False
    history = hub.repo().head.history()
    if len(history) == 1:
        return False
    assert len(history) == 2
    assert held(hub, history[0]) == {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    for name, blob in history[0].files.items():
        if name != ".gitattributes" and blob.sha256 not in {"", *hub.state.sizes}:
            pytest.fail(f"{name} was never uploaded")
        if name != ".gitattributes" and not blob.sha256:
            assert blob.content == (folder / name).read_bytes()
        if blob.sha256 in hub.state.large:
            assert hub.state.large[blob.sha256] == (folder / name).read_bytes()
    return True


def held(hub: Hub, commit: Commit) -> set[str]:
    """The names of the files of a commit, but for .gitattributes."""
    return {*commit.files} - {".gitattributes"}


def attempt(folder: Path, hub: Hub, patience: Patience) -> Published | ModelError:
    """What came of publishing."""
    try:
        return publish(folder, "me/intents", endpoint=hub.url, patience=patience)
    except ModelError as error:
        return error


def once_or_unchanged(hub: Hub, folder: Path, patience: Patience, waits: list[float]) -> Published | ModelError:
    """Publish with faults, see that it was once or not at all, then publish again without."""
    came = attempt(folder, hub, patience)
    assert sum(waits) <= 60
    done = published(hub, folder)
    if isinstance(came, Published):
        assert done
        assert hub.repo().tags == {"v1": hub.repo().head}
    else:
        assert "\n" not in str(came)
        assert str(came).startswith("me/intents: ")
    hub.faults = Faults()
    assert publish(folder, "me/intents", endpoint=hub.url, patience=patience).name == "v1"
    assert published(hub, folder)
    assert hub.repo().tags == {"v1": hub.repo().head}
    return came


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", [*ALWAYS, *BY_LFS])
def test_a_fault_once_without_xet(
    call: str, kind: int | str, hub: Hub, sending: object, offered: Offered, patience: Patience, waits: list[float]
) -> None:
    hub.fail(call, kind, seconds=0.02)
    came = once_or_unchanged(hub, offered(), patience, waits)
    if kind in PASSING or (call, kind) in {("commit", 409), ("commit", 412), ("tag", 409), ("tag", 412)}:
        assert isinstance(came, Published), came


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", ["preupload", "xet-token", "commit"])
def test_a_fault_once_with_xet(
    call: str, kind: int | str, hub: Hub, sending: Offered, offered: Offered, patience: Patience, waits: list[float]
) -> None:
    sending(xet=True)
    hub.fail(call, kind, seconds=0.02)
    came = once_or_unchanged(hub, offered(), patience, waits)
    assert isinstance(came, Published) or kind not in PASSING, came


@pytest.mark.parametrize("kind", [403, 412, 503, DROPPED, LOST])
@pytest.mark.parametrize("call", ["refs", "preupload", "lfs-put", "commit", "tag"])
def test_a_fault_that_stays_without_xet(
    call: str, kind: int | str, hub: Hub, sending: object, offered: Offered, patience: Patience, waits: list[float]
) -> None:
    hub.fail(call, kind, times=99)
    came = once_or_unchanged(hub, offered(), patience, waits)
    done = call in ("lfs-put", "commit", "tag") and kind in (LOST, TRUNCATED)
    assert isinstance(came, Published if done else ModelError), came


@pytest.mark.parametrize("kind", [403, 500, LOST])
@pytest.mark.parametrize("call", ["xet-token", "commit"])
def test_a_fault_that_stays_with_xet(
    call: str, kind: int | str, hub: Hub, sending: Offered, offered: Offered, patience: Patience, waits: list[float]
) -> None:
    sending(xet=True)
    hub.fail(call, kind, times=99)
    once_or_unchanged(hub, offered(), patience, waits)


def test_the_hub_says_how_long_to_wait(
    hub: Hub, sending: object, offered: Offered, patience: Patience, waits: list[float]
) -> None:
    hub.fail("preupload", 429, retry_after=7)
    hub.fail("commit", 503, times=2)
    publish(offered(), "me/intents", endpoint=hub.url, patience=patience)
    assert waits == [7, 2, 4]
    hub.fail("commit", 429, retry_after=3600)
    waits.clear()
    came = attempt(offered("two"), hub, patience)
    assert str(came) == "me/intents: the Hub gave no answer (429 Too Many Requests). Try again later."
    assert waits == []
    assert held(hub, hub.repo().head) and len(hub.repo().head.history()) == 2


def test_an_answer_that_takes_too_long_is_looked_for(hub: Hub, sending: object, offered: Offered, waits: list[float]) -> None:
    hub.fail("commit", SLOW, seconds=0.8)
    folder = offered()
    came = attempt(folder, hub, Patience(answer=0.3, wait=waits.append))
    assert isinstance(came, Published)
    assert published(hub, folder)
    assert len(hub.calls("commit")) == 1


@pytest.mark.parametrize("kind", [403, 412, 503, LOST, TRUNCATED])
@pytest.mark.parametrize("call", ["refs", "commits", "tree", "resolve", "paths-info", "branch", "commit"])
def test_production_is_the_release_before_or_the_new_one(
    call: str, kind: int | str, hub: Hub, sending: object, offered: Offered, patience: Patience, waits: list[float]
) -> None:
    publish(offered(), "me/intents", endpoint=hub.url, patience=patience)
    found = HubReleases("me/intents", endpoint=hub.url, patience=patience)
    before = None
    if call != "branch":
        found.promote("v1")
        before = "v1"
    publish(offered("two"), "me/intents", endpoint=hub.url, patience=patience)
    waits.clear()
    hub.fail(call, kind, seconds=0.02)
    try:
        assert found.promote("v2").current
        now: str | None = "v2"
    except ModelError as error:
        assert "\n" not in str(error)
        assert kind not in PASSING
        now = None
    assert sum(waits) <= 60
    hub.faults = Faults()
    current = found.current()
    assert (current and current.name) in ({now} if now else {before, "v2"})
    production = hub.repo().branches.get("production")
    assert (production is None) == (current is None)
    assert production is None or production.files == hub.repo().tags[str(current and current.name)].files
    assert found.promote("v2") == found.current()
    assert len(hub.repo().branches["production"].history()) == 3


@pytest.mark.parametrize("kind", [403, 412, 503, DROPPED, LOST, TRUNCATED])
@pytest.mark.parametrize("call", ["commit", "discussions"])
def test_a_pull_request_is_opened_once_or_not_at_all(
    call: str, kind: int | str, hub: Hub, sending: object, offered: Offered, patience: Patience, waits: list[float]
) -> None:
    folder = offered()
    hub.fail(call, kind, seconds=0.02)
    for _ in range(2):
        try:
            publish(folder, "me/intents", pull_request=True, endpoint=hub.url, patience=patience)
        except ModelError:
            assert kind not in PASSING
    assert sum(waits) <= 60
    assert [held(hub, commit) for commit in hub.repo().pulls.values()] == [
        {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    ]
    assert len(hub.repo().head.history()) == 1
