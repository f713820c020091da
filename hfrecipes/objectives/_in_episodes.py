"""What objectives share that learn from episodes: tasks of a few classes with a few examples each."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from hfrecipes.objectives import Objective
from hfrecipes.part import value


@value
class InEpisodes(Objective):
    """Base of objectives whose batch is an episode; `scale` is for embeddings of unit length."""

    scale: Annotated[float, Field(gt=0)] = 10.0

    head: ClassVar[str | None] = "prototype"
    by_batch: ClassVar[bool] = True
    in_episodes: ClassVar[bool] = True
