"""Word embeddings with the rows of a training's tokens alone: the same weights, whole checkpoints, and left alone elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.optim import SGD, AdamW
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, TrainerCallback, TrainingArguments

from hfrecipes import verbs
from hfrecipes.embedding_rows import EmbeddingRows, Rows, occurring, possible
from hfrecipes.lighter import in_effect, lighter
from hfrecipes.objectives._quantized import Quantized
from hfrecipes.optimizers.adafactor import Adafactor
from hfrecipes.stages.train import trainer_for
from hfrecipes.verbs import begin
from tests.conftest import Open
from tests.test_features import recipe

WIDER = 10
"""How many times the tokens that a tiny tokenizer knows the embeddings of a widened model have."""


def widened(source: Path, target: Path) -> Path:
    """A tiny model with embeddings for tokens that no row has, in another folder."""
    model = AutoModel.from_pretrained(source)
    torch.manual_seed(0)
    model.resize_token_embeddings(WIDER * model.config.vocab_size, mean_resizing=False)
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)
    return target


@pytest.fixture
def wide(tiny_bert: Path, tiny_gpt: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A family's tiny model, with embeddings for tokens that no row has."""
    return lambda family: widened({"bert": tiny_bert, "gpt": tiny_gpt}[family], tmp_path / family)


def trained(made: Any, out: Path) -> dict[str, torch.Tensor]:
    return load_file(verbs.fit(made, out).model / "model.safetensors")


@pytest.mark.parametrize("strategy", ["full", "layer_decay", "mixout"])
@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_a_training_gives_the_weights_of_one_with_all_rows(
    family: str, strategy: str, wide: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = wide(family)
    found = {}
    for settings in (("embedding_rows",), ()):
        caplog.clear()
        with caplog.at_level("INFO", logger="hfrecipes"):
            made = dataclasses.replace(recipe(tmp_path, model, strategy, family), fast_path=settings)
            found[settings] = trained(made, tmp_path / f"run{len(settings)}")
        assert ("embedding_rows" in caplog.text) is bool(settings)
    rows, all_rows = found.values()
    assert rows.keys() == all_rows.keys()
    for name, weight in all_rows.items():
        torch.testing.assert_close(rows[name], weight, atol=1e-6, rtol=1e-5)
    table = next(name for name in rows if name.endswith(("word_embeddings.weight", "wte.weight")))
    before = AutoModel.from_pretrained(model).get_input_embeddings().weight
    same = (rows[table] == before).all(1)
    assert 0 < int((~same).sum()) < len(same) // WIDER
    assert bool(same[len(same) // WIDER :].all())


class At(TrainerCallback):
    """Calls something at the end of a step."""

    def __init__(self, step: int, call: Callable[[Any], None]) -> None:
        self.step, self.call = step, call

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step == self.step:
            self.call(model)


def test_a_training_that_was_stopped_goes_on_from_a_whole_checkpoint(wide: Callable[[str], Path], tmp_path: Path) -> None:
    made = dataclasses.replace(recipe(tmp_path, wide("bert"), "full"), fast_path=("embedding_rows",), optimizer=None)
    whole = trained(made, tmp_path / "whole")
    run = begin(made, tmp_path / "stopped")
    trainer = trainer_for(made, run)
    assert in_effect(trainer.callback_handler.callbacks) == ["embedding_rows"]

    def stop(model: Any) -> None:
        raise InterruptedError

    trainer.add_callback(At(12, stop))
    with pytest.raises(InterruptedError):
        trainer.train()
    kept = next(run.checkpoints.rglob("model.safetensors"))
    name = "bert.embeddings.word_embeddings.weight"
    assert load_file(kept)[name].shape == whole[name].shape
    trainer = trainer_for(made, run)
    trainer.train(resume_from_checkpoint=str(kept.parent))
    again = trainer.model.state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in whole.items() if "pooler" not in name)


def test_the_model_has_few_rows_inside_of_a_training_and_all_behind_it(wide: Callable[[str], Path], tmp_path: Path) -> None:
    made = dataclasses.replace(recipe(tmp_path, wide("bert"), "full"), fast_path=("embedding_rows",))
    trainer = trainer_for(made, begin(made, tmp_path / "run"))
    model: Any = trainer.model
    rows = model.get_input_embeddings()
    count = model.config.vocab_size
    assert isinstance(rows, Rows)
    assert len(rows.weight) < count / WIDER
    trainer.train()
    assert type(model.get_input_embeddings()) is torch.nn.Embedding
    assert model.get_input_embeddings().weight.shape[0] == count
    assert torch.equal(model.get_input_embeddings().weight[rows.tokens], rows.weight)


@pytest.fixture
def few(fresh: Open) -> tuple[Any, EmbeddingRows]:
    """A model with the rows of the tokens 0, 2, 5 and 6, in training."""
    model = fresh("bert", "text-classification").train()
    return model, EmbeddingRows(model, SGD(model.parameters(), lr=0.1), torch.tensor([0, 2, 5, 6]))


def test_evaluation_reads_rows_that_no_training_row_has(few: tuple[Any, EmbeddingRows], fresh: Open) -> None:
    model, rows = few
    whole = fresh("bert", "text-classification").eval()
    ids = torch.tensor([[2, 5, 7, 9, 0]])
    torch.testing.assert_close(model.eval()(ids).logits, whole(ids).logits)
    with torch.no_grad():
        rows.rows.weight += 1
        whole.get_input_embeddings().weight[torch.tensor([0, 2, 5, 6])] += 1
    torch.testing.assert_close(model(ids).logits, whole(ids).logits)
    rows.end()
    rows.end()
    torch.testing.assert_close(model(ids).logits, whole(ids).logits)


def test_a_token_that_was_not_foreseen_ends_a_training(few: tuple[Any, EmbeddingRows]) -> None:
    with pytest.raises(IndexError):
        few[0](torch.tensor([[2, 7]]))


def test_padding_learns_nothing_where_it_did_not(few: tuple[Any, EmbeddingRows]) -> None:
    model, rows = few
    model(torch.tensor([[2, 5, 0, 0]]), labels=torch.tensor([1])).loss.backward()
    grad = rows.rows.weight.grad
    assert grad is not None
    assert [bool(line.any()) for line in grad] == [False, True, True, False]


def test_padding_that_no_row_has_is_none_of_the_others() -> None:
    whole = torch.nn.Embedding(10, 4, padding_idx=1)
    rows = Rows(whole, torch.tensor([0, 2, 5])).train()
    rows(torch.tensor([[0, 2, 5]])).sum().backward()
    assert rows.weight.grad is not None
    assert bool(rows.weight.grad.all())


def test_weights_that_are_given_are_taken_whole(few: tuple[Any, EmbeddingRows]) -> None:
    model, rows = few
    given = {name: weight.clone() for name, weight in model.state_dict().items()}
    name = "bert.embeddings.word_embeddings.weight"
    given[name] += 1
    model.load_state_dict(given)
    assert torch.equal(rows.rows.weight, given[name][rows.rows.tokens])
    assert torch.equal(model.state_dict()[name], given[name])
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict({**given, name: given[name][:3]})


def classifier(fresh: Open) -> Any:
    return fresh("bert", "text-classification")


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (classifier, lambda weights: AdamW(weights, weight_decay=0.01)),
        (classifier, lambda weights: AdamW(weights, weight_decay=0.0, maximize=True)),
        (classifier, lambda weights: Adafactor().build([{"params": list(weights)}])),
        (lambda fresh: fresh("t5", "text-classification"), lambda weights: SGD(weights, lr=0.1)),
        (lambda fresh: AutoModelForMaskedLM.from_config(classifier(fresh).config), lambda weights: SGD(weights, lr=0.1)),
    ],
    ids=["decay", "maximize", "adafactor", "t5", "tied"],
)
def test_where_other_rows_would_not_stay_as_they_are_all_are_trained(make: Any, optimizer: Any, fresh: Open) -> None:
    model = make(fresh)
    assert not possible(model, optimizer(model.parameters()))
    assert possible(classifier(fresh), SGD(list(fresh("bert", "text-classification").parameters()), lr=0.1)) is False


