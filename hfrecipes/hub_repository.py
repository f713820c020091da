"""A model repository on the Hub: what it holds, and changes to it that are made once or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.hf_api import GitCommitInfo, RepoFile

from hfrecipes.errors import ModelError
from hfrecipes.hub_asking import Asking
from hfrecipes.hub_calls import NoAnswer

MAIN = "main"
ATTRIBUTES = ".gitattributes"
"""Which files the Hub keeps as large ones; of a repository, whatever the release is."""
TAG = re.compile(r"v[1-9][0-9]*")
XET_SECONDS = "20s"
"""What the Xet client, which waits by itself, may take to try a call again; together with the last try it is under a minute."""

Tree = Mapping[str, RepoFile]
"""The files of a commit by their path."""
Done = Callable[[Tree], bool]
"""Whether the files of a commit are those that were wanted."""
Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete


@dataclass(frozen=True)
class Refs:
    """Where branches, and the tags of releases, point: to ids of commits."""

    branches: Mapping[str, str]
    releases: Mapping[str, str]

    @property
    def next_release(self) -> str:
        return f"v{1 + max((int(name[1:]) for name in self.releases), default=0)}"


class Repository(Asking):
    """The model repository of a name. Its methods are called in a block of `talking`."""

    def refs(self) -> Refs:
        """Where its branches and releases point."""
        found = self.ask(lambda: self.api.list_repo_refs(self.name))
        tags = {tag.name: tag.target_commit for tag in found.tags if TAG.fullmatch(tag.name)}
        releases = {name: tags[name] for name in sorted(tags, key=lambda name: int(name[1:]))}
        return Refs({branch.name: branch.target_commit for branch in found.branches}, releases)

    def head(self, branch: str) -> str:
        """The id of the last commit of a branch. Raises ModelError where there is no such branch."""
        commit = self.refs().branches.get(branch)
        if commit is None:
            raise ModelError(self.name, f"has no branch {branch}", "Try again, or make it on the Hub")
        return commit

    def tree(self, revision: str) -> Tree:
        """The files of a commit."""
        found = self.ask(lambda: list(self.api.list_repo_tree(self.name, recursive=True, revision=revision)))
        return {file.path: file for file in found if isinstance(file, RepoFile)}

    def create(self, private: bool) -> None:
        """Make it, where there is none. Raises ModelError where there is a data set or a Space of that name, and no model."""
        for kind, word in (("dataset", "data set"), ("space", "Space")):
            if self._is(kind):
                raise ModelError(self.name, f"is a {word} on the Hub, not a model", "Write another name")
        self.make(lambda: self.api.create_repo(self.name, private=private))

    def is_there(self) -> bool:
        """Whether there is a model repository of that name, for this token."""
        return self._is("model")

    def _is(self, kind: str) -> bool:
        def found() -> bool:
            try:
                self.api.repo_info(self.name, repo_type=kind)
            except RepositoryNotFoundError:
                return False
            return True

        return self.ask(found)

    def upload(self, additions: Sequence[CommitOperationAdd], pull_request: bool) -> None:
        """Send large files, to which no commit points yet; what the repository says about files to ignore does not count."""
        os.environ.setdefault("HF_XET_CLIENT_RETRY_MAX_DURATION", XET_SECONDS)
        self.ask(
            lambda: self.api.preupload_lfs_files(
                self.name, additions, gitignore_content="", free_memory=False, create_pr=pull_request
            )
        )

    def commit(self, branch: str, parent: str, operations: Sequence[Operation], message: str, done: Done) -> str:
        """Commit to a branch once, where `parent` is its last commit. The id of the commit.

        Where an answer is lost, or says that the branch moved, the commits since `parent` tell whether this one is among them:
        that one whose tree is `done`. Raises ModelError where others committed.
        """

        def made() -> str:
            return self.api.create_commit(
                self.name, operations, commit_message=message, parent_commit=parent, revision=branch
            ).oid

        commit = self._found_or(made, lambda: self._landed(branch, parent, done))
        return self._checked(commit, done)

    def pull_request(self, parent: str, operations: Sequence[Operation], message: str, done: Done) -> str:
        """The number of the open pull request with that title whose tree is `done`; a new one where there is none."""

        def made() -> str:
            commit = self.api.create_commit(self.name, operations, commit_message=message, parent_commit=parent, create_pr=True)
            return str(commit.pr_num)

        number = self._opened(message, done) or self._found_or(made, lambda: self._opened(message, done))
        self._checked(f"refs/pr/{number}", done)
        return number

    def _found_or(self, make: Callable[[], str], found: Callable[[], str | None]) -> str:
        """What `make` returns, or `found` after it had no answer; tried again while it's neither made nor found."""
        while True:
            try:
                return self.once(make)
            except NoAnswer as error:
                again = error
            if (there := found()) is not None:
                return there
            self.wait(again)

    def _opened(self, title: str, done: Done) -> str | None:
        """The number of an open pull request."""
        found = self.ask(
            lambda: list(self.api.get_repo_discussions(self.name, discussion_type="pull_request", discussion_status="open"))
        )
        for each in found:
            if each.title == title and done(self.tree(f"refs/pr/{each.num}")):
                return str(each.num)
        return None

    def _checked(self, commit: str, done: Done) -> str:
        if not done(self.tree(commit)):
            raise ModelError(self.name, f"commit {commit[:12]} does not hold what was sent", "Look at it on the Hub")
        return commit

    def _landed(self, branch: str, parent: str, done: Done) -> str | None:
        """The commit that did it, or None where the branch did not move."""
        if self.refs().branches.get(branch) == parent:
            return None
        for each in self.commits(branch):
            if each.commit_id == parent:
                break
            if done(self.tree(each.commit_id)):
                return each.commit_id
        raise ModelError(
            self.name, f"somebody else changed its branch {branch} meanwhile; nothing was done", "Look at it, then try again"
        )

    def commits(self, revision: str) -> list[GitCommitInfo]:
        """A commit and those before it, the newest first."""
        return self.ask(lambda: self.api.list_repo_commits(self.name, revision=revision))

    def created(self, commit: str) -> str:
        """When a commit was made, as ISO 8601."""
        return iso(self.commits(commit)[0])

    def read(self, commit: str, file: str) -> bytes | None:
        """What a file of a commit holds, or None where there is none; kept in the cache of the Hub's client."""

        def fetched() -> bytes | None:
            try:
                return Path(self.api.hf_hub_download(self.name, file, revision=commit)).read_bytes()
            except EntryNotFoundError:
                return None

        return self.ask(fetched)

    def verify(self, name: str, commit: str, tree: Tree) -> None:
        """Raises ModelError where the commit of a release does not hold what its manifest says."""
        try:
            named = json.loads(self.read(commit, "manifest.json") or b"")["files"]
            sizes = {path: facts["size"] for path, facts in named.items()}
            hashes = {path: facts["sha256"] for path, facts in named.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(self.name, f"{name} has no manifest of a sealed folder", "Promote another release") from None
        for path in sorted({*tree, *named} - {ATTRIBUTES, "manifest.json"}):
            there = tree.get(path)
            if there is None or there.size != sizes.get(path) or self._sha256(commit, there) != hashes[path]:
                raise ModelError(
                    self.name, f"{path} of {name} is not the file that its manifest names", "Promote another release"
                )

    def _sha256(self, commit: str, file: RepoFile) -> str:
        return file.lfs.sha256 if file.lfs else hashlib.sha256(self.read(commit, file.path) or b"").hexdigest()

    def fetched(self, commit: str) -> Path:
        """A folder with the files of a commit; kept in the cache of the Hub's client."""
        return Path(self.ask(lambda: self.api.snapshot_download(self.name, revision=commit, ignore_patterns=[ATTRIBUTES])))

    def branch(self, name: str, commit: str) -> None:
        """A new branch at a commit, where there is none of that name."""
        self.make(lambda: self.api.create_branch(self.name, branch=name, revision=commit))

    def tag(self, commit: str) -> str:
        """The name of the release that a commit is; a tag with the next number where it is none yet."""
        while True:
            refs = self.refs()
            names = [name for name, target in refs.releases.items() if target == commit]
            if names:
                return names[-1]
            try:
                self.once(partial(self.api.create_tag, self.name, tag=refs.next_release, revision=commit))
            except NoAnswer as error:
                self.wait(error)


def iso(commit: GitCommitInfo) -> str:
    """When a commit was made, as ISO 8601."""
    return commit.created_at.isoformat(timespec="seconds")
