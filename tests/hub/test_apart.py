"""A release in several repositories: each published once, then one collection that holds them, whatever goes wrong in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.folder import seal, sha256
from hfrecipes.hub_calls import Patience
from hfrecipes.publishing import HubReleases
from hfrecipes.publishing_apart import publish_apart
from hfrecipes.releases import Release
from tests.hub.conftest import release
from tests.hub.faults import DROPPED, KINDS, LOST, SLOW, Faults
from tests.hub.server import OTHER, WRITE, Hub
from tests.hub.state import Collection
from tests.hub.test_faults import PASSING, held

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
Offered = Callable[..., Path]
Send = Callable[..., Release]
REPOS = ["me/intents", "me/intents-onnx-cpu", "me/intents-adapter"]
CALLS = ("collections", "create-collection", "collection", "collection-item")


@pytest.fixture
def folders(offered: Offered) -> dict[str, Path]:
    """Sealed folders for the weights and what is apart from them."""
    return {"weights": offered(), "onnx-cpu": offered("a bundle"), "adapter": offered("an adapter")}


@pytest.fixture
def send(hub: Hub, sending: object, patience: Patience) -> Send:
    """Publishes folders to me/intents and beside it."""

    def sent(folders: Mapping[str, Path], collection: str | None = None, private: bool = True) -> Release:
        return publish_apart(folders, "me/intents", collection=collection, private=private, endpoint=hub.url, patience=patience)

    return sent


def once(hub: Hub, folders: Mapping[str, Path]) -> None:
    """Each repository holds its folder in one commit with a tag."""
    for repo, piece in zip(REPOS, ("weights", "onnx-cpu", "adapter"), strict=True):
        found, folder = hub.repo(repo), folders[piece]
        assert len(found.head.history()) == 2
        assert found.tags == {"v1": found.head}
        assert held(hub, found.head) == {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
        assert found.head.files["README.md"].content == (folder / "README.md").read_bytes()


def test_each_part_has_a_repository_and_a_collection_holds_them_all(hub: Hub, send: Send, folders: dict[str, Path]) -> None:
    came = send(folders)
    assert came.name == "v1"
    once(hub, folders)
    assert [(each.title, each.private, each.items) for each in hub.state.collections] == [("intents", True, REPOS)]
    order = [(request.call, request.path) for request in hub.requests]
    commits = [path.partition("/commit/")[0].removeprefix("/api/models/") for call, path in order if call == "commit"]
    assert commits == [*REPOS[1:], REPOS[0]], "the weights come last"
    calls = [call for call, _ in order]
    assert calls.index("collections") > max(i for i, call in enumerate(calls) if call in ("commit", "tag"))


def test_publishing_the_same_again_changes_nothing(hub: Hub, send: Send, folders: dict[str, Path]) -> None:
    first = send(folders)
    hub.requests.clear()
    assert send(folders) == first
    assert {request.method for request in hub.requests} <= {"GET", "HEAD"}
    once(hub, folders)
    assert [each.items for each in hub.state.collections] == [REPOS]


def test_the_next_release_goes_to_the_same_repositories_and_the_same_collection(
    hub: Hub, send: Send, folders: dict[str, Path], offered: Offered
) -> None:
    send(folders, private=False)
    assert not hub.state.collections[0].private
    assert send({**folders, "weights": offered("two"), "onnx-cuda": offered("another bundle")}).name == "v2"
    assert [sorted(hub.repo(repo).tags) for repo in REPOS] == [["v1", "v2"], ["v1"], ["v1"]]
    assert [each.items for each in hub.state.collections] == [[*REPOS, "me/intents-onnx-cuda"]]


def test_a_collection_of_that_title_is_gone_on_with_and_keeps_what_it_holds(
    hub: Hub, send: Send, folders: dict[str, Path]
) -> None:
    many = [f"me/old-{i}" for i in range(6)]
    mine = Collection("me/all-1", "All intents", "me", True, [*many, "me/intents-adapter"])
    other = Collection("other/all-2", "All intents", "other", False)
    hub.state.collections += [other, mine]
    send(folders, collection="All intents")
    assert hub.state.collections == [other, mine]
    assert mine.items == [*many, "me/intents-adapter", "me/intents", "me/intents-onnx-cpu"]
    assert other.items == []


def test_nothing_is_sent_where_one_part_may_not_be_published(
    hub: Hub, send: Send, folders: dict[str, Path], tmp_path: Path
) -> None:
    planted = release(tmp_path / "planted", f"log in with {WRITE}")
    with pytest.raises(ModelError, match=r"holds an access token"):
        send({**folders, "weights": planted})
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled/training_args.bin").write_bytes(b"\x80\x04")
    seal(tmp_path / "pickled", {})
    with pytest.raises(ModelError, match=r"is what training left"):
        send({**folders, "adapter": tmp_path / "pickled"})
    with pytest.raises(ModelError, match=r"is not the name of a repository"):
        send({**folders, "onnx-" + "x" * 96: folders["onnx-cpu"]})
    assert hub.requests == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
def test_a_fault_once_leaves_one_collection_or_says_that_it_is_not_whole(
    call: str, kind: int | str, hub: Hub, send: Send, folders: dict[str, Path], waits: list[float]
) -> None:
    hub.fail(call, kind, seconds=0.02)
    try:
        send(folders)
        assert [each.items for each in hub.state.collections] == [REPOS]
    except ModelError as error:
        assert kind not in PASSING
        assert str(error).startswith("me/intents: v1 is published, but its collection 'intents' is not whole: ")
        assert str(error).endswith(" Publish again for that.") and "\n" not in str(error)
    assert hub.faults.hit[call] == 1
    assert sum(waits) <= 60
    whole(hub, send, folders)


@pytest.mark.parametrize("kind", [403, 409, 412, 503, DROPPED, LOST])
@pytest.mark.parametrize("call", CALLS)
def test_a_fault_that_stays_ends_and_the_releases_stand(
    call: str, kind: int | str, hub: Hub, send: Send, folders: dict[str, Path], waits: list[float]
) -> None:
    hub.fail(call, kind, times=999)
    if (call, kind) in {("create-collection", LOST), ("collection-item", LOST)}:
        send(folders)
    else:
        with pytest.raises(ModelError, match="but its collection 'intents' is not whole"):
            send(folders)
    assert sum(waits) <= 60
    once(hub, folders)
    whole(hub, send, folders)


@pytest.mark.parametrize("kind", [403, 503, LOST])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_fault_at_any_repository_is_healed_by_publishing_again(
    at: int, kind: int | str, hub: Hub, send: Send, folders: dict[str, Path]
) -> None:
    for _ in range(at):
        hub.fail("commit", SLOW)
    hub.fail("commit", kind, times=99)
    if kind == LOST:
        send(folders)
    else:
        with pytest.raises(ModelError):
            send(folders)
        assert hub.state.collections == []
        assert sum(len(repo.head.history()) - 1 for repo in hub.state.repos.values()) == at
    whole(hub, send, folders)


def test_what_is_apart_goes_into_production_and_back_with_the_weights(
    hub: Hub, send: Send, offered: Offered, tmp_path: Path, patience: Patience
) -> None:
    bundles, weights = [offered("a bundle"), offered("another bundle")], [tmp_path / "one", tmp_path / "two"]
    for folder, bundle in zip(weights, bundles, strict=True):
        release(folder, folder.name)
        seal(folder, {"kind": "weights", "apart": {REPOS[1]: sha256(bundle / "manifest.json"), "me/other": "0"}})
        send({"weights": folder, "onnx-cpu": bundle})
    found, beside = (HubReleases(repo, endpoint=hub.url, patience=patience) for repo in REPOS[:2])

    def now() -> list[str | None]:
        return [current and current.name for current in (found.current(), beside.current())]

    found.promote("v1")
    assert now() == ["v1", "v1"]
    hub.fail("commit", 403)
    with pytest.raises(ModelError):
        found.promote("v2")
    assert now() == ["v1", "v1"]
    hub.fail("commit", SLOW)
    hub.fail("commit", 403)
    with pytest.raises(ModelError):
        found.promote("v2")
    assert now() == ["v1", "v2"], "what is apart goes first"
    found.promote("v2")
    assert now() == ["v2", "v2"]
    found.rollback()
    assert now() == ["v1", "v1"]
    hub.repo(REPOS[1]).tags.pop("v2")
    with pytest.raises(ModelError, match=r"me/intents-onnx-cpu does not hold what belongs to v2\."):
        found.promote("v2")
    assert now() == ["v1", "v1"]


def whole(hub: Hub, send: Send, folders: Mapping[str, Path]) -> None:
    """Without faults all is there, each part once."""
    hub.faults = Faults()
    assert send(folders).name == "v1"
    once(hub, folders)
    assert [(each.title, sorted(each.items)) for each in hub.state.collections] == [("intents", sorted(REPOS))]


def test_two_publishers_make_one_collection(hub: Hub, sending: object, folders: dict[str, Path], waits: list[float]) -> None:
    publish_apart(folders, "me/intents", endpoint=hub.url, patience=Patience(wait=waits.append))
    hub.state.collections.clear()
    hub.fail("create-collection", SLOW, times=2, seconds=0.2)
    with ThreadPoolExecutor(2) as pool:
        found = [
            pool.submit(publish_apart, folders, "me/intents", endpoint=hub.url, patience=Patience(wait=waits.append))
            for _ in range(2)
        ]
        assert found[0].result() == found[1].result()
    assert [each.items for each in hub.state.collections] == [REPOS]


def test_a_stranger_sees_no_private_collection(hub: Hub, send: Send, folders: dict[str, Path]) -> None:
    from huggingface_hub import HfApi

    send(folders)
    slug = hub.state.collections[0].slug
    assert [item.item_id for item in HfApi(endpoint=hub.url, token=WRITE).get_collection(slug).items] == REPOS
    assert [*HfApi(endpoint=hub.url, token=OTHER).list_collections(owner="me")] == []
