"""A first recipe: what the data says, from flags or by asking, and that it runs."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Recipe, fit
from hfrecipes.cli import main
from hfrecipes.errors import DataError
from hfrecipes.first_recipe import family_of, look
from tests.conftest import sentiment, write_lines

PAIRS = [{"sentence1": f"a film {i}", "sentence2": "a bank", "similarity": i / 20} for i in range(20)]
WORDS = [{"tokens": ["a", "bank"], "ner_tags": ["O", "B-ORG"]} for _ in range(20)]
ARTICLES = [{"article": "the film was good and long", "summary": "good film"} for _ in range(20)]
SHAPES = [{"id": i, "what_they_wrote": f"the film number {i}", "kind": "good" if i % 2 else "bad"} for i in range(20)]
RUSSIAN = [{"text": f"фильм был хороший {i}", "label": "да" if i % 2 else "нет"} for i in range(20)]


def init(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
    """What the command says, on the one of both streams that counts."""
    with pytest.raises(SystemExit) as stop:
        main(["init", *map(str, words)])
    said = capsys.readouterr()
    assert stop.value.code == code, said.err
    return said.err if code else said.out


@pytest.mark.parametrize(
    ("rows", "task", "family", "columns"),
    [
        (sentiment(20), "text-classification", "bert", {"text": "text", "label": "label"}),
        (SHAPES, "text-classification", "bert", {"text": "what_they_wrote", "label": "kind"}),
        (PAIRS, "sentence-similarity", "bert", {"text": "sentence1", "text_pair": "sentence2", "score": "similarity"}),
        (WORDS, "token-classification", "bert", {"tokens": "tokens", "tags": "ner_tags"}),
        (ARTICLES, "summarization", "t5", {"source": "article", "target": "summary"}),
        ([{"text": f"the film {i}"} for i in range(20)], "text-generation", "gpt", {"text": "text"}),
    ],
)
def test_columns_say_the_task(
    rows: list[dict[str, Any]], task: str, family: str, columns: dict[str, str], tmp_path: Path
) -> None:
    found = look(str(write_lines(tmp_path / "train.jsonl", rows)))
    assert (found.task, found.family, found.columns, found.rows) == (task, family, columns, {"train": 20})


def test_texts_that_are_not_english_get_a_model_that_reads_them(tmp_path: Path) -> None:
    assert look(str(write_lines(tmp_path / "train.jsonl", RUSSIAN))).model == "FacebookAI/xlm-roberta-base"


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "train.jsonl", SHAPES)
    with pytest.raises(
        DataError, match=r"has no column 'knd' for label\. Did you mean 'kind'\? One of: id, what_they_wrote, kind"
    ):
        look(str(file), columns={"label": "knd"})


def test_what_no_task_reads_is_refused_with_the_columns(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "train.jsonl", [{"number": i} for i in range(20)])
    with pytest.raises(DataError, match=r"wants text \(the text\)\. Say which they are: --column ROLE=NAME, of: number"):
        look(str(file))


def test_flags_give_a_recipe_that_runs(
    tiny_data: Path, tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new/first.yaml"
    said = init(capsys, tiny_data, "--model", tiny_bert, "-o", out)
    assert "96 rows (train) and 32 rows (test), 2 labels of 48 to 48 rows." in said and f"hfrecipes run {out}" in said
    recipe = Recipe.load(out, ["train.num_train_epochs=1", "export=[]"])
    assert (recipe.name, recipe.task.name, recipe.data.path) == ("bert", "text-classification", str(tiny_data))
    fit(recipe, tmp_path / "run")
    assert "is there already" in init(capsys, tiny_data, "-o", out, code=2)


def test_on_a_terminal_it_asks_four_questions(
    tiny_data: Path, tiny_gpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO(f"{tiny_data}\n\n{tiny_gpt}\nopenvino\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    init(capsys, "-o", tmp_path / "asked.yaml")
    recipe = Recipe.load(tmp_path / "asked.yaml")
    assert (recipe.name, recipe.model.path, [target.name for target in recipe.export]) == ("gpt", str(tiny_gpt), ["openvino"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no data was named"),
        (["DATA", "--task", "text-clasification"], "Did you mean 'text-classification'?"),
        (["DATA", "--target", "gpu"], "unknown target 'gpu'"),
        (["DATA", "--column", "lable=label"], "names no column of the task"),
        (["/no/such/file.csv"], "there is no file or folder"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], said: str, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.replace("DATA", str(tiny_data)) for word in words]
    told = init(capsys, *given, "-o", tmp_path / "never.yaml", code=2)
    assert said in told and told.count("\n") == 1
    assert not (tmp_path / "never.yaml").exists()


def test_the_family_of_a_folder_is_read_from_its_configuration(
    tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path
) -> None:
    assert [family_of(str(folder)) for folder in (tiny_bert, tiny_gpt, tiny_t5)] == ["bert", "gpt", "t5"]
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    assert family_of(str(tmp_path)) == "gpt"
    assert family_of("me/model") is None
