"""A cascade: the rows that the first model is sure of have its answer, the others that of the second, and what cannot be one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hfrecipes import Predictor
from hfrecipes.diagnosis import lacking
from hfrecipes.errors import ModelError, RecipeError
from hfrecipes.folder import Run, opened, read_json, write_json
from hfrecipes.recipe import Recipe
from hfrecipes.stages.export import export
from hfrecipes.targets._cascade import CONFIDENCE, cascade
from tests.conftest import make_tokenizer, sentiment
from tests.targets.test_static import answers

ORDER, TEMPERATURE = [2, 0, 1], 2.0
TABLE = np.array([[8, 0, 0], [0, 1, 0], [0, 0, 6], [0.5, 0, 0]], np.float32)
"""The logits of the first model for a text of one token: at a temperature of 2 its confidence is 0.96, 0.45, 0.91 and 0.39."""
LATER = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]], np.float32)
TEXTS = [row["text"] for row in sentiment(24, start=200)]


def told(table: np.ndarray, counts: bool) -> ir.Model:
    """A model whose logits are those of its tokens on average; where it counts, the sum of the mask is added."""
    names = ["input_ids", "attention_mask"] if counts else ["input_ids"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in names]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["vectors"])]
    nodes.append(helper.make_node("ReduceMean", ["vectors", "axis"], ["mean" if counts else "logits"], keepdims=0))
    more: list[NodeProto] = [
        helper.make_node("Cast", ["attention_mask"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["ones", "axis"], ["count"], keepdims=1),
        helper.make_node("Add", ["mean", "count"], ["logits"]),
    ]
    held = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 3])
    made = helper.make_graph([*nodes, *(more if counts else [])], "g", inputs, [logits], held)
    return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


@pytest.mark.parametrize(
    ("confidence", "tokens", "sure"),
    [
        (0.9, [0, 1, 2, 3], [True, False, True, False]),
        (0.95, [0, 1, 2, 3], [True, False, False, False]),
        (0.9, [2, 0, 2], [True, True, True]),
        (0.9, [3, 1], [False, False]),
        (0.9, [1], [False]),
        (0.4, [0, 1, 2, 3], [True, True, True, False]),
    ],
)
def test_rows_that_the_first_is_sure_of_have_its_logits_and_the_others_those_of_the_second(
    confidence: float, tokens: list[int], sure: list[bool]
) -> None:
    made = cascade(told(TABLE, False), told(LATER, True), ORDER, TEMPERATURE)
    made.graph.initializers[CONFIDENCE].const_value = ir.tensor(np.float32(confidence), name=CONFIDENCE)
    assert [value.name for value in made.graph.inputs] == ["input_ids", "attention_mask"]
    ids = np.array(tokens)[:, None].repeat(2, axis=1)
    mask = np.array([[1, i % 2] for i in range(len(tokens))])
    found = answers(made, {"input_ids": ids, "attention_mask": mask})
    first, second = TABLE[tokens][:, ORDER] / TEMPERATURE, LATER[tokens] + mask.sum(1, keepdims=True)
    assert np.allclose(found, np.where(np.array(sure)[:, None], first, second))


@pytest.fixture(scope="module")
def small(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one layer as it was drawn, which has the labels of the finished run in another order."""
    from transformers import AutoModelForSequenceClassification, BertConfig

    folder = Path(shutil.copytree(finished / "model", tmp_path_factory.mktemp("small") / "model"))
    told = read_json(folder / "config.json")
    names = [told["id2label"][key] for key in sorted(told["id2label"], reverse=True)]
    torch.manual_seed(0)
    config = BertConfig(
        **{**told, "num_hidden_layers": 1, "id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def again(finished: Path, folder: Path, **options: Any) -> tuple[Recipe, Run]:
    """A copy of the finished run, and its recipe with a cascade of those options."""
    run = Path(shutil.copytree(finished, folder / "run"))
    return Recipe.load(run / "recipe.yaml", [f"export={json.dumps([{'cascade': options}])}"]), Run.open(run)


def test_of_several_confidences_the_run_keeps_the_fastest_that_passes_and_says_what_it_saw(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, run = again(finished, tmp_path, first=str(finished))
    with caplog.at_level("INFO", logger="hfrecipes"):
        export(recipe, run)
    manifest = opened(run.bundles / "cascade")
    assert [entry["name"] for entry in manifest["choice"]] == ["fp32", "int8/alone", "int8/0.98", "int8/0.95", "int8/0.9"]
    assert list(manifest["graphs"]) == ["fp32", "int8"] and manifest["default"] == "int8"
    assert len(list((run.bundles / "cascade/onnx").iterdir())) == 2
    assert [a.label for a in Predictor.open(run.path)(TEXTS)] == [a.label for a in Predictor.open(finished, "pytorch")(TEXTS)]
    caplog.clear()
    with caplog.at_level("INFO", logger="hfrecipes"):
        export(recipe, run)
    assert "export: nothing has changed, skipped" in caplog.text


def test_a_first_model_that_is_sure_gives_its_answers_and_another_in_its_place_is_another_export(
    finished: Path, small: Path, tmp_path: Path
) -> None:
    first = Path(shutil.copytree(small, tmp_path / "first"))
    recipe, run = again(finished, tmp_path, first=str(first), confidence=0.01)
    export(recipe, run)
    its, base = ([answer.label for answer in Predictor.open(each, "pytorch")(TEXTS)] for each in (small, finished))
    assert its != base
    assert [answer.label for answer in Predictor.open(run.path)(TEXTS)] == its
    said = opened(run.bundles / "cascade")["graphs"]["int8"]["precision"]
    assert "a smaller model answers where its confidence is at least 0.01" in said
    shutil.copytree(finished / "model", first, dirs_exist_ok=True)
    export(recipe, run)
    assert [answer.label for answer in Predictor.open(run.path)(TEXTS)] == base


def renamed(first: Path) -> None:
    write_json(first / "config.json", {**read_json(first / "config.json"), "id2label": {"0": "positive", "1": "neutral"}})


def another_tokenizer(first: Path) -> None:
    make_tokenizer(["other", "words"]).save_pretrained(first)


def shorter(first: Path) -> None:
    write_json(first / "config.json", {**read_json(first / "config.json"), "max_position_embeddings": 32})


def no_head(first: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(first).save_pretrained(first)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "do not know the same labels: negative, neutral. Train both on rows of the same labels"),
        (another_tokenizer, "reads texts with another tokenizer than the model. Give a student of the model"),
        (shorter, "reads 32 tokens of a text, and the model 64"),
        (no_head, r"is not trained for text-classification: it has no classifier\.bias"),
        (shutil.rmtree, "there is no folder"),
    ],
)
def test_a_first_model_that_cannot_answer_for_the_second_is_one_line(
    finished: Path, small: Path, tmp_path: Path, change: Any, said: str
) -> None:
    first = Path(shutil.copytree(small, tmp_path / "first"))
    change(first)
    recipe, run = again(finished, tmp_path, first=str(first))
    with pytest.raises(ModelError, match=rf"^export\.cascade\.first: .*{said}"):
        export(recipe, run)
    assert Predictor.open(run.path)("the film was good").label == "positive"


def test_a_model_that_gives_several_labels_has_no_cascade(finished: Path, small: Path, tmp_path: Path) -> None:
    recipe, run = again(finished, tmp_path, first=str(small))
    several = {**read_json(run.model / "config.json"), "problem_type": "multi_label_classification"}
    write_json(run.model / "config.json", several)
    with pytest.raises(RecipeError, match=r"export\.cascade: is for text-classification with one label a text, and no pattern"):
        export(recipe, run)


def test_doctor_says_that_the_first_model_is_not_there(finished: Path) -> None:
    asked = [{"cascade": {"first": "runs/none"}}]
    stops, _ = lacking(Recipe.load(finished / "recipe.yaml", [f"export={json.dumps(asked)}"]))
    assert [line for line in stops if line.startswith("export.cascade.first: there is no folder runs/none")] != []
