"""Parts of hfrecipes in a Trainer of one's own: a strategy with its learning rates, a loss against a teacher, the feature store.

python examples/02_strategy_in_a_trainer.py MODEL TEACHER OUT
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from hfrecipes.entries import WithEntries
from hfrecipes.family import Family
from hfrecipes.features import Frozen
from hfrecipes.losses.soft_targets import SoftTargets
from hfrecipes.optimization import parameter_groups
from hfrecipes.strategies.gradual_unfreezing import GradualUnfreezing

TEXTS = ["the film was good", "the film was bad", "the plot was great", "the plot was awful"] * 8
LABELS, EPOCHS, FAR = [1, 0] * 16, 3, SoftTargets(temperature=2.0)


class OwnTrainer(Trainer):
    """Any Trainer will do; this one takes its loss from `self.loss`."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        found = self.loss(model, inputs)
        return found if return_outputs else found[0]


def loss(model: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    outputs = model(**{name: tensor for name, tensor in batch.items() if name != "teacher"})
    return outputs.loss + FAR(outputs.logits, batch["teacher"], batch["attention_mask"]).mean(), outputs


def main(name: str, teacher: str, out: str) -> None:
    """Unfreeze a classifier block by block, each at half of the rate of the one above it; frozen blocks run once a training."""
    tokenizer, teaches = AutoTokenizer.from_pretrained(name), AutoModelForSequenceClassification.from_pretrained(teacher).eval()
    known = teaches(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits.tolist()
    rows = WithEntries(Dataset.from_dict({**tokenizer(TEXTS), "labels": LABELS, "teacher": known}))
    strategy, collator = GradualUnfreezing(decay=0.5), DataCollatorWithPadding(tokenizer)
    model = strategy.prepare(AutoModelForSequenceClassification.from_pretrained(name, num_labels=2), Family("bert", "encoder"))
    groups = parameter_groups(model, strategy.rates(model), learning_rate=1e-3, weight_decay=0.01)
    frozen = Frozen(model, partial(strategy.frozen_blocks, model), EPOCHS, collator, left=False, bf16=False)
    frozen.watch(rows)
    arguments = TrainingArguments(out, num_train_epochs=EPOCHS, save_strategy="no", use_cpu=True, remove_unused_columns=False)
    optimizers, callbacks = (torch.optim.AdamW(groups), None), [*strategy.callbacks(model, EPOCHS), frozen]
    trainer = OwnTrainer(model, arguments, frozen.batch(), rows, optimizers=optimizers, callbacks=callbacks)
    trainer.loss = frozen.loss(loss)
    trainer.train()
    strategy.finish(model).save_pretrained(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
