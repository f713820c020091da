"""The configuration of static models: a vector a token, and nothing between the tokens of a text."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig

from hfrecipes.errors import ModelError

TYPE = "static"
POOLINGS = ("mean", "weighted")


class StaticConfig(PreTrainedConfig):
    """The sizes of a static model.

    `pooling`: a text is the `mean` of its tokens' vectors, or their mean times a learned weight each (`weighted`; Arora et al.
    2017 weigh a token by how rare it is). With `intermediate_size` a layer of so many units stands before the head's last one.
    A masked word is told from `window` words on either side.
    """

    model_type = TYPE

    vocab_size: int = 30522
    hidden_size: int = 256
    pooling: str = "weighted"
    intermediate_size: int = 0
    window: int = 5
    classifier_dropout: float | int = 0.1
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self, **named: Any) -> None:
        if self.pooling not in POOLINGS:
            raise ModelError("model.config.pooling", f"is '{self.pooling}'", f"Write {' or '.join(POOLINGS)}")
        for name in ("hidden_size", "window"):
            if getattr(self, name) < 1:
                raise ModelError(f"model.config.{name}", f"is {getattr(self, name)}", "Write 1 or more")
        from hfrecipes import static_model  # noqa: F401  the Auto classes know the models as soon as there is a configuration

        super().__post_init__(**named)  # type: ignore[no-untyped-call]
