"""Tiny models and data sets, made in memory: nothing is downloaded, and a test of a whole run takes seconds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)

WORDS = "the a film card bank play was is good bad fine awful great poor lovely dull my your new old plot actor scene end i it".split()
GOOD, BAD = ("good", "great", "lovely", "fine"), ("bad", "awful", "poor", "dull")


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
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two layers and 32 units, and its tokenizer."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny_bert")
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                        max_position_embeddings=64)
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
        "recipe": "bert", "task": "text-classification", "data": {"path": str(tiny_data)}, "model": str(tiny_bert),
        "train": {"learning_rate": 5e-3, "num_train_epochs": 3, "per_device_train_batch_size": 8, "bf16": False},
        "export": ["cpu"], "check": ["parity", {"quality": {"max_drop": 0.1}}],
    }


@pytest.fixture
def recipe_file(values: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny recipe, with top-level keys changed, to a YAML file. A key given as None is left out."""
    import yaml

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({key: entry for key, entry in {**values, **changes}.items() if entry is not None}), "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def finished(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of the tiny recipe with all stages done. Read it, never change it."""
    from hfrecipes import pipeline
    from hfrecipes.config import build
    from hfrecipes.recipe import Recipe

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    pipeline.run(build(Recipe, values), folder)
    return folder
