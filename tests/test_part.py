"""Parts: a name is a file, a field is a key."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pydantic
import pytest

from hfrecipes.checks import Check
from hfrecipes.checks.quality import Quality
from hfrecipes.metrics import Metric
from hfrecipes.metrics.f1 import F1
from hfrecipes.part import Part, find, names, singular, summary
from hfrecipes.strategies import Strategy
from hfrecipes.strategies.full import Full
from hfrecipes.tasks import Task
from hfrecipes.tasks.text_classification import TextClassification
from hfrecipes.value import hint

MINE = '''"""mine: a check of my own."""

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value


@value
class Mine(Check):
    """Passes when it is told to."""

    wanted: bool = True

    def judge(self, trial: Trial) -> Verdict:
        return Verdict(self.name, self.wanted, "1")
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python file outside the package that holds a check."""
    import sys

    file = tmp_path / "mine.py"
    file.write_text(MINE, "utf-8")
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return file


def test_the_names_of_a_kind_are_its_files_in_the_order_of_the_alphabet() -> None:
    assert names("schedules") == ["cosine", "linear", "one_cycle", "slanted_triangular"]
    assert "text-classification" in names("tasks")
    assert names("nothing") == []


def test_a_name_finds_the_class_in_the_file() -> None:
    assert find("strategies", "full") is Full
    assert Strategy.find("full") is Full
    assert find("tasks", "text-classification") is find("tasks", "text_classification") is TextClassification


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(LookupError, match=r"unknown check 'qualty'\. Did you mean 'quality'\? One of: budget, cross_validation"):
        find("checks", "qualty")


def test_a_file_of_the_user_is_a_part(mine: Path) -> None:
    made = Check.choose({str(mine): {"wanted": False}})
    assert type(made).__name__ == "Mine"
    assert made.wanted is False
    assert made.name == str(mine)
    assert find("checks", str(mine)) is type(made)


def test_a_file_that_is_not_there_or_holds_no_part_of_the_kind_is_refused(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no file"):
        find("checks", str(tmp_path / "other.py"))
    with pytest.raises(LookupError, match="holds 0 parts of metrics; a file holds one"):
        find("metrics", str(mine))


@pytest.mark.parametrize("given", ["quality", {"quality": None}, {"quality": {}}, Quality()])
def test_a_part_is_chosen_by_name_by_mapping_or_as_it_is(given: object) -> None:
    assert Check.choose(given) == Quality()


def test_options_are_the_fields_of_the_class() -> None:
    assert Check.choose({"quality": {"minimum": 0.5}}) == Quality(minimum=0.5)


@pytest.mark.parametrize("kind", [Task, Check, Strategy, Metric])
def test_what_is_read_back_without_a_check_is_what_a_check_makes(kind: type[Part]) -> None:
    made = {}
    for name in names(kind.kind):
        try:
            made[name] = kind.choose(name)
        except pydantic.ValidationError:  # it has to be told something
            with pytest.raises(pydantic.ValidationError):
                kind.read_back(name)
    assert len(made) > 3
    for name, part in made.items():
        found = kind.read_back(name)
        assert found == part
        assert list(map(type, vars(found).values())) == list(map(type, vars(part).values())), name


def test_what_is_read_back_with_options_is_checked() -> None:
    assert Task.read_back({"text-classification": {"threshold": 0.7}}) == TextClassification(threshold=0.7)
    with pytest.raises(pydantic.ValidationError, match="less than 1"):
        Task.read_back({"text-classification": {"threshold": 2}})
    with pytest.raises(LookupError, match="unknown task 'nothing'"):
        Task.read_back("nothing")


@pytest.mark.parametrize("given", [3, None, [], {}, {"quality": {}, "size": {}}])
def test_anything_else_is_refused_with_the_names(given: object) -> None:
    with pytest.raises(ValueError, match="expected one name of checks"):
        Check.choose(given)


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one name of metrics"):
        Metric.choose(Quality())


def test_an_unknown_key_is_refused_with_the_keys_there_are() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"unknown key 'averge'\. Did you mean 'average'\? One of: average"):
        Metric.choose({"f1": {"averge": "micro"}})
    with pytest.raises(pydantic.ValidationError, match="unknown key 'averge'"):
        F1(averge="micro")  # type: ignore[call-arg]


def test_a_part_without_fields_says_that_it_takes_none() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"unknown key 'r'\. It takes none"):
        Strategy.choose({"full": {"r": 8}})


def test_a_part_is_frozen_and_equal_by_value() -> None:
    assert F1(average="micro") == F1(average="micro") != F1()
    with pytest.raises(dataclasses.FrozenInstanceError):
        F1().average = "micro"  # type: ignore[misc]


def test_the_name_of_a_part_is_its_files() -> None:
    assert Quality().name == "quality"
    assert Task.choose("text-classification").name == "text-classification"


def test_a_summary_is_the_first_sentence_and_is_read_without_an_import() -> None:
    assert summary("checks", "quality").startswith("The metric of the served bundle is at least")
    assert summary("tasks", "text-classification") == "A label, several labels or a number for a text or a pair of texts."


def test_a_hint_without_a_close_name_is_the_list() -> None:
    assert hint("zzz", ["full", "lora"]) == "One of: full, lora"
    assert hint("ful", ("full", "lora")) == "Did you mean 'full'? One of: full, lora"


def test_kinds_have_a_singular() -> None:
    assert [singular(kind) for kind in ("strategies", "tasks", "metrics")] == ["strategy", "task", "metric"]


def test_a_base_cannot_be_made() -> None:
    assert issubclass(Check, Part)
    with pytest.raises(TypeError, match="abstract"):
        Check()  # type: ignore[abstract]
