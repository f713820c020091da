"""calibrate: what the checkpoint's confidence is worth, and what its inputs and answers look like, on held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes import alarms, traffic, uncertainty
from hfrecipes.calibration import MOST, MOST_WRITTEN, fit
from hfrecipes.checkpoint import load_trained, open_reader
from hfrecipes.folder import Run, read_json, sha256, write_json
from hfrecipes.inference.planning import plan
from hfrecipes.inference.predictor import Predictor
from hfrecipes.stages import held_out, log, stage, trained

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe
    from hfrecipes.tasks import Row


@stage(
    blocks=("task",),
    after=lambda recipe: ("prepare", trained(recipe)),
    outputs=(f"model/{uncertainty.FILE}", f"model/{traffic.FILE}"),
)
def calibrate(recipe: Recipe, run: Run) -> None:
    """Fit the temperature and the scores of nonconformity of the checkpoint, to `uncertainty.json`, and note the baseline that a
    monitor compares with, to `baseline.json`, both on the validation rows."""
    (run.model / uncertainty.FILE).unlink(missing_ok=True)
    rows = held_out(run, MOST_WRITTEN if recipe.task.generates else MOST)
    if missing := unseen(recipe, run, rows):
        log.warning("no held-out row is of %s: what is promised says nothing about them", ", ".join(missing))
    weights = {"weights": sha256(run.weights)}
    fitted, answers = fit(Predictor.open(run.path, "pytorch"), rows)
    write_json(run.model / uncertainty.FILE, {**weights, "pytorch": uncertainty.dump(fitted.uncertainty)})
    found = baseline(fitted, rows, answers)
    found["embeddings"] = traffic.embeddings(states(run.model, rows[: traffic.EMBEDDED]))
    write_json(run.model / traffic.FILE, {**weights, **found})


def unseen(recipe: Recipe, run: Run, rows: Sequence[Row]) -> list[str]:
    """The classes of the training rows that no held-out row has, where rows have one each."""
    learned = read_json(run.data / "facts.json")["learned"]
    if recipe.task.stratify(learned) is None or not rows:
        return []
    config = read_json(run.model / "config.json")
    return sorted(set(learned["label2id"]) - {recipe.task.reference(row, config) for row in rows})


def baseline(predictor: Predictor, rows: Sequence[Row], answers: Sequence[Any]) -> dict[str, Any]:
    """What held-out rows and the answers to them look like, and how far others may be from them by chance."""
    task = predictor.task
    asked = [task.row(row) for row in rows]
    confidences = predictor.confidences(asked, answers) if answers else []
    found = {"split": "validation", **traffic.summarise(predictor, asked, answers, confidences)}
    if answers:
        found["balance"] = traffic.balance(predictor, rows)
    found[alarms.KEY] = alarms.fit(predictor, rows, answers)
    return found


def states(folder: Path, rows: Sequence[Row]) -> np.ndarray:
    """The mean of the last hidden states of each row (of the encoder where there is one), shape (rows, width)."""
    import torch

    task, config, tokens = open_reader(folder)
    model = load_trained(folder).eval()
    body = model.get_encoder() if config.get("is_encoder_decoder") else model.base_model
    features = task.encode([task.row(task.sample(row)) for row in rows], tokens, config)
    found = []
    for batch in plan([len(f["input_ids"]) for f in features]):
        read = tokens.collate([features[i] for i in batch])
        with torch.inference_mode():
            out = body(**{name: torch.from_numpy(array) for name, array in read.items()}).last_hidden_state.numpy()
        kept = read["attention_mask"][:, :, None]
        found.append((out * kept).sum(axis=1) / kept.sum(axis=1))
    return np.concatenate(found)
