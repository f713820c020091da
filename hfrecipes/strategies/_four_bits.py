"""What qlora does to a model: linear layers of four bits, and plain ones again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def quantize(model: PreTrainedModel, names: Sequence[str], device: str) -> None:
    """Put linear layers of four bits (NF4, the scales quantized too) in the place of those named; GPT-2's are turned around.
    What the model keeps in fp32 stays (T5's `wo`: T5 casts its input to the type of its weights)."""
    import torch
    from bitsandbytes.nn import Linear4bit, Params4bit
    from transformers.pytorch_utils import Conv1D

    compute = torch.bfloat16 if device == "cuda" else torch.float32
    kept = tuple(f".{name}" for name in model._keep_in_fp32_modules or ())
    for name in names:
        if name.endswith(kept):
            continue
        plain: Any = model.get_submodule(name)
        turned = isinstance(plain, Conv1D)
        weight = plain.weight.data.T.contiguous() if turned else plain.weight.data
        small: Any = Linear4bit(
            weight.shape[1], weight.shape[0], bias=plain.bias is not None, compute_dtype=compute, quant_type="nf4"
        )
        small.weight = Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True)
        if plain.bias is not None:
            small.bias = plain.bias
        small.turned = turned
        model.set_submodule(name, small.to(device))


def dequantize(model: Any) -> None:
    """Put a plain layer, its low-rank matrices added, in the place of every layer of four bits of a model that PEFT wrapped."""
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from peft.tuners.lora.bnb import Linear4bit
    from transformers.pytorch_utils import Conv1D

    for name, module in list(model.named_modules()):
        if not isinstance(module, Linear4bit):
            continue
        base: Any = module.get_base_layer()
        weight = dequantize_4bit(base.weight.data, base.weight.quant_state).float()
        wrapped: Any = module
        weight = weight + sum(wrapped.get_delta_weight(adapter).float() for adapter in wrapped.active_adapters)
        rows, columns = weight.shape
        plain: Any = Conv1D(rows, columns) if base.turned else torch.nn.Linear(columns, rows, bias=base.bias is not None)
        plain.weight.data = weight.T.contiguous() if base.turned else weight
        if base.bias is not None:
            plain.bias.data = base.bias.data.float()
        model.set_submodule(name, plain)
