"""Commands on releases: what there is, what is in production, and back. In a registry, or a repository on the Hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hfrecipes.hub import NAME
from hfrecipes.registry import Registry
from hfrecipes.releases import Release, Releases

Where = Annotated[str, typer.Argument(metavar="WHERE", help="A folder that releases were added to, or owner/name on the Hub.")]


def promote(where: Where, name: Annotated[str, typer.Argument(metavar="NAME", help="A release, such as v2.")]) -> None:
    """Put a release in production, once its files are verified and it answers."""
    found = _opened(where)
    before = found.current()
    print(_moved(before, found.promote(name)))


def rollback(where: Where) -> None:
    """Put the release in production that was there before."""
    found = _opened(where)
    before = found.current()
    print(_moved(before, found.rollback()))


def releases(where: Where) -> None:
    """Every release, with a star at the one in production."""
    rows = [("", "name", "created", "fingerprint")]
    rows += [("*" if each.current else "", each.name, each.created, each.fingerprint[:12]) for each in _opened(where).releases()]
    name, created = (max(len(row[column]) for row in rows) for column in (1, 2))
    for row in rows:
        print(f"{row[0]:<1} {row[1]:<{name}}  {row[2]:<{created}}  {row[3]}")


def _opened(where: str) -> Releases:
    if NAME.fullmatch(where) and not Path(where).exists():
        from hfrecipes.publishing import HubReleases

        print(f"there is no folder {where}: asking the Hub", file=sys.stderr)
        return HubReleases(where, check=_smoke)
    return Registry(Path(where).expanduser(), _smoke)


def _smoke(folder: Path) -> None:
    """Raises where a release does not answer."""
    from hfrecipes.inference.smoke import answer

    answer(folder)


def _moved(before: Release | None, after: Release) -> str:
    if before is not None and before.name == after.name:
        return f"production: {after.name}, as before"
    return f"production: {before.name if before else 'none'} -> {after.name}"
