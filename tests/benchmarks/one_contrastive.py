"""One side of few examples of each intent of BANKING77, in a process of its own, on one thread.

    python -m tests.benchmarks.one_contrastive '{"side": "ours", "per_class": 8, "seed": 0}' FOLDER

`side` is `ours` (the training of recipes/bert/banking77_contrastive.yaml) or `setfit` (SetFit's trainer with the same rows and
body, `iterations` pairs of each kind a text and its own defaults elsewhere). Prints the accuracy on the test split, the CPU
seconds of the training (data and model read, nothing exported), and the version of setfit.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DATA = Path("examples/data/banking77")
RECIPE = "recipes/bert/banking77_contrastive.yaml"


def read(split: str) -> list[dict[str, str]]:
    """The rows of a split."""
    return [json.loads(line) for line in (DATA / f"{split}.jsonl").read_text("utf-8").splitlines()]


def ours(asked: dict[str, Any], folder: str) -> tuple[Callable[[Sequence[str]], list[str]], dict[str, Any]]:
    from hfrecipes import Predictor, verbs
    from hfrecipes.recipe import Recipe

    recipe = Recipe.load(RECIPE, [f"data.per_class={asked['per_class']}", f"seed={asked['seed']}", *asked.get("more", [])])
    run = verbs.learn(recipe, folder)
    predictor = Predictor.open(run.path, "pytorch")
    return lambda texts: [answer.label for answer in predictor(list(texts))], {}


def setfit(asked: dict[str, Any], folder: str) -> tuple[Callable[[Sequence[str]], list[str]], dict[str, Any]]:
    """`rows` and `model` in `asked` are the training rows and the folder of the body: this side may lie in an environment
    without hfrecipes."""
    from importlib.metadata import version

    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    word = models.Transformer(asked["model"])
    body = SentenceTransformer(modules=[word, models.Pooling(word.get_embedding_dimension(), "mean"), models.Normalize()])
    labels = sorted({row["label"] for row in asked["rows"]})
    model = SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=1000), labels=labels)
    options = TrainingArguments(
        output_dir=folder,
        num_epochs=1,
        batch_size=16,
        num_iterations=asked["iterations"],
        seed=asked["seed"],
        save_strategy="no",
        report_to="none",
    )
    trainer = Trainer(model=model, args=options, train_dataset=Dataset.from_list(asked["rows"]))
    trainer.train()
    return lambda texts: [str(label) for label in model.predict(list(texts))], {"setfit": version("setfit")}


def main(asked: dict[str, Any], folder: str) -> None:
    """Train, then ask the test split."""
    import torch

    torch.set_num_threads(1)
    answer, facts = (ours if asked["side"] == "ours" else setfit)(asked, folder)
    cpu_s = time.process_time()
    test = read("test")
    right = sum(said == row["label"] for said, row in zip(answer([row["text"] for row in test]), test, strict=True))
    print(json.dumps({"accuracy": right / len(test), "cpu_s": cpu_s, **facts}))


if __name__ == "__main__":
    given = sys.argv[1]
    main(json.loads(Path(given).read_text("utf-8") if given.endswith(".json") else given), sys.argv[2])
