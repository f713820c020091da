"""What compressors that remove units share: how important each is on the run's own rows, and layers without the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hfrecipes.compressors import Compressor, Given
from hfrecipes.errors import RecipeError
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Share = Annotated[float, Field(gt=0, le=1)]


@value
class Removing(Compressor):
    """Base of compressors that keep the share `keep` of the units: of each layer (`scope: local`), or of the model, where the
    layers differ (`global`; each keeps one at least)."""

    keep: Share
    scope: Literal["local", "global"] = "local"

    @abstractmethod
    def counts(self, model: PreTrainedModel) -> list[int]:
        """How many units each layer has. Raises RecipeError where none are known."""

    def foresee(self, model: PreTrainedModel, before: Sequence[str] = ()) -> None:
        whole(model, self.name, before)
        for count in self.counts(model):
            if self.scope == "local" and round(self.keep * count) == 0:
                what = f"{self.keep} of {count} leaves a layer with none"
                raise RecipeError(f"compress.{self.name}.keep", what, f"Write at least {1 / count:.3f}")

    def chosen(self, importances: Sequence[Tensor]) -> list[Tensor]:
        """The units of each layer that are kept, in their order."""
        import torch

        counts = [round(self.keep * len(each)) for each in importances]
        if self.scope == "global":
            comparable = [normed(each) for each in importances]
            bound = torch.cat(comparable).sort(descending=True).values[max(0, sum(counts) - 1)]
            counts = [max(1, int((each >= bound).sum())) for each in comparable]
        return [each.topk(count).indices.sort().values for count, each in zip(counts, importances, strict=True)]


def normed(importance: Tensor) -> Tensor:
    """The importances in a layer on a scale that layers share (Molchanov et al. 2017, section 2.2)."""
    found: Tensor = importance / importance.norm().clamp(min=1e-12)
    return found


def importances(
    model: PreTrainedModel,
    readers: Sequence[Any],
    sizes: Sequence[int],
    given: Given,
) -> list[Tensor]:
    """For each layer of `readers` the importance of what it reads, in groups of so many units: by how much the loss would change
    if the group were zero, to first order, summed over rows (Molchanov et al. 2017, arXiv:1611.06440; Michel et al. 2019,
    arXiv:1905.10650)."""
    import torch

    read: dict[int, Tensor] = {}

    def watch(number: int) -> Callable[..., None]:
        def hook(module: Any, inputs: Any) -> None:
            read[number] = inputs[0]
            if inputs[0].requires_grad:
                inputs[0].retain_grad()

        return hook

    hooks = [layer.register_forward_pre_hook(watch(number)) for number, layer in enumerate(readers)]
    found = [torch.zeros(layer_units // size) for layer_units, size in zip(map(units, readers), sizes, strict=True)]
    model.eval().requires_grad_(True)
    try:
        for batch in given.batches():
            model.zero_grad(set_to_none=True)
            given.loss(model, batch).backward()
            for number, size in enumerate(sizes):
                states = read[number]
                if states.grad is not None:
                    effect = (states.detach() * states.grad).flatten(0, -2).float()
                    by_group = effect.view(len(effect), -1, size).sum(-1)
                    found[number] += by_group.view(len(batch["input_ids"]), -1, by_group.shape[-1]).sum(1).abs().sum(0).cpu()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    return found


def some(model: PreTrainedModel, name: str) -> None:
    """Refuse a model without blocks, in which there is nothing to change."""
    from hfrecipes.family import linear_layers

    if not linear_layers(model):
        raise RecipeError(f"compress.{name}", f"{type(model).__name__} has no blocks", "Leave it out")


def whole(model: PreTrainedModel, name: str, before: Sequence[str] = ()) -> None:
    """Raise RecipeError where a linear layer has become two, or will: of these no units are known."""
    from hfrecipes.reshaping import Factors

    if "low_rank" in before or any(isinstance(module, Factors) for module in model.modules()):
        raise RecipeError(f"compress.{name}", "low_rank stands before it", "Write low_rank behind what removes units, and once")


def units(layer: Any) -> int:
    """What a linear layer reads."""
    from hfrecipes.reshaping import size

    return size(layer)[1]


def keep(layer: Any, kept: Tensor, reads: bool) -> None:
    """Make a linear layer, in place, one that makes, or where it `reads` them reads, only the units `kept`."""
    from transformers.pytorch_utils import Conv1D

    turned = isinstance(layer, Conv1D)
    layer.weight.data = layer.weight.data.index_select(int(reads) ^ int(turned), kept).contiguous()
    if layer.bias is not None and not reads:
        layer.bias.data = layer.bias.data[kept]
    if turned:
        layer.nx, layer.nf = layer.weight.shape
    else:
        layer.out_features, layer.in_features = layer.weight.shape


def spread(kept: Tensor, size: int) -> Tensor:
    """The units of groups of so many units."""
    import torch

    return (kept[:, None] * size + torch.arange(size)).flatten()
