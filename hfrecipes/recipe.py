"""Recipe: the blocks of a run, typed, in the order of the program. A value: it says what to do and runs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from hfrecipes import config
from hfrecipes.averaging import Averaging
from hfrecipes.card import Card
from hfrecipes.checks import CHECKLIST, Check
from hfrecipes.compressors import Compressor
from hfrecipes.data import Data
from hfrecipes.destination import Publish
from hfrecipes.episodes import Episodes
from hfrecipes.errors import RecipeError
from hfrecipes.family import Family
from hfrecipes.fast_path import SETTINGS, Setting
from hfrecipes.folds import Validate
from hfrecipes.heads import Head
from hfrecipes.metrics import Metric
from hfrecipes.models import Model
from hfrecipes.objectives import Objective
from hfrecipes.optimizers import Optimizer
from hfrecipes.part import Part, value
from hfrecipes.pick import Pick
from hfrecipes.schedules import Schedule
from hfrecipes.strategies import Strategy
from hfrecipes.targets import Target
from hfrecipes.tasks import Task
from hfrecipes.tokenizers import Tokenization
from hfrecipes.upkeep import Retrain
from hfrecipes.vectors import Vectors


@value
class Recipe(Part, kind="recipes"):
    """What every family's recipe holds.

    `episodes` parts the classes and learns from tasks of few examples (`objective: prototypes` and its like). `tokenizer` is
    trained on the training texts, for a new model; without it the checkpoint's own is taken. `head` stands in for
    the last layer of a model that classifies. `train` goes to
    `transformers.TrainingArguments` under its own names; without `optimizer` its `optim`
    decides, and without `schedule` its `lr_scheduler_type`. `compress` makes the trained
    model smaller, step by step. An empty `evaluate` means the
    task's usual metrics. With `batch_tokens` a
    micro-batch takes rows of like length until they have about so many tokens, padding included, not so many rows. After
    `early_stopping` evaluations without a better first metric the training ends. `fast_path`
    names what makes the training faster (see `fast_path.py`). `before` measures
    the checkpoint on the test split as it was before training, too, and what needs no model (the commonest label, the first
    sentence). `frontier` names values for some keys, as overrides have them (`model.layers: [6, 3]`), all combinations of
    which `hfrecipes frontier` measures, and `pick` the rule that it chooses by. `seed` decides the validation cut, the order of
    the rows and the new weights. `validate` trains a model a fold of the training rows, and
    `uncertainty` measures averages of several models beside the one. Without `check` a release has to show the
    whole checklist; an empty one asks for nothing, and then nothing is published. `card` holds what only people know about the
    model, `publish` says where its releases go, and `retrain` when the model in production is trained again.
    """

    family: ClassVar[Family]

    task: Task
    data: Data
    model: Model
    episodes: Episodes | None = None
    tokenizer: Tokenization | None = None
    head: Head | None = None
    strategy: Strategy = dataclasses.field(default_factory=lambda: Strategy.choose("full"))
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    objective: Objective = dataclasses.field(default_factory=lambda: Objective.choose("supervised"))
    train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    compress: tuple[Compressor, ...] = ()
    validate: Validate | None = None
    uncertainty: Averaging | None = None
    evaluate: tuple[Metric, ...] = ()
    fast_path: tuple[Setting, ...] = SETTINGS
    batch_tokens: Annotated[int, Field(gt=0)] | None = None
    early_stopping: Annotated[int, Field(gt=0)] | None = None
    non_finite: Literal["stop", "skip", "rewind"] = "stop"
    export: tuple[Target, ...] = ()
    check: tuple[Check, ...] | None = None
    card: Card | None = None
    publish: Publish | None = None
    retrain: Retrain | None = None
    frontier: Mapping[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = dataclasses.field(default_factory=dict)
    pick: Pick | None = None
    before: bool = False
    seed: int = 0

    @staticmethod
    def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Read a YAML recipe; an override is `key.key=value` in YAML."""
        values = config.override(config.read(Path(path)), overrides)
        return config.build(Recipe, values)

    def changed(self, overrides: Sequence[str]) -> Recipe:
        """The same recipe but for `overrides`, as `load` takes them."""
        return config.build(Recipe, config.override(self.dump(), overrides)) if overrides else self

    def dump(self) -> dict[str, Any]:
        """The recipe as plain values: what `load` reads."""
        return {"recipe": self.name, **config.dump(self)}

    @property
    def checks(self) -> tuple[Check, ...]:
        """What must hold before a release: what `check` names, or the checklist, parity and quality where it names nothing."""
        names = (*CHECKLIST, "parity", "quality")
        return self.check if self.check is not None else tuple(Check.choose(name) for name in names)

    @property
    def head_taken(self) -> Head | None:
        """The head of the recipe, or the one that its objective needs. Raises RecipeError beside a pattern, which brings one."""
        taken = self.head or (Head.choose(self.objective.head) if self.objective.head else None)
        if taken is not None and self.task.pattern is not None:
            where = f"{self.name}.task.{self.task.name}.pattern"
            raise RecipeError(where, f"its words are the head, not {taken.name}", "Leave one of the two out")
        if taken is not None and taken.pooling == "mask":
            instead = "Write `task: {text-classification: {pattern: …}}`"
            raise RecipeError(f"{self.name}.head.{taken.name}", "comes with a pattern alone", instead)
        return taken

    @property
    def origin(self) -> Vectors | None:
        """Where the vectors of a new model come from; None where they are drawn, or the model brings them along."""
        return None

    def metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        """The metrics to report, for a model's configuration; the first is the one that decides."""
        return self.evaluate or self.task.default_metrics(config)
