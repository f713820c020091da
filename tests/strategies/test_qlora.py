"""qlora: its layers of four bits on CPU, where bitsandbytes is installed, and what is said where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hfrecipes.errors import RecipeError
from hfrecipes.strategies.qlora import Qlora
from tests.conftest import Open
from tests.strategies.test_contract import CASES, FAMILIES, answers, batch, train


def test_without_a_gpu_it_is_refused(fresh: Open) -> None:
    with pytest.raises(RecipeError, match=r"strategy\.qlora: needs a GPU, and there is none\. Take lora\."):
        Qlora().prepare(fresh("bert", "text-classification"), FAMILIES["bert"])


@pytest.mark.parametrize(("family", "head"), CASES)
def test_four_bits_become_a_plain_model_that_answers_as_it_was_trained(
    family: str,
    head: str,
    fresh: Open,
    tmp_path: Path,
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (extra qlora)")
    from hfrecipes.family import linear_layers
    from hfrecipes.strategies._four_bits import quantize

    plain = fresh(family, head)
    kind, layers = type(plain), linear_layers(plain)
    whole = {name: plain.get_submodule(name).weight.detach().clone() for name in layers}
    quantize(plain, layers, "cpu")
    kept = [name for name in layers if name.endswith(".wo")]
    assert bool(kept) == (family == "t5"), "T5 casts to the type of this layer's weights, which no input survives in four bits"
    small = [name for name in layers if name not in kept]
    for name in small:
        assert plain.get_submodule(name).weight.dtype == torch.uint8
        plain.get_submodule(name).support_avx512bf16_for_cpu = False  # that packing wants rows of 64 numbers
    rounded = answers(plain, head)
    strategy = Qlora()
    model = strategy.beside(plain, FAMILIES[family])
    torch.testing.assert_close(answers(model, head), rounded, msg="new matrices add nothing")
    train(strategy, model, head)
    trained = answers(model, head)
    assert not torch.equal(trained, rounded)
    done = strategy.finish(model)
    assert type(done) is kind
    torch.testing.assert_close(answers(done, head), trained, atol=1e-4, rtol=1e-4)
    for name in small:
        apart = (done.get_submodule(name).weight.detach() - whole[name]).norm() / whole[name].norm()
        assert 0 < float(apart) < 1.0, "rounded to four bits and learned, turned the right way"
    done.save_pretrained(tmp_path)
    torch.testing.assert_close(answers(kind.from_pretrained(tmp_path), head), answers(done, head), atol=1e-5, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize(("family", "head"), CASES)
def test_on_a_gpu_it_becomes_a_plain_model_that_answers_as_it_was_trained(
    family: str, head: str, fresh: Open, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (extra qlora)")
    strategy, plain = Qlora(), fresh(family, head)
    kind = type(plain)
    model = strategy.prepare(plain, FAMILIES[family]).cuda()
    assert any(weight.dtype == torch.uint8 and weight.is_cuda for weight in model.parameters())
    given = {name: tensor.cuda() for name, tensor in batch(head).items()}
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(3):
        model.train()(**given).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.inference_mode():
        trained = model.eval()(**given).logits.float().cpu()
    done = strategy.finish(model)
    assert type(done) is kind
    done.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert {weight.dtype for weight in again.parameters()} == {torch.float32}
    torch.testing.assert_close(answers(again, head), trained, atol=0.03, rtol=0.03, msg=lambda text: f"products in bf16: {text}")
