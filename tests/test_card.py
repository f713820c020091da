"""The card: what is generated is written anew, what people wrote stays, and a licence that contradicts its sources is refused."""

from __future__ import annotations

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from hfrecipes.card import FRONT, LIMITS, PLACEHOLDER, Card, compose, conflicting, merge, section

HEAD = {"license": "mit", "tags": ["hfrecipes"]}
PARTS = {"use": "## Use\n\nSo.", "evaluation": "## Evaluation\n\n0.90"}


def front(text: str) -> object:
    """The front matter of a card."""
    found = FRONT.match(text)
    assert found is not None
    return yaml.safe_load(found.group(1))


def test_a_new_card_has_front_matter_parts_and_a_section_to_fill() -> None:
    made = compose(HEAD, "intents", PARTS, "")
    assert front(made) == HEAD
    assert made.index("# intents") < made.index("So.") < made.index("0.90") < made.index(LIMITS) < made.index(PLACEHOLDER)
    assert section(made, LIMITS) == ""
    assert section(compose(HEAD, "intents", PARTS, "Not for dogs."), LIMITS) == "Not for dogs."


def test_merging_the_same_changes_nothing() -> None:
    made = compose(HEAD, "intents", PARTS, "")
    assert merge(made, HEAD, HEAD, PARTS) == made


def test_generated_parts_are_written_anew_and_what_stands_around_them_stays() -> None:
    made = compose(HEAD, "intents", PARTS, "").replace(PLACEHOLDER, "Not for dogs.").replace("# intents", "# intents\n\nBy us.")
    merged = merge(made, HEAD, HEAD, {**PARTS, "evaluation": "## Evaluation\n\n0.95"})
    assert "By us." in merged and section(merged, LIMITS) == "Not for dogs."
    assert "0.95" in merged and "0.90" not in merged


def test_a_part_that_somebody_rewrote_stays_as_text_beside_the_new_one() -> None:
    made = compose(HEAD, "intents", PARTS, "").replace("So.", "So, but carefully.")
    merged = merge(made, HEAD, HEAD, PARTS)
    assert "So, but carefully." in merged and "So." in merged
    assert merge(merged, HEAD, HEAD, PARTS) == merged


def test_keys_that_were_changed_by_hand_stay_and_others_follow_the_run() -> None:
    made = compose(HEAD, "intents", PARTS, "").replace("license: mit", "license: apache-2.0\nthumbnail: x.png")
    merged = merge(made, {"license": "mit", "tags": ["hfrecipes", "onnx"], "language": "en"}, HEAD, PARTS)
    wanted = {"license": "apache-2.0", "thumbnail": "x.png", "tags": ["hfrecipes", "onnx"], "language": "en"}
    assert front(merged) == wanted


def test_a_key_that_was_deleted_by_hand_does_not_come_back() -> None:
    made = compose(HEAD, "intents", PARTS, "").replace("license: mit\n", "")
    assert front(merge(made, HEAD, HEAD, PARTS)) == {"tags": ["hfrecipes"]}


def test_a_card_without_marks_or_front_matter_gets_both() -> None:
    merged = merge("# Mine\n\nWords.\n", HEAD, {}, PARTS)
    assert front(merged) == HEAD
    assert merged.index("Words.") < merged.index("So.") < merged.index("0.90") < merged.index(LIMITS)


def test_a_part_that_is_new_goes_before_the_limits_and_one_that_is_gone_goes() -> None:
    made = compose(HEAD, "intents", PARTS, "Not for dogs.")
    merged = merge(made, HEAD, HEAD, {"use": PARTS["use"], "checklist": "## Checklist\n\nAll."})
    assert "0.90" not in merged
    assert merged.index("So.") < merged.index("All.") < merged.index(LIMITS)


@pytest.mark.parametrize(
    ("license", "base", "data", "said"),
    [
        ("mit", "apache-2.0", "cc-by-4.0", ""),
        ("mit", None, "cc-by-nc-4.0", "mit allows commercial use, which cc-by-nc-4.0 of the data forbids"),
        ("cc-by-nc-4.0", None, "cc-by-nc-2.0", ""),
        ("mit", "gpl-3.0", None, "gpl-3.0 of the checkpoint asks for the same licence, not mit. Write `license: gpl-3.0`"),
        ("cc-by-sa-4.0", None, "cc-by-sa-4.0", ""),
        (None, "gpl-3.0", "cc-by-nc-4.0", ""),
    ],
)
def test_a_licence_is_held_against_its_sources(license: str | None, base: str | None, data: str | None, said: str) -> None:
    found = conflicting(license, base, data)
    assert found.startswith(said) if said else found == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"license": "apache2"}, "'apache2' is no licence of the Hub. Did you mean 'apache-2.0'?"),
        ({"license": "mit", "data_license": "cc-by-nc-4.0"}, "mit allows commercial use"),
        ({"licence": "mit"}, "unknown key 'licence'. Did you mean 'license'?"),
    ],
)
def test_a_card_that_cannot_be_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Card).validate_python(given)
    assert said in str(refused.value)
