"""Data: sources, columns, splits, and what makes rows the same rows."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pydantic
import pytest
from datasets import Dataset, DatasetDict

from hfrecipes.data import Column, Data, cut, few, fingerprint, open_splits, take
from hfrecipes.errors import DataError
from tests.conftest import sentiment, write_lines

ROWS: list[dict[str, Any]] = sentiment(12)
ROLES = {"text": Column("the text", text=True), "label": Column("the label"), "more": Column("more", required=False)}


def write_table(path: Path, delimiter: str) -> Path:
    """The rows as a table with a header."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["text", "label"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def write_parquet(path: Path) -> Path:
    """The rows as Parquet."""
    Dataset.from_list(ROWS).to_parquet(str(path))
    return path


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_one_file_is_the_training_split_whatever_its_format(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        write_parquet(path)
    elif ending == "jsonl":
        write_lines(path, ROWS)
    else:
        write_table(path, "," if ending == "csv" else "\t")
    splits = open_splits(Data(path=str(path)))
    assert list(splits) == ["train"]
    assert take(Data(path=str(path)), splits, "train", ROLES).to_list() == ROWS


def test_a_folder_has_a_file_a_split(tiny_data: Path) -> None:
    splits = open_splits(Data(path=str(tiny_data)))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 96, "test": 32}


def test_the_data_of_the_example_is_read() -> None:
    folder = Path(__file__).parents[1] / "examples/data/banking77"
    splits = open_splits(Data(path=str(folder)))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 10003, "test": 3080}


def test_a_plain_text_is_the_path() -> None:
    assert pydantic.TypeAdapter(Data).validate_python("a/b") == Data(path="a/b") == Data("a/b")


def test_any_other_key_is_the_role_of_a_column() -> None:
    assert pydantic.TypeAdapter(Data).validate_python({"path": "a/b", "label": "category"}).columns == {"label": "category"}
    assert Data(path="a/b", label="category").columns == {"label": "category"}  # type: ignore[call-arg]


def test_columns_are_named_like_their_roles_and_others_are_left_out() -> None:
    splits = DatasetDict(train=Dataset.from_list([{"sentence": "a", "intent": "x", "id": 1}]))
    data = Data("mem", columns={"text": "sentence", "label": "intent"})
    assert take(data, splits, "train", ROLES).to_list() == [{"text": "a", "label": "x"}]


def test_an_optional_role_is_taken_where_it_is_and_refused_where_it_was_asked_for() -> None:
    splits = DatasetDict(train=Dataset.from_list([{"text": "a", "label": "x", "more": "m"}]))
    assert take(Data("mem"), splits, "train", ROLES).to_list() == [{"text": "a", "label": "x", "more": "m"}]
    with pytest.raises(DataError, match=r"data\.more: there is no column 'extra'"):
        take(Data("mem", columns={"more": "extra"}), splits, "train", ROLES)


def test_max_samples_takes_that_many_in_their_order_and_always_the_same(tiny_data: Path, tmp_path: Path) -> None:
    data = Data(path=str(tiny_data), max_samples=10)
    first, again = (take(data, open_splits(data), "train", ROLES).to_list() for _ in range(2))
    assert len(first) == 10
    assert first == again
    every = take(Data(path=str(tiny_data)), open_splits(data), "train", ROLES).to_list()
    assert first != every[:10]
    write_lines(tmp_path / "train.jsonl", [{"text": f"{i:03}", "label": "x"} for i in range(100)])
    texts = take(Data(str(tmp_path), max_samples=10), open_splits(Data(str(tmp_path))), "train", ROLES)["text"]
    assert list(texts) == sorted(texts) and len(set(texts)) == 10
    assert len(take(Data("x", max_samples=1000), open_splits(data), "train", ROLES)) == 96


def test_texts_with_any_character_stay_as_they_are(tmp_path: Path) -> None:
    odd = ["", " ", "\u202e", "é\u0301", "\U0001f600", "a\u2028b", "nul\x00"]
    path = write_lines(tmp_path / "odd.jsonl", [{"text": text, "label": "x"} for text in odd])
    rows = take(Data(str(path)), open_splits(Data(str(path))), "train", ROLES)
    assert list(rows["text"]) == odd


