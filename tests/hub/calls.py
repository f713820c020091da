"""The calls of a Hub: what each answers, and what it changes. Long, since they are one list, in the order of a publication."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml

from tests.hub.shards import xet_hashes
from tests.hub.state import Account, Blob, Commit, Refused, State, is_large


@dataclass(frozen=True)
class Asked:
    """A request: who asks, for which repository of which type, what is in its path and its query, and its body."""

    account: Account | None
    url: str
    storage: str
    type: str
    repo: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def revision(self) -> str:
        return unquote(self.path.get("revision", "main"))


@dataclass(frozen=True)
class Answer:
    """An answer to send."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(values: Any, **headers: str) -> Answer:
    return Answer(json.dumps(values).encode(), headers={"Content-Type": "application/json", **headers})


def whoami(state: State, asked: Asked) -> Answer:
    if asked.account is None:
        raise Refused(401, "Invalid username or password.")
    token = {"type": "access_token", "accessToken": {"displayName": "test", "role": asked.account.role}}
    return as_json({"type": "user", "name": asked.account.name, "orgs": [], "auth": token})


def create_repo(state: State, asked: Asked) -> Answer:
    wanted = asked.json
    private = wanted.get("visibility") == "private"
    repo = state.create(asked.account, wanted.get("type") or "model", wanted["organization"], wanted["name"], private)
    return as_json({"url": f"{asked.url}/{repo.id}", "name": repo.id, "id": repo.id})


