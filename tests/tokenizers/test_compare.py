"""The command that compares tokenizers, and its figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hfrecipes.cli import main
from hfrecipes.part import names
from hfrecipes.plots import draw_tokens
from hfrecipes.tokenization import SAMPLE, Cut, compare
from hfrecipes.tokenizers.bpe import Bpe
from hfrecipes.tokenizers.character import Character
from hfrecipes.tokenizers.word import Word
from tests.conftest import sentiment, write_lines

NAMES = names("tokenizers")
ROWS = sentiment(60)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[list[str]]]:
    """Calls the command; gives the cells of its rows, the continued ones joined."""

    def call(*argv: str | Path) -> list[list[str]]:
        with pytest.raises(SystemExit) as stop:
            main(["tokens", *map(str, argv)])
        said = capsys.readouterr()
        assert stop.value.code == 0, said.err
        rows: list[list[str]] = []
        for line in said.out.splitlines():
            cells = [cell.strip() for cell in line.split("│")[1:-1]]
            if len(cells) == 6 and cells[0]:
                rows.append(cells)
            elif len(cells) == 6:
                rows[-1][5] += " " + cells[5]
        return rows

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Calls the command; gives the one line it says no with."""

    def call(*argv: str | Path) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["tokens", *map(str, argv)])
        said = capsys.readouterr()
        assert (stop.value.code, said.out) == (2, "")
        lines = said.err.splitlines()
        assert [line for line in lines if line.startswith("error: ")] == lines[-1:], said.err
        return lines[-1]

    return call


def write(folder: Path, ending: str) -> Path:
    """The rows as a file of that ending."""
    file = folder / f"rows.{ending}"
    texts = [row["text"] for row in ROWS]
    if ending == "txt":
        file.write_text("\n".join(texts), "utf-8")
    elif ending == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), file)
    elif ending in ("csv", "tsv"):
        mark = "," if ending == "csv" else "\t"
        file.write_text(f"text{mark}label\n" + "".join(f"{row['text']}{mark}{row['label']}\n" for row in ROWS), "utf-8")
    else:
        write_lines(file, ROWS)
    return file


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet", "txt"])
def test_the_table_has_a_row_for_each_kind(ending: str, told: Callable[..., list[list[str]]], tmp_path: Path) -> None:
    rows = told(write(tmp_path, ending), "the film was good", "--vocab-size", "300")
    assert [row[0] for row in rows] == NAMES
    by_name = {row[0]: row for row in rows}
    assert by_name["word"][2:] == ["1.00", "0.0%", by_name["word"][4], "the film was good"]
    assert by_name["bpe"][5] == "the ▁film ▁was ▁good"
    assert by_name["character"][5] == " ".join("the film was good".replace(" ", "▁"))
    assert all(0 < int(row[1].replace(",", "")) <= 300 for row in rows)


def test_it_draws_a_png(told: Callable[..., list[list[str]]], tmp_path: Path) -> None:
    told(write(tmp_path, "jsonl"), "-o", tmp_path / "plots/tokens.png", "--vocab-size", "300")
    assert (tmp_path / "plots/tokens.png").read_bytes().startswith(PNG)


def test_words_of_the_command_line_are_one_text_and_the_first_row_stands_for_none(
    told: Callable[..., list[list[str]]], tmp_path: Path
) -> None:
    file = write(tmp_path, "jsonl")
    asked = {row[0]: row[5] for row in told(file, "the", "film", "[b]x[/b]")}
    assert asked["word"] == "the film" + " [UNK]" * 7
    assert asked["bpe"] == "the ▁film ▁ [ b ] x [ / b ]"
    first = {row[0]: row[5] for row in told(file)}
    assert first["word"] == ROWS[0]["text"]


def test_a_column_is_named(told: Callable[..., list[list[str]]], tmp_path: Path) -> None:
    rows = told(write(tmp_path, "jsonl"), "positive", "--column", "label", "--vocab-size", "300")
    assert {row[0]: row[5] for row in rows}["word"] == "positive"