def test_an_embedding_that_does_more_or_does_not_learn_is_left_alone(fresh: Open) -> None:
    def found(change: Callable[[Any], Any]) -> bool:
        model = classifier(fresh)
        change(model)
        return possible(model, SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1))

    assert found(lambda model: None)
    assert not found(lambda model: model.get_input_embeddings().requires_grad_(False))
    assert not found(lambda model: setattr(model.get_input_embeddings(), "max_norm", 1.0))
    assert not found(lambda model: model.get_input_embeddings().register_forward_hook(lambda *_: None))
    assert not found(Quantized)


def test_rows_that_are_most_of_all_rows_are_no_gain(tiny_bert: Path, wide: Callable[[str], Path], tmp_path: Path) -> None:
    for model, count in ((tiny_bert, 0), (wide("bert"), 1)):
        made = dataclasses.replace(recipe(tmp_path, model, "full"), fast_path=("embedding_rows",))
        trainer = trainer_for(made, begin(made, tmp_path / f"run{count}"))
        assert len(in_effect(trainer.callback_handler.callbacks)) == count


def test_tokens_are_those_of_the_rows(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = Dataset.from_dict({"input_ids": [[7, 3], [3], [9, 9, 1], [4]]}).select([0, 1, 2])
    assert occurring(rows, [0]).tolist() == [0, 1, 3, 7, 9]


@pytest.mark.parametrize("kept", [{"activation_checkpointing": True}, {"torch_compile": True}])
def test_what_runs_blocks_again_or_in_parts_gets_a_model_as_it_is(kept: dict[str, Any], fresh: Open, tmp_path: Path) -> None:
    def callbacks(wanted: list[str], **options: Any) -> list[Any]:
        model = classifier(fresh)
        arguments = TrainingArguments(str(tmp_path), use_cpu=True, **options)
        return lighter(model, SGD(model.parameters(), lr=0.1), arguments, wanted, None, 0, plain_calls=True)

    assert [type(each).__name__ for each in callbacks(["first_token", "packed_rows"])] == ["FirstToken", "PackedRows"]
    assert callbacks(["first_token", "packed_rows"], **kept) == callbacks(["embedding_rows"]) == callbacks([]) == []


def test_noise_on_embeddings_finds_them_as_they_are(wide: Callable[[str], Path], tmp_path: Path) -> None:
    for noise, count in ((None, 1), (5.0, 0)):
        made = recipe(tmp_path, wide("bert"), "full", neftune_noise_alpha=noise, num_train_epochs=1)
        trainer = trainer_for(dataclasses.replace(made, fast_path=("embedding_rows",)), begin(made, tmp_path / f"noise{count}"))
        assert len(in_effect(trainer.callback_handler.callbacks)) == count
        trainer.train()
