"""entity_f1: precision, recall and F1 of whole entities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from hfrecipes.errors import RecipeError
from hfrecipes.metrics import Metric, share
from hfrecipes.part import value

if TYPE_CHECKING:
    import numpy as np


@value
class EntityF1(Metric):
    """F1 of whole entities, of all types together and of each (CoNLL-2003, Tjong Kim Sang and De Meulder 2003), by seqeval.

    An entity is right when its type, its first and its last word are. `scheme` counts only entities that are spelled as BIO
    or BIOES want it; without it, tags are read leniently as `conlleval` reads them. No entity on either side is 0.
    """

    scheme: Literal["BIO", "BIOES"] | None = None

    @property
    def figure(self) -> str:
        return "entity_f1"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
        from seqeval.metrics.v1 import precision_recall_fscore_support as strictly
        from seqeval.scheme import IOB2, IOBES, Entities

        said, true = [list(tags) for tags in predictions], [list(tags) for tags in references]
        if self.scheme is None:
            count, options = precision_recall_fscore_support, {}
            types = {entity[0] for tags in (*said, *true) for entity in get_entities(tags)}
        else:
            for tag in {tag for tags in (*said, *true) for tag in tags}:
                if not re.fullmatch(rf"O|[{self.scheme}]-.+", tag):
                    hint = "Leave the scheme out to read tags leniently"
                    raise RecipeError("evaluate.entity_f1.scheme", f"the tag '{tag}' is not of {self.scheme}", hint)
            count, options = strictly, {"scheme": {"BIO": IOB2, "BIOES": IOBES}[self.scheme]}
            types = Entities([*said, *true], options["scheme"]).unique_tags
        precision, recall, f1, _ = count(true, said, average="micro", zero_division=0, **options)
        by_type = count(true, said, average=None, zero_division=0, **options)[2]
        figures = {self.figure: f1, "precision": precision, "recall": recall}
        figures |= {f"f1_{name}": share for name, share in zip(sorted(types), by_type, strict=True)}
        return {name: float(figure) for name, figure in figures.items()}

    def tallies(self, predictions: Sequence[Any], references: Sequence[Any]) -> np.ndarray | None:
        """Of each row the entities that are right, were said, and are true, where tags are read leniently."""
        import numpy as np
        from seqeval.metrics.sequence_labeling import get_entities

        if self.scheme is not None:
            return None
        pairs = [(set(get_entities(list(p))), set(get_entities(list(r)))) for p, r in zip(predictions, references, strict=True)]
        return np.array([[len(said & true), len(said), len(true)] for said, true in pairs], dtype=float).reshape(-1, 3)

    def of_tallies(self, sums: np.ndarray) -> np.ndarray:
        return share(2 * sums[:, 0], sums[:, 1] + sums[:, 2])
