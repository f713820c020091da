"""prompt: tokens in front of every text, in the tokenizer and in the model, trained, saved, exported and answering the same."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hfrecipes import Predictor, verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.config import build
from hfrecipes.errors import RecipeError
from hfrecipes.folder import read_json
from hfrecipes.recipe import Recipe
from hfrecipes.strategies.prompt import Prompt
from hfrecipes.tokens import PROMPT, Tokens
from tests.conftest import make_text_tokenizer, make_tokenizer, sentiment
from tests.tasks.test_contract import rows_of

FAMILIES = ("bert", "gpt", "t5")


@pytest.fixture
def recipe(values: dict[str, Any], tiny_gpt: Path, tiny_t5: Path) -> Any:
    folders = {"bert": values["model"], "gpt": str(tiny_gpt), "t5": str(tiny_t5)}

    def made(family: str, **more: Any) -> Recipe:
        train = {**values["train"], "learning_rate": 0.3}
        strategy = {"prompt": {"tokens": 4}}
        return build(
            Recipe,
            {**values, "recipe": family, "model": folders[family], "strategy": strategy, "train": train, "check": [], **more},
        )

    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_what_has_learned_is_a_plain_model_with_a_plain_tokenizer(family: str, recipe: Any, tmp_path: Path) -> None:
    run = verbs.fit(recipe(family), tmp_path)
    verbs.ship(run)
    texts = [row["text"] for row in sentiment(6)]
    found = [Predictor.open(run.path, backend)(texts) for backend in ("pytorch", "cpu/fp32")]
    scores = [torch.tensor([answer.score for answer in answers]) for answers in found]
    torch.testing.assert_close(*scores, atol=1e-4, rtol=1e-4)
    ids = read_json(run.data / "facts.json")["learned"][PROMPT]
    assert len(ids) == 4
    model: Any = load_trained(run.model)
    names = [name for name in load_file(run.model / "model.safetensors") if "prompt" in name]
    assert names == []
    table = model.get_input_embeddings().weight
    assert len(table) > max(ids)
    encoded = AutoTokenizer.from_pretrained(run.model)(texts[0])["input_ids"]
    assert [i for i in encoded if i in ids] == ids
    assert encoded == Tokens.open(run.model, None, None).encode([texts[0]])[0].ids


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rows_of_the_prompt_and_the_head_learn_and_nothing_else(family: str, recipe: Any, tmp_path: Path) -> None:
    run = verbs.fit(recipe(family), tmp_path)
    ids = read_json(run.data / "facts.json")["learned"][PROMPT]
    saved = load_file(Path(recipe(family).model.path) / "model.safetensors")
    before = {name.removeprefix("transformer."): weight for name, weight in saved.items()}
    model: Any = load_trained(run.model)
    words = model.get_input_embeddings().weight.detach()
    state = dict(model.base_model.named_parameters())
    table = next(name for name, weight in state.items() if weight is model.get_input_embeddings().weight)
    for name, weight in state.items():
        old = before.get(name)
        if old is not None and name != table:
            assert torch.equal(weight, old), name
    old = before[table]
    kept = [i for i in range(len(old)) if i not in ids]
    assert torch.equal(words[kept], old[kept])
    assert all(float((words[a] - words[b]).abs().max()) > 0 for a, b in pairwise(ids))


def test_a_text_that_is_written_has_no_prompt(recipe: Any, tiny_data: Path, tmp_path: Path) -> None:
    from datasets import load_from_disk

    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in rows_of("translation", 16)), "utf-8")
    for family, task in (("t5", "translation"), ("gpt", "summarization")):
        options = {"max_target_length": 8, "generation": {"max_new_tokens": 4}}
        train = {"learning_rate": 0.1, "num_train_epochs": 1, "save_strategy": "no", "eval_strategy": "no"}
        made = recipe(family, task={task: options}, data=str(rows), train=train)
        run = verbs.fit(made, tmp_path / family)
        ids = set(read_json(run.data / "facts.json")["learned"][PROMPT])
        for row in load_from_disk(str(run.data / "train")):
            assert ids <= set(row["input_ids"])
            assert not ids & set(row["labels"])


@pytest.mark.parametrize(
    ("task", "tokens", "said"),
    [
        ("text-generation", 4, "they have no prompt. Take lora"),
        ("text-classification", 60, "60 of the 64 tokens that the model reads leave no room"),
    ],
)
def test_what_prompts_cannot_do_is_one_line(task: str, tokens: int, said: str, recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        verbs.fit(recipe("gpt", task=task, strategy={"prompt": {"tokens": tokens}}), tmp_path)


@pytest.mark.parametrize("kind", ["none", "bytes", "bert", "roberta", "template", "sequence"])
def test_the_prompt_stands_behind_the_first_special_token(kind: str, tmp_path: Path) -> None:
    from tokenizers import processors

    tokenizer: Any = make_text_tokenizer("right") if kind in ("none", "bytes") else make_tokenizer()
    backend = tokenizer.backend_tokenizer
    cls, sep = (("[CLS]", backend.token_to_id("[CLS]")), ("[SEP]", backend.token_to_id("[SEP]")))
    made = {
        "none": lambda: None,
        "bytes": lambda: processors.ByteLevel(trim_offsets=False),
        "bert": lambda: processors.BertProcessing(sep, cls),
        "roberta": lambda: processors.RobertaProcessing(sep, cls),
        "template": lambda: backend.post_processor,
        "sequence": lambda: processors.Sequence([processors.ByteLevel(trim_offsets=False), backend.post_processor]),
    }[kind]()
    if made is not None:
        backend.post_processor = made
    elif backend.post_processor is not None:
        backend.post_processor = processors.Sequence([])
    before, pair = backend.encode("good film").ids, backend.encode("good film", "bad plot").ids
    ids = Prompt(tokens=3).extend(tokenizer)[PROMPT]
    tokenizer.save_pretrained(tmp_path)
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    special = 0 if kind in ("none", "bytes") else 1
    assert again.encode("good film").ids == [*before[:special], *ids, *before[special:]]
    assert again.encode("good film", "bad plot").ids == [*pair[:special], *ids, *pair[special:]]
    again.enable_truncation(6)
    assert len(again.encode("good film " * 20).ids) == 6
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
