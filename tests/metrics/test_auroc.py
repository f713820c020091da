"""auroc: the ranking of the scores."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hfrecipes.metrics import Metric
from hfrecipes.metrics.accuracy import Accuracy
from hfrecipes.metrics.auroc import Auroc


def rows(scores: np.ndarray) -> list[dict[str, float]]:
    """Each row as a mapping of `a`, `b`, `c`, ... to its scores."""
    return [dict(zip("abcdef", row.tolist(), strict=False)) for row in scores]


def test_two_classes_rank_the_second_label() -> None:
    second = np.array([0.1, 0.4, 0.35, 0.8])
    assert Auroc().score(rows(np.stack([1 - second, second], axis=1)), list("aabb")) == {"auroc": pytest.approx(0.75)}


def test_it_is_the_share_of_pairs_in_the_right_order_and_ties_count_half() -> None:
    second, true = [0.2, 0.5, 0.5, 0.7, 0.1], "abaab"
    pairs = list(product([s for s, t in zip(second, true, strict=True) if t == "b"], [0.2, 0.5, 0.7]))
    expected = sum((b > a) + (b == a) / 2 for b, a in pairs) / len(pairs)
    assert Auroc().score([{"b": s, "a": 1 - s} for s in second], list(true)) == {"auroc": pytest.approx(expected)}


def test_a_row_that_does_not_sum_to_one_is_normalised() -> None:
    scores = [{"a": 8.0, "b": 2.0}, {"a": 0.3, "b": 0.7}, {"a": 0.0, "b": 0.0}]
    assert Auroc().score(scores, ["a", "b", "a"]) == {"auroc": 1.0}


def test_only_the_classes_that_occur_are_averaged() -> None:
    scores = rows(np.array([[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.1, 0.7, 0.2]]))
    true = ["a", "b", "b"]
    areas = [roc_auc_score([t == label for t in true], [row[label] for row in scores]) for label in "ab"]
    assert Auroc().score(scores, true) == {"auroc": pytest.approx(sum(areas) / 2)}


def test_one_class_cannot_be_ranked_and_a_label_without_scores_is_at_chance() -> None:
    assert Auroc().score([{"a": 0.9, "b": 0.1}] * 2, ["a", "a"]) == {"auroc": 0.5}
    found = Auroc().score([{"a": 0.9, "b": 0.1}, {"a": 0.1, "b": 0.9}, {"a": 0.4, "b": 0.6}], ["a", "b", "new"])
    assert found == {"auroc": pytest.approx((1.0 + 1.0 + 0.5) / 3)}


def test_it_reads_scores_and_other_metrics_read_labels() -> None:
    assert (Auroc.wants, Accuracy.wants, Metric.wants) == ("scores", "label", "label")


@pytest.mark.parametrize("rounded", [True, False])
def test_random_cases_equal_scikit_learn(rounded: bool) -> None:
    """Scores of two decimals have many ties; a sum that is off by the last bit must not break them."""
    chance, cases = np.random.default_rng(0), 0
    for _ in range(200):
        classes, count = int(chance.integers(2, 6)), int(chance.integers(10, 60))
        true = np.concatenate([np.arange(classes), chance.integers(0, classes, count - classes)])
        whole = chance.dirichlet(np.ones(classes), count)
        if rounded:
            whole = chance.multinomial(100, whole) / 100
        given = whole if rounded else whole * chance.uniform(0.5, 2, (count, 1))
        found = Auroc().score(rows(given), ["abcdef"[t] for t in true])["auroc"]
        if classes == 2:
            expected = roc_auc_score(true, whole[:, 1])
        else:
            expected = roc_auc_score(true, whole, multi_class="ovr", average="macro")
        assert found == pytest.approx(float(expected), abs=1e-6)
        cases += 1
    assert cases == 200
