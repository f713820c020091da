"""What happens inside of a model while it answers, seen by hooks on its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from hfrecipes.family import blocks, projections
from hfrecipes.tasks import IGNORED

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass
class View:
    """What was seen in one pass: what entered the first block, the states behind blocks, their queries, keys and values by the
    number of the block from 1, and all attention maps."""

    embeddings: Any = None
    states: dict[int, Any] = field(default_factory=dict)
    projections: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    attentions: tuple[Any, ...] = ()

    def answered(self, outputs: Any) -> None:
        """Take what the answer itself says: attention maps, an encoder's before its decoder's."""
        for name in ("encoder_attentions", "decoder_attentions", "attentions"):
            self.attentions += getattr(outputs, name, None) or ()

    def joined(self, blocks: Sequence[int]) -> Tensor:
        """The states behind these blocks, and what entered the first for 0, side by side: (rows, tokens, units of all)."""
        return torch.cat([self.embeddings if block == 0 else self.states[block] for block in blocks], -1)

    @classmethod
    def parted(cls, states: Tensor, blocks: Sequence[int]) -> View:
        """The view of which these are the `joined` states."""
        found = dict(zip(blocks, states.chunk(len(blocks), -1), strict=True))
        return cls(found.get(0), {block: part for block, part in found.items() if block})

    def of(self, reads: str, block: int) -> Any:
        """What a loss reads of a block."""
        if reads == "embeddings":
            return self.embeddings
        return self.attentions[block - 1] if reads == "attentions" else getattr(self, reads)[block]


class Watched:
    """A model of which a `View` is taken for the blocks of these numbers. `reads` is what the losses compare."""

    def __init__(self, model: Any, reads: set[str], numbers: set[int]) -> None:
        self.blocks: list[Module] = [model.get_submodule(name) for name in blocks(model)]
        self.reads, self.numbers = reads, sorted(numbers)
        self.stored = [*([0] if "embeddings" in reads else []), *(self.numbers if "states" in reads else [])]
        self.options = {"output_attentions": True} if "attentions" in reads else {}
        if self.options:
            model.set_attn_implementation("eager")  # the others do not say where they look

    @contextmanager
    def view(self) -> Iterator[View]:
        """Inside, a pass of the model fills the view."""
        found = View()
        hooks = list(self._hooks(found))
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()

    def _hooks(self, found: View) -> Iterator[Any]:
        def enters(module: Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            found.embeddings = given[0] if given else named["hidden_states"]

        if "embeddings" in self.reads:
            yield self.blocks[0].register_forward_pre_hook(enters, with_kwargs=True)
        for number in self.numbers:
            if "states" in self.reads:
                yield self.blocks[number - 1].register_forward_hook(self._leaves(found, number))
            if "projections" in self.reads:
                layers = projections(self.blocks[number - 1])
                for i, layer in enumerate(layers):
                    yield layer.register_forward_hook(self._projects(found, number, i, len(layers)))

    @staticmethod
    def _leaves(found: View, number: int) -> Any:
        def leaves(module: Module, given: Any, output: Any) -> None:
            found.states[number] = output[0] if isinstance(output, tuple) else output

        return leaves

    @staticmethod
    def _projects(found: View, number: int, position: int, layers: int) -> Any:
        def projects(module: Module, given: Any, output: Any) -> None:
            parts = output.chunk(3, dim=-1) if layers == 1 else (output,)
            found.projections[number] = (*(found.projections.get(number, ()) if position else ()), *parts)

        return projects


def masks(batch: Any, sizes: list[int], number: int, writes: bool) -> Tensor:
    """Which tokens count in the block of this number, of shape (rows, tokens): those of the input, or of the text that a decoder
    beside an encoder writes."""
    if writes and len(sizes) == 2 and number > sizes[0]:
        mask: Tensor = batch["labels"].ne(IGNORED).long()
        return mask
    found: Tensor = batch["attention_mask"]
    return found
