"""Models: where a checkpoint lies, and what is loaded of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import torch

from hfrecipes.errors import ModelError
from hfrecipes.family import Family
from hfrecipes.models import Model, load_config, load_model, load_tokenizer, load_tokens
from hfrecipes.tokens import Tokens


def test_a_plain_text_is_the_path() -> None:
    assert pydantic.TypeAdapter(Model).validate_python("a/b") == Model(path="a/b") == Model("a/b")


def test_a_folder_is_located_by_its_absolute_path(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_bert.parent)
    assert Model(f"./{tiny_bert.name}").locate() == str(tiny_bert.resolve())


def test_a_run_stands_for_the_model_in_it(finished: Path) -> None:
    assert Model(str(finished)).locate() == str((finished / "model").resolve())


def test_a_folder_inside_an_installed_package_is_located(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package_of_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model").symlink_to(tiny_bert)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Model("package:package_of_weights/model").locate() == str(package / "model")


def test_any_other_text_is_a_name_on_the_hub() -> None:
    assert Model("google-bert/bert-base-uncased").locate() == "google-bert/bert-base-uncased"
    assert Model("bert-base-uncased").locate() == "bert-base-uncased"


def test_a_name_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(ModelError, match="cannot load no-such-organisation/no-such-model") as refused:
        load_config(Model("no-such-organisation/no-such-model"))
    assert "\n" not in str(refused.value)


def test_the_recipe_changes_entries_of_the_configuration(tiny_bert: Path) -> None:
    config = load_config(Model(str(tiny_bert), config={"hidden_dropout_prob": 0.3}), {"num_labels": 5})
    assert config.hidden_dropout_prob == 0.3
    assert config.num_labels == 5


def test_the_body_is_loaded_in_fp32_and_the_head_is_new(tiny_bert: Path) -> None:
    from transformers import AutoModel

    model: Any = load_model(Model(str(tiny_bert)), "text-classification", load_config(Model(str(tiny_bert)), {"num_labels": 5}))
    body = AutoModel.from_pretrained(tiny_bert)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.classifier.weight.shape == (5, 32)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, body.embeddings.word_embeddings.weight)


def test_a_head_of_another_size_starts_anew_on_the_same_body(finished: Path) -> None:
    source = Model(str(finished))
    two: Any = load_model(source, "text-classification", load_config(source))
    five: Any = load_model(
        source, "text-classification", load_config(source, {"num_labels": 5, "id2label": {i: str(i) for i in range(5)}})
    )
    assert (two.classifier.out_features, five.classifier.out_features) == (2, 5)
    assert torch.equal(two.bert.pooler.dense.weight, five.bert.pooler.dense.weight)


def test_the_pad_token_of_the_recipe_is_used(tiny_bert: Path) -> None:
    assert load_tokenizer(Model(str(tiny_bert), pad_token="[MASK]"), Family("bert", "encoder")).pad_token == "[MASK]"


def test_tokens_are_bounded_by_the_positions_of_the_model(tiny_bert: Path) -> None:
    assert load_tokens(tiny_bert, None, {"max_position_embeddings": 16}).max_length == 16
    assert load_tokens(tiny_bert, 8, {"max_position_embeddings": 16}).max_length == 8
    assert load_tokens(tiny_bert, None, {}).max_length == 64


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_saved_tokenizer_says_on_which_side_it_pads_also_where_its_class_does_so_anyway(side: str, tmp_path: Path) -> None:
    from hfrecipes.models import save_tokenizer
    from tests.conftest import make_text_tokenizer

    tokenizer = make_text_tokenizer("left")

    class Llama(type(tokenizer)):  # type: ignore[misc]
        padding_side = side

    tokenizer.__class__ = Llama
    tokenizer.padding_side = side
    tokenizer.init_kwargs.pop("padding_side", None)
    save_tokenizer(tokenizer, tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["padding_side"] == side
    assert Tokens.open(tmp_path, 32, None).padding_side == side