def validate_yaml(state: State, asked: Asked) -> Answer:
    found = re.match(r"---\n(.*?)\n---\n", asked.json["content"], re.S)
    if found is None:
        return as_json({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
    try:
        yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        said = json.dumps({"errors": [{"message": str(error)}], "warnings": [], "error": "Invalid metadata"})
        return Answer(said.encode(), 400, {"Content-Type": "application/json"})
    return as_json({"errors": [], "warnings": []})


def repo_info(state: State, asked: Asked) -> Answer:
    repo = state.repo(asked.account, asked.type, asked.repo)
    commit = repo.at(asked.revision)
    names = [{"rfilename": name} for name in sorted(commit.files)]
    return as_json({"id": repo.id, "sha": commit.id, "private": repo.private, "lastModified": commit.date, "siblings": names})


def refs(state: State, asked: Asked) -> Answer:
    repo = state.repo(asked.account, asked.type, asked.repo)

    def listed(kind: str, found: Mapping[Any, Commit]) -> list[dict[str, str]]:
        return [{"name": f"{name}", "ref": f"refs/{kind}/{name}", "targetCommit": commit.id} for name, commit in found.items()]

    said = {"branches": listed("heads", repo.branches), "tags": listed("tags", repo.tags), "converts": []}
    return as_json({**said, "pullRequests": listed("pr", repo.pulls)} if "include_prs" in asked.query else said)


def commits(state: State, asked: Asked) -> Answer:
    found = state.repo(asked.account, asked.type, asked.repo).at(asked.revision).history()
    said = {"message": "", "authors": [{"user": "me"}]}
    return as_json([{"id": each.id, "title": each.title, "date": each.date, **said} for each in found])


def tree(state: State, asked: Asked) -> Answer:
    found = state.repo(asked.account, asked.type, asked.repo).at(asked.revision)
    return as_json([_listed(state, name, blob) for name, blob in sorted(found.files.items())])


def paths_info(state: State, asked: Asked) -> Answer:
    found = state.repo(asked.account, asked.type, asked.repo).at(asked.revision).files
    return as_json([_listed(state, name, found[name]) for name in parse_qs(asked.body.decode())["paths"] if name in found])


def discussions(state: State, asked: Asked) -> Answer:
    repo = state.repo(asked.account, asked.type, asked.repo)
    found = [
        {
            "num": number,
            "title": commit.title,
            "author": {"name": "me"},
            "createdAt": commit.date,
            "status": "open",
            "isPullRequest": True,
            "repo": {"name": repo.id, "type": repo.type},
        }
        for number, commit in repo.pulls.items()
    ]
    return as_json({"discussions": found, "count": len(found), "start": 0})


def preupload(state: State, asked: Asked) -> Answer:
    repo = state.writable(asked.account, asked.type, asked.repo, pull="create_pr" in asked.query)
    before = repo.at(asked.revision).files
    hosted = before.get(".gitignore", Blob()).content.decode()
    ignored = asked.json.get("gitIgnore", hosted).splitlines()
    said = []
    for file in asked.json["files"]:
        large = is_large(file["path"], file["size"], base64.b64decode(file["sample"]))
        old = before.get(file["path"])
        said.append(
            {
                "path": file["path"],
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": any(fnmatch.fnmatch(file["path"], pattern) for pattern in ignored),
                "oid": (old.sha256 or old.oid) if old else None,
            }
        )
    return as_json({"files": said})


def lfs_batch(state: State, asked: Asked) -> Answer:
    state.writable(asked.account, asked.type, asked.repo, pull=True)
    said = []
    for wanted in asked.json["objects"]:
        oid, there = wanted["oid"], state.stored(wanted["oid"])
        upload = {"href": f"{asked.storage}/storage/{oid}"}
        verify = {"href": f"{asked.url}/{asked.repo}.git/info/lfs/objects/verify"}
        said.append({**wanted, **({} if there else {"actions": {"upload": upload, "verify": verify}})})
    return as_json({"transfer": "basic", "objects": said})


def lfs_put(state: State, asked: Asked) -> Answer:
    if hashlib.sha256(asked.body).hexdigest() != asked.path["oid"]:
        raise Refused(400, "BadDigest")
    state.large[asked.path["oid"]] = asked.body
    return Answer()


def lfs_verify(state: State, asked: Asked) -> Answer:
    state.writable(asked.account, asked.type, asked.repo, pull=True)
    if not state.stored(asked.json["oid"]):
        raise Refused(404, "Object not found")
    return as_json({"message": "ok"})


def lfs_get(state: State, asked: Asked) -> Answer:
    return Answer(state.large[asked.path["oid"]])


def xet_token(state: State, asked: Asked) -> Answer:
    pull = "create_pr" in asked.query
    if asked.path["kind"] == "write":
        state.writable(asked.account, asked.type, asked.repo, pull)
    else:
        state.repo(asked.account, asked.type, asked.repo)
    there = {"casUrl": f"local://{state.cas}", "exp": 4102444800, "accessToken": "xet"}
    headers = {"X-Xet-Cas-Url": there["casUrl"], "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": "4102444800"}
    return as_json(there, **{name: str(value) for name, value in headers.items()})


def commit(state: State, asked: Asked) -> Answer:
    lines = [json.loads(line) for line in asked.body.splitlines()]
    header = lines[0]["value"]
    pull = "create_pr" in asked.query
    repo = state.writable(asked.account, asked.type, asked.repo, pull)
    if asked.revision not in repo.branches:
        raise Refused(404, f"Invalid rev id: {asked.revision}", "RevisionNotFound")
    parent = repo.branches[asked.revision]
    if header.get("parentCommit") not in (None, parent.id):
        if not pull:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        parent = repo.at(header["parentCommit"])
    made = repo.commit(parent, header["summary"], _changed(state, parent.files, lines[1:]))
    said = {"success": True, "commitOid": made.id, "commitUrl": f"{asked.url}/{repo.id}/commit/{made.id}"}
    if pull:
        repo.pulls[len(repo.pulls) + 1] = made
        return as_json({**said, "pullRequestUrl": f"{asked.url}/{repo.id}/discussions/{len(repo.pulls)}"})
    repo.branches[asked.revision] = made
    return as_json(said)


def _changed(state: State, before: Mapping[str, Blob], operations: list[dict[str, Any]]) -> dict[str, Blob]:
    files = dict(before)
    for operation in operations:
        value = operation["value"]
        path = value["path"]
        match operation["key"]:
            case "file":
                files[path] = Blob(base64.b64decode(value["content"]))
            case "lfsFile":
                if not state.stored(value["oid"]):
                    raise Refused(400, f"LFS file {value['oid']} was not uploaded")
                size = state.sizes.setdefault(value["oid"], value.get("size"))
                files[path] = Blob(sha256=value["oid"], size=size)
            case "deletedFile":
                if path not in files:
                    raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
                del files[path]
            case other:
                raise Refused(400, f"Unknown operation: {other}")
    return files


def _pointed(found: dict[str, Commit], name: str, missing: bool) -> None:
    if (name in found) == missing:
        raise Refused(409, "Reference already exists") if missing else Refused(404, "Reference not found", "RevisionNotFound")


def create_tag(state: State, asked: Asked) -> Answer:
    repo = state.writable(asked.account, asked.type, asked.repo)
    commit = repo.at(asked.revision)
    _pointed(repo.tags, asked.json["tag"], missing=True)
    repo.tags[asked.json["tag"]] = commit
    return as_json({})


def delete_tag(state: State, asked: Asked) -> Answer:
    repo = state.writable(asked.account, asked.type, asked.repo)
    _pointed(repo.tags, asked.revision, missing=False)
    del repo.tags[asked.revision]
    return as_json({})


def create_branch(state: State, asked: Asked) -> Answer:
    repo = state.writable(asked.account, asked.type, asked.repo)
    commit = repo.at(asked.json.get("startingPoint", "main"))
    _pointed(repo.branches, asked.revision, missing=True)
    repo.branches[asked.revision] = commit
    return as_json({})


def delete_branch(state: State, asked: Asked) -> Answer:
    repo = state.writable(asked.account, asked.type, asked.repo)
    _pointed(repo.branches, asked.revision, missing=False)
    if asked.revision == "main":
        raise Refused(403, "main is protected")
    del repo.branches[asked.revision]
    return as_json({})


def resolve(state: State, asked: Asked) -> Answer:
    repo = state.repo(asked.account, asked.type, asked.repo)
    found = repo.at(asked.revision)
    blob = found.files.get(unquote(asked.path["file"]))
    said = {"X-Repo-Commit": found.id, "Accept-Ranges": "bytes"}
    if blob is None:
        raise Refused(404, "Entry not found", "EntryNotFound")
    if not blob.sha256:
        return Answer(blob.content, headers={**said, "ETag": f'"{blob.oid}"'})
    said |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size), "ETag": f'"{blob.oid}"'}
    if blob.sha256 not in state.large:
        url = f"{asked.url}/api/{asked.type}s/{repo.id}/xet-read-token/{found.id}"
        said |= {"X-Xet-Hash": xet_hashes(state.cas)[blob.sha256], "Link": f'<{url}>; rel="xet-auth"'}
    return Answer(status=302, headers={**said, "Location": f"{asked.storage}/storage/{blob.sha256}"})


