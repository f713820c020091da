"""Publishing apart: each part of a release to a repository of its own, and a collection on the Hub that holds them all.

Each repository is published to exactly once, as any is. The weights come last: their manifest names what is apart by its
fingerprint, so a release of the weights is never without it. The collection comes after that. What a failure left undone is done
by publishing again, which finds what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hfrecipes.apart import WEIGHTS, repository
from hfrecipes.errors import ModelError
from hfrecipes.hub_calls import Patience
from hfrecipes.hub_collection import Collections
from hfrecipes.publishing import HubReleases, ready
from hfrecipes.releases import Release


def publish_apart(
    folders: Mapping[str, Path],
    weights: str,
    *,
    collection: str | None = None,
    private: bool = True,
    endpoint: str | None = None,
    patience: Patience | None = None,
) -> Release:
    """Publish the folders of `assemble_apart` as the next release of their repositories, and put these in the collection of a
    title, the name of the repository of the weights where none is given. The release of the weights.

    Raises ModelError where any folder holds what may not be published, before anything is sent, and as `publish` does.
    """
    repos = {piece: repository(weights, piece) for piece in sorted(folders, key=lambda piece: piece == WEIGHTS)}
    for piece, repo in repos.items():
        ready(folders[piece], repo)
    for piece, repo in repos.items():
        release = HubReleases(repo, private=private, endpoint=endpoint, patience=patience).add(folders[piece])
    collections = Collections(weights, endpoint, replace(patience) if patience else Patience())
    title = collection or weights.partition("/")[2]
    try:
        with collections.talking():
            collections.hold(title, [weights, *(repo for repo in repos.values() if repo != weights)], private)
    except ModelError as error:
        what = f"{release.name} is published, but its collection '{title}' is not whole: {error.what}"
        raise ModelError(weights, what, "Publish again for that") from None
    return release
