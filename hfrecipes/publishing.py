"""Publishing: a sealed folder to a repository on the Hub, exactly once, and the releases that a repository holds.

main         what was published last; one commit a release
v1, v2 …     a tag for each release; a number is never given twice, as no tag is ever moved or deleted here
production   a branch: what is in production, and by its commits the history of that

The Hub has no call that moves a branch: it can be deleted and made anew, and between the two whoever loads `production` finds
nothing. So it is made at the first promotion, at the commit of that release, and later ones are commits on it, "Promote v3" or
"Roll back to v2", each with exactly the files of that release. A commit is atomic, has to say on which it builds, and stays: so
`production` always resolves, two that promote at once cannot both do so, and any machine reads the history from the branch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from hfrecipes.destination import LOG_IN
from hfrecipes.errors import ModelError
from hfrecipes.folder import sha256
from hfrecipes.hub_calls import Patience
from hfrecipes.hub_repository import ATTRIBUTES, MAIN, Operation, Refs, Repository, Tree, iso
from hfrecipes.publishable import File, publishable
from hfrecipes.releases import Release

PRODUCTION = "production"
MOVED = re.compile(r"(Promote|Roll back to) (v[1-9][0-9]*)")


@dataclass(frozen=True)
class Published:
    """What was published: the `commit`, its `url`, and the `name` of the release; of a pull request that is its revision."""

    commit: str
    url: str
    name: str


def publish(
    folder: Path,
    repo: str,
    *,
    private: bool = True,
    pull_request: bool = False,
    endpoint: str | None = None,
    patience: Patience | None = None,
) -> Published:
    """Publish a sealed folder as the next release of a repository, or as a pull request to it; a new repository is `private`.

    The files take the place of all that are there, but for .gitattributes, in one commit, and the commit gets a tag. A folder
    that the last commit already holds gives that commit, and its tag: so after a failure, publish again.

    Raises ModelError where the folder holds what may not be published (nothing is sent then), the Hub refuses, it does not answer
    within the patience, or somebody else published meanwhile.
    """
    repository, files = ready(folder, repo, endpoint, patience)
    with repository.talking():
        if not repository.is_there():
            repository.create(private)
        head = repository.head(MAIN)
        tree = repository.tree(head)
        title = f"Release {_fingerprint(files)[:12]}"
        if pull_request and not _holds(tree, files):
            return _pulled(repository, head, tree, files, title)
        if not _holds(tree, files):
            head = repository.commit(MAIN, head, _sent(repository, tree, files, False), title, lambda now: _holds(now, files))
        try:
            name = repository.tag(head)
        except ModelError as error:
            raise ModelError(
                repo, f"is published ({head[:12]}), but has no tag: {error.what}", "Publish again for that"
            ) from None
        return Published(head, f"{repository.api.endpoint}/{repo}/tree/{name}", name)


def ready(
    folder: Path, repo: str, endpoint: str | None = None, patience: Patience | None = None
) -> tuple[Repository, list[File]]:
    """The repository, and what would be published to it. Asks nobody; raises ModelError as `publish` does before it sends."""
    repository = Repository(repo, endpoint, replace(patience) if patience else Patience())
    if repository.token is None:
        raise ModelError(repo, "cannot be published to: there is no access token", LOG_IN)
    return repository, publishable(folder, repository.token)


def _pulled(repository: Repository, head: str, tree: Tree, files: Sequence[File], title: str) -> Published:
    operations = _sent(repository, tree, files, True)
    number = repository.pull_request(head, operations, title, lambda now: _holds(now, files))
    commit = repository.commits(f"refs/pr/{number}")[0].commit_id
    return Published(commit, f"{repository.api.endpoint}/{repository.name}/discussions/{number}", f"refs/pr/{number}")


def _sent(repository: Repository, tree: Tree, files: Sequence[File], pull_request: bool) -> list[Operation]:
    """What changes a tree to the files of a release, the large ones of which are uploaded when this returns."""
    changed = [file for file in files if not _same(tree, file)]
    additions = [CommitOperationAdd(file.name, str(file.path) if file.content is None else file.content) for file in changed]
    repository.upload(additions, pull_request)
    for file, addition in zip(changed, additions, strict=True):
        if addition.upload_info.sha256.hex() != file.sha256:
            raise ModelError(str(file.path), "changed while it was sent; nothing was published", "Publish again")
    names = {file.name for file in files}
    return [*additions, *(CommitOperationDelete(name, is_folder=False) for name in sorted({*tree} - names - {ATTRIBUTES}))]


def _same(tree: Tree, file: File) -> bool:
    there = tree.get(file.name)
    if there is None or there.size != file.size:
        return False
    return there.lfs.sha256 == file.sha256 if there.lfs else there.blob_id == file.blob_id


def _holds(tree: Tree, files: Sequence[File]) -> bool:
    """Whether a commit holds exactly the files of a release."""
    names = {file.name for file in files}
    return {*tree} - {ATTRIBUTES} == names - {ATTRIBUTES} and all(_same(tree, file) for file in files)


def _fingerprint(files: Sequence[File]) -> str:
    return next(file.sha256 for file in files if file.name == "manifest.json")


class HubReleases:
    """The releases in a repository on the Hub, by its tags; what is in production by its branch. Each call has patience anew.

    What a release has in other repositories goes into production, and back, with its weights, and before them.

    A repository that is made is `private`; with `pull_request` releases are proposed, not added. `check` is called with the
    folder of a release that is to go into production, once it verifies, and raises where it should not: a smoke prediction.
    """

    def __init__(
        self,
        repo: str,
        *,
        private: bool = True,
        pull_request: bool = False,
        check: Callable[[Path], object] | None = None,
        endpoint: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.repo, self.private, self.pull_request, self.check = repo, private, pull_request, check
        self.endpoint, self.patience = endpoint, patience or Patience()

    def releases(self) -> list[Release]:
        """Every release, the oldest first. Raises ModelError where there is no such repository."""
        repository = self._repository()
        with repository.talking():
            return self._listed(repository, repository.refs())

    def current(self) -> Release | None:
        """The release in production; None before the first, and where there is no such repository."""
        repository = self._repository()
        with repository.talking():
            found = self._listed(repository, repository.refs()) if repository.is_there() else []
        return next((release for release in found if release.current), None)

    def folder(self, name: str) -> Path:
        """A folder with the files of a release, fetched where it is not there yet. Raises ModelError where there is none of that
        name."""
        repository = self._repository()
        with repository.talking():
            return repository.fetched(self._commit(repository.refs(), name))

    def add(self, folder: Path) -> Release:
        """Publish a sealed folder as the next release; one with the same manifest that is there is returned instead.

        Of a pull request the release has the name of its revision, such as refs/pr/1: it gets a number once it is merged, and
        added again.
        """
        repository = self._repository()
        fingerprint = sha256(folder / "manifest.json") if (folder / "manifest.json").is_file() else ""
        with repository.talking():
            known = self._listed(repository, repository.refs()) if repository.is_there() else []
        for release in known:
            if release.fingerprint == fingerprint:
                return release
        how = {"private": self.private, "pull_request": self.pull_request}
        came = publish(folder, self.repo, **how, endpoint=self.endpoint, patience=self.patience)
        repository = self._repository()
        with repository.talking():
            return Release(came.name, repository.created(came.commit), fingerprint, current=False)

    def promote(self, name: str) -> Release:
        """Put a release in production, once its files are what its manifest says; no change where it is there.

        Raises ModelError where there is none of that name, its files are others, or somebody else promotes at the same time.
        """
        repository = self._repository()
        with repository.talking():
            refs = repository.refs()
            if self._stack(repository, refs)[-1:] != [name]:
                self._move(repository, refs, name, f"Promote {name}")
        return self._named(name)

    def rollback(self) -> Release:
        """Put the release in production that was there before; a second time, the one before that.

        Raises ModelError where there was none, and as `promote` does.
        """
        repository = self._repository()
        with repository.talking():
            refs = repository.refs()
            stack = self._stack(repository, refs)
            if len(stack) < 2:
                others = ", ".join(name for name in refs.releases if [name] != stack) or "publish one first"
                raise ModelError(self.repo, "has nothing to roll back to", f"Promote a release by name: {others}")
            self._move(repository, refs, stack[-2], f"Roll back to {stack[-2]}")
        return self._named(stack[-2])

    def _repository(self) -> Repository:
        return Repository(self.repo, self.endpoint, replace(self.patience))

    def _promote_beside(self, name: str, repo: str, fingerprint: str) -> None:
        """Put what a release has apart from its weights in production, too, before them."""
        beside = HubReleases(repo, check=self.check, endpoint=self.endpoint, patience=self.patience)
        found = next((each.name for each in beside.releases() if each.fingerprint == fingerprint), None)
        if found is None:
            raise ModelError(self.repo, f"{repo} does not hold what belongs to {name}", "Publish it again, or promote another")
        beside.promote(found)

    def _named(self, name: str) -> Release:
        return next(release for release in self.releases() if release.name == name)

    def _listed(self, repository: Repository, refs: Refs) -> list[Release]:
        now = self._stack(repository, refs)[-1:]
        dates = {each.commit_id: iso(each) for each in repository.commits(MAIN)}
        found = []
        for name, commit in refs.releases.items():
            if (manifest := repository.read(commit, "manifest.json")) is not None:
                fingerprint = hashlib.sha256(manifest).hexdigest()
                created = dates.get(commit) or repository.created(commit)
                found.append(Release(name, created, fingerprint, current=now == [name]))
        return found

    def _commit(self, refs: Refs, name: str) -> str:
        if name not in refs.releases:
            others = f"It has: {', '.join(refs.releases)}" if refs.releases else "Publish one first"
            raise ModelError(self.repo, f"has no release '{name}'", others)
        return refs.releases[name]

    def _stack(self, repository: Repository, refs: Refs) -> list[str]:
        """The releases that were in production and are to be gone back to, the last of them in production now."""
        moves: list[tuple[str, str]] = []
        stack: list[str] = []
        for commit in repository.commits(PRODUCTION) if PRODUCTION in refs.branches else []:
            if (found := MOVED.fullmatch(commit.title)) is None:
                stack = [name for name, target in refs.releases.items() if target == commit.commit_id][-1:]
                break
            moves.insert(0, (found[1], found[2]))
        for how, name in moves:
            stack = [*stack, name] if how == "Promote" else stack[:-1]
        return stack

    def _move(self, repository: Repository, refs: Refs, name: str, title: str) -> None:
        commit = self._commit(refs, name)
        tree = repository.tree(commit)
        repository.verify(name, commit, tree)
        for repo, fingerprint in _apart(repository, commit).items():
            self._promote_beside(name, repo, fingerprint)
        if self.check is not None:
            self.check(repository.fetched(commit))
        before = refs.branches.get(PRODUCTION)
        if before is None:
            repository.branch(PRODUCTION, commit)
            before = repository.head(PRODUCTION)
        if before == commit:
            return
        there = repository.tree(before)
        changed = [path for path, file in tree.items() if path not in there or there[path].blob_id != file.blob_id]
        operations: list[Operation] = [CommitOperationCopy(path, path, src_revision=commit) for path in changed]
        operations += [CommitOperationDelete(path, is_folder=False) for path in sorted({*there} - {*tree})]
        wanted = {path: file.blob_id for path, file in tree.items()}
        repository.commit(
            PRODUCTION, before, operations, title, lambda now: {path: file.blob_id for path, file in now.items()} == wanted
        )


def _apart(repository: Repository, commit: str) -> dict[str, str]:
    """The repositories of what is apart from the weights of a release, and the fingerprints of its releases there."""
    named = json.loads(repository.read(commit, "manifest.json") or b"{}").get("apart", {})
    return {repo: fingerprint for repo, fingerprint in named.items() if repo.startswith(f"{repository.name}-")}
