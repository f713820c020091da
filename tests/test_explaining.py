"""Explaining: attention against NumPy, attributions that add up, and the files that are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from hfrecipes.cli import main
from hfrecipes.explaining import Explanation, explain, integrated, looked
from hfrecipes.explanation_page import page, write_explanation
from hfrecipes.folder import read_json
from hfrecipes.static_config import StaticConfig
from hfrecipes.static_model import StaticForSequenceClassification
from tests.contracts import classifier

BATCH = {"input_ids": torch.tensor([[2, 7, 12, 9, 3]]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
KEEP = torch.tensor([True, False, False, False, True])


def softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    found: np.ndarray = odds / odds.sum(axis=-1, keepdims=True)
    return found


def test_attention_is_the_softmax_of_queries_and_keys_and_it_multiplies_the_values(tiny_bert: Path) -> None:
    model = classifier(tiny_bert).eval()
    _, attention = looked(model, BATCH)
    assert attention is not None and attention.shape == (2, 2, 5, 5)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny_bert, attn_implementation="sdpa", num_labels=2)
    made: list[np.ndarray] = []
    for block in model.base_model.encoder.layer:
        block.attention.self.register_forward_hook(lambda module, given, output: made.append(output[0][0].numpy()))
    with torch.inference_mode():
        states = model.base_model(**BATCH, output_hidden_states=True).hidden_states
        np.testing.assert_allclose(plain.base_model.eval()(**BATCH).last_hidden_state.numpy(), states[-1].numpy(), atol=1e-5)
    for layer, block in enumerate(model.base_model.encoder.layer):
        inside = {name: weight.detach().numpy() for name, weight in block.attention.self.named_parameters()}
        read = states[layer][0].numpy()
        q, k, v = ((read @ inside[f"{n}.weight"].T + inside[f"{n}.bias"]).reshape(5, 2, 16).transpose(1, 0, 2) for n in NAMES)
        shares = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(16))
        np.testing.assert_allclose(attention[layer], shares, atol=1e-6)
        np.testing.assert_allclose(made[layer], (shares @ v).transpose(1, 0, 2).reshape(5, 32), atol=1e-5)
    np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)


NAMES = ("query", "key", "value")


def models(tiny_bert: Path) -> list[Any]:
    torch.manual_seed(1)
    static = StaticForSequenceClassification(
        StaticConfig(vocab_size=30, hidden_size=8, intermediate_size=6, num_labels=2, pooling="mean")
    )
    found = [classifier(tiny_bert).eval(), static.eval()]
    with torch.no_grad():
        for weight in (weight for model in found for weight in model.parameters()):
            weight += 0.2 * torch.randn_like(weight)
    return found


@pytest.mark.parametrize("which", [0, 1], ids=["bert", "static"])
def test_attributions_add_up_to_what_the_text_changed(which: int, tiny_bert: Path) -> None:
    model = models(tiny_bert)[which].double()
    shares, value, baseline = integrated(model, BATCH, 1, 0, KEEP, steps=256)
    with torch.no_grad():
        assert value == pytest.approx(float(model(**BATCH).logits[0, 1]))
        padded = {**BATCH, "input_ids": torch.tensor([[2, 0, 0, 0, 3]])}
        assert baseline == pytest.approx(float(model(**padded).logits[0, 1]))
    assert abs(value - baseline) > 1e-2
    assert shares.sum() == pytest.approx(value - baseline, rel=1e-3)
    assert shares[[0, 4]].tolist() == [0, 0]


def test_of_a_model_that_is_a_sum_the_attributions_are_its_terms() -> None:
    """A static model without its norm is linear: a token did what its vector, times the weight of the label, says."""
    torch.manual_seed(0)
    model: Any = StaticForSequenceClassification(StaticConfig(vocab_size=30, hidden_size=8, num_labels=2)).eval()
    model.norm = torch.nn.Identity()
    shares, _, _ = integrated(model, BATCH, 1, 0, KEEP, steps=4)
    table, weight = model.body.vectors.weight.detach(), model.classifier.weight.detach()[1]
    expected = [float((table[i] - table[0]) @ weight) / 5 for i in BATCH["input_ids"][0].tolist()]
    np.testing.assert_allclose(shares[1:4], expected[1:4], atol=1e-6)


def test_the_word_that_decides_did_most(finished: Path, tmp_path: Path) -> None:
    found = explain(finished, "the film was great")
    assert found.target == "positive"
    assert found.tokens[int(found.attributions.argmax())] == "great"
    assert found.gap < 1e-2 * abs(found.value - found.baseline)
    files = write_explanation(found, tmp_path)
    assert [file.name for file in files] == ["explanation.html", "explanation.json", "attention.png"]
    assert read_json(tmp_path / "explanation.json")["tokens"] == ["[CLS]", "the", "film", "was", "great", "[SEP]"]
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_shows_tokens_as_text_and_not_as_markup() -> None:
    found = Explanation("x", "<b>", ("<script>", "$a"), np.array([1.0, -1.0]), 1.0, 0.0, None)
    said = page(found, None)
    assert "<script>" not in said and "&lt;script&gt;" in said
    assert said.count("class='token'") == 2


def test_on_the_command_line(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(finished), "the film was awful", "-o", str(tmp_path)])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("negative: ") and "awful" in said and "attention.png" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [(["nowhere", "x"], "has no trained model"), (["RUN", '{"text"'], "is not JSON")],
)
def test_what_cannot_be_explained_is_one_line(
    arguments: list[str], line: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(finished) if each == "RUN" else each for each in arguments]
    with pytest.raises(SystemExit) as ended:
        main(["explain", *given])
    assert ended.value.code == 2
    [said] = capsys.readouterr().err.splitlines()
    assert line in said
