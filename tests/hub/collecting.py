"""The calls of a Hub about collections: a title is there once an owner, and an item once a collection."""

from __future__ import annotations

import re
from typing import Any

from tests.hub.calls import Answer, Asked, Call, as_json
from tests.hub.state import Account, Collection, Refused, State

SHOWN = 4
"""How many of a collection's items a list of collections has."""


def listed(state: State, asked: Asked) -> Answer:
    """The collections of an owner that somebody may see; their place is not said here."""
    found = [each for each in state.collections if each.owner == asked.query["owner"] and _seen(each, asked.account)]
    return as_json([{**_said(each), "items": _said(each)["items"][:SHOWN]} for each in found])


def create(state: State, asked: Asked) -> Answer:
    wanted, account = asked.json, _writer(asked.account)
    if wanted["namespace"] != account.name:
        raise Refused(403, "You don't have the rights to create a collection under this namespace")
    for each in state.collections:
        if (each.owner, each.title) == (account.name, wanted["title"]):
            return Answer(as_json({"error": "This collection already exists", "slug": each.slug}).body, 409)
    words = re.sub(r"\W+", "-", wanted["title"].lower()).strip("-")
    slug = f"{account.name}/{words}-{len(state.collections):024x}"
    state.collections.append(Collection(slug, wanted["title"], account.name, wanted["private"]))
    return as_json({**_said(state.collections[-1]), "position": 0})


def read(state: State, asked: Asked) -> Answer:
    return as_json({**_said(_found(state, asked)), "position": 0})


def add(state: State, asked: Asked) -> Answer:
    found, item = _found(state, asked), asked.json["item"]
    if _writer(asked.account).name != found.owner:
        raise Refused(403, "Forbidden")
    state.repo(asked.account, item["type"], item["id"])
    if item["id"] in found.items:
        raise Refused(409, "This item is already in the collection")
    found.items.append(item["id"])
    return as_json({**_said(found), "position": 0})


def _writer(account: Account | None) -> Account:
    if account is None:
        raise Refused(401, "Invalid username or password.")
    if account.role != "write":
        raise Refused(403, "Your token has no write access")
    return account


def _seen(collection: Collection, account: Account | None) -> bool:
    return not collection.private or (account is not None and account.name == collection.owner)


def _found(state: State, asked: Asked) -> Collection:
    for each in state.collections:
        if each.slug == asked.path["slug"] and _seen(each, asked.account):
            return each
    raise Refused(404, "Collection not found")


def _said(collection: Collection) -> dict[str, Any]:
    items = [
        {"_id": f"{place:024x}", "id": name, "type": "model", "position": place} for place, name in enumerate(collection.items)
    ]
    facts = {"theme": "blue", "upvotes": 0, "lastUpdated": "2026-01-01T00:00:00.000Z", "private": collection.private}
    return {"slug": collection.slug, "title": collection.title, "owner": {"name": collection.owner}, "items": items, **facts}


SLUG = r"/api/collections/(?P<slug>[^/]+/[^/]+)"
CALLS: dict[str, tuple[str, str, Call]] = {
    "collections": ("GET", r"/api/collections", listed),
    "create-collection": ("POST", r"/api/collections", create),
    "collection": ("GET", SLUG, read),
    "collection-item": ("POST", rf"{SLUG}/items", add),
}
"""Each call by its name, as those of repositories."""
