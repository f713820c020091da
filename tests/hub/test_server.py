"""The Hub of the tests is one to the real client: what the tests of publishing stand on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.server import OTHER, READ, WRITE, Hub
from tests.hub.shards import xet_hashes

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
REPO = "me/intents"
FILES = {"README.md": b"---\nlicense: mit\n---\n", "a/b.json": b"{}", "w.safetensors": bytes(range(256)) * 700, "empty.txt": b""}


@pytest.fixture
def api(hub: Hub, sending: object) -> HfApi:
    """The real client, with the token that may write, and a private repository."""
    api = HfApi(endpoint=hub.url, token=WRITE)
    api.create_repo(REPO, private=True)
    return api


def add(api: HfApi, message: str = "all", parent: str | None = None) -> str:
    """Commit all files."""
    operations = [CommitOperationAdd(name, content) for name, content in FILES.items()]
    return api.create_commit(REPO, operations, commit_message=message, parent_commit=parent).oid


def refused(call: Callable[[], object], status: int) -> None:
    with pytest.raises(HfHubHTTPError) as error:
        call()
    assert error.value.response.status_code == status


@pytest.mark.parametrize("xet", [False, True])
def test_what_is_sent_is_what_is_fetched(xet: bool, hub: Hub, api: HfApi, sending: Callable[..., None], tmp_path: Path) -> None:
    sending(xet=xet)
    commit = add(api)
    for revision in ("main", commit):
        folder = Path(api.snapshot_download(REPO, revision=revision, cache_dir=tmp_path / revision))
        assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    tree = {file.path: file for file in api.list_repo_tree(REPO, recursive=True)}
    assert {name: file.size for name, file in tree.items() if name in FILES} == {name: len(c) for name, c in FILES.items()}
    assert (tree["w.safetensors"].xet_hash is not None) == xet
    assert len(xet_hashes(hub.state.cas)) == xet
    assert api.file_exists(REPO, "a/b.json") and not api.file_exists(REPO, "c.json")
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(REPO, "c.json")
    assert api.model_info(REPO).sha == commit
    assert not hub.calls("unknown")


def test_a_commit_on_what_is_not_the_head_is_refused(hub: Hub, api: HfApi) -> None:
    head = api.model_info(REPO).sha
    add(api, parent=head)
    refused(lambda: api.create_commit(REPO, [CommitOperationAdd("x.md", b"x")], commit_message="x", parent_commit=head), 412)
    refused(lambda: api.create_commit(REPO, [CommitOperationDelete("x.md")], commit_message="x"), 404)
    api.create_commit(REPO, [CommitOperationDelete("a/b.json")], commit_message="x")
    assert [commit.title for commit in api.list_repo_commits(REPO)] == ["x", "all", "initial commit"]
    assert "a/b.json" not in hub.repo().head.files


def test_tags_and_branches_are_made_once_and_deleted(api: HfApi) -> None:
    commit = add(api)
    api.create_tag(REPO, tag="v1")
    api.create_branch(REPO, branch="production", revision="v1")
    refused(lambda: api.create_tag(REPO, tag="v1"), 409)
    refused(lambda: api.create_branch(REPO, branch="production"), 409)
    refs = api.list_repo_refs(REPO)
    assert {ref.name: ref.target_commit for ref in [*refs.tags, *refs.branches]} == dict.fromkeys(
        ("v1", "main", "production"), commit
    )
    api.delete_tag(REPO, tag="v1")
    api.delete_branch(REPO, branch="production")
    refused(lambda: api.delete_branch(REPO, branch="main"), 403)
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(REPO, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="v1")
    assert [branch.name for branch in api.list_repo_refs(REPO).branches] == ["main"]


def test_a_pull_request_is_apart_from_the_branches(hub: Hub, api: HfApi) -> None:
    made = api.create_commit(REPO, [CommitOperationAdd("x.md", b"x")], commit_message="proposed", create_pr=True)
    assert (made.pr_num, made.pr_revision) == (1, "refs/pr/1")
    assert [each.title for each in api.get_repo_discussions(REPO, discussion_type="pull_request")] == ["proposed"]
    assert "x.md" in {file.path for file in api.list_repo_tree(REPO, revision="refs/pr/1")}
    pulls = api.list_repo_refs(REPO, include_pull_requests=True).pull_requests
    assert pulls and pulls[0].target_commit == made.oid
    assert "x.md" not in hub.repo().head.files


def test_tokens_have_their_rights_and_private_is_private(hub: Hub, api: HfApi) -> None:
    add(api)
    assert api.whoami()["name"] == "me"
    reader, other, nobody = (HfApi(endpoint=hub.url, token=token) for token in (READ, OTHER, False))
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
    assert reader.model_info(REPO).private
    refused(lambda: add(reader), 403)
    with pytest.raises(RepositoryNotFoundError):
        other.model_info(REPO)
    with pytest.raises(RepositoryNotFoundError):
        nobody.model_info(REPO)
    refused(lambda: HfApi(endpoint=hub.url, token="hf_none").model_info(REPO), 401)
    refused(lambda: other.create_repo("me/more"), 403)
    refused(lambda: api.create_repo(REPO), 409)
    assert api.create_repo(REPO, exist_ok=True).repo_id == REPO
    hub.repo().private = False
    assert nobody.model_info(REPO).sha == hub.repo().head.id
    refused(lambda: other.create_tag(REPO, tag="v1"), 403)


def test_a_card_is_validated(api: HfApi) -> None:
    with pytest.raises(ValueError, match="Invalid metadata"):
        api.create_commit(REPO, [CommitOperationAdd("README.md", b"---\na: [\n---\n")], commit_message="card")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        api.create_commit(REPO, [CommitOperationAdd("README.md", b"words")], commit_message="card")
