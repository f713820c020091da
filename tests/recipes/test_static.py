"""The family of static models: what they compute, that they are models of transformers, and whole runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from hfrecipes import Predictor, Report, verbs
from hfrecipes.cli import main
from hfrecipes.config import build
from hfrecipes.dictionary import words_of
from hfrecipes.errors import UserError
from hfrecipes.folder import Run, read_json
from hfrecipes.frontier import frontier
from hfrecipes.recipe import Recipe
from hfrecipes.static_config import StaticConfig
from hfrecipes.static_model import StaticForMaskedLM, StaticForSequenceClassification, StaticModel

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
NEW = {"new": "static", "config": {"hidden_size": 16}}
TRAIN = {"learning_rate": 2e-2, "num_train_epochs": 4, "per_device_train_batch_size": 8, "bf16": False, "logging_strategy": "no"}


def made(kind: Any = StaticModel, **sizes: Any) -> Any:
    torch.manual_seed(0)
    return kind(StaticConfig(**{"vocab_size": 30, "hidden_size": 8, **sizes})).eval()


@pytest.fixture(scope="module")
def asked(values: dict[str, Any]) -> dict[str, Any]:
    tokenizer = {"word": {"lowercase": True}}
    return {**values, "recipe": "static", "model": NEW, "tokenizer": tokenizer, "train": TRAIN}


@pytest.fixture(scope="module")
def trained(asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "run"
    verbs.run(build(Recipe, asked), folder)
    return folder


@pytest.mark.parametrize("pooling", ["mean", "weighted"])
def test_a_text_is_the_mean_of_its_vectors_each_times_its_weight(pooling: str) -> None:
    model = made(pooling=pooling)
    weights = torch.ones(30)
    if pooling == "weighted":
        weights = torch.rand(30)
        model.weights.data = weights
    table = (model.vectors.weight * weights[:, None]).detach()
    found = model(IDS, MASK).pooler_output
    torch.testing.assert_close(found[0], table[IDS[0]].mean(0))
    torch.testing.assert_close(found[1], table[IDS[1][:3]].mean(0))


@pytest.mark.parametrize("sizes", [{}, {"pooling": "mean"}, {"intermediate_size": 4}])
def test_it_is_saved_and_loaded_by_the_auto_classes(sizes: dict[str, Any], tmp_path: Path) -> None:
    model = made(StaticForSequenceClassification, num_labels=3, **sizes)
    model.save_pretrained(tmp_path)
    code = (
        "import hfrecipes, sys; from transformers import AutoModelForSequenceClassification as A; A.from_pretrained(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(IDS, MASK).logits, model(IDS, MASK).logits)
    assert type(AutoModel.from_pretrained(tmp_path)) is StaticModel
    assert AutoConfig.from_pretrained(tmp_path).pooling == model.config.pooling


def test_more_tokens_keep_the_weights_of_the_old_ones() -> None:
    model = made()
    model.weights.data = torch.rand(30)
    before = model(IDS, MASK).pooler_output
    model.resize_token_embeddings(32)
    assert len(model.weights) == 32
    torch.testing.assert_close(model(IDS, MASK).pooler_output, before)


def test_a_run_trains_exports_and_answers(trained: Path) -> None:
    assert Report.load(trained).scores["accuracy"] > 0.9
    assert sorted(read_json(trained / "bundles/cpu/manifest.json")["graphs"]) == ["fp32", "int8"]
    for graph in ("fp32", "int8", "pytorch"):
        answers = Predictor.open(trained, graph)(["the film was great", "the film was awful"])
        assert [answer.label for answer in answers] == ["positive", "negative"], graph


def test_what_it_answers_does_not_depend_on_what_comes_with_it(trained: Path) -> None:
    predictor = Predictor.open(trained, "fp32")
    [alone] = predictor(["the film was good"])
    together, _ = predictor(["the film was good", "a film a film a film a film a film was bad"])
    assert alone.score == pytest.approx(together.score, abs=1e-6)


@pytest.mark.parametrize("task", ["token-classification", "text-generation"])
def test_what_it_cannot_do_is_one_line(task: str, asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError):
        verbs.fit(build(Recipe, {**asked, "task": task}), tmp_path / "run")


def test_it_starts_from_an_encoder_that_then_teaches_it(asked: dict[str, Any], finished: Path, tmp_path: Path) -> None:
    teacher = str(finished)
    given = {**asked, "vectors": {"encoder": {"teacher": teacher}}, "objective": {"distill": {"teacher": teacher}}}
    with pytest.raises(UserError, match=r"static.tokenizer: the vectors are those of the tokens of .* Leave it out"):
        verbs.fit(build(Recipe, given), tmp_path / "refused")
    del given["tokenizer"]
    run = verbs.run(build(Recipe, given), tmp_path / "run")
    assert run.scores["accuracy"] > 0.9
    first, trained = (words_of(tmp_path / "run", before) for before in (True, False))
    assert first.names == trained.names
    assert {"[CLS]", "[PAD]"} & set(first.names) == set()
    assert not np.allclose(first.table, trained.table)


def test_a_start_is_for_a_new_model(asked: dict[str, Any], finished: Path) -> None:
    with pytest.raises(UserError, match="`vectors` are for a new model"):
        build(Recipe, {**asked, "model": str(finished), "vectors": "glove"})
    with pytest.raises(UserError, match="unknown key 'vectors'"):
        build(Recipe, {**asked, "recipe": "bert", "vectors": "glove"})


def test_words_are_learned_asked_and_written_on_the_command_line(
    asked: dict[str, Any], recipe_file: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recipe_file(**{**asked, "vectors": {"glove": {"epochs": 5}}})
    for arguments in (
        ["vectors", str(file), "-o", str(tmp_path / "run")],
        ["words", str(tmp_path / "run"), "good - bad + great"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) == 12
    assert not (tmp_path / "run/model").exists()
    text = tmp_path / "vectors.txt"
    (tmp_path / "questions.txt").write_text("good bad great awful\ngood bad great nowhere\n")
    with pytest.raises(SystemExit):
        main(["words", str(tmp_path / "run"), "-o", str(text), "--analogies", str(tmp_path / "questions.txt")])
    assert re.search(r"analogies: [01] of 1 .* 1 unknown", capsys.readouterr().out)
    assert words_of(text).names == words_of(tmp_path / "run").names
    for wrong, said in ((["words", str(text), "nowhere"], "has no vector"), (["words", str(text)], "nothing is asked")):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
        [line] = capsys.readouterr().err.splitlines()
        assert said in line


def test_it_stands_on_a_frontier_beside_its_teacher(
    asked: dict[str, Any], finished: Path, recipe_file: Any, tmp_path: Path
) -> None:
    given = {name: entry for name, entry in asked.items() if name != "tokenizer"}
    start = {"vectors": {"encoder": {"teacher": str(finished)}}, "objective": {"distill": {"teacher": str(finished)}}}
    file = recipe_file(
        **{**given, **start, "frontier": {"model.config.hidden_size": [16]}, "export": [{"cpu": {"quantize": None}}]}
    )
    found = frontier(file, tmp_path / "out", beside=[Run(finished)])
    names = [candidate.name for candidate in found.candidates]
    assert {"hidden_size=16 | cpu/fp32", "tiny | cpu/int8", "tiny | cpu/fp32", "tf-idf"} <= set(names)
    assert all(candidate.run is None for candidate in found.candidates if candidate.name.startswith("tiny"))
    with pytest.raises(UserError, match=r"--beside .* was trained on other rows"):
        frontier(file, tmp_path / "out", ["data.validation_size=0.2"], beside=[Run(finished)])
    with pytest.raises(UserError, match=r"--beside .* is no run with a bundle"):
        frontier(file, tmp_path / "out", beside=[Run(tmp_path)])


def test_a_word_is_told_from_the_mean_of_those_around_it() -> None:
    model = made(StaticForMaskedLM, window=1, pooling="mean")
    table = model.body.vectors.weight.detach()
    labels = torch.tensor([[-100, 9, -100, -100], [-100, -100, 4, -100]])
    said = model(IDS, MASK, labels=labels)
    around = [[[5], [2, 6], [5, 3], [6]], [[7], [2, 3], [7], [3]]]
    expected = torch.stack([torch.stack([table[ids].mean(0) @ table.T for ids in row]) for row in around])
    torch.testing.assert_close(said.logits, expected.detach())
    wanted = torch.stack([expected[0, 1].log_softmax(-1)[9], expected[1, 2].log_softmax(-1)[4]])
    assert float(said.loss.detach()) == pytest.approx(-float(wanted.mean()), rel=1e-5)


def test_it_fills_masks_and_exports(asked: dict[str, Any], tmp_path: Path) -> None:
    columns = {"path": asked["data"]["path"], "text": "text"}
    changes = {
        "task": {"fill-mask": {"max_length": 16}},
        "data": columns,
        "vectors": {"glove": {"epochs": 5}},
        "check": ["parity"],
    }
    report = verbs.run(build(Recipe, {**asked, **changes, "export": [{"cpu": {"quantize": None}}]}), tmp_path / "run")
    assert 1 < report.scores["perplexity"] < 25
    [filled] = Predictor.open(tmp_path / "run", "fp32")(["the film [MASK] good"])
    assert len(filled.words) == 5


@pytest.mark.parametrize("wrong", [{"pooling": "max"}, {"hidden_size": 0}, {"window": 0}])
def test_a_size_that_is_none_is_one_line(wrong: dict[str, Any], asked: dict[str, Any], tmp_path: Path) -> None:
    [name] = wrong
    with pytest.raises(UserError, match=rf"model\.config\.{name}: is .* Write"):
        verbs.fit(build(Recipe, {**asked, "model": {"new": "static", "config": wrong}}), tmp_path / "run")


def test_without_rare_tokens_every_other_keeps_its_vector_and_its_weight(asked: dict[str, Any], tmp_path: Path) -> None:
    run = build(Recipe, {**asked, "vectors": {"glove": {"epochs": 5}}, "compress": [{"vocabulary": {"least": 30}}]})
    verbs.fit(run, tmp_path / "run")
    before, after = (AutoModel.from_pretrained(tmp_path / f"run/{name}") for name in ("trained", "model"))
    ids = read_json(tmp_path / "run/model/kept_tokens.json")
    assert 5 < len(ids) < len(before.weights)
    torch.testing.assert_close(after.vectors.weight, before.vectors.weight[ids])
    torch.testing.assert_close(after.weights, before.weights[ids])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"compress": [{"low_rank": {"keep": 0.5}}]}, r"compress\.low_rank: .* has no blocks"),
        ({"compress": ["two_four"]}, r"compress\.two_four: .* has no blocks"),
        ({"compress": [{"layers": {"keep": 1}}]}, r"compress\.layers\.keep: .* has no blocks"),
        ({"compress": [{"magnitude": {"sparsity": 0.5}}]}, r"model: has no blocks"),
    ],
)
def test_what_needs_blocks_is_refused_in_one_line(
    changes: dict[str, Any], line: str, asked: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=line):
        verbs.fit(build(Recipe, {**asked, "train": {**TRAIN, "num_train_epochs": 1}, **changes}), tmp_path / "run")
