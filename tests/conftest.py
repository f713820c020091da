"""Tiny models and data sets, made in memory: nothing is downloaded, and a test of a whole run takes seconds."""

from __future__ import annotations

import gc
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes import choice
from tests.gpus import pytest_configure, pytest_runtest_setup  # noqa: F401 (hooks)
from tests.one_registry import one_registry  # noqa: F401 (a fixture)

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)

TIMED = choice.timed
"""Tests choose by times that are always the same: what comes later is faster."""
choice.timed = lambda candidates, rows: {
    name: dict.fromkeys(("p50_ms", "p95_ms", "list_ms"), 1.0 / place) for place, name in enumerate(candidates, start=1)
}

SAID = "the a film card bank play was is good bad fine awful great poor lovely dull my your new old plot actor scene end i it"
WORDS = SAID.split()
GOOD, BAD = ("good", "great", "lovely", "fine"), ("bad", "awful", "poor", "dull")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a test of minutes come first, so that no worker is alone with one in the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module", autouse=True)
def passed_over() -> None:
    """Python's garbage collector passes over what is there before a file's tests: every training of a plain Trainer asks for a
    collection, which looks at all that the libraries have made, a third of a second each time."""
    gc.collect()
    gc.freeze()


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def sentiment(count: int, start: int = 0) -> list[dict[str, str]]:
    """Rows of two classes that differ by one word, of several lengths."""
    rows = []
    for i in range(start, start + count):
        word = (GOOD if i % 2 else BAD)[i // 2 % 4]
        filler = " ".join(WORDS[(i * 7 + j) % 6] for j in range(i % 5))
        rows.append({"text": f"the film was {word} {filler}".strip(), "label": "positive" if i % 2 else "negative"})
    return rows


def make_tokenizer(words: Sequence[str] = WORDS) -> Any:
    """A word-level tokenizer with BERT's special tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two layers and 32 units, and its tokenizer."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny_bert")
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.jsonl` (96 rows) and `test.jsonl` (32 rows) of two classes."""
    folder = tmp_path_factory.mktemp("tiny_data")
    write_lines(folder / "train.jsonl", sentiment(96))
    write_lines(folder / "test.jsonl", sentiment(32, start=96))
    return folder


@pytest.fixture(scope="session")
def values(tiny_bert: Path, tiny_data: Path) -> dict[str, Any]:
    """A recipe of seconds, as the plain values of its YAML."""
    return {
        "recipe": "bert",
        "task": "text-classification",
        "data": {"path": str(tiny_data)},
        "model": str(tiny_bert),
        "train": {"learning_rate": 5e-3, "num_train_epochs": 3, "per_device_train_batch_size": 8, "bf16": False},
        "export": ["cpu"],
        "check": ["parity", {"quality": {"max_drop": 0.1}}],
    }


@pytest.fixture
def recipe_file(values: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny recipe, with top-level keys changed, to a YAML file. A key given as None is left out."""
    import yaml

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(
            yaml.safe_dump({key: entry for key, entry in {**values, **changes}.items() if entry is not None}), "utf-8"
        )
        return path

    return write


@pytest.fixture(scope="session")
def finished(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of the tiny recipe with all stages done. Read it, never change it."""
    from hfrecipes import verbs
    from hfrecipes.config import build
    from hfrecipes.recipe import Recipe

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    verbs.run(build(Recipe, values), folder)
    return folder


def make_text_tokenizer(side: str, words: Sequence[str] = WORDS) -> Any:
    """A word-level tokenizer as decoders (`left`) and encoder-decoders (`right`) have one."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    first = ["<pad>", "</s>", "<unk>", "<s>"]
    vocabulary = {word: i for i, word in enumerate([*first, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if side == "right":
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="</s>",
        bos_token="<s>",
        padding_side=side,
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
        extra_special_tokens=[f"<extra_id_{i}>" for i in range(10)] if side == "right" else [],
    )


@pytest.fixture(scope="session")
def tiny_gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 of two layers and 32 units, and its tokenizer."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("tiny_gpt")
    tokenizer = make_text_tokenizer("left")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=3, eos_token_id=1, pad_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a T5 of two layers and 32 units on each side, and its tokenizer."""
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny_t5")
    tokenizer = make_text_tokenizer("right")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


Open = Callable[[str, str], Any]
"""A family and a head to a tiny model."""


@pytest.fixture
def fresh(tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path) -> Open:
    """A family's tiny model with a head, the same weights each time, without dropout."""
    from hfrecipes.family import auto_class

    folders = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}
    off = {
        "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "gpt": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "pad_token_id": 0},
        "t5": {"dropout_rate": 0.0, "classifier_dropout": 0.0},
    }

    def made(family: str, head: str) -> Any:
        torch.manual_seed(0)
        return auto_class(head).from_pretrained(folders[family], **off[family])

    return made


LIMITS = "Not for films in other languages, and not for irony."
NEUTRAL = [word for word in WORDS if word not in (*GOOD, *BAD)]


def reviews(count: int, seed: int) -> list[dict[str, str]]:
    """Rows of two classes that differ by one word, none of them twice."""
    draw, seen = random.Random(seed), set()
    rows: list[dict[str, str]] = []
    while len(rows) < count:
        label = "positive" if len(rows) % 2 else "negative"
        word = draw.choice(GOOD if label == "positive" else BAD)
        if (text := " ".join(["the film was", word, *draw.sample(NEUTRAL, draw.randint(2, 6))])) not in seen:
            seen.add(text)
            rows.append({"text": text, "label": label})
    return rows


def films(root: Path, values: dict[str, Any]) -> dict[str, Any]:
    """A recipe for 400 reviews, which are written to `root/data`: enough of them for what is held out to say something. The long
    warm-up makes a model of two layers learn them with every seed."""
    rows = reviews(400, seed=0)
    write_lines(root / "data/train.jsonl", rows[:360])
    write_lines(root / "data/test.jsonl", rows[360:])
    return {
        **values,
        "data": {"path": str(root / "data"), "validation_size": 0.17},
        "train": {**values["train"], "learning_rate": 3e-3, "warmup_steps": 0.4, "num_train_epochs": 4},
    }


@pytest.fixture(scope="session")
def shown(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder beside `data/` and `registry/` that showed every item and was published there. Read it, never change it."""
    from hfrecipes import bootstrap, verbs
    from hfrecipes.config import build
    from hfrecipes.recipe import Recipe

    root = tmp_path_factory.mktemp("checklist")
    asked = {
        **films(root, values),
        "validate": 2,
        "check": [
            *("held_out", "cross_validation", {"slices": {"min_rows": 5}}, {"edge_cases": {"rows": 10, "max_changed": 1.0}}),
            *({"budget": {"p95_ms": 1000, "max_mb": 1}}, {"uncertainty": {"max_error": 0.2}}, "preprocessing", "monitoring"),
            *("failure_modes", "rollback"),
        ],
        "card": {"license": "apache-2.0", "limits": LIMITS, "benchmark": "me/films"},
        "publish": {"registry": str(root / "registry")},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "DRAWS", 50)
        verbs.run(build(Recipe, asked), root / "run")
    return root / "run"