def rows_of(sizes: dict[str, int]) -> Dataset:
    """That many numbered rows of each label."""
    return Dataset.from_list([{"id": f"{label}{i}", "label": label} for label, size in sizes.items() for i in range(size)])


def test_a_few_rows_of_each_class_are_drawn_and_the_others_are_left() -> None:
    rows = Dataset.from_list([{"n": i, "label": "abc"[min(i % 10, 2)]} for i in range(50)])
    kept, left = few(rows, 4, seed=0, by="label")
    assert {name: list(kept["label"]).count(name) for name in "abc"} == {"a": 4, "b": 4, "c": 4}
    assert sorted([*kept["n"], *left["n"]]) == list(range(50))
    assert list(few(rows, 4, seed=0, by="label")[0]["n"]) == list(kept["n"]) != list(few(rows, 4, seed=1, by="label")[0]["n"])
    assert [len(part) for part in few(rows, 4, seed=0, by=None)] == [4, 46]
    assert len(few(rows, 99, seed=0, by="label")[1]) == 0


def test_a_cut_is_stratified_disjoint_and_loses_nothing() -> None:
    rows = rows_of({"a": 100, "b": 50, "c": 10})
    kept, held = cut(rows, 0.1, seed=0, by="label")
    assert Counter(held["label"]) == {"a": 10, "b": 5, "c": 1}
    assert sorted([*kept["id"], *held["id"]]) == sorted(rows["id"])
    assert not set(kept["id"]) & set(held["id"])


def test_a_cut_depends_on_the_seed_alone() -> None:
    rows = rows_of({"a": 100, "b": 50})
    first, again, other = (cut(rows, 0.1, seed=seed, by="label")[1]["id"] for seed in (0, 0, 1))
    assert list(first) == list(again) != list(other)


def test_a_cut_keeps_a_row_of_every_class_for_training() -> None:
    kept, held = cut(rows_of(dict.fromkeys("abcd", 1) | {"e": 6}), 0.5, seed=0, by="label")
    assert set(kept["label"]) == set("abcde")
    assert len(held) == 5


def test_small_classes_share_the_rows_that_are_cut() -> None:
    _, held = cut(rows_of({f"label{i:02}": 4 for i in range(50)}), 0.1, seed=0, by="label")
    assert len(held) == 20


def test_a_cut_without_a_column_and_of_few_rows_has_a_row_on_each_side() -> None:
    kept, held = cut(rows_of({"a": 2}), 0.1, seed=0, by=None)
    assert (len(kept), len(held)) == (1, 1)
    with pytest.raises(DataError, match="one row is too few"):
        cut(rows_of({"a": 1}), 0.1, seed=0, by=None)


def test_the_fingerprint_is_of_the_rows_and_not_of_the_file(tmp_path: Path) -> None:
    lines, table = write_lines(tmp_path / "a.jsonl", ROWS), write_table(tmp_path / "b.csv", ",")
    prints = [fingerprint(take(Data(str(p)), open_splits(Data(str(p))), "train", ROLES)) for p in (lines, table)]
    assert prints[0] == prints[1] == fingerprint(Dataset.from_list(ROWS))


def test_the_fingerprint_changes_with_a_letter_with_the_order_and_with_the_cut() -> None:
    changed = [{**ROWS[0], "text": ROWS[0]["text"] + "."}, *ROWS[1:]]
    prints = {
        fingerprint(Dataset.from_list(ROWS)),
        fingerprint(Dataset.from_list(changed)),
        fingerprint(Dataset.from_list(ROWS[::-1])),
        fingerprint(Dataset.from_list(ROWS[:6]), Dataset.from_list(ROWS[6:])),
        fingerprint(Dataset.from_list(ROWS[:7]), Dataset.from_list(ROWS[7:])),
    }
    assert len(prints) == 5


def test_the_signature_changes_with_the_bytes_of_any_file(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", ROWS)
    before = Data(str(tmp_path)).signature()
    assert Data(str(tmp_path)).signature() == before
    write_lines(tmp_path / "test.jsonl", ROWS)
    added = Data(str(tmp_path)).signature()
    write_lines(tmp_path / "test.jsonl", ROWS[::-1])
    assert len({before, added, Data(str(tmp_path)).signature()}) == 3
    assert Data("me/intents", revision="main").signature() == "me/intents@main"
