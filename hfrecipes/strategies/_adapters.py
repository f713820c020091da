"""What strategies that train adapters through PEFT share: where adapters go, and which head is trained beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.errors import RecipeError
from hfrecipes.family import linear_layers
from hfrecipes.folder import ADAPTER
from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel


@value
class Adapted(Strategy):
    """Base of strategies whose adapters are merged into the weights in the end: the result is a plain model.

    `keep_adapter` writes them as an adapter of PEFT, too, in the folder `adapter` beside it, for `PeftModel.from_pretrained`.
    """

    keep_adapter: bool = False

    def save_extra(self, model: Any, folder: Path) -> None:
        if self.keep_adapter:
            model.save_pretrained(folder / ADAPTER)

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        return merged(model)


def targets(model: PreTrainedModel, wanted: Sequence[str], where: str) -> list[str]:
    """The names of the modules that get an adapter: those that end in one of `wanted`, or every linear layer of the blocks where
    nothing is wanted. Raises RecipeError where a wanted name matches nothing."""
    every = linear_layers(model)
    for name in wanted:
        if not any(layer == name or layer.endswith(f".{name}") for layer in every):
            known = sorted({layer.rpartition(".")[2] for layer in every})
            raise RecipeError(f"{where}.target_modules", f"no linear layer is called '{name}'", f"There are: {', '.join(known)}")
    ends = tuple(f".{name}" for name in wanted)
    return [layer for layer in every if not wanted or layer in wanted or layer.endswith(ends)]


def transposed(model: PreTrainedModel) -> bool:
    """Whether linear layers keep their weights as (in, out), as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(model.get_submodule(name), Conv1D) for name in linear_layers(model))


def heads(model: PreTrainedModel) -> list[str]:
    """The modules outside of the body that have weights of their own: a head that is new and must learn too (peft#310). Models
    that write keep the head they were pretrained with."""
    if model.can_generate():
        return []
    body = {id(weight) for weight in model.base_model.parameters()}
    own = {name: [id(w) for w in child.parameters()] for name, child in model.named_children() if child is not model.base_model}
    return [name for name, weights in own.items() if weights and not body & set(weights)]


def wrap(model: PreTrainedModel, config: PeftConfig, where: str) -> Any:
    """The model with adapters. Raises RecipeError where PEFT cannot place them."""
    from peft import get_peft_model

    try:
        return get_peft_model(model, config)
    except ValueError as error:
        first = str(error).strip().splitlines()[0]
        raise RecipeError(where, first, "Take lora, which finds its layers itself") from error


def merged(model: Any) -> PreTrainedModel:
    """The plain model with its adapters added to its weights; all of it can be trained again."""
    from peft.utils import ModulesToSaveWrapper

    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):  # IA3's own merging takes a head of several layers for one layer
            model.set_submodule(name, module.modules_to_save[module.active_adapters[0]])
    plain: PreTrainedModel = model.merge_and_unload()
    plain.requires_grad_(True)
    return plain
