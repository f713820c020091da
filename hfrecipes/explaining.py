"""Explaining: what an answer came from: where each head looked, and how much each token did for it.

The attention is the checkpoint's own, softmax(QKᵀ/√d) as it multiplies V. A token's share of the answer is its integrated
gradient (Sundararajan et al. 2017, arXiv:1703.01365) over the straight way from padding to the text, so that all shares add up to
what the text changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hfrecipes.checkpoint import load_trained, open_reader
from hfrecipes.errors import ModelError, RunError, UserError
from hfrecipes.family import blocks
from hfrecipes.tasks import Window

if TYPE_CHECKING:
    from hfrecipes.tasks import Row

STEPS = 64
"""Points on the way from padding to the text."""
AT_ONCE = 16
MOST = 128
"""Tokens of a text that can still be shown."""


@dataclass(frozen=True)
class Explanation:
    """Why `answer` (the model's) was given to a text of these `tokens`.

    `attributions` has a number a token, which add up to `value - baseline`: the logit that the answer was given for, with the
    text and with padding in its place. `attention` is of shape (layers, heads, tokens, tokens), a row for each token that looks;
    None for models without any.
    """

    answer: str
    target: str
    tokens: tuple[str, ...]
    attributions: np.ndarray
    value: float
    baseline: float
    attention: np.ndarray | None

    @property
    def gap(self) -> float:
        """How far the attributions are from adding up."""
        return abs(float(self.attributions.sum()) - (self.value - self.baseline))


def explain(folder: Path, given: Any, steps: int = STEPS) -> Explanation:
    """Explain the answer of the checkpoint in a run (or a folder) to a text. Raises UserError for a task whose answers are no
    label of a text, and for a text that is too long to be shown."""
    checkpoint = folder / "model" if (folder / "recipe.yaml").is_file() else folder
    if not checkpoint.is_dir():
        raise RunError(str(folder), "has no trained model", "Run `hfrecipes fit` first")
    task, config, tokens = open_reader(checkpoint)
    if task.name != "text-classification":
        raise UserError("explain", f"{task.name} gives more than one answer a text", "Give a run of text-classification")
    row: Row = task.row(given)
    [features] = task.encode([row], tokens, config)
    if len(features["input_ids"]) > MOST:
        what = f"the text has {len(features['input_ids'])} tokens, and {MOST} can be shown"
        raise UserError("explain", what, "Write a shorter one")
    model: Any = load_trained(checkpoint).eval()
    if model.config.is_encoder_decoder:
        raise ModelError("explain", "a model with a decoder beside its encoder reads a text twice", "Give an encoder")
    batch = {name: torch.from_numpy(array) for name, array in task.collate([features], tokens).items()}
    logits, attention = looked(model, batch)
    answer = task.answer(row, [Window(features, {"logits": logits.numpy()})], tokens, config)
    label = int(logits.argmax())
    keep = torch.tensor([i in _special(tokens) for i in features["input_ids"]])
    shares, value, baseline = integrated(model, batch, label, tokens.pad_id, keep, steps)
    names = tuple(tokens.tokenizer.id_to_token(i) or "" for i in features["input_ids"])
    return Explanation(str(answer), config["id2label"][str(label)], names, shares, value, baseline, attention)


def looked(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, np.ndarray | None]:
    """The logits of one row, and the attention of all layers; None for a model that has none."""
    with torch.inference_mode():
        logits: Tensor = model(**batch).logits[0]
        if not blocks(model):
            return logits, None
        model.set_attn_implementation("eager")  # the others compute the same, and keep no weights
        every = model.base_model(**batch, output_attentions=True).attentions
    return logits, torch.stack([each[0] for each in every]).float().numpy()


def integrated(
    model: Any, batch: dict[str, Tensor], label: int, pad: int, keep: Tensor, steps: int
) -> tuple[np.ndarray, float, float]:
    """For one row the integrated gradients of a label's logit, summed over the units of each token, the logit itself, and that
    of the baseline: the text with padding for all tokens but those to `keep`. Points and weights are Gauss's."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    table = model.get_input_embeddings()
    ids = batch["input_ids"][0]
    with torch.no_grad():
        there, start = table(ids), table(torch.where(keep, ids, pad))
    total = torch.zeros_like(there)
    sides = torch.tensor([0.0, 1.0])
    ends = _logits(model, table, batch, _between(start, there, sides), label).detach()
    for some in np.array_split(np.arange(steps), max(1, -(-steps // AT_ONCE))):
        shares = torch.tensor((points[some] + 1) / 2, dtype=there.dtype)
        states = _between(start, there, shares).requires_grad_()
        said = _logits(model, table, batch, states, label)
        [slopes] = torch.autograd.grad(said.sum(), states)
        total += (slopes * torch.tensor(weights[some] / 2, dtype=there.dtype)[:, None, None]).sum(0)
    found: np.ndarray = ((there - start) * total).sum(-1).detach().numpy()
    return found, float(ends[1]), float(ends[0])


def _between(start: Tensor, there: Tensor, shares: Tensor) -> Tensor:
    return start + shares[:, None, None] * (there - start)


def _logits(model: Any, table: Any, batch: dict[str, Tensor], states: Tensor, label: int) -> Tensor:
    """The logit of a label where the table of embeddings gives `states`, of shape (rows, tokens, units)."""
    repeated = {name: tensor.expand(len(states), *tensor.shape[1:]) for name, tensor in batch.items()}
    with _replaced(table, states):
        found: Tensor = model(**repeated).logits[:, label]
    return found


@contextmanager
def _replaced(table: Any, states: Tensor) -> Iterator[None]:
    """Inside, an embedding gives these states."""
    handle = table.register_forward_hook(lambda module, inputs, output: states)
    try:
        yield
    finally:
        handle.remove()


def _special(tokens: Any) -> set[int]:
    """Tokens around a text, which stand around the baseline, too."""
    names = [name for key, name in tokens.names.items() if key in ("cls_token", "sep_token", "bos_token", "eos_token")]
    return {tokens.tokenizer.token_to_id(name) for name in names}
