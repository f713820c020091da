"""Destination: where a recipe's releases go, a registry in a folder or a repository on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from hfrecipes.hub import NAME
from hfrecipes.pointer import FILE
from hfrecipes.value import Checked, keywords, value

if TYPE_CHECKING:
    from hfrecipes.releases import Release, Releases

LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN"


@value
class Publish(Checked):
    """Where releases go: `registry`, a folder, or `repo`, owner/name on the Hub. A repository that is made is `private`;
    `pull_request` proposes the release instead of writing it. `apart` gives each bundle and the adapter a repository of its own
    beside that of the weights (me/x-onnx-cpu, me/x-adapter), and gathers all in a collection of the Hub, of which `collection` is
    the title, or the name of the repository. Nothing is published whose checklist is not shown item by item."""

    registry: str | None = None
    repo: str | None = None
    private: bool = True
    pull_request: bool = False
    apart: bool = False
    collection: str | None = None

    @classmethod
    def read(cls, given: Any) -> Any:
        """Ask for one place of the two."""
        keys, given = keywords(given), super().read(given)
        if isinstance(given, cls):
            return given
        if bool(keys.get("registry")) == bool(keys.get("repo")):
            raise PydanticCustomError("publish", "names no place, or two. Write `registry: FOLDER` or `repo: owner/name`")
        if keys.get("repo") and not NAME.fullmatch(str(keys["repo"])):
            raise PydanticCustomError(
                "publish", "'{repo}' is no repository. Write `repo: owner/name`", {"repo": str(keys["repo"])}
            )
        if keys.get("apart") and not keys.get("repo"):
            raise PydanticCustomError(
                "publish", "`apart` is for repositories on the Hub. Write `repo: owner/name`, or leave it out"
            )
        if keys.get("apart") and keys.get("pull_request"):
            raise PydanticCustomError("publish", "`apart` writes, and proposes nothing. Leave out `apart` or `pull_request`")
        if keys.get("collection") is not None and not (keys.get("apart") and str(keys["collection"]).strip()):
            raise PydanticCustomError("publish", "`collection` is the title of what `apart: true` makes. Write both, or neither")
        return given

    @property
    def where(self) -> str:
        """The place as people call it, without the folders that it lies in."""
        return Path(self.registry).name if self.registry else str(self.repo)

    def lacking(self) -> str | None:
        """Why nothing can be published there from this machine, as far as it says itself."""
        from huggingface_hub import get_token

        return f"there is no access token. {LOG_IN}" if self.repo is not None and get_token() is None else None

    def releases(self) -> Releases:
        """The releases there."""
        from hfrecipes.inference.smoke import answer

        if self.registry is not None:
            from hfrecipes.registry import Registry

            return Registry(Path(self.registry).expanduser(), answer)
        from hfrecipes.publishing import HubReleases

        return HubReleases(str(self.repo), private=self.private, pull_request=self.pull_request, check=answer)

    def production(self) -> Release | None:
        """The release in production; None before the first, and where there is no registry yet."""
        if self.registry is not None and not (Path(self.registry).expanduser() / FILE).is_file():
            return None
        return self.releases().current()
