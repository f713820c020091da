"""First recipe: what a look at the data says of the task, its columns, its labels and its length, as a recipe to begin with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes import config
from hfrecipes.data import Data, open_splits
from hfrecipes.errors import DataError, ModelError, UserError
from hfrecipes.folder import read_json
from hfrecipes.part import names
from hfrecipes.recipe import Recipe
from hfrecipes.tasks import Task
from hfrecipes.value import hint

if TYPE_CHECKING:
    from datasets import Dataset

USUAL: Mapping[str, tuple[str, ...]] = {
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "pos_tags", "labels"),
    "question": ("question",),
    "context": ("context", "passage", "paragraph"),
    "answers": ("answers",),
    "text": ("text", "sentence", "sentence1", "premise", "utterance", "content", "review", "query", "message", "comment", "body"),
    "text_pair": ("text_pair", "sentence2", "hypothesis", "text2"),
    "score": ("score", "similarity"),
    "label": ("label", "labels", "intent", "category", "class", "sentiment", "topic"),
    "source": ("source", "document", "article", "dialogue", "input"),
    "target": ("target", "summary", "highlights", "output"),
}
"""What columns are usually called, by their role."""
TRIED = ("token-classification", "question-answering", "sentence-similarity", "summarization", "text-classification")
"""Tasks, those that ask for more first. What is left is text alone, for a model to write."""
MODELS = {"bert": "sentence-transformers/all-MiniLM-L6-v2", "gpt": "HuggingFaceTB/SmolLM2-135M", "t5": "google/flan-t5-small"}
OTHER_SCRIPTS = {"bert": "FacebookAI/xlm-roberta-base", "gpt": "Qwen/Qwen3-0.6B-Base", "t5": "google/mt5-small"}
"""A small model to begin with, by family; for English, and where a fifth of the letters are no ASCII."""
TRAIN: Mapping[str, Mapping[str, Any]] = {
    "bert": {"learning_rate": "5e-5", "per_device_train_batch_size": 32},
    "gpt": {"learning_rate": "5e-5", "per_device_train_batch_size": 8},
    "t5": {"learning_rate": "3e-4", "per_device_train_batch_size": 8},
}
LOOKED_AT, FEW, STEPS = 2_000, 20, 1_500
"""Rows that lengths are taken from, how few rows of a label are said, and about how many steps a first training has."""


@dataclass(frozen=True)
class Look:
    """What the data says: the splits and their rows, the task it is for, the columns by role, a label's rows, words a text."""

    rows: Mapping[str, int]
    task: str
    columns: Mapping[str, str]
    labels: Mapping[str, int]
    words: int
    other_script: bool

    @property
    def family(self) -> str:
        """The family that does the task best when it is small."""
        heads = Task.find(self.task).heads
        return "bert" if "encoder" in heads else "t5" if "encoder-decoder" in heads else "gpt"

    @property
    def model(self) -> str:
        """A model to begin with."""
        return (OTHER_SCRIPTS if self.other_script else MODELS)[self.family]


def look(path: str, task: str | None = None, columns: Mapping[str, str] | None = None) -> Look:
    """Look at data. A `task` or `columns` by role that are given are taken. Raises DataError where no task fits."""
    if task is not None and task not in names("tasks"):
        raise UserError("init", f"unknown task '{task}'", hint(task, names("tasks")))
    splits = open_splits(Data(path))
    rows = splits["train"] if "train" in splits else splits[next(iter(splits))]
    given = dict(columns or {})
    for role, name in given.items():
        if name not in rows.column_names:
            raise DataError("--column", f"{path} has no column '{name}' for {role}", hint(name, rows.column_names))
    if task is None:
        task = next((name for name in TRIED if _roles(name, rows, given) is not None), "text-generation")
    found = _roles(task, rows, given)
    if found is None:
        wanted = ", ".join(f"{role} ({column.meaning})" for role, column in Task.find(task).columns.items() if column.required)
        what = f"no columns of {path} are known for {task}, which wants {wanted}"
        raise DataError("init", what, f"Say which they are: --column ROLE=NAME, of: {', '.join(rows.column_names)}")
    sample = rows.select(range(min(LOOKED_AT, len(rows))))
    texts = [
        _plain(row[name]) for row in sample for role, name in found.items() if role in ("text", "tokens", "source", "context")
    ]
    lengths = sorted(len(text.split()) for text in texts)
    letters = "".join(texts[:200])
    label = found.get("label")
    counted = Counter(map(str, rows[label])) if label and not isinstance(rows[0][label], (list, float)) else Counter[str]()
    return Look(
        {name: len(split) for name, split in splits.items()},
        task,
        found,
        dict(counted.most_common()),
        lengths[int(0.95 * (len(lengths) - 1))] if lengths else 0,
        sum(not letter.isascii() for letter in letters) > len(letters) / 5,
    )


