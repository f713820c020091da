"""qlora: low-rank matrices beside linear layers of four bits learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.errors import DependencyError, RecipeError
from hfrecipes.part import value
from hfrecipes.strategies._low_rank import LowRank

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Qlora(LowRank):
    """Low-rank matrices as in `lora`, beside linear layers that are kept in four bits during the training (QLoRA, Dettmers et al.
    2023, arXiv:2305.14314: NormalFloat, double quantization). Needs a GPU and the extra `qlora`.

    In the end the four bits are turned back and the matrices added: the result is a plain model in fp32, rounded as it was
    trained.
    """

    rate_factor: ClassVar[float] = 10.0
    rate_source: ClassVar[str] = "Dettmers et al. 2023, arXiv:2305.14314, appendix B (1e-4 to 2e-4)"

    def config(self, **shared: Any) -> PeftConfig:
        from peft import LoraConfig

        return LoraConfig(r=self.r, **shared)

    def prepare(self, model: PreTrainedModel, family: Family) -> Any:
        import importlib.util

        import torch

        from hfrecipes.strategies._adapters import targets
        from hfrecipes.strategies._four_bits import quantize

        where = f"strategy.{self.name}"
        if not torch.cuda.is_available():
            raise RecipeError(where, "needs a GPU, and there is none", "Take lora")
        if importlib.util.find_spec("bitsandbytes") is None:
            raise DependencyError(where, "needs bitsandbytes", "Run: pip install 'hfrecipes[qlora]'")
        quantize(model, targets(model, self.target_modules, where), "cuda")
        model.to("cuda")  # type: ignore[arg-type]  # what is tried out before the training reads its input there
        return self.beside(model, family)

    def beside(self, model: Any, family: Family) -> Any:
        """The quantized model with low-rank matrices."""
        model.is_loaded_in_4bit = True  # by this PEFT chooses its layers; accelerate would ask for a device map
        wrapped = super().prepare(model, family)
        del model.is_loaded_in_4bit
        return wrapped

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from hfrecipes.strategies._four_bits import dequantize

        dequantize(model)
        return super().finish(model)
