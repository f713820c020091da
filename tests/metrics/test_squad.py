"""squad: exact match and F1 of answers."""

from __future__ import annotations

import random
import re
import string
from collections import Counter

import pytest

from hfrecipes.metrics.squad import Squad


@pytest.mark.parametrize(
    ("said", "accepted", "f1", "em"),
    [
        ("Denver Broncos", ["Denver Broncos", "The Denver Broncos", "Broncos"], 1.0, 1.0),
        ("the  DENVER broncos!", ["Denver Broncos"], 1.0, 1.0),
        ("Broncos of Denver", ["Denver Broncos"], 2 * (2 / 3) / (2 / 3 + 1), 0.0),
        ("Santa Clara, California", ["Santa Clara", "California"], 0.8, 0.0),
        ("a a b b", ["b c"], 2 / 4, 0.0),
        ("well-known", ["wellknown"], 1.0, 1.0),
        ("Theatre", ["atre"], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("The", [], 1.0, 1.0),
        ("something", [], 0.0, 0.0),
        ("", ["something"], 0.0, 0.0),
        ("b", ["the", "b"], 1.0, 1.0),
        ("", ["the", "b"], 0.0, 0.0),
    ],
)
def test_one_answer(said: str, accepted: list[str], f1: float, em: float) -> None:
    assert Squad().score([said], [accepted]) == {"squad_f1": pytest.approx(f1), "squad_em": em}


def test_a_reference_may_be_one_text_and_an_empty_one_is_no_answer() -> None:
    assert Squad().score(["x y", "z"], ["x", "z"]) == {"squad_f1": pytest.approx((2 / 3 + 1) / 2), "squad_em": 0.5}
    assert Squad().score(["", "z"], ["", "z"])["squad_em_no_answer"] == 1.0


def test_questions_with_and_without_an_answer_are_reported_apart() -> None:
    found = Squad().score(["x", "x y", "", "x"], [["x"], ["x"], [], []])
    assert found == pytest.approx(
        {
            "squad_f1": (1 + 2 / 3 + 1 + 0) / 4,
            "squad_em": 0.5,
            "squad_f1_has_answer": (1 + 2 / 3) / 2,
            "squad_em_has_answer": 0.5,
            "squad_f1_no_answer": 0.5,
            "squad_em_no_answer": 0.5,
        }
    )
    assert next(iter(found)) == Squad().figure


def published(said: str, accepted: list[str]) -> tuple[float, float]:
    """F1 and exact match of one question, step by step as the papers define them."""

    def normal(text: str) -> str:
        text = text.lower()
        text = text.translate({ord(mark): None for mark in string.punctuation})
        text = re.sub(r"\ban\b|\bthe\b|\ba\b", " ", text)
        return " ".join(text.split())

    truths = [text for text in accepted if normal(text)]
    if not truths:
        right = float(normal(said) == "")
        return right, right
    f1 = 0.0
    for truth in truths:
        counted, wanted = Counter(normal(said).split()), Counter(normal(truth).split())
        common = sum(min(counted[word], wanted[word]) for word in counted)
        if common:
            precision, recall = common / sum(counted.values()), common / sum(wanted.values())
            f1 = max(f1, 2 * precision * recall / (precision + recall))
    return f1, float(any(normal(said) == normal(truth) for truth in truths))


def test_random_cases_equal_the_published_definition() -> None:
    chance = random.Random(0)
    words = ["the", "a", "An", "river", "River", "Seine", "of", "Paris,", "(Paris)", "1889", "!", "l'an", "Ångström", "x-ray"]
    exact, partly, sizes = 0, 0, 0
    for _ in range(200):
        said, true, expected = [], [], []
        for _ in range(chance.randint(1, 8)):
            accepted = [" ".join(chance.choices(words, k=chance.randint(1, 4))) for _ in range(chance.randint(0, 3))]
            answer = "  ".join(chance.choices(words, k=chance.randint(0, 4)))
            if accepted and chance.random() < 0.3:
                answer = chance.choice(accepted).upper()
            said.append(answer)
            true.append(accepted)
            expected.append(published(answer, accepted))
        found = Squad().score(said, true)
        whole = [[e for e, _ in expected], [e for _, e in expected]]
        assert [found["squad_f1"], found["squad_em"]] == pytest.approx([sum(w) / len(w) for w in whole], abs=1e-6)
        kinds = {"has_answer": [bool(t) for t in true], "no_answer": [not t for t in true]}
        for kind, chosen in kinds.items():
            assert (f"squad_f1_{kind}" in found) == (0 < sum(chosen) < len(true))
            if f"squad_f1_{kind}" in found:
                mine = [e for e, c in zip(expected, chosen, strict=True) if c]
                apart = [found[f"squad_f1_{kind}"], found[f"squad_em_{kind}"]]
                assert apart == pytest.approx([sum(m[i] for m in mine) / len(mine) for i in (0, 1)], abs=1e-6)
                sizes += 1
        exact += sum(em == 1 for _, em in expected)
        partly += sum(0 < f1 < 1 for f1, _ in expected)
    assert min(exact, partly, sizes) > 100