def _listed(state: State, name: str, blob: Blob) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "file", "path": name, "size": blob.length, "oid": blob.oid}
    if blob.sha256:
        said["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}
        if blob.sha256 not in state.large:
            said["xetHash"] = xet_hashes(state.cas)[blob.sha256]
    return said


Call = Callable[[State, Asked], Answer]
IN_REPO = r"/api/(?P<type>model|dataset|space)s/(?P<repo>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"
CALLS: dict[str, tuple[str, str, Call]] = {
    "whoami": ("GET", r"/api/whoami-v2", whoami),
    "create-repo": ("POST", r"/api/repos/create", create_repo),
    "validate-yaml": ("POST", r"/api/validate-yaml", validate_yaml),
    "repo-info": ("GET", rf"{IN_REPO}(/revision/{REVISION})?", repo_info),
    "refs": ("GET", rf"{IN_REPO}/refs", refs),
    "commits": ("GET", rf"{IN_REPO}/commits/{REVISION}", commits),
    "tree": ("GET", rf"{IN_REPO}/tree/{REVISION}", tree),
    "paths-info": ("POST", rf"{IN_REPO}/paths-info/{REVISION}", paths_info),
    "discussions": ("GET", rf"{IN_REPO}/discussions", discussions),
    "preupload": ("POST", rf"{IN_REPO}/preupload/{REVISION}", preupload),
    "xet-token": ("GET", rf"{IN_REPO}/xet-(?P<kind>read|write)-token/{REVISION}", xet_token),
    "commit": ("POST", rf"{IN_REPO}/commit/{REVISION}", commit),
    "tag": ("POST", rf"{IN_REPO}/tag/{REVISION}", create_tag),
    "delete-tag": ("DELETE", rf"{IN_REPO}/tag/{REVISION}", delete_tag),
    "branch": ("POST", rf"{IN_REPO}/branch/{REVISION}", create_branch),
    "delete-branch": ("DELETE", rf"{IN_REPO}/branch/{REVISION}", delete_branch),
    "lfs-batch": ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", lfs_batch),
    "lfs-verify": ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/verify", lfs_verify),
    "lfs-put": ("PUT", r"/storage/(?P<oid>\w+)", lfs_put),
    "lfs-get": ("GET", r"/storage/(?P<oid>\w+)", lfs_get),
    "resolve": ("GET", rf"/(?P<repo>[^/]+/[^/]+)/resolve/{REVISION}/(?P<file>.+)", resolve),
}
"""Each call by its name: the method (GET is HEAD, too), the path, and what answers it."""
