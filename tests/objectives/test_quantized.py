"""A student that is rounded in training computes as its int8 graph, and is a plain model afterwards."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hfrecipes import Predictor
from hfrecipes.checkpoint import copy_reader, load_trained
from hfrecipes.errors import RecipeError
from hfrecipes.folder import Run
from hfrecipes.objectives import _quantized
from hfrecipes.objectives._quantized import Quantized
from hfrecipes.stages.export import batches
from hfrecipes.targets.cpu import Cpu
from tests.conftest import Open
from tests.objectives.test_distill import lesson, named, saved
from tests.strategies.test_contract import CASES, batch


def test_it_says_what_the_dynamic_int8_graph_says(finished: Path, tmp_path: Path) -> None:
    """Far nearer to it than the exact model is."""
    model: Any = load_trained(finished / "model").eval()
    graphs = Cpu(quantize="dynamic").export(model, batches(Run.open(finished)), tmp_path)
    copy_reader(finished / "model", tmp_path)
    int8 = Predictor.over(tmp_path, dataclasses.asdict(graphs["int8"]), Cpu.providers)
    rounded, apart = Quantized(model), []
    for text in ("the film was good", "the plot was awful and the scene dull", "a lovely play", "it was poor"):
        features = int8.task.encode([{"text": text}], int8.tokens, int8.config)
        arrays = int8.task.collate(features, int8.tokens)
        read = {name: torch.from_numpy(array) for name, array in arrays.items()}
        rounded.read(read)
        with torch.inference_mode():
            near = model(**read).logits.numpy()
        with torch.inference_mode():
            _quantized.release(model)
            exact = model(**read).logits.numpy()
            rounded = Quantized(model)
        wanted = int8.engine(arrays)["logits"]
        apart.append((np.abs(near - wanted).max(), np.abs(exact - wanted).max()))
    near_by, far = np.mean(apart, axis=0)
    assert near_by < far / 2, (near_by, far)


@pytest.mark.parametrize(("family", "head"), CASES)
def test_all_weights_learn_and_the_model_is_plain_afterwards(family: str, head: str, fresh: Open, tmp_path: Path) -> None:
    teacher = saved(fresh(family, head), tmp_path / "teacher", change=0.1)
    model = fresh(family, head).train()
    exact = {name: weight.clone() for name, weight in model.state_dict().items()}
    taught = lesson(model, family, head, str(teacher), named("soft_targets"), quantized=True)
    found, _ = taught(model, batch(head))
    found.backward()
    plain = lesson(fresh(family, head).train(), family, head, str(teacher), named("soft_targets"))
    wanted, _ = plain(plain.model, batch(head))
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=0.05)
    assert float(found.detach()) != float(wanted.detach())
    wanted.backward()
    for (name, mine), its in zip(model.named_parameters(), plain.model.parameters(), strict=True):
        if its.grad is not None and its.grad.norm() > 1e-4:
            assert torch.nn.functional.cosine_similarity(mine.grad.flatten(), its.grad.flatten(), dim=0) > 0.9, name
    taught.asked.release(model)
    assert not any("forward" in vars(module) for module in model.modules())
    assert all(torch.equal(exact[name], weight) for name, weight in model.state_dict().items())


def test_padding_does_not_widen_the_range(fresh: Open) -> None:
    model = fresh("bert", "text-classification").eval()
    rounded = Quantized(model)
    rows = batch("text-classification")
    rounded.read(rows)
    together = model(**rows).logits
    for i, length in enumerate(rows["attention_mask"].sum(1).tolist()):
        one = {n: t[i : i + 1, :length] if t.dim() == 2 else t[i : i + 1] for n, t in rows.items()}
        rounded.read(one)
        torch.testing.assert_close(model(**one).logits[0], together[i], atol=1e-4, rtol=0)


def test_what_is_frozen_cannot_make_up_for_it(fresh: Open, tmp_path: Path) -> None:
    teacher = saved(fresh("bert", "text-classification"), tmp_path / "teacher")
    model = fresh("bert", "text-classification")
    model.bert.requires_grad_(False)
    with pytest.raises(RecipeError, match=r"quantized: rounds what does not learn, too\. Take `strategy: full`"):
        lesson(model, "bert", "text-classification", str(teacher), named("soft_targets"), quantized=True)
