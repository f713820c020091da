"""Releases on a Hub: what is in production moves whole, and any machine knows what was there before."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hfrecipes.cli import main
from hfrecipes.errors import ModelError
from hfrecipes.folder import sha256, verified
from hfrecipes.hub_calls import Patience
from hfrecipes.publishing import HubReleases, publish
from hfrecipes.releases import Release, Releases
from tests.hub.faults import SLOW
from tests.hub.server import OTHER, READ, WRITE, Hub
from tests.hub.state import Blob

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
REPO = "me/intents"
Offered = Callable[..., Path]


@pytest.fixture
def found(hub: Hub, sending: object, offered: Offered, patience: Patience) -> HubReleases:
    """A repository with the releases v1, v2 and v3, none in production."""
    for said in ("one", "two", "three"):
        publish(offered(said), REPO, endpoint=hub.url, patience=patience)
    return HubReleases(REPO, endpoint=hub.url, patience=patience)


def production(hub: Hub) -> dict[str, Blob]:
    """The files in production."""
    return hub.repo().branches["production"].files


def test_what_the_hub_holds_is_what_a_place_of_releases_can_do(found: HubReleases, offered: Offered) -> None:
    place: Releases = found
    releases = place.releases()
    assert [(each.name, each.current) for each in releases] == [("v1", False), ("v2", False), ("v3", False)]
    assert [each.fingerprint for each in releases] == [
        sha256(offered(said) / "manifest.json") for said in ("one", "two", "three")
    ]
    assert [each.created for each in releases] == sorted(each.created for each in releases)
    assert releases[0].created == "2026-01-01T00:02:00+00:00"
    assert place.current() is None


def test_nothing_moves_in_production_until_a_release_is_promoted(hub: Hub, found: HubReleases, offered: Offered) -> None:
    assert "production" not in hub.repo().branches
    found.promote("v1")
    before = hub.repo().branches["production"]
    assert before is hub.repo().tags["v1"]
    assert found.add(offered("four")).name == "v4"
    assert hub.repo().branches["production"] is before


def test_promote_and_rollback_move_production(hub: Hub, found: HubReleases) -> None:
    for name in ("v1", "v3", "v2"):
        release = found.promote(name)
        assert release == Release(name, release.created, release.fingerprint, current=True) == found.current()
        assert production(hub) == hub.repo().tags[name].files
    assert found.rollback().name == "v3"
    assert production(hub) == hub.repo().tags["v3"].files
    assert [each.name for each in found.releases() if each.current] == ["v3"]


def test_a_second_rollback_goes_one_further_back_and_the_history_stays(hub: Hub, found: HubReleases) -> None:
    for name in ("v1", "v2", "v3"):
        found.promote(name)
    assert [found.rollback().name, found.rollback().name] == ["v2", "v1"]
    with pytest.raises(ModelError, match=r"^me/intents: has nothing to roll back to\. Promote a release by name: v2, v3\.$"):
        found.rollback()
    found.promote("v3")
    assert found.rollback().name == "v1"
    titles = [commit.title for commit in hub.repo().branches["production"].history()]
    assert titles[:6] == ["Roll back to v1", "Promote v3", "Roll back to v1", "Roll back to v2", "Promote v3", "Promote v2"]


def test_promoting_what_is_in_production_changes_nothing(hub: Hub, found: HubReleases) -> None:
    found.promote("v1")
    found.promote("v2")
    before = hub.repo().branches["production"]
    assert found.promote("v2").current
    assert hub.repo().branches["production"] is before
    assert found.rollback().name == "v1"


def test_production_is_never_without_a_commit_and_files_are_not_sent_again(hub: Hub, found: HubReleases) -> None:
    found.promote("v1")
    puts = len(hub.calls("lfs-put"))
    found.promote("v2")
    found.rollback()
    assert not hub.calls("delete-branch") and not hub.calls("delete-tag")
    assert len(hub.calls("lfs-put")) == puts


def test_there_is_no_release_of_another_name(found: HubReleases) -> None:
    with pytest.raises(ModelError, match=r"^me/intents: has no release 'v9'\. It has: v1, v2, v3\.$"):
        found.promote("v9")
    with pytest.raises(ModelError, match="has no release 'main'"):
        found.folder("main")


def test_a_release_whose_files_are_others_is_not_promoted(hub: Hub, found: HubReleases) -> None:
    repo = hub.repo()
    whole = repo.tags["v2"].files
    large = Blob(sha256=repo.tags["v1"].files["model.safetensors"].sha256, size=whole["model.safetensors"].size)
    for name, files in {
        "config.json": {**whole, "config.json": Blob(b"[]\n")},
        "README.md": {**whole, "README.md": Blob(b"longer than it was" * 9)},
        "model.safetensors": {**whole, "model.safetensors": large},
        "more.md": {**whole, "more.md": Blob(b"")},
        "onnx/model.onnx": {path: blob for path, blob in whole.items() if path != "onnx/model.onnx"},
    }.items():
        repo.tags["v2"] = repo.commit(repo.head, "by hand", files)
        with pytest.raises(ModelError) as error:
            found.promote("v2")
        assert str(error.value) == (f"me/intents: {name} of v2 is not the file that its manifest names. Promote another release.")
    repo.tags["v2"] = repo.commit(repo.head, "by hand", {**whole, "manifest.json": Blob(b"{}")})
    with pytest.raises(ModelError, match="v2 has no manifest of a sealed folder"):
        found.promote("v2")
    assert "production" not in repo.branches


def test_a_check_is_asked_before_a_release_goes_into_production(hub: Hub, found: HubReleases) -> None:
    seen: list[Path] = []

    def check(folder: Path) -> None:
        seen.append(folder)
        if "two" in (folder / "README.md").read_text():
            raise ModelError(str(folder), "does not answer")

    found.check = check
    found.promote("v1")
    with pytest.raises(ModelError, match="does not answer"):
        found.promote("v2")
    assert len(seen) == 2
    assert verified(seen[0])["said"] == "one"
    current = found.current()
    assert current and current.name == "v1"


def test_the_folder_of_a_release_is_the_one_that_was_published(found: HubReleases, offered: Offered) -> None:
    folder = found.folder("v2")
    assert verified(folder) == verified(offered("two"))
    assert sha256(folder / "manifest.json") == found.releases()[1].fingerprint


def test_the_same_release_is_added_once_though_another_came_after_it(hub: Hub, found: HubReleases, offered: Offered) -> None:
    head = hub.repo().head
    assert found.add(offered()) == found.releases()[0]
    assert hub.repo().head is head
    assert [*hub.repo().tags] == ["v1", "v2", "v3"]


def test_a_release_that_is_proposed_has_no_number_yet(
    hub: Hub, found: HubReleases, sending: Offered, offered: Offered, patience: Patience
) -> None:
    proposing = HubReleases(REPO, pull_request=True, endpoint=hub.url, patience=patience)
    release = proposing.add(offered("four"))
    assert release == Release("refs/pr/1", release.created, sha256(offered("four") / "manifest.json"), current=False)
    hub.repo().branches["main"] = hub.repo().pulls.pop(1)
    assert proposing.add(offered("four")).name == "v4"


def test_before_the_first_publication_there_is_nothing_in_production(
    hub: Hub, sending: object, offered: Offered, patience: Patience
) -> None:
    found = HubReleases(REPO, endpoint=hub.url, patience=patience)
    assert found.current() is None
    with pytest.raises(ModelError, match=r"^me/intents: is not there, or not for this access token\."):
        found.releases()
    assert found.add(offered()).name == "v1"
    assert found.promote("v1").current


def test_a_tag_that_is_no_release_is_none(hub: Hub, found: HubReleases) -> None:
    hub.repo().tags |= {"v4": hub.repo().head.history()[-1], "latest": hub.repo().head}
    assert [each.name for each in found.releases()] == ["v1", "v2", "v3"]


def test_a_production_that_somebody_else_made_is_no_release(hub: Hub, found: HubReleases) -> None:
    repo = hub.repo()
    repo.branches["production"] = repo.commit(repo.head, "by hand", repo.head.files)
    assert found.current() is None
    with pytest.raises(ModelError, match="has nothing to roll back to"):
        found.rollback()
    assert found.promote("v1") == found.current()


def test_who_may_only_read_sees_releases_and_moves_none(hub: Hub, found: HubReleases, sending: Offered) -> None:
    found.promote("v1")
    sending(READ)
    assert [each.current for each in found.releases()] == [True, False, False]
    with pytest.raises(ModelError, match="the access token may only read"):
        found.promote("v2")
    hub.repo().private = False
    sending(None)
    assert [each.current for each in found.releases()] == [True, False, False]
    sending(OTHER)
    with pytest.raises(ModelError, match="belongs to me, and the access token to other"):
        found.rollback() if len(found.releases()) < 3 else found.promote("v3")
    sending(WRITE)
    current = found.current()
    assert current and current.name == "v1"


def test_of_two_that_promote_at_once_one_is_told(hub: Hub, found: HubReleases) -> None:
    found.promote("v1")
    hub.fail("refs", SLOW, times=2, seconds=0.3)

    def promoted(name: str) -> Release | ModelError:
        try:
            return found.promote(name)
        except ModelError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        came = list(pool.map(promoted, ["v2", "v3"]))
    [won] = [each for each in came if isinstance(each, Release)]
    [lost] = [each for each in came if isinstance(each, ModelError)]
    assert "somebody else changed its branch production meanwhile; nothing was done" in str(lost)
    assert won.name == hub.repo().branches["production"].title.removeprefix("Promote ")
    assert len(hub.repo().branches["production"].history()) == len(hub.repo().tags["v1"].history()) + 1


def test_the_commands_on_releases_speak_to_the_hub(
    hub: Hub, found: HubReleases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr("hfrecipes.cli.on_releases._smoke", lambda folder: None)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)

    def spoken(*words: str) -> list[str]:
        with pytest.raises(SystemExit) as stop:
            main(words)
        said = capsys.readouterr()
        return (said.err if stop.value.code else said.out).splitlines()

    assert spoken("promote", REPO, "v1") == ["production: none -> v1"]
    assert spoken("promote", REPO, "v3") == ["production: v1 -> v3"]
    assert [line.split()[:2] for line in spoken("releases", REPO)[-1:]] == [["*", "v3"]]
    assert spoken("rollback", REPO) == ["production: v3 -> v1"]
    assert spoken("rollback", REPO)[-1].startswith("error: me/intents: has nothing to roll back to.")


def test_the_history_is_read_from_the_hub_alone(hub: Hub, found: HubReleases, patience: Patience, tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        found.promote(name)
    elsewhere = HubReleases(REPO, endpoint=hub.url, patience=patience)
    assert elsewhere.rollback().name == "v1"
    promoted = json.loads(hub.calls("commit")[-1].body.splitlines()[0])["value"]
    assert promoted["summary"] == "Roll back to v1"
