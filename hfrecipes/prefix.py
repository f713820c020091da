"""Prefix: the frozen bottom of a model, run once; afterwards the model starts from what was stored of it.

A cut changes no module and no weight: it stands in for `forward` of the blocks below it, so that checkpoints, optimizers and
wrappers see the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from hfrecipes.family import blocks

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class _Reached(Exception):
    """Ends a forward pass at the block whose output is wanted."""


class Prefix:
    """The blocks that read the input: all of an encoder or a decoder, those of the encoder where a model has both."""

    def __init__(self, model: Any) -> None:
        names = blocks(model)
        first = names[0].rpartition(".")[0]
        self.blocks: list[Module] = [model.get_submodule(name) for name in names if name.rpartition(".")[0] == first]
        self.body: Module = model.base_model.get_encoder() if model.config.is_encoder_decoder else model.base_model
        self.model = model
        inside = [any(block is module for module in child.modules() for block in self.blocks) for child in self.body.children()]
        below = list(self.body.children())[: inside.index(True)]
        self.embeddings = [child for child in below if any(True for _ in child.parameters())]
        self.count = 0
        self._states: Tensor | None = None
        self._rest: tuple[Any, ...] | None = None

    def states(self, inputs: Mapping[str, Tensor], count: int) -> Tensor:
        """What the first `count` blocks make of a batch, in evaluation and without gradients: (rows, tokens, units)."""
        return self.states_at(inputs, [count])[0]

    def states_at(self, inputs: Mapping[str, Tensor], counts: Sequence[int]) -> list[Tensor]:
        """`states` for several numbers of blocks, from the lowest to the highest, in one pass."""
        outputs = self._outputs(inputs, counts)
        return [output[0] if isinstance(output, tuple) else output for output in outputs]

    def _outputs(self, inputs: Mapping[str, Tensor], counts: Sequence[int]) -> list[Any]:
        """What the blocks of these numbers hand on, in rising order; the blocks above them do not run."""
        import torch

        kept: list[Any] = []

        def keep(module: Module, given: Any, output: Any) -> None:
            kept.append(output)
            if len(kept) == len(counts):
                raise _Reached

        hooks = [self.blocks[count - 1].register_forward_hook(keep) for count in counts]
        training = self.model.training
        try:
            with torch.no_grad(), suppress(_Reached):
                self.model.eval()
                self.body(**inputs)
        finally:
            for hook in hooks:
                hook.remove()
            self.model.train(training)
        return kept

    def cut(self, count: int) -> None:
        """Let the model start behind the first `count` blocks, from `resumed(states)`; 0 makes it whole again."""
        for module in [*self.blocks[: self.count], *(self.embeddings if self.count else ())]:
            del module.forward
        self.count = count
        tuples = count > 0 and self._hands_on_more()
        for i, block in enumerate(self.blocks[:count]):
            block.forward = self._stand_in(block.forward, tuples and i == 0, i == count - 1)
        for embedding in self.embeddings if count else ():
            embedding.forward = self._nothing

    @contextmanager
    def resumed(self, states: Tensor) -> Iterator[None]:
        """Inside, a forward pass takes `states` for the output of the blocks below the cut."""
        self._states, self._rest = states, None
        try:
            yield
        finally:
            self._states = self._rest = None

    def _nothing(self, *given: Any, **named: Any) -> Tensor:
        """Zeros of the shape of embeddings, for the tokens or positions that come first in a call: nothing reads them."""
        import torch

        ids = next(entry for entry in (*given, *named.values()) if torch.is_tensor(entry))
        width: int = self.model.config.get_text_config().hidden_size
        return torch.zeros((), device=ids.device).expand(*ids.shape[:2], width)

    def _hands_on_more(self) -> bool:
        """Whether blocks hand on more than states."""
        import torch

        device = next(self.model.parameters()).device
        return isinstance(self._outputs({"input_ids": torch.zeros(1, 2, dtype=torch.long, device=device)}, [1])[0], tuple)

    def _stand_in(self, forward: Any, runs: bool, ends: bool) -> Any:
        """What is called for a block below the cut. It `runs` for the sake of what it hands on besides states: T5's first block
        makes the position biases of all; the others hand on the same."""

        def stand_in(hidden: Tensor, *given: Any, **named: Any) -> Any:
            import torch

            if runs:
                with torch.no_grad():
                    self._rest = forward(hidden, *given, **named)[1:]
            if ends:
                assert self._states is not None, "a cut model runs inside `resumed`"
                hidden = self._states.to(hidden.dtype)
            return (hidden, *self._rest) if self._rest is not None else hidden

        return stand_in
