"""entity_f1: whole entities."""

from __future__ import annotations

import random
from typing import Literal

import pydantic
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities

from hfrecipes.errors import RecipeError
from hfrecipes.metrics.entity_f1 import EntityF1

Tags = list[list[str]]


def test_an_entity_is_right_when_its_type_and_both_ends_are() -> None:
    true = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    said = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    found = EntityF1().score(said, true)
    assert found == {"entity_f1": 0.5, "precision": 0.5, "recall": 0.5, "f1_MISC": 0.0, "f1_PER": 1.0}
    assert list(found)[:3] == ["entity_f1", "precision", "recall"]


def test_precision_and_recall_are_not_swapped() -> None:
    found = EntityF1().score([["B-A", "O", "O"]], [["B-A", "O", "B-B"]])
    assert found == pytest.approx({"entity_f1": 2 / 3, "precision": 1.0, "recall": 0.5, "f1_A": 1.0, "f1_B": 0.0})


def test_a_type_that_is_only_predicted_is_reported() -> None:
    assert EntityF1().score([["B-A", "B-X"]], [["B-A", "O"]])["f1_X"] == 0.0


def test_a_scheme_counts_only_what_it_allows() -> None:
    true, said = [["B-NP", "I-NP", "O"]], [["I-NP", "I-NP", "O"]]
    assert EntityF1().score(said, true)["entity_f1"] == 1.0
    assert EntityF1(scheme="BIO").score(said, true)["entity_f1"] == 0.0
    true, said = [["B-A", "E-A", "S-A"]], [["B-A", "I-A", "S-A"]]
    assert EntityF1(scheme="BIOES").score(said, true)["entity_f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("scheme", [None, "BIO", "BIOES"])
def test_no_entity_at_all_is_zero_without_a_warning(scheme: Literal["BIO", "BIOES"] | None) -> None:
    assert EntityF1(scheme=scheme).score([["O", "O"], []], [["O", "O"], []]) == {
        "entity_f1": 0.0,
        "precision": 0.0,
        "recall": 0.0,
    }


def test_sequences_may_be_tuples() -> None:
    assert EntityF1().score((("B-A", "O"),), (("B-A", "O"),))["entity_f1"] == 1.0


@pytest.mark.parametrize("tag", ["S-A", "NOUN"])
def test_a_tag_outside_the_scheme_is_refused_by_name(tag: str) -> None:
    with pytest.raises(RecipeError, match=rf"'{tag}' is not of BIO"):
        EntityF1(scheme="BIO").score([["B-A"]], [[tag]])


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="BIOES"):
        EntityF1(scheme="IOB")  # type: ignore[arg-type]


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="inconsistent"):
        EntityF1().score([["O"]], [["O", "O"]])


def sentences(chance: random.Random, tags: list[str]) -> tuple[Tags, Tags]:
    """Random tags, and the same with some changed."""
    true = [chance.choices(tags, k=chance.randint(1, 12)) for _ in range(chance.randint(1, 6))]
    return true, [[chance.choice(tags) if chance.random() < 0.3 else tag for tag in sentence] for sentence in true]


@pytest.mark.parametrize("scheme", [None, "BIO", "BIOES"])
def test_random_cases_equal_seqeval(scheme: Literal["BIO", "BIOES"] | None) -> None:
    chance, cases, types = random.Random(0), 0, 0
    strict = {} if scheme is None else {"mode": "strict", "scheme": {"BIO": IOB2, "BIOES": IOBES}[scheme]}
    prefixes = "BIES" if scheme == "BIOES" or scheme is None else "BI"
    tags = ["O", "O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC", "A-B"))]
    for _ in range(200):
        true, said = sentences(chance, tags)
        found = EntityF1(scheme=scheme).score(said, true)
        micro = [count(true, said, zero_division=0, **strict) for count in (f1_score, precision_score, recall_score)]
        assert [found[name] for name in ("entity_f1", "precision", "recall")] == pytest.approx(micro, abs=1e-6)
        if scheme is None:
            kinds = {kind for side in (true, said) for kind, _, _ in get_entities(side)}
        else:
            kinds = Entities(true, strict["scheme"]).unique_tags | Entities(said, strict["scheme"]).unique_tags
        each = f1_score(true, said, average=None, zero_division=0, **strict)
        assert {name: f for name, f in found.items() if name.startswith("f1_")} == pytest.approx(
            {f"f1_{kind}": f for kind, f in zip(sorted(kinds), each, strict=True)}, abs=1e-6
        )
        cases, types = cases + 1, types + len(kinds)
    assert cases == 200 < types
