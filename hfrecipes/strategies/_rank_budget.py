"""The callback that AdaLoRA needs: it moves ranks between layers after every step."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

START, END = 0.1, 0.3
"""The share of the steps before ranks are dropped, and the share behind, when all are decided."""
LEAST = 10
"""A training of fewer steps keeps all ranks: there is no time to weigh them."""
IMPORTANCE, UNCERTAINTY, KEPT = "importance", "uncertainty", "kept_ranks"
"""What a weight's entry in the optimizer's state has beside the moments."""


class RankBudget(TrainerCallback):
    """Tell AdaLoRA how long the training is, and let it weigh its ranks after every step, while the gradients are there.

    What it has found out lies in the optimizer's state, so that a training that goes on goes on with it. Dropped ranks stay in
    the model as zeros, so that a checkpoint has the same shapes at every step: PEFT would cut them out of what it saves, and
    could read neither a checkpoint to go on from nor the best one.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Called by the Trainer."""
        allocator = getattr(model, "module", model).base_model.rankallocator
        config = allocator.peft_config
        config.tinit, config.tfinal = int(START * state.max_steps), int(END * state.max_steps)
        config.total_step = state.max_steps
        allocator.set_total_step(state.max_steps)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any) -> None:
        """Called by the Trainer between the step and the reset of the gradients."""
        if state.max_steps < LEAST or getattr(optimizer, "step_was_skipped", False):
            return
        tuner = getattr(model, "module", model).base_model
        found, config = tuner.rankallocator, tuner.rankallocator.peft_config
        weights = {name: weight for name, weight in tuner.model.named_parameters() if "lora_" in name}
        entries = {name: optimizer.state[weight] for name, weight in weights.items()}
        for name, entry in entries.items():
            if IMPORTANCE in entry:
                found.ipt[name] = found.exp_avg_ipt[name] = entry[IMPORTANCE]
                found.exp_avg_unc[name] = entry[UNCERTAINTY]
        kept = {name: entry[KEPT].bool().view(-1).tolist() for name, entry in entries.items() if KEPT in entry}
        config.rank_pattern = kept or None
        tuner.update_and_allocate(state.global_step + 1)
        for name, entry in entries.items():
            if name in found.exp_avg_ipt:
                entry |= {IMPORTANCE: found.exp_avg_ipt[name], UNCERTAINTY: found.exp_avg_unc[name]}
        for name, ranks in (config.rank_pattern or {}).items():
            entries[name][KEPT] = weights[name].new_tensor(ranks).view_as(weights[name])
        config.rank_pattern = None
