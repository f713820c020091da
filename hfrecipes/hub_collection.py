"""A collection on the Hub: made once by its title, and each repository put in it once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hfrecipes.hub_asking import Asking
from hfrecipes.hub_calls import Moved, NoAnswer


class Collections(Asking):
    """The collections of the owner of a repository. A method is called in a block of `talking`."""

    def hold(self, title: str, repos: Sequence[str], private: bool) -> str:
        """The slug of the owner's collection of a title, which holds all of these model repositories when this returns; a new
        one is `private`. What else it holds stays."""
        slug = self._made(title, private)
        while missing := self._missing(slug, repos):
            try:
                self.once(partial(self.api.add_collection_item, slug, missing[0], "model"))
            except NoAnswer as error:  # it may be there: the next round sees
                self.wait(error)
        return slug

    def _missing(self, slug: str, repos: Sequence[str]) -> list[str]:
        items = self.ask(lambda: self.api.get_collection(slug)).items
        there = {item.item_id for item in items if item.item_type == "model"}
        return [repo for repo in repos if repo not in there]

    def _made(self, title: str, private: bool) -> str:
        owner = self.name.partition("/")[0]

        def made() -> str:
            try:
                return self.api.create_collection(title, namespace=owner, private=private, exists_ok=True).slug
            except KeyError:  # the client reads the name of the one that is there off a refusal that has none
                raise Moved("status 409") from None

        def found() -> str | None:
            return next((each.slug for each in self.api.list_collections(owner=owner) if each.title == title), None)

        while True:
            if (slug := self.ask(found)) is not None:
                return slug
            try:
                return self.once(made)
            except NoAnswer as error:
                self.wait(error)
