"""Publishing to a Hub: one commit and a tag, whoever else publishes; what is sent, to whom, and who is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.folder import seal
from hfrecipes.hub_calls import Patience
from hfrecipes.publishing import Published
from tests.hub.faults import LOST, SLOW
from tests.hub.server import OTHER, READ, WRITE, Hub, said
from tests.hub.state import Blob, Repo
from tests.hub.test_faults import attempt, held, published

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
Offered = Callable[..., Path]
REPO = "me/intents"


Send = Callable[..., Published]


@pytest.mark.parametrize("xet", [False, True])
def test_a_release_is_one_commit_and_a_tag_in_a_new_private_repository(
    xet: bool, hub: Hub, sending: Offered, send: Send, offered: Offered
) -> None:
    sending(xet=xet)
    folder = offered()
    came = send(folder)
    assert came == Published(hub.repo().head.id, f"{hub.url}/{REPO}/tree/v1", "v1")
    assert published(hub, folder)
    assert hub.repo().private
    assert len(hub.calls("commit")) == len(hub.calls("tag")) == 1
    assert bool(hub.calls("xet-token")) == xet
    assert bool(hub.calls("lfs-put")) != xet
    header = json.loads(hub.calls("commit")[0].body.splitlines()[0])["value"]
    assert header["parentCommit"] == hub.repo().head.history()[1].id
    assert list(hub.repo().branches) == ["main"]


def test_what_the_new_release_lacks_is_deleted_in_the_same_commit_but_not_the_attributes(
    hub: Hub, send: Send, offered: Offered
) -> None:
    send(offered())
    repo = hub.repo()
    old = {
        **repo.head.files,
        "old/model.bin": Blob(b"old"),
        "old.md": Blob(b"old"),
        ".gitignore": Blob(b"*.onnx\n*.safetensors\n"),
    }
    repo.branches["main"] = repo.commit(repo.head, "by hand", old)
    folder = offered("two")
    assert send(folder).name == "v2"
    assert held(hub, repo.head) == {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    assert ".gitattributes" in repo.head.files
    assert [commit.title.split()[0] for commit in repo.head.history()] == ["Release", "by", "Release", "initial"]


def test_publishing_the_same_again_makes_no_commit(hub: Hub, send: Send, offered: Offered) -> None:
    first = send(offered())
    hub.requests.clear()
    assert send(offered()) == first
    assert {request.method for request in hub.requests} == {"GET"}


def test_a_crash_between_commit_and_tag_is_healed_by_publishing_again(hub: Hub, send: Send, offered: Offered) -> None:
    hub.fail("tag", 403)
    with pytest.raises(ModelError, match=r"is published \(\w{12}\), but has no tag: .*Publish again for that\.$"):
        send(offered())
    assert hub.repo().tags == {}
    assert send(offered()).name == "v1"
    assert published(hub, offered())
    assert len(hub.calls("commit")) == 1


def test_a_number_is_never_given_twice(hub: Hub, send: Send, offered: Offered) -> None:
    send(offered())
    hub.repo().tags |= {"v7": hub.repo().head.history()[1], "v07": hub.repo().head, "v9-rc": hub.repo().head}
    assert send(offered("two")).name == "v8"


@pytest.mark.parametrize("xet", [False, True])
def test_of_two_publishers_one_wins_and_the_other_is_told(
    xet: bool, hub: Hub, sending: Offered, offered: Offered, waits: list[float]
) -> None:
    sending(xet=xet)
    hub.state.create(hub.state.tokens[WRITE], "model", None, "intents", True)
    hub.fail("preupload", SLOW, times=2, seconds=0.3)
    folders = [offered(), offered("two")]
    with ThreadPoolExecutor(2) as pool:
        came = list(pool.map(lambda folder: attempt(folder, hub, Patience(wait=waits.append)), folders))
    won = [isinstance(each, Published) for each in came]
    assert sorted(won) == [False, True], came
    assert published(hub, folders[won.index(True)])
    lost = came[won.index(False)]
    assert str(lost) == (
        f"{REPO}: somebody else changed its branch main meanwhile; nothing was done. Look at it, then try again."
    )
    assert hub.repo().tags == {"v1": hub.repo().head}


def test_two_publishers_of_the_same_folder_both_have_it_published(
    hub: Hub, sending: object, offered: Offered, waits: list[float]
) -> None:
    hub.state.create(hub.state.tokens[WRITE], "model", None, "intents", True)
    hub.fail("preupload", SLOW, times=2, seconds=0.3)
    with ThreadPoolExecutor(2) as pool:
        came = list(pool.map(lambda folder: attempt(folder, hub, Patience(wait=waits.append)), [offered()] * 2))
    assert came[0] == came[1] and isinstance(came[0], Published)
    assert published(hub, offered())


def test_a_lost_answer_is_found_under_a_commit_that_came_on_top(hub: Hub, send: Send, offered: Offered) -> None:
    send(offered())
    repo = hub.repo()
    made: list[str] = []
    commit = Repo.commit

    def and_one_more(self: Repo, *args: object) -> object:
        first = commit(self, *args)  # type: ignore[arg-type]
        made.append(first.id)
        top = commit(self, first, "by hand", {**first.files, "more.md": Blob(b"more")})
        return top

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Repo, "commit", and_one_more)
        hub.fail("commit", LOST)
        came = send(offered("two"))
    assert came.commit == made[0] == repo.tags["v2"].id
    assert repo.head.title == "by hand"


def test_a_pull_request_has_the_release_and_no_tag(hub: Hub, sending: Offered, send: Send, offered: Offered) -> None:
    send(offered())
    before = hub.repo().head
    hub.repo().private = False
    sending(OTHER)
    came = send(offered("two"), pull_request=True)
    assert came == Published(hub.repo().pulls[1].id, f"{hub.url}/{REPO}/discussions/1", "refs/pr/1")
    assert send(offered("two"), pull_request=True) == came
    assert send(offered("three"), pull_request=True).name == "refs/pr/2"
    assert hub.repo().head is before and [*hub.repo().tags] == ["v1"]


def refused(send: Send, folder: Path, repo: str = REPO) -> str:
    """Why the Hub refused, without a token in it."""
    with pytest.raises(ModelError) as error:
        send(folder, repo)
    assert "\n" not in str(error.value) and "hf_" not in str(error.value)
    return str(error.value)


def test_who_may_not_publish_is_told_why_and_what_to_do(hub: Hub, sending: Offered, send: Send, offered: Offered) -> None:
    folder = offered()
    sending(None)
    assert refused(send, folder) == (
        f"{REPO}: cannot be published to: there is no access token. Log in with `hf auth login`, or set HF_TOKEN."
    )
    assert hub.requests == []
    sending(READ)
    read_only = f"{REPO}: the access token may only read. Make one that may write at hf.co/settings/tokens."
    assert refused(send, folder) == read_only
    sending("hf_" + "x" * 34)
    assert refused(send, folder) == f"{REPO}: the Hub does not accept the access token. Log in again with `hf auth login`."
    sending(WRITE)
    assert refused(send, folder, "other/intents") == (
        "other/intents: belongs to other, and the access token to me. Write me/intents, or open a pull request."
    )
    assert hub.state.repos == {}
    send(folder)
    hub.repo().private = False
    sending(OTHER)
    assert refused(send, offered("two")) == (
        f"{REPO}: belongs to me, and the access token to other. Write other/intents, or open a pull request."
    )
    sending(READ)
    assert refused(send, offered("two")) == read_only
    assert published(hub, folder)


@pytest.mark.parametrize(("kind", "word"), [("dataset", "data set"), ("space", "Space")])
def test_a_repository_of_another_type_is_refused(kind: str, word: str, hub: Hub, send: Send, offered: Offered) -> None:
    hub.state.create(hub.state.tokens[WRITE], kind, None, "intents", True)
    assert refused(send, offered()) == f"{REPO}: is a {word} on the Hub, not a model. Write another name."
    assert list(hub.state.repos) == [(kind, REPO)]


@pytest.mark.parametrize("name", ["intents", "me/a--b", "me/a/b", "me/a b", "/srv/x", ""])
def test_a_name_that_is_none_is_refused(name: str, hub: Hub, send: Send, offered: Offered) -> None:
    assert refused(send, offered(), name).endswith("Write owner/name.")
    assert hub.requests == []


def test_offline_is_said(hub: Hub, send: Send, offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert refused(send, offered()) == f"{REPO}: cannot be reached: HF_HUB_OFFLINE is set. Unset it."


def test_a_card_that_the_hub_does_not_take_is_told(hub: Hub, send: Send, offered: Offered, tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card/README.md").write_text("---\nlicense: [\n---\n")
    seal(tmp_path / "card", {})
    assert "the Hub refused: Invalid metadata in README.md" in refused(send, tmp_path / "card")
    assert len(hub.repo().head.history()) == 1


@pytest.mark.parametrize("xet", [False, True])
def test_the_token_is_in_no_body_no_log_and_not_sent_to_the_storage(
    xet: bool, hub: Hub, sending: Offered, send: Send, offered: Offered, caplog: pytest.LogCaptureFixture
) -> None:
    sending(xet=xet)
    folder = offered()
    with caplog.at_level(logging.DEBUG):
        hub.fail("commit", 503)
        hub.fail("preupload", 500)
        send(folder)
        hub.fail("commit", 403)
        refused(send, offered("two"))
    assert len(hub.requests) > 10
    for request in hub.requests:
        assert WRITE.encode() not in request.body
        assert str(folder).encode() not in request.body
        assert ("authorization" in request.headers) == (request.call != "lfs-put")
    files = [each.read_bytes() for each in hub.state.cas.rglob("*") if each.is_file()] if xet else [*hub.state.large.values()]
    assert files
    assert not any(WRITE.encode() in content or str(folder).encode() in content for content in files)
    assert WRITE not in caplog.text
    assert str(folder) not in caplog.text


def test_the_clients_of_others_are_as_they_were_afterwards(hub: Hub, send: Send, offered: Offered) -> None:
    from huggingface_hub.utils import _http

    before = _http._GLOBAL_CLIENT_FACTORY
    send(offered())
    hub.fail("refs", 403)
    refused(send, offered("two"))
    assert _http._GLOBAL_CLIENT_FACTORY is before


def test_all_there_is_of_a_large_file_is_its_pointer(hub: Hub, send: Send, offered: Offered) -> None:
    send(offered())
    lines = [json.loads(line) for line in hub.calls("commit")[0].body.splitlines()]
    kinds = {line["value"]["path"]: line["key"] for line in lines[1:]}
    assert kinds["model.safetensors"] == kinds["onnx/model.onnx"] == "lfsFile"
    assert kinds["README.md"] == kinds["manifest.json"] == "file"
    assert said(hub.calls("preupload")[0])["gitIgnore"] == ""
