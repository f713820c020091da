"""The callback that AdaLoRA needs: it moves ranks between layers after every step."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

START, END = 0.1, 0.3
"""The share of the steps before ranks are dropped, and the share behind, when all are decided."""
LEAST = 10
"""A training of fewer steps keeps all ranks: there is no time to weigh them."""


class RankBudget(TrainerCallback):
    """Tell AdaLoRA how long the training is, and let it weigh its ranks after every step, while the gradients are there."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Called by the Trainer."""
        allocator = getattr(model, "module", model).base_model.rankallocator
        config = allocator.peft_config
        config.tinit, config.tfinal = int(START * state.max_steps), int(END * state.max_steps)
        config.total_step = state.max_steps
        allocator.set_total_step(state.max_steps)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Called by the Trainer between the step and the reset of the gradients."""
        if state.max_steps >= LEAST:
            getattr(model, "module", model).base_model.update_and_allocate(state.global_step + 1)
