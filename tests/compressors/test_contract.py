"""What every compressor must do, on every family."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from hfrecipes.compressors import Given
from hfrecipes.errors import RecipeError, UserError
from hfrecipes.family import attentions, auto_class, blocks, feed_forwards, linear_layers
from hfrecipes.reshaping import describe, size
from hfrecipes.targets.cpu import Cpu
from hfrecipes.zeros import matrices, shares
from tests.conftest import Open
from tests.contracts import every, make
from tests.strategies.test_contract import CASES, answers, batch

OPTIONS = {
    "heads": {"keep": 0.5},
    "feed_forward": {"keep": 0.5},
    "layers": {"keep": 1},
    "low_rank": {"keep": 0.4},
    "magnitude": {"sparsity": 0.5},
}
REMOVING = ("heads", "feed_forward")
ALONE = [name for name in every("compressors") if name not in ("recover", "vocabulary")]
"""A recovery is a training, and other tokens are other rows: both are tested with whole runs."""


class Rows(Given):
    """The rows of these tests, as those of a run."""

    original, tokenizer = "unused", Path("unused")

    def __init__(self, head: str) -> None:
        self.head = head

    def batches(self) -> Iterator[Mapping[str, Any]]:
        yield batch(self.head)
        yield {name: tensor[:2] for name, tensor in batch(self.head).items()}

    def loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        found: torch.Tensor = model(**batch).loss
        return found

    def tokens(self) -> Iterator[Sequence[int]]:
        raise AssertionError("tokens stay")

    def renumber(self, kept: Sequence[int]) -> None:
        raise AssertionError("tokens stay")

    def train(self, model: Any, changes: Mapping[str, Any]) -> Any:
        raise AssertionError("nothing is trained here")


def compressed(name: str, model: Any, head: str, **options: Any) -> Any:
    part = make("compressors", name, {name: {**OPTIONS.get(name, {}), **options}})
    found = part.apply(model, Rows(head))
    describe(found)
    return found


def weights(model: Any) -> int:
    """The weights of the blocks that are not zero."""
    return sum(int((weight != 0).sum()) for weight in model.parameters())


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize(("family", "head"), CASES)
def test_a_compressed_model_is_smaller_and_loads_with_plain_from_pretrained(
    name: str, family: str, head: str, fresh: Open, tmp_path: Path
) -> None:
    before = weights(fresh(family, head))
    model = compressed(name, fresh(family, head), head)
    assert weights(model) < 0.9 * before
    said = answers(model, head)
    model.save_pretrained(tmp_path)
    again = auto_class(head).from_pretrained(tmp_path)
    torch.testing.assert_close(answers(again, head), said)
    assert type(again) is type(model)
    again.train()(**batch(head)).loss.backward()


@pytest.mark.parametrize("name", ALONE)
def test_a_compressed_model_loads_in_a_new_process_that_imported_hfrecipes(name: str, fresh: Open, tmp_path: Path) -> None:
    head = "text-classification"
    model = compressed(name, fresh("bert", head), head)
    model.save_pretrained(tmp_path)
    code = (
        "import hfrecipes, json, sys, torch\n"
        "from transformers import AutoModel, AutoModelForSequenceClassification as Auto\n"
        "model = Auto.from_pretrained(sys.argv[1])\n"
        "ids = torch.tensor([[5, 9, 7, 11]])\n"
        "body = AutoModel.from_pretrained(sys.argv[1])(ids).last_hidden_state\n"
        "print(json.dumps([model(ids).logits.tolist(), torch.equal(body, model.bert(ids).last_hidden_state)]))\n"
    )
    if name in ("heads", "low_rank"):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        logits, same = json.loads(done.stdout.strip().splitlines()[-1])
        assert same
        torch.testing.assert_close(torch.tensor(logits), model.eval()(torch.tensor([[5, 9, 7, 11]])).logits.detach())
    else:  # the plain configuration says it all
        assert json.loads((tmp_path / "config.json").read_text("utf-8"))["model_type"] == "bert"


@pytest.mark.parametrize("name", [name for name in ALONE if name not in ("magnitude", "two_four")])
def test_a_compressed_model_is_exported(name: str, fresh: Open, tmp_path: Path) -> None:
    head = "text-classification"
    model = compressed(name, fresh("bert", head), head).eval()
    rows = {key: tensor.numpy() for key, tensor in batch(head).items() if key != "labels"}
    graphs = Cpu(quantize=None).export(model, [rows], tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / graphs["fp32"].file))
    found = session.run(None, {entry.name: rows[entry.name] for entry in session.get_inputs()})
    torch.testing.assert_close(torch.from_numpy(found[0]), answers(model, head), atol=1e-4, rtol=1e-4)


def test_a_compressed_model_that_writes_is_exported(fresh: Open, tmp_path: Path) -> None:
    head = "text2text-generation"
    model = compressed("low_rank", compressed("heads", fresh("t5", head), head), head).eval()
    rows = {key: tensor.numpy() for key, tensor in batch(head).items() if key != "labels"}
    graphs = Cpu(quantize=None).export(model, [rows], tmp_path)
    assert {"prefill.onnx", "decode.onnx"} <= {file.name for file in (tmp_path / graphs["fp32"].file).iterdir()}


@pytest.mark.parametrize("keep", [0.5, 1.0])
def test_queries_that_share_keys_go_together(keep: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=4, head_dim=4,
        intermediate_size=48, pad_token_id=0,
    )  # fmt: skip
    model = compressed("heads", LlamaForCausalLM(config), "text-generation", keep=keep)
    assert (model.config.num_attention_heads, model.config.num_key_value_heads) == (8 * keep, 4 * keep)
    assert model.config.model_type == "llama"
    said = answers(model, "text-generation")
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(answers(AutoModelForCausalLM.from_pretrained(tmp_path), "text-generation"), said)


@pytest.mark.parametrize("name", REMOVING)
@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_what_does_nothing_is_removed_first_and_the_answers_stay(name: str, family: str, fresh: Open) -> None:
    """Units whose outputs are multiplied by zero are the ones to go."""
    model = fresh(family, "text-classification")
    rng = torch.Generator().manual_seed(3)
    for block in map(model.get_submodule, blocks(model)):
        if name == "heads":
            [(layer, group)] = [(each.out, each.head_size) for each in attentions(block)]
        else:
            [(layer, group)] = [(each.out, 1) for each in feed_forwards(block)]
        units = size(layer)[1] // group
        dead = torch.randperm(units, generator=rng)[: units // 2]
        reads = (dead[:, None] * group + torch.arange(group)).flatten()
        rows = layer.weight.data if family == "gpt" else layer.weight.data.T
        rows[reads] = 0
    said = answers(model, "text-classification")
    torch.testing.assert_close(answers(compressed(name, model, "text-classification"), "text-classification"), said)


def test_over_the_whole_model_layers_differ_and_none_is_empty(fresh: Open) -> None:
    model = fresh("bert", "text-classification")
    second = feed_forwards(model.get_submodule(blocks(model)[1]))[0].out
    second.weight.data.mul_(1e-6)
    found = compressed("feed_forward", model, "text-classification", keep=0.5, scope="global")
    sizes = [size(feed_forwards(found.get_submodule(block))[0].out)[1] for block in blocks(found)]
    assert sum(sizes) == pytest.approx(64, abs=2)
    assert sizes[0] != sizes[1]
    assert min(sizes) >= 1
    assert found.config.model_type == "reshaped"


def test_factors_of_full_rank_are_the_matrix(fresh: Open) -> None:
    model = fresh("gpt", "text-classification")
    said = answers(model, "text-classification")
    whole = make("compressors", "low_rank", {"low_rank": {"keep": 1.0}})
    object.__setattr__(whole, "keep", 2.0)  # as many ranks as a square matrix has
    found = whole.apply(model, Rows("text-classification"))
    torch.testing.assert_close(answers(found, "text-classification"), said, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("scope", "even"), [("local", True), ("global", False)])
def test_zeros_are_counted_over_each_matrix_or_over_all(scope: str, even: bool, fresh: Open) -> None:
    model = fresh("bert", "text-classification")
    model.get_submodule(linear_layers(model)[0]).weight.data.mul_(100)  # type: ignore[operator, union-attr]
    found = compressed("magnitude", model, "text-classification", sparsity=0.5, scope=scope)
    by_matrix = shares(found)
    total = sum(int((weight == 0).sum()) for weight in matrices(found).values()) / sum(
        w.numel() for w in matrices(found).values()
    )
    assert total == pytest.approx(0.5, abs=0.01)
    assert all(share == pytest.approx(0.5, abs=0.01) for share in by_matrix.values()) is even


def test_of_four_weights_side_by_side_the_larger_two_stay(fresh: Open) -> None:
    before = {name: weight.clone() for name, weight in matrices(fresh("bert", "text-classification")).items()}
    after = matrices(compressed("two_four", fresh("bert", "text-classification"), "text-classification"))
    assert len(after) == 12
    for name, weight in after.items():
        old, new = before[name].view(-1, 4), weight.view(-1, 4)
        assert ((new != 0).sum(-1) == 2).all()
        torch.testing.assert_close(new.abs().sum(-1), old.abs().topk(2).values.sum(-1))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("heads", {"keep": 0.2}, "leaves a layer with none"),
        ("layers", {"keep": 3}, "3 of 2 blocks"),
        ("layers", {"keep": [1, 1]}, "two numbers for"),
    ],
)
def test_what_would_leave_nothing_is_refused(name: str, options: dict[str, Any], said: str, fresh: Open) -> None:
    with pytest.raises(UserError, match=said):
        compressed(name, fresh("bert", "text-classification"), "text-classification", **options)


def test_blocks_that_share_a_bias_keep_the_same_heads(fresh: Open) -> None:
    with pytest.raises(RecipeError, match="share a bias over positions"):
        compressed("heads", fresh("t5", "text2text-generation"), "text2text-generation", scope="global")


@pytest.mark.parametrize(
    ("name", "options"),
    [("magnitude", {"sparsity": 1.0}), ("magnitude", {"sparsity": -0.5}), ("heads", {"keep": 0}), ("layers", {"keep": 0})],
)
def test_impossible_shares_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"greater than|less than"):
        make("compressors", name, {name: options})