def test_a_recipe_gives_its_training_texts(
    told: Callable[..., list[list[str]]], recipe_file: Callable[..., Path], tiny_data: Path
) -> None:
    ours, plain = (told(source, "the film", "--vocab-size", "300") for source in (recipe_file(), tiny_data / "train.jsonl"))
    assert ours == plain


def test_words_of_a_recipe_for_tokens_are_read_as_texts(tmp_path: Path) -> None:
    from hfrecipes.data import Column, Data
    from hfrecipes.tokenization import Texts

    rows = [{"tokens": row["text"].split(), "tags": ["O"] * len(row["text"].split())} for row in ROWS[:5]]
    file = tmp_path / "words.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = Texts.of(Data(str(file)), {"tokens": Column("words"), "pair": Column("none", required=False)}, ["tokens", "pair"])
    assert [list(texts), list(texts)] == [[row["text"] for row in ROWS[:5]]] * 2


def test_the_figures_are_those_of_a_count_by_hand() -> None:
    texts = ["ab ab", "ab é", ""]
    word, character = compare(texts, [Word(vocab_size=6), Character()], "ab x\u202e\n")
    assert word == Cut("word", 6, ("ab", "[UNK]", "[UNK]"), 1.0, 1 / 4, 10 / 4)
    assert character == Cut("character", 9, ("a", "b", "▁", "[UNK]", "[UNK]", "[UNK]"), 9 / 4, 0.0, 10 / 9)


def test_what_cannot_be_printed_is_shown_as_an_escape() -> None:
    [cut] = compare(["a\x1b[31m\n\u202eb \ud800"], [Character()])
    assert cut.pieces == ("a", "\\x1b", "[", "3", "1", "m", "\\n", "\\u202e", "b", "▁", "\ufffd")


def test_a_long_first_text_is_shown_in_its_beginning_and_texts_are_read_once_a_part() -> None:
    [cut] = compare(["", "word " * 500], [Character()])
    assert len(cut.pieces) == SAMPLE == 120
    assert compare(["the film " * 9] * 9, [Bpe(vocab_size=300)])[0].bytes_per_token > 3


def test_nothing_to_draw_gives_no_file(tmp_path: Path) -> None:
    assert draw_tokens([], tmp_path / "none.png") is None
    assert draw_tokens([Cut("bpe", 10, (), 1.0, 0.0, 4.0)], tmp_path / "one.png") == "one.png"
    assert [file.name for file in tmp_path.iterdir()] == ["one.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rows.jsonl", "--column", "body"], ("data.text", "no column 'body'", "It has: text, label")),
        (["none.jsonl"], ("data.path", "there is no file or folder")),
        (["none.yaml"], ("none.yaml", "there is no such recipe")),
        (["empty.txt"], ("data.path", "is empty")),
        (["blank.txt"], ("data", "nothing in the texts", "Name a column")),
        (["rows.jsonl", "--vocab-size", "50"], ("tokenizer.bpe.vocab_size", "50 is less than", "Write 261 or more")),
        (["rows.jsonl", "-o", "tokens.xyz"], ("--out", "not the name of a PNG", ".png")),
        (["tiny.yaml", "--column", "text"], ("--column", "names its own columns", "Leave it out")),
        (["numbers.jsonl"], ("data.text", "holds int64, not text")),
    ],
    ids=["column", "file", "recipe", "empty", "blank", "size", "png", "column of a recipe", "numbers"],
)
def test_a_mistake_is_one_line(
    words: Sequence[str], said: Sequence[str], refused: Callable[..., str], recipe_file: Callable[..., Path], tmp_path: Path
) -> None:
    write(tmp_path, "jsonl")
    recipe_file()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "numbers.jsonl").write_text('{"text": 1}\n{"text": 2}\n')
    line = refused(tmp_path / words[0], *words[1:])
    assert line.startswith("error: ")
    assert [word for word in said if word not in line] == []
