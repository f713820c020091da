"""Verbalising: the head of a pattern is the checkpoint's own, knows its classes before any training, and is refused elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from hfrecipes import Predictor, verbalising, verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.cloze import Cloze
from hfrecipes.config import build
from hfrecipes.errors import UserError
from hfrecipes.heads import ENTRY
from hfrecipes.models import Model, load_config, load_model, load_tokens
from hfrecipes.recipe import Recipe
from hfrecipes.stages.compress import again
from hfrecipes.stages.train import trainer_for
from tests.conftest import make_tokenizer, reviews, sentiment, write_lines

PATTERN = {"text": "{text} it was [MASK]", "words": {"positive": "great", "negative": "awful"}}
TASK = {"text-classification": {"pattern": PATTERN}}
LEARNED = {
    "problem_type": "single_label_classification",
    "num_labels": 2,
    "id2label": {0: "negative", 1: "positive"},
    "label2id": {"negative": 0, "positive": 1},
    "mask_token_id": 4,
}
KINDS: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"pad_token_id": 0},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "albert": {"embedding_size": 16},
    "electra": {"embedding_size": 16, "hidden_act": "relu"},
    "modernbert": dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id"), 0),
}
"""Kinds of encoders whose heads on masked words are of different make, and what their configurations need."""


def made(kind: str) -> Any:
    """A tiny model of a kind with a head on masked words."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    entries = KINDS[kind] if kind == "distilbert" else {**sizes, **KINDS[kind]}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=len(make_tokenizer()), max_position_embeddings=80, **entries)
    return AutoModelForMaskedLM.from_config(config)


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def batch_of(cloze: Cloze, texts: list[str]) -> dict[str, torch.Tensor]:
    from hfrecipes.tokens import Tokens

    tokens = Tokens.of(make_tokenizer(), 64, None)
    read = [tokens.features(encoding) for encoding in cloze.encode([{"text": text} for text in texts], tokens)]
    return {name: torch.from_numpy(array) for name, array in tokens.collate(read).items()}


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT that was trained to tell the last word of reviews, and never saw a label."""
    model = made("bert")
    rows = reviews(256, seed=1)
    words = [make_tokenizer().get_vocab()["great" if row["label"] == "positive" else "awful"] for row in rows]
    batch, wanted = batch_of(Cloze(**PATTERN), [row["text"] for row in rows]), torch.tensor(words)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(120):
        some = torch.arange(32) + 32 * (step % 8)
        part = {name: tensor[some] for name, tensor in batch.items()}
        logits = model(**part).logits[part["input_ids"] == 4]
        optimizer.zero_grad()
        cross_entropy(logits, wanted[some]).backward()
        optimizer.step()
    return saved(model, tmp_path_factory.mktemp("masked"))


@pytest.fixture
def recipe(masked: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe of eight rows a class that reads a pattern."""

    def build_it(**changes: Any) -> Recipe:
        write_lines(tmp_path / "data/train.jsonl", reviews(32, seed=2))
        write_lines(tmp_path / "data/test.jsonl", reviews(40, seed=3))
        values = {
            "recipe": "bert",
            "task": TASK,
            "data": {"path": str(tmp_path / "data"), "per_class": 8},
            "model": str(masked),
            "train": {"learning_rate": 1e-3, "num_train_epochs": 2, "per_device_train_batch_size": 8, "bf16": False},
            "before": True,
        }
        return build(Recipe, {**values, **changes})

    return build_it


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_those_of_the_masked_language_model_at_the_mask(kind: str, tmp_path: Path) -> None:
    whole = made(kind).eval()
    with torch.no_grad():
        for weight in whole.parameters():  # what is drawn as 0 or 1 would hide that it was forgotten
            weight.add_(0.2 * torch.randn_like(weight))
    given, cloze = Model(str(saved(whole, tmp_path))), Cloze(**PATTERN)
    entry = verbalising.learn(cloze, given, load_tokens(tmp_path, None, {}), LEARNED, "here", tmp_path)
    model: Any = load_model(given, "text-classification", load_config(given, {**LEARNED, **entry})).eval()
    verbalising.fill(model, given, tmp_path)
    batch = batch_of(cloze, ["the film was good", "dull"])
    read = {name: batch[name] for name in ("input_ids", "attention_mask")}
    words = [make_tokenizer().get_vocab()[word] for word in ("awful", "great")]
    with torch.inference_mode():
        expected = whole(**read).logits[batch["input_ids"] == 4][:, words]
        found = model(**read, labels=torch.tensor([1, 0]))
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found.logits, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.loss, cross_entropy(expected, torch.tensor([1, 0])))


