"""container: an image for any machine that runs containers."""

from __future__ import annotations

from pathlib import Path

from hfrecipes.engines import Bundle, Engine
from hfrecipes.engines._container import write_container
from hfrecipes.part import value


@value
class Container(Engine):
    """A container file whose image runs `hfrecipes serve` as a user without rights, with the bundle in it."""

    def write(self, bundle: Bundle, folder: Path) -> None:
        write_container(bundle, folder)
