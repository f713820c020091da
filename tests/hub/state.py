"""What a Hub holds: accounts, repositories, commits, files. In memory, but for what the Xet client writes by itself."""

from __future__ import annotations

import fnmatch
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.hub.shards import xet_hashes

LARGE = ("*.safetensors", "*.onnx", "*.onnx_data", "*.model", "*.bin", "*.png")
"""What a new repository keeps as large files, whatever their size; of others those that are no text."""
ATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE).encode()
START = datetime(2026, 1, 1, tzinfo=UTC)


class Refused(Exception):
    """An answer that is an error: its status, what it says, and its code in X-Error-Code."""

    def __init__(self, status: int, message: str, code: str = "", url: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.url = status, message, code, url


@dataclass(frozen=True)
class Account:
    """Who a token speaks for, and its role: `write` or `read`."""

    name: str
    role: str


@dataclass(frozen=True)
class Blob:
    """A file of a commit: its `content`, or the `sha256` and `size` of a large one."""

    content: bytes = b""
    sha256: str = ""
    size: int = 0

    @property
    def oid(self) -> str:
        """The git id: of the content, or of the pointer to a large file."""
        content = self.pointer if self.sha256 else self.content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @property
    def length(self) -> int:
        return self.size if self.sha256 else len(self.content)


@dataclass(frozen=True)
class Commit:
    """A commit: its files by their path, and the one before it."""

    id: str
    parent: Commit | None
    title: str
    date: str
    files: dict[str, Blob]

    def history(self) -> list[Commit]:
        """It and those before it, the newest first."""
        return [self, *(self.parent.history() if self.parent else [])]


@dataclass
class Repo:
    """A repository of a type: `branches`, `tags` and `pulls` point to commits."""

    type: str
    id: str
    private: bool
    branches: dict[str, Commit] = field(default_factory=dict)
    tags: dict[str, Commit] = field(default_factory=dict)
    pulls: dict[int, Commit] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self.branches["main"] = self.commit(None, "initial commit", {".gitattributes": Blob(ATTRIBUTES)})

    @property
    def head(self) -> Commit:
        return self.branches["main"]

    def commit(self, parent: Commit | None, title: str, files: dict[str, Blob]) -> Commit:
        """A new commit, to which nothing points yet."""
        self.made += 1
        date = (START + timedelta(minutes=self.made)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        words = f"{self.id} {self.made} {title} {sorted((name, blob.oid) for name, blob in files.items())}"
        return Commit(hashlib.sha1(words.encode()).hexdigest(), parent, title, date, files)

    def at(self, revision: str) -> Commit:
        """The commit of a branch, a tag, refs/pr/N, or an id."""
        if revision.startswith("refs/pr/") and int(revision.rpartition("/")[2]) in self.pulls:
            return self.pulls[int(revision.rpartition("/")[2])]
        named = {**self.tags, **self.branches}
        if revision in named:
            return named[revision]
        heads = [*named.values(), *self.pulls.values()]
        found = [commit for head in heads for commit in head.history() if commit.id.startswith(revision) and len(revision) > 6]
        if not found:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found[0]


@dataclass
class Collection:
    """A collection of model repositories, the ids of which are its `items`."""

    slug: str
    title: str
    owner: str
    private: bool
    items: list[str] = field(default_factory=list)


@dataclass
class State:
    """All of a Hub. `cas` is the folder where the Xet client leaves what it uploads, `large` are files that came by LFS,
    `sizes` those of all large files that were committed; both by sha256."""

    cas: Path
    tokens: dict[str, Account]
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    collections: list[Collection] = field(default_factory=list)

    def account(self, header: str | None) -> Account | None:
        """Who asks, by the authorization header."""
        if header is None:
            return None
        token = header.removeprefix("Bearer ")
        if token not in self.tokens:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.tokens[token]

    def create(self, account: Account | None, kind: str, owner: str | None, name: str, private: bool) -> Repo:
        """A new repository."""
        if account is None:
            raise Refused(401, "Invalid username or password.")
        if account.role != "write" or owner not in (None, account.name):
            raise Refused(403, f'You don\'t have the rights to create a {kind} under the namespace "{owner}"')
        repo = Repo(kind, f"{owner or account.name}/{name}", private)
        if (kind, repo.id) in self.repos:
            raise Refused(409, f"You already created this {kind} repo", url=f"/{repo.id}")
        return self.repos.setdefault((kind, repo.id), repo)

    def repo(self, account: Account | None, kind: str, name: str) -> Repo:
        """A repository that somebody may read."""
        repo = self.repos.get((kind, name))
        if repo is None or (repo.private and (account is None or account.name != name.partition("/")[0])):
            if account is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        return repo

    def writable(self, account: Account | None, kind: str, name: str, pull: bool = False) -> Repo:
        """A repository that somebody may change, or open a pull request in."""
        repo = self.repo(account, kind, name)
        if account is None:
            raise Refused(401, "Invalid username or password.")
        if account.role != "write":
            raise Refused(403, "Your token has no write access")
        if account.name != name.partition("/")[0] and not pull:
            raise Refused(403, "Forbidden: pass create_pr=1 to open a pull request instead")
        return repo

    def stored(self, sha256: str) -> bool:
        """Whether a large file was uploaded."""
        return sha256 in self.large or sha256 in xet_hashes(self.cas)


def is_large(path: str, size: int, sample: bytes) -> bool:
    """Whether a file is kept as a large one."""
    binary = b"\0" in sample
    return binary or size > 10 * 1024 * 1024 or any(fnmatch.fnmatch(path.rpartition("/")[2], pattern) for pattern in LARGE)