def family_of(model: str) -> str | None:
    """The family of a model in a folder, by its configuration; None for a name on the Hub, which is not asked."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return None
    if not (folder / "config.json").is_file():
        raise ModelError("init", f"{model} has no config.json", "Give the folder of a checkpoint, or a name on the Hub")
    told = read_json(folder / "config.json")
    if told.get("is_encoder_decoder"):
        return "t5"
    written = " ".join(told.get("architectures") or ())
    return "gpt" if "CausalLM" in written or "LMHead" in written else "bert"


def write(path: str, found: Look, file: Path, model: str | None = None, target: str = "cpu") -> str:
    """The recipe as YAML, with what was seen as comments. Raises UserError where it could not be run."""
    if target not in names("targets"):
        raise UserError("init", f"unknown target '{target}'", hint(target, names("targets")))
    family = (family_of(model) if model else None) or found.family
    defaults = {role for role, name in found.columns.items() if role == name}
    columns = [f"  {role}: {json.dumps(name)}" for role, name in found.columns.items() if role not in defaults]
    some = found.rows.get("train", next(iter(found.rows.values())))
    size = int(TRAIN[family]["per_device_train_batch_size"])
    epochs = max(1, min(10, round(STEPS * size / max(1, some))))
    train = ", ".join(f"{key}: {entry}" for key, entry in {**TRAIN[family], "num_train_epochs": epochs}.items())
    split = [f"  train: {json.dumps(next(iter(found.rows)))}"] if "train" not in found.rows else []
    lines = [
        f"# {found.task} from {' and '.join(f'{count:,} rows ({name})' for name, count in found.rows.items())}{_labels(found)}.",
        f"#   hfrecipes run {file}",
        f"recipe: {family}",
        f"task: {found.task}",
        "",
        "data:",
        f"  path: {json.dumps(path)}",
        *split,
        *columns,
        "",
        f"model: {json.dumps(model or found.model)}    # a name on the Hub, a folder, or a run",
        "",
        f"train: {{{train}}}    # transformers.TrainingArguments; 95 of 100 texts have at most {found.words} words",
        f"export: [{target}]",
        "check: [parity, quality: {max_drop: 0.02}]    # without this line: the whole release checklist",
    ]
    text = "\n".join(lines) + "\n"
    config.build(Recipe, config.parse(text, str(file)))
    return text


def _labels(found: Look) -> str:
    if not found.labels:
        return ""
    rare = [name for name, count in found.labels.items() if count < FEW]
    said = f", {len(found.labels)} labels of {min(found.labels.values())} to {max(found.labels.values())} rows"
    return said + (f" ({len(rare)} with fewer than {FEW}: {', '.join(rare[:3])}{', …' if len(rare) > 3 else ''})" if rare else "")


def _roles(task: str, rows: Dataset, given: Mapping[str, str]) -> dict[str, str] | None:
    """The columns of a task by role; None where a role that it needs is not found."""
    wanted = Task.find(task).columns
    if any(role not in wanted for role in given):
        return None
    found: dict[str, str] = {}
    for role, column in wanted.items():
        free = [name for name in rows.column_names if name not in found.values()]
        name = given.get(role) or next((name for name in USUAL.get(role, (role,)) if name in free), None)
        if name is None and column.required:
            name = _by_shape(role, rows, free)
        if name is None and column.required:
            return None
        if name is not None:
            found[role] = name
    if task == "sentence-similarity" and "score" not in found:
        return None
    return found


def _by_shape(role: str, rows: Dataset, free: Sequence[str]) -> str | None:
    """The column that looks like a text, the one with the longest, or like a label, the one with the fewest values."""
    texts = [name for name in free if getattr(rows.features[name], "dtype", "") in ("string", "large_string")]
    sample = rows.select(range(min(LOOKED_AT, len(rows))))
    if role == "text" and texts:
        return max(texts, key=lambda name: sum(len(entry or "") for entry in sample[name]))
    if role == "label":
        shares = {name: len(set(map(str, sample[name]))) / len(sample) for name in free}
        least = min(shares, key=lambda name: shares[name], default=None)
        return least if least is not None and shares[least] <= 0.5 else None
    return None


def _plain(entry: Any) -> str:
    return " ".join(map(str, entry)) if isinstance(entry, list) else str(entry)
