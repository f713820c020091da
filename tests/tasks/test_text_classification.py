"""text-classification: one label, several labels, a number; of a text or a pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from hfrecipes import Predictor, Report, verbs
from hfrecipes.errors import DataError
from hfrecipes.folder import read_json
from hfrecipes.metrics.pearson import Pearson
from hfrecipes.recipe import Recipe
from hfrecipes.tasks import Window
from hfrecipes.tasks.text_classification import TextClassification
from hfrecipes.tokens import Tokens
from tests.conftest import BAD, GOOD, sentiment, write_lines

TASK = TextClassification()
NO_TOKENS: Any = None


def rows(labels: list[Any], feature: Any = None) -> Dataset:
    """Rows of one text with these labels."""
    features = Features({"text": Value("string"), "label": feature}) if feature else None
    return Dataset.from_dict({"text": ["good film"] * len(labels), "label": labels}, features=features)


def learned(labels: list[Any], feature: Any = None, before: dict[Any, str] | None = None, task: TextClassification = TASK) -> Any:
    """What rows with these labels teach about a checkpoint with the label names `before`."""
    return task.learn(rows(labels, feature), {"id2label": before or {0: "LABEL_0", 1: "LABEL_1"}})


def answer(config: Any, logits: list[float], task: TextClassification = TASK) -> Any:
    """The answer to logits."""
    return task.answer({"text": "x"}, [Window({}, {"logits": np.array(logits, dtype=np.float32)})], NO_TOKENS, config)


def targets(config: Any, labels: list[Any], tokens: Tokens) -> list[Any]:
    """What the model learns from these labels."""
    return [example["labels"] for example in TASK.examples(list(rows(labels)), tokens, config)]


@pytest.fixture
def tokens(tiny_bert: Path) -> Tokens:
    """The tiny tokenizer."""
    return Tokens.open(tiny_bert, None, None)


def test_names_are_learned_in_the_order_of_the_alphabet(tokens: Tokens) -> None:
    config = learned(["b", "a", "c", "a"])
    assert config["problem_type"] == "single_label_classification"
    assert config["id2label"] == {0: "a", 1: "b", 2: "c"}
    assert targets(config, ["c", "a"], tokens) == [2, 0]


def test_the_order_of_a_checkpoint_with_the_same_names_is_kept(tokens: Tokens) -> None:
    config = learned(["neg", "pos"], before={"0": "pos", "1": "neg"})
    assert config["id2label"] == {0: "pos", 1: "neg"}
    assert targets(config, ["neg", "pos"], tokens) == [1, 0]


def test_numbers_of_a_class_label_are_its_names(tokens: Tokens) -> None:
    config = learned([1, 0], ClassLabel(names=["neg", "pos"]))
    assert config["id2label"] == {0: "neg", 1: "pos"}
    assert targets(config, [0, 1], tokens) == [0, 1]
    assert [TASK.reference({"label": label}, config) for label in (0, 1)] == ["neg", "pos"]


def test_numbers_of_a_class_label_keep_their_names_on_a_checkpoint_of_another_order(tokens: Tokens) -> None:
    config = learned([1, 0], ClassLabel(names=["neg", "pos"]), before={0: "pos", 1: "neg"})
    assert [TASK.reference({"label": label}, config) for label in (0, 1)] == ["neg", "pos"]
    assert [config["id2label"][target] for target in targets(config, [0, 1], tokens)] == ["neg", "pos"]


def test_plain_numbers_are_names_in_the_order_of_the_numbers(tokens: Tokens) -> None:
    config = learned([10, 2, 10, 1])
    assert config["id2label"] == {0: "1", 1: "2", 2: "10"}
    assert targets(config, [10, 1], tokens) == [2, 0]


def test_a_list_of_names_means_several_labels(tokens: Tokens) -> None:
    config = learned([["b"], ["a", "b"], ["a"], []])
    assert config["problem_type"] == "multi_label_classification"
    assert targets(config, [["b"], ["a", "b"], []], tokens) == [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
    assert TASK.reference({"label": ["b"]}, config) == [0, 1]


def test_a_list_of_class_labels_means_several_labels(tokens: Tokens) -> None:
    config = learned([[1], [0, 1]], Sequence(ClassLabel(names=["x", "y"])))
    assert config["id2label"] == {0: "x", 1: "y"}
    assert TASK.reference({"label": [1]}, config) == [0, 1]


def test_a_decimal_number_means_regression_and_an_integer_where_it_is_asked_for(tokens: Tokens) -> None:
    config = learned([0.5, 2.0])
    assert (config["problem_type"], config["num_labels"]) == ("regression", 1)
    assert targets(config, [0.5, 2.0], tokens) == [0.5, 2.0]
    assert learned([1, 2], task=TextClassification(problem="regression"))["problem_type"] == "regression"
    assert TASK.default_metrics(config) == (Pearson(),)


@pytest.mark.parametrize("labels", [["a", "a"], [["a"], ["a"]]])
def test_one_class_is_refused(labels: list[Any]) -> None:
    with pytest.raises(DataError, match="one class only, 'a'"):
        learned(labels)


def test_regression_of_names_is_refused() -> None:
    with pytest.raises(DataError, match="regression needs numbers"):
        learned(["a", "b"], task=TextClassification(problem="regression"))


def test_the_answer_is_the_label_of_the_largest_logit_and_its_probability() -> None:
    found = answer(learned(["a", "b", "c"]), [0.0, 2.0, 1.0])
    assert found.label == "b"
    assert found.score == found.scores["b"] == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(1)))


def test_large_logits_do_not_overflow() -> None:
    assert answer(learned(["a", "b"]), [-1e4, 1e4]).scores == {"a": 0.0, "b": 1.0}


def test_several_labels_are_those_above_the_threshold() -> None:
    config = learned([["a"], ["b"], ["c"]])
    assert answer(config, [1.0, -1.0, 3.0]).label == ("a", "c")
    assert answer(config, [1.0, -1.0, 3.0]).score == pytest.approx(1 / (1 + np.exp(-1)))
    assert answer(config, [1.0, -1.0, 3.0], TextClassification(threshold=0.9)).label == ("c",)
    assert answer(config, [-1.0, -1.0, -1.0]).label == ()
    assert TASK.prediction(answer(config, [1.0, -1.0, 3.0]), config) == [1, 0, 1]


def test_a_number_is_the_logit() -> None:
    config = learned([0.5, 2.0])
    assert (answer(config, [1.25]).label, TASK.prediction(answer(config, [1.25]), config)) == (1.25, 1.25)


def test_a_request_is_a_text_a_pair_or_a_mapping() -> None:
    assert TASK.row("a") == {"text": "a"}
    assert TASK.row(("a", "b")) == TASK.row({"text": "a", "text_pair": "b", "label": 1}) == {"text": "a", "text_pair": "b"}


def fitted(
    recipe_file: Callable[..., Path], out: Path, data: Any, options: dict[str, Any] | None = None, **changes: Any
) -> Report:
    """A run without an export."""
    train = {"learning_rate": 5e-3, "num_train_epochs": 10, "per_device_train_batch_size": 8, "bf16": False, **(options or {})}
    recipe = Recipe.load(recipe_file(data=data, train=train, export=None, check=None, **changes))
    return Report.load(verbs.fit(recipe, out).path)


def test_a_run_of_several_labels(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    texts = [(row["text"], i) for i, row in enumerate(sentiment(288))]
    made = [
        {
            "text": f"{text} {'bank' if i % 3 else 'card'}",
            "labels": ["good" if text.split()[3] in GOOD else "bad", *(["bank"] if i % 3 else [])],
        }
        for text, i in texts
    ]
    path = write_lines(tmp_path / "rows.jsonl", made)
    slowly = {"learning_rate": 3e-3, "warmup_steps": 0.2}  # four of five seeds learn both labels so
    data = {"path": str(path), "label": "labels", "validation_size": 0.25}
    report = fitted(recipe_file, tmp_path / "run", data, slowly, seed=1)
    assert report.values["split"] == "validation"
    assert report.scores["accuracy"] > 0.9
    answers = Predictor.open(tmp_path / "run", "pytorch")(["the film was good bank", f"the film was {BAD[1]} card"])
    assert [set(a.label) for a in answers] == [{"good", "bank"}, {"bad"}]
    assert read_json(tmp_path / "run/model/config.json")["problem_type"] == "multi_label_classification"


def test_a_run_of_numbers_over_pairs(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    made = [
        {
            "text": row["text"],
            "text_pair": pair,
            "label": (1.0 if row["label"] == "positive" else 0.0) + (0.5 if pair == "great end" else 0.0),
        }
        for row in sentiment(64)
        for pair in ("great end", "the end")
    ]
    path = write_lines(tmp_path / "rows.jsonl", made)
    report = fitted(recipe_file, tmp_path / "run", {"path": str(path), "validation_size": 0.25})
    assert report.scores["pearson"] > 0.9
    assert not (tmp_path / "run/confusion.png").exists()
    best, worst = Predictor.open(tmp_path / "run", "pytorch")(
        [("the film was good", "great end"), ("the film was bad", "the end")]
    )
    assert best.label > worst.label + 0.4


def test_a_row_of_the_hub_without_a_label_is_refused() -> None:
    config = {"problem_type": "single_label_classification", "data_labels": ["bad", "good"], "id2label": {0: "bad", 1: "good"}}
    task = TextClassification()
    assert task.reference({"text": "a", "label": 1}, config) == "good"
    with pytest.raises(DataError, match="which stands for none"):
        task.reference({"text": "a", "label": -1}, config)
