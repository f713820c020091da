"""distill: what a student learns, that its teacher learns nothing, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hfrecipes.errors import ModelError, RecipeError
from hfrecipes.objectives import Training
from hfrecipes.objectives._lesson import PROJECTION
from hfrecipes.objectives._on_policy import given
from hfrecipes.objectives._teacher import ENTRY, Teacher
from hfrecipes.part import find
from hfrecipes.tasks import IGNORED, UNLABELLED, Task
from hfrecipes.tokens import Tokens
from tests.conftest import Open
from tests.contracts import every
from tests.strategies.test_contract import CASES, FAMILIES, batch

OPTIONS: dict[str, dict[str, Any]] = {"relations": {"heads": 2}, "top_k": {"k": 2}}


LOSSES = every("losses")


def task(head: str) -> Any:
    return Task.choose(head)


def saved(model: Any, folder: Path, change: float = 0.0) -> Path:
    """A teacher: the model, its weights shaken."""
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            weight += change * torch.randn_like(weight)
    model.save_pretrained(folder)
    return folder


def lesson(model: Any, family: str, head: str, teacher: Any, losses: Any, **options: Any) -> Any:
    asked = find("objectives", "distill").choose({"distill": {"teacher": teacher, "losses": losses, **options}})
    return asked.bind(Training(model, FAMILIES[family], task(head)))


def named(loss: str, **options: Any) -> list[Any]:
    return [{loss: {**OPTIONS.get(loss, {}), **options}}]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "head"), CASES)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(
    loss: str, family: str, head: str, fresh: Open, tmp_path: Path
) -> None:
    teacher = saved(fresh(family, head), tmp_path / "teacher")
    model = fresh(family, head).train()
    found, _ = lesson(model, family, head, str(teacher), named(loss), labels=0)(model, batch(head))
    assert float(found.detach()) == pytest.approx(0, abs=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "head"), CASES)
def test_the_gradient_reaches_the_student_alone(loss: str, family: str, head: str, fresh: Open, tmp_path: Path) -> None:
    teacher = saved(fresh(family, head), tmp_path / "teacher", change=0.1)
    before = load_file(teacher / "model.safetensors")
    model = fresh(family, head).train()
    taught = lesson(model, family, head, str(teacher), named(loss), labels=0)
    found, _ = taught(model, batch(head))
    assert float(found.detach()) > 1e-4
    found.backward()
    assert sum(float(weight.grad.abs().sum()) for weight in model.parameters() if weight.grad is not None) > 0
    asked = taught.teacher.models[0]
    assert not any(weight.requires_grad or weight.grad is not None for weight in asked.parameters())
    kept = asked.state_dict()
    assert all(torch.equal(kept[name], weight) for name, weight in before.items())
    assert not asked.training


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "head"), CASES)
def test_neither_padding_nor_the_rest_of_a_batch_changes_the_loss_of_a_row(
    loss: str, family: str, head: str, fresh: Open, tmp_path: Path
) -> None:
    """The loss of a batch is the mean over its items of what they have alone, in a batch without padding."""
    teacher = saved(fresh(family, head), tmp_path / "teacher", change=0.1)
    model = fresh(family, head).train()
    taught = lesson(model, family, head, str(teacher), named(loss))
    rows = batch(head)
    if rows["labels"].dim() == 2:
        rows["labels"] = rows["labels"].masked_fill(rows["attention_mask"] == 0, IGNORED)
    with torch.no_grad():
        together = float(taught(model, rows)[0])
        alone, items = [], []
        for i, length in enumerate(rows["attention_mask"].sum(1).tolist()):
            one = {n: t[i : i + 1, :length] if t.dim() == 2 else t[i : i + 1] for n, t in rows.items()}
            alone.append(float(taught(model, one)[0]))
            shift = 1 if head == "text-generation" else 0
            items.append(length - shift if rows["labels"].dim() == 2 else 1)
    assert together == pytest.approx(np.average(alone, weights=items), rel=1e-4)


def test_rows_without_a_label_learn_from_the_teacher_alone(fresh: Open, tmp_path: Path) -> None:
    teacher = saved(fresh("bert", "text-classification"), tmp_path / "teacher", change=0.1)
    model = fresh("bert", "text-classification").train()
    rows = batch("text-classification")
    soft = lesson(model, "bert", "text-classification", str(teacher), named("soft_targets"), labels=0)(model, rows)[0]
    taught = lesson(model, "bert", "text-classification", str(teacher), named("soft_targets"))
    hard = torch.nn.functional.cross_entropy(model(**{**rows, "labels": None}).logits[:1], rows["labels"][:1])
    some = {**rows, "labels": torch.tensor([int(rows["labels"][0]), UNLABELLED, UNLABELLED, UNLABELLED])}
    torch.testing.assert_close(taught(model, some)[0], soft + hard / 4)
    none = {**rows, "labels": torch.full((4,), UNLABELLED)}
    torch.testing.assert_close(taught(model, none)[0], soft)


def test_several_teachers_speak_as_the_mean_of_their_chances(fresh: Open, tmp_path: Path) -> None:
    head = "text-classification"
    folders = [saved(fresh("bert", head), tmp_path / str(i), change=0.1 * (i + 1)) for i in range(2)]
    training = Training(fresh("bert", head), FAMILIES["bert"], task(head))
    models = find("objectives", "distill").choose({"distill": {"teacher": [str(folder) for folder in folders]}}).teacher
    rows = batch(head)
    alone = [Teacher([model], training).answer(rows).logits.softmax(-1) for model in models]
    both = Teacher(models, training).answer(rows).logits.softmax(-1)
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)
    with pytest.raises(RecipeError, match="of several teachers only the answers have a mean"):
        lesson(fresh("bert", head), "bert", head, [str(folder) for folder in folders], named("hidden_states"))


def test_labels_are_matched_by_their_names(fresh: Open, tmp_path: Path) -> None:
    head = "text-classification"
    model, other = fresh("bert", head), fresh("bert", head)
    for each, names in ((model, ("no", "yes")), (other, ("yes", "no"))):
        each.config.id2label = dict(enumerate(names))
        each.config.label2id = {name: i for i, name in enumerate(names)}
    for weight in (other.classifier.weight, other.classifier.bias):
        weight.data = weight.data.flip(0)
    other.save_pretrained(tmp_path / "teacher")
    found, _ = lesson(model.train(), "bert", head, str(tmp_path / "teacher"), named("soft_targets"), labels=0)(model, batch(head))
    assert float(found.detach()) == pytest.approx(0, abs=1e-6)
    model.config.id2label = {0: "no", 1: "perhaps"}
    with pytest.raises(ModelError, match=r"do not know the same labels: perhaps, yes"):
        lesson(model, "bert", head, str(tmp_path / "teacher"), named("soft_targets"))


def test_a_wider_teacher_is_met_by_a_layer_that_is_not_kept(fresh: Open, tmp_path: Path, tiny_bert: Path) -> None:
    from hfrecipes.models import Model, load_config, load_model

    head = "text-classification"
    teacher = saved(fresh("bert", head), tmp_path / "teacher")
    narrow = Model(str(tiny_bert), width=16)
    model: Any = load_model(narrow, head, load_config(narrow, {"hidden_dropout_prob": 0.0})).train()
    names = set(model.state_dict())
    asked = [*named("hidden_states", layers=[[1, 1], [2, 2]]), *named("embeddings"), *named("relations")]
    taught = lesson(model, "bert", head, str(teacher), asked, labels=0)
    found, _ = taught(model, batch(head))
    found.backward()
    added = {name: weight for name, weight in model.named_parameters() if name.startswith(PROJECTION)}
    assert {name: tuple(weight.shape) for name, weight in added.items()} == {
        "distill_0_0.weight": (32, 16), "distill_0_1.weight": (32, 16), "distill_1_0.weight": (32, 16),
    }  # fmt: skip
    assert all(float(weight.grad.abs().sum()) > 0 for weight in added.values())
    taught.asked.release(model)
    assert set(model.state_dict()) == names


@pytest.mark.parametrize(("family", "head"), [("gpt", "text-generation"), ("t5", "text2text-generation")])
def test_on_policy_the_student_is_compared_on_what_it_writes_itself(
    family: str, head: str, fresh: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = saved(fresh(family, head), tmp_path / "teacher", change=0.1)
    model = fresh(family, head).train()
    taught = lesson(model, family, head, str(teacher), named("reverse_kl"), on_policy=1.0)
    with caplog.at_level(logging.INFO, logger="hfrecipes"):
        taught.progress.begin()
    assert "what the student writes itself is new each time" in caplog.text
    rows, seen = batch(head), []
    ask = taught.teacher.answer
    taught.teacher.answer = lambda read, **options: seen.append(read) or ask(read, **options)
    torch.manual_seed(0)
    found, _ = taught(model, rows)
    found.backward()
    assert model.training
    assert torch.isfinite(found)
    assert not torch.equal(seen[0]["labels"], rows["labels"])
    if family == "t5":
        assert torch.equal(seen[0]["input_ids"], rows["input_ids"])


def test_a_row_is_begun_by_its_prompt_or_by_its_first_half() -> None:
    ids = torch.tensor([[0, 0, 5, 6], [1, 2, 3, 4], [0, 7, 8, 9]])
    mask = (ids != 0).long()
    labels = torch.where(mask == 1, ids, IGNORED)
    labels[2, 1:3] = IGNORED  # a prompt of two tokens
    begun, real = given({"input_ids": ids, "attention_mask": mask, "labels": labels})
    assert begun.tolist() == [[0, 5], [1, 2], [7, 8]]
    assert real.tolist() == [[0, 1], [1, 1], [1, 1]]


@pytest.mark.parametrize(("family", "head"), [("bert", "text-classification"), ("gpt", "text-generation")])
def test_tokens_with_other_ids_are_read_by_their_names(
    family: str, head: str, fresh: Open, tiny_bert: Path, tiny_gpt: Path, tmp_path: Path
) -> None:
    """A student with fewer tokens in another order is told what the teacher says of the same tokens."""
    from tests.conftest import WORDS, make_text_tokenizer, make_tokenizer

    teacher = saved(fresh(family, head), tmp_path / "teacher", change=0.1)
    make = make_tokenizer if family == "bert" else lambda words: make_text_tokenizer("left", words)
    make(WORDS).save_pretrained(teacher)
    words = WORDS[::-2]
    make(words).save_pretrained(tmp_path / "student")
    tokens = Tokens.open(tmp_path / "student", None, None)
    model = fresh(family, head)
    model.resize_token_embeddings(len(tokens.tokenizer.get_vocab()))
    asked = find("objectives", "distill").choose({"distill": {"teacher": str(teacher)}}).teacher
    told = Teacher(asked, Training(model, FAMILIES[family], task(head), tokens))
    its = Tokens.open(teacher, None, None).tokenizer
    text = " ".join([words[0], words[5], words[3]])
    mine, wanted = (torch.tensor([t.encode(text).ids]) for t in (tokens.tokenizer, its))
    assert not torch.equal(mine, wanted)
    same = Teacher(asked, Training(fresh(family, head), FAMILIES[family], task(head), Tokens.open(teacher, None, None)))
    folders = [found.spaces(asked, 2, [])[ENTRY].folder for found in (told, same)]
    assert folders[0] != folders[1], "the same ids are other tokens"
    mask = torch.ones_like(mine)
    said = told.answer({"input_ids": mine, "attention_mask": mask, "labels": mine}).logits
    logits = told.models[0](input_ids=wanted, attention_mask=mask).logits
    if family == "gpt":
        names = sorted(tokens.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        logits = logits[..., [its.token_to_id(name) for name, _ in names]]
    torch.testing.assert_close(said, logits)


@pytest.mark.parametrize("more", [-2, 3])
def test_rows_of_embeddings_that_no_token_has_may_differ_in_number(more: int, fresh: Open, tmp_path: Path) -> None:
    other = fresh("gpt", "text-generation")
    other.resize_token_embeddings(other.config.vocab_size + more)
    teacher = saved(other, tmp_path / "teacher")
    model = fresh("gpt", "text-generation").train()
    found, _ = lesson(model, "gpt", "text-generation", str(teacher), named("reverse_kl"), labels=0)(
        model, batch("text-generation")
    )
    found.backward()
    assert torch.isfinite(found)


@pytest.mark.parametrize(
    ("family", "head", "options", "said"),
    [
        ("gpt", "text-generation", {"losses": [{"top_k": {"k": 999}}]}, r"losses.top_k.k: is 999, and there are \d+ choices"),
        ("bert", "text-classification", {"losses": ["soft_targets", "top_k"]}, "another loss reads others"),
        ("bert", "text-classification", {"losses": ["attentions"], "cached": "states"}, "cached: keeps no attentions"),
        ("t5", "text-classification", {"losses": ["hidden_states"], "cached": "states"}, "of one stack, and there are two"),
        ("bert", "text-classification", {"losses": ["soft_targets"], "on_policy": 0.5}, "writes nothing"),
        ("bert", "text-classification", {"losses": [{"hidden_states": {"layers": [[1, 3]]}}]}, "the teacher has no block 3"),
    ],
)
def test_what_cannot_be_taught_is_refused(family: str, head: str, options: Any, said: str, fresh: Open, tmp_path: Path) -> None:
    teacher = saved(fresh(family, head), tmp_path / "teacher")
    with pytest.raises(RecipeError, match=said):
        lesson(fresh(family, head), family, head, str(teacher), options.pop("losses"), **options)


def test_numbers_are_compared_as_numbers(fresh: Open, tmp_path: Path) -> None:
    from hfrecipes.tasks.sentence_similarity import SentenceSimilarity

    model = fresh("bert", "text-classification")
    teacher = saved(model, tmp_path / "teacher")
    asked = find("objectives", "distill").choose({"distill": {"teacher": str(teacher), "losses": ["forward_kl"]}})
    with pytest.raises(RecipeError, match=r"a number has none. Take soft_targets"):
        asked.bind(Training(model, FAMILIES["bert"], SentenceSimilarity()))


def test_a_teacher_that_says_no_number_is_refused(fresh: Open, tmp_path: Path) -> None:
    teacher = saved(fresh("bert", "text-classification"), tmp_path / "teacher", change=float("nan"))
    model = fresh("bert", "text-classification").train()
    with pytest.raises(ModelError, match=r"objective\.distill\.teacher: .* is not finite"):
        lesson(model, "bert", "text-classification", str(teacher), named("soft_targets"))(model, batch("text-classification"))
    both = [str(saved(fresh("bert", "text-classification"), tmp_path / "sound")), str(teacher)]
    with pytest.raises(ModelError, match="is not finite"):
        lesson(model, "bert", "text-classification", both, named("soft_targets"))(model, batch("text-classification"))
