"""Checkpoint: save and load the trained model with everything that answers need: tokenizer, task and label names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hfrecipes.edge import explained
from hfrecipes.errors import ModelError
from hfrecipes.family import auto_class
from hfrecipes.folder import READER_FILES, read_json, write_json
from hfrecipes.part import named_by_a_model
from hfrecipes.tasks import Task
from hfrecipes.tokens import Tokens, positions
from hfrecipes.weighing import CANNOT, CHECK, check_numbers, check_size

if TYPE_CHECKING:
    from typing import Any

    from transformers import PreTrainedModel

AGAIN = "Fit or export it again: hfrecipes fit, then ship"
KEPT = "kept_tokens.json"
"""The file of a checkpoint that was left some of its tokens: their ids in the rows that it was trained on, in the new order."""


def save_trained(folder: Path, model: PreTrainedModel, tokenizer: Path, task: Task, head: str) -> None:
    """Write the model (safetensors), its config, the files of the folder `tokenizer`, and `task.json` with the task and the
    model's head."""
    from hfrecipes.config import dump

    model.save_pretrained(folder)
    shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
    write_json(folder / "task.json", {"task": dump(task), "head": head})


def load_trained(folder: Path) -> PreTrainedModel:
    """The saved model in fp32."""
    from transformers import AutoConfig

    label = str(folder)
    with explained("model", CANNOT.format(label), CHECK), named_by_a_model():
        kind = auto_class(_written(folder)["head"])
        check_size(kind, AutoConfig.from_pretrained(folder, trust_remote_code=False), folder, label)
        made: PreTrainedModel = kind.from_pretrained(folder, use_safetensors=True, dtype="float32", trust_remote_code=False)
    check_numbers(made, label)
    return made


def copy_reader(source: Path, folder: Path) -> None:
    """Copy what a reader of texts needs from a checkpoint into a bundle."""
    for name in READER_FILES:
        shutil.copyfile(source / name, folder / name)


def open_reader(folder: Path) -> tuple[Task, dict[str, Any], Tokens]:
    """The task, the configuration and the tokenizer of a checkpoint or a bundle. Needs neither torch nor transformers."""
    with explained(str(folder), CANNOT.format("what it was trained for"), AGAIN), named_by_a_model():
        task: Task = Task.read_back(_written(folder)["task"])
        config: dict[str, Any] = read_json(folder / "config.json")
        tokens = Tokens.open(folder, task.max_length, positions(config))
    known = config.get("vocab_size")
    if isinstance(known, int) and tokens.tokenizer.get_vocab_size() > known:
        what = f"its tokenizer has {tokens.tokenizer.get_vocab_size()} tokens and the model embeddings for {known}"
        raise ModelError(str(folder), what, "Take the tokenizer that the model was trained with")
    return task, config, tokens


def _written(folder: Path) -> dict[str, Any]:
    """What was written beside the weights: the task, and the model's head."""
    if not (folder / "task.json").is_file():
        raise ModelError(str(folder), "has no task.json", "Give a folder that hfrecipes wrote")
    found: dict[str, Any] = read_json(folder / "task.json")
    return found
