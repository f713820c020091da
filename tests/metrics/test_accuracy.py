"""accuracy: the share of right answers."""

from __future__ import annotations

from hfrecipes.metrics.accuracy import Accuracy


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert Accuracy().score(["a", "b", "c", "d"], ["a", "b", "c", "a"]) == {"accuracy": 0.75}


def test_several_labels_are_right_only_when_all_are() -> None:
    assert Accuracy().score([[1, 0], [1, 1]], [[1, 0], [1, 0]]) == {"accuracy": 0.5}


def test_several_labels_go_through_evaluate() -> None:
    found = Accuracy().as_evaluate().compute(predictions=[[1, 0], [1, 1]], references=[[1, 0], [1, 0]])
    assert found == {"accuracy": 0.5}
