"""Check: what must hold before anything is published. It gathers its evidence in one method and judges it in another, so that the
evidence can be kept, read and judged again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import Part

if TYPE_CHECKING:
    from hfrecipes.folder import Run
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.recipe import Recipe
    from hfrecipes.tasks import Row

CHECKLIST = (
    "held_out",
    "cross_validation",
    "slices",
    "edge_cases",
    "budget",
    "uncertainty",
    "preprocessing",
    "monitoring",
    "failure_modes",
    "rollback",
)
"""What is shown before a model is published, item by item."""


@dataclass(frozen=True)
class Case:
    """What a check may look at for its evidence: the run of a recipe, the candidate that is served, open as `predictor`, and what
    it answered to the test `rows` (`predictions`, in their order) as far as it was measured."""

    recipe: Recipe
    run: Run
    served: str
    predictor: Predictor
    rows: Sequence[Row]
    measured: Mapping[str, Any]

    @property
    def predictions(self) -> list[Any]:
        """The predictions as served."""
        found: list[Any] = self.measured["predictions"]["served"]
        return found

    @property
    def references(self) -> list[Any]:
        """The true answers."""
        task, config = self.predictor.task, self.predictor.config
        return [task.reference(row, config) for row in self.rows]


@dataclass(frozen=True)
class Trial:
    """What a check sees. `candidates` are the measured models by name: `pytorch` first, then a bundle's graphs, such as
    `cpu/int8`. `served` names the one that answers in production; `metric` the figure that decides, `lower` whether it is
    better low. `evidence` holds what each check gathered, by its name."""

    candidates: Mapping[str, Mapping[str, Any]]
    served: str
    metric: str
    lower: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bundles(self) -> dict[str, Mapping[str, Any]]:
        return {name: facts for name, facts in self.candidates.items() if name != "pytorch"}


@dataclass(frozen=True)
class Verdict:
    """Whether a check passed, and the figures that say so."""

    check: str
    passed: bool
    reason: str


class Check(Part, kind="checks"):
    """Base of checks. `of_candidates`: it judges the figures of a graph alone, so that graphs can be chosen by it, too.
    `texts`: keys of its evidence that hold texts of the data, which stay in the run when the rest is published."""

    of_candidates: ClassVar[bool] = False
    texts: ClassVar[tuple[str, ...]] = ()

    def foreseen(self, recipe: Recipe) -> str | None:
        """Why it will refuse whatever is trained, as far as the recipe alone says."""
        return None

    def gather(self, case: Case) -> dict[str, Any]:
        """The evidence, as values of JSON; nothing where the figures of the candidates are all there is to see."""
        return {}

    def among_graphs(self) -> Check:
        """The check as it tells graphs of one model apart, where the graph that the others are compared with does not pass it."""
        return self

    @abstractmethod
    def judge(self, trial: Trial) -> Verdict:
        """The verdict, with a reason that holds figures whichever way it falls."""
