"""What every head must do: on each family it learns, is saved with the model, exports, and answers the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes import Predictor, verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.config import build, dump
from hfrecipes.errors import RecipeError
from hfrecipes.heads import ENTRY, Head
from hfrecipes.heads.mlp import Mlp
from hfrecipes.models import Model, load_config, load_model
from hfrecipes.recipe import Recipe
from hfrecipes.stages.train import config_for
from tests.conftest import sentiment
from tests.contracts import every, make

FAMILIES = ("bert", "gpt", "t5")
HEADS = [name for name in every("heads") if name != "verbaliser"]
"""Those of any text; that of a pattern's masked word has tests of its own, in `test_verbalising.py`."""
Open = Callable[..., Any]


@pytest.fixture
def recipe(values: dict[str, Any], tiny_gpt: Path, tiny_t5: Path) -> Open:
    """The recipe of two labels for a family, with a head."""
    folders = {"bert": values["model"], "gpt": str(tiny_gpt), "t5": str(tiny_t5)}

    def made(head: Any, family: str = "bert", **more: Any) -> Recipe:
        model = {"path": folders[family], "layers": [1, 1] if family == "t5" else 1}  # a head does not see them
        return build(Recipe, {**values, "recipe": family, "model": model, "head": head, **more})

    return made


def last_part(model: Any) -> str:
    """The name of the module that stands in for the last layer."""
    return next(name for name, module in model.named_modules() if isinstance(module, torch.nn.Sequential))


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_learns_and_comes_along_with_the_checkpoint_and_the_bundle(
    name: str, family: str, recipe: Open, tmp_path: Path
) -> None:
    run_recipe = recipe(name, family, check=[])
    run = verbs.fit(run_recipe, tmp_path)
    verbs.ship(run)
    texts = [row["text"] for row in sentiment(6)]
    answers = [Predictor.open(run.path, backend)(texts) for backend in ("pytorch", "cpu/fp32")]
    assert [answer.label for answer in answers[0]] == [answer.label for answer in answers[1]]
    scores = [torch.tensor([answer.score for answer in found]) for found in answers]
    torch.testing.assert_close(*scores, atol=1e-4, rtol=1e-4)
    model: Any = load_trained(run.model)
    assert getattr(model.config, ENTRY) == dump(make("heads", name))
    drawn = load_model(run_recipe.model, "text-classification", config_for(run_recipe, run))
    before, after = (dict(found.named_parameters()) for found in (drawn, model))
    head = [key for key in after if key.startswith(last_part(model))]
    assert len(head) >= 2 - (family == "gpt" or name == "prototype")
    assert not any(torch.equal(before[key], after[key]) for key in head)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_drawn_anew_and_has_the_shape_of_the_labels(name: str, tiny_bert: Path) -> None:
    from transformers import BertForSequenceClassification

    config = load_config(Model(str(tiny_bert)), {"num_labels": 5, ENTRY: {name: {}}})
    model: Any = load_model(Model(str(tiny_bert)), "text-classification", config)
    assert isinstance(model, BertForSequenceClassification)
    found = model(input_ids=torch.tensor([[5, 9, 7], [6, 8, 10]])).logits
    assert found.shape == (2, 5)
    assert float(found.detach().abs().max()) > 0


def test_batch_norm_keeps_its_statistics(recipe: Open, tmp_path: Path) -> None:
    run = verbs.fit(recipe({"mlp": {"hidden": 8, "batch_norm": True}}), tmp_path)
    model: Any = load_trained(run.model)
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d))
    assert int(norm.num_batches_tracked) > 0
    assert float(norm.running_mean.abs().max()) > 0
    texts = [row["text"] for row in sentiment(4)]
    predictor = Predictor.open(run.path, "pytorch")
    assert [predictor([text])[0].label for text in texts] == [answer.label for answer in predictor(texts)]


@pytest.mark.parametrize("strategy", ["feature_extraction", "gradual_unfreezing", "lora", "bias_only"])
def test_strategies_take_a_new_head_for_the_head(
    strategy: str, recipe: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFRECIPES_FEATURES", str(tmp_path / "features"))
    train = {"num_train_epochs": 3, "learning_rate": 1e-2, "save_strategy": "no", "eval_strategy": "no"}
    run = verbs.fit(recipe("mlp", strategy=strategy, train=train), tmp_path / "run")
    model: Any = load_trained(run.model)
    assert isinstance(model.classifier, torch.nn.Sequential)
    assert all(isinstance(layer, torch.nn.Module) for layer in model.classifier)


@pytest.mark.parametrize(
    ("head", "more", "said"),
    [
        ({"mlp": {"batch_norm": True}}, {"train": {"per_device_train_batch_size": 1}}, "a batch of one row has no variance"),
        ({"mlp": {"batch_norm": True}}, {"family": "gpt"}, "padding would count"),
        ("mpl", {}, "Did you mean 'mlp'"),
        ({"mlp": {"dropout": 1.0}}, {}, "less than 1"),
    ],
)
def test_what_a_head_cannot_do_is_one_line(head: Any, more: dict[str, Any], said: str, recipe: Open, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        verbs.fit(recipe(head, **more), tmp_path)


def test_a_model_that_does_not_classify_keeps_its_head(tiny_gpt: Path) -> None:
    config = load_config(Model(str(tiny_gpt)), {ENTRY: {"mlp": {}}})
    with pytest.raises(RecipeError, match="has no head that classifies"):
        load_model(Model(str(tiny_gpt)), "text-generation", config)


def test_without_a_head_the_class_is_the_one_of_transformers(tiny_bert: Path) -> None:
    from transformers import BertForSequenceClassification

    model = load_model(Model(str(tiny_bert)), "text-classification", load_config(Model(str(tiny_bert))))
    assert type(model) is BertForSequenceClassification


def test_an_mlp_is_a_layer_a_norm_and_a_layer() -> None:
    built: Any = Mlp(hidden=7, dropout=0.5, batch_norm=True).build(4, 3)
    assert [type(layer).__name__ for layer in built] == ["Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert (built[0].weight.shape, built[4].weight.shape) == ((7, 4), (3, 7))
    assert isinstance(make("heads", "mlp"), Head)