def test_a_pattern_knows_the_classes_before_any_training_and_stays_whole_to_the_bundle(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    run = verbs.run(recipe(export=["cpu"], check=["parity", {"quality": {"minimum": 0.9, "max_drop": 0.1}}]), tmp_path / "run")
    folder = tmp_path / "run"
    before, guessed = (json.loads((folder / f"answers/{name}.json").read_text()) for name in ("before", "baseline"))
    assert before["accuracy"] >= 0.9 > guessed["accuracy"]
    assert run.scores["accuracy"] >= 0.9
    texts = ["the film was lovely", "a dull plot", "was [MASK] poor", "fine " * 300]
    torch_said, fp32_said = (Predictor.open(folder, name)(texts) for name in ("pytorch", "cpu/fp32"))
    for one, other in zip(torch_said, fp32_said, strict=True):
        assert one.label == other.label
        assert one.score == pytest.approx(other.score, abs=1e-4)
    assert [answer.label for answer in torch_said] == ["positive", "negative", "negative", "positive"]
    assert (folder / "README.md").read_text().count("`{text} it was [MASK]`") == 1
    code = (
        "import sys; from hfrecipes import Predictor; p = Predictor.open(sys.argv[1]); "
        "assert 'torch' not in sys.modules; print(*(a.label for a in p(sys.argv[2:])))"
    )
    asked = subprocess.run([sys.executable, "-c", code, str(folder), *texts], capture_output=True, text=True, check=True)
    assert asked.stdout.split() == [answer.label for answer in torch_said]


@pytest.mark.parametrize("strategy", ["lora", "feature_extraction", "bias_only"])
def test_strategies_train_the_words_of_a_pattern(strategy: str, recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    run = verbs.fit(recipe(strategy=strategy), tmp_path / "run")
    answers = Predictor.open(run.path, "pytorch")(["the film was lovely", "a dull plot"])
    assert [answer.label for answer in answers] == ["positive", "negative"]
    assert list(load_trained(run.model).config.to_dict()[ENTRY]) == ["verbaliser"]


def test_a_model_of_a_pattern_is_trained_on_from_where_it_is(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    first = verbs.fit(recipe(), tmp_path / "first")
    still = {"train": {"learning_rate": 1e-9, "num_train_epochs": 1, "bf16": False}}
    second = verbs.fit(recipe(model=str(first.path), **still), tmp_path / "second")
    texts = [row["text"] for row in reviews(6, seed=4)]
    one, other = (Predictor.open(run.path, "pytorch")(texts) for run in (first, second))
    assert [answer.label for answer in one] == [answer.label for answer in other]
    assert not (second.data / verbalising.FILE).exists()
    write_lines(tmp_path / "other.jsonl", [{**row, "label": "pn"[i % 2]} for i, row in enumerate(sentiment(20))])
    task = {"text-classification": {"pattern": {**PATTERN, "words": {"p": "great", "n": "awful"}}}}
    with pytest.raises(UserError, match="knows the words of other labels: negative, positive"):
        verbs.fit(recipe(model=str(first.path), task=task, data=str(tmp_path / "other.jsonl")), tmp_path / "third")


def test_a_trained_head_is_not_given_its_first_weights_again(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """A model that is made smaller is trained on beside the rows of its first training, and the weights that it began with."""
    trained = verbs.fit(recipe(), tmp_path / "run")
    begun = trainer_for(again(recipe(), trained.model), trained).model
    kept, first = load_trained(trained.model).state_dict(), load_file(trained.data / verbalising.FILE)
    for name, weight in first.items():
        assert not torch.equal(kept[f"classifier.{name}"], weight)
        torch.testing.assert_close(begun.state_dict()[f"classifier.{name}"].cpu(), kept[f"classifier.{name}"])


@pytest.mark.parametrize("own", [True, False])
def test_a_student_reads_as_its_teacher_does(own: bool, recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    teacher = verbs.fit(recipe(), tmp_path / "teacher")
    student = recipe(
        task=TASK if own else "text-classification",
        model={"path": str(teacher.path), "layers": 1},
        objective={"distill": {"teacher": str(teacher.path)}},
    )
    if own:
        assert verbs.fit(student, tmp_path / "student").model.is_dir()
    else:
        with pytest.raises(UserError, match=r"reads \{text\} it was \[MASK\], and the student something else"):
            verbs.fit(student, tmp_path / "student")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"task": {"text-classification": {"pattern": "{text} [MASK]"}}},
            "the word 'negative' .* is no word of the model's vocab",
        ),
        ({"head": "mlp"}, "bert.task.text-classification.pattern: its words are the head, not mlp"),
        (
            {"head": {"verbaliser": {"units": 32}}, "task": "text-classification"},
            "bert.head.verbaliser: comes with a pattern alone",
        ),
        ({"objective": "contrastive"}, "its words are the head, not"),
        ({"task": {"text-classification": {"pattern": PATTERN, "max_length": 5}}}, "leaves no room for the text"),
        ({"model": {"path": "BERT", "width": 16}}, "has no head that was trained on masked words"),
        ({"model": "BERT"}, r"is not trained for fill-mask: it has no .*Give one that is, or train it first: `task: fill-mask`"),
        ({"recipe": "gpt", "model": "GPT"}, "gpt.task.text-classification.pattern: gpt has no masked words"),
        ({"recipe": "t5", "model": "T5"}, "t5.task.text-classification.pattern: t5 has no masked words"),
        (
            {"model": {"new": "bert"}, "tokenizer": {"word": {"vocab_size": 40}}},
            "new bert has no head that was trained on masked words",
        ),
    ],
)
def test_what_cannot_read_a_pattern_is_one_line(
    changes: dict[str, Any],
    said: str,
    recipe: Callable[..., Recipe],
    tiny_bert: Path,
    tiny_gpt: Path,
    tiny_t5: Path,
    tmp_path: Path,
) -> None:
    told = json.dumps(changes).replace('"BERT"', json.dumps(str(tiny_bert)))
    told = told.replace('"GPT"', json.dumps(str(tiny_gpt))).replace('"T5"', json.dumps(str(tiny_t5)))
    with pytest.raises(UserError, match=said):
        verbs.fit(recipe(**json.loads(told)), tmp_path / "run")


def test_rows_of_several_labels_are_one_line(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    write_lines(tmp_path / "many.jsonl", [{**row, "label": [row["label"]]} for row in sentiment(20)])
    with pytest.raises(UserError, match="has one word for one label, and rows have not one label each here"):
        verbs.fit(recipe(data=str(tmp_path / "many.jsonl")), tmp_path / "run")
