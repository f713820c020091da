"""Strategies in a Trainer of one's own: the model, its parameter groups and the callbacks are three lines.

python examples/own_trainer.py MODEL OUT
"""

from __future__ import annotations

import sys

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from hfrecipes.family import Family
from hfrecipes.optimization import parameter_groups
from hfrecipes.strategies.gradual_unfreezing import GradualUnfreezing

TEXTS = ["the film was good", "the film was bad", "the plot was great", "the plot was awful"] * 8
LABELS = [1, 0] * 16
EPOCHS = 3


def main(name: str, out: str) -> None:
    """Unfreeze a classifier block by block, each block at half of the rate of the one above it."""
    tokenizer = AutoTokenizer.from_pretrained(name)
    rows = Dataset.from_dict({**tokenizer(TEXTS), "labels": LABELS})
    strategy = GradualUnfreezing(decay=0.5)

    model = strategy.prepare(AutoModelForSequenceClassification.from_pretrained(name, num_labels=2), Family("bert", "encoder"))
    optimizer = torch.optim.AdamW(parameter_groups(model, strategy.rates(model), learning_rate=1e-3, weight_decay=0.01))
    callbacks = strategy.callbacks(model, EPOCHS)

    arguments = TrainingArguments(out, num_train_epochs=EPOCHS, save_strategy="no", use_cpu=True)
    collator = DataCollatorWithPadding(tokenizer)
    Trainer(model, arguments, collator, rows, optimizers=(optimizer, None), callbacks=callbacks).train()
    strategy.finish(model).save_pretrained(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
