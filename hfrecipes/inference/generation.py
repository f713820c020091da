"""Generation: text from a PyTorch model, or from the ONNX graphs of a bundle through the same `generate` of transformers.

An exported generator has the graphs `prefill` and `decode` with a KV cache between them, and an encoder where its
architecture has one. `OnnxGenerator` looks to transformers like a model, so that greedy search, beams, sampling, stop strings
and streaming are those of `GenerationMixin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers import AutoTokenizer, GenerationMixin, PreTrainedModel
from transformers.exporters import ExportedModel

from hfrecipes.inference.engines import Engine

ENCODER = "encoder"
"""The folder of the encoder's graph beside the decoder's."""


class OnnxEncoder(torch.nn.Module):
    """The encoder's graph as `generate` calls it."""

    main_input_name = "input_ids"

    def __init__(self, exported: ExportedModel) -> None:
        super().__init__()
        self.exported = exported

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> Any:
        """The hidden states of token ids, both of shape (rows, tokens)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return self.exported(input_ids=input_ids, attention_mask=mask)


class OnnxGenerator(PreTrainedModel, GenerationMixin):
    """The graphs of a bundle as a model with `generate`."""

    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(self, decoder: ExportedModel, encoder: ExportedModel | None) -> None:
        super().__init__(decoder.config)
        self.graphs = decoder
        self.encoder = OnnxEncoder(encoder) if encoder is not None else None
        self.place = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        if decoder.generation_config is not None:
            self.generation_config = decoder.generation_config

    @classmethod
    def open(cls, folder: Path, providers: list[str], threads: int | None) -> OnnxGenerator:
        """The graphs that a target wrote into `folder`."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        parts = [folder, folder / ENCODER] if (folder / ENCODER).is_dir() else [folder]
        loaded = [ExportedModel.from_pretrained(p, providers=providers, session_options=options) for p in parts]
        return cls(loaded[0], loaded[1] if len(loaded) == 2 else None)

    def get_encoder(self, *_: Any, **__: Any) -> Any:
        """The encoder, for `generate`."""
        return self.encoder

    def can_generate(self) -> bool:  # type: ignore[override]
        """True: this is what it is for."""
        return True

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cache: Any = None,
        past_key_values: Any = None,
        decoder_input_ids: torch.Tensor | None = None,
        encoder_outputs: Any = None,
        **_: Any,
    ) -> Any:
        """One step of `generate` (which reads this signature): the whole prompt without a cache, one token with it.

        The cache is called `past_key_values` up to transformers 5.23 and `cache` from 5.24 on.
        """
        held = past_key_values if cache is None else cache
        past = held.get_seq_length() if held is not None else 0
        read = input_ids if encoder_outputs is None else encoder_outputs.last_hidden_state
        if attention_mask is None:  # `generate` leaves a mask of ones out; the graphs need it
            length = past + read.shape[1] if encoder_outputs is None else read.shape[1]  # type: ignore[union-attr]
            attention_mask = torch.ones(len(read), length, dtype=torch.long)  # type: ignore[arg-type]
        given = {"input_ids": input_ids, "decoder_input_ids": decoder_input_ids, "encoder_outputs": encoder_outputs}
        if input_ids is not None:
            given["position_ids"] = (attention_mask.cumsum(dim=-1) - 1).clamp(min=0)[:, -input_ids.shape[1] :]
        if past:
            given |= {"cache": held, "past_key_values": held}
        runner = self.graphs.runners["decode" if past else "prefill"]
        given["attention_mask"] = attention_mask
        return runner(**{name: entry for name, entry in given.items() if name in runner.metadata.kwargs})


def generation_engine(model: Any, folder: Path, options: Mapping[str, Any]) -> Engine:
    """What turns a batch of prompts into `sequences`: the new tokens of each row, shape (rows, longest), without the prompt.

    `options` go to `generate`: `max_new_tokens`, `num_beams`, `do_sample`, `stop_strings`, `streamer`, …
    """
    decoder_only = not model.config.is_encoder_decoder
    more = {"tokenizer": AutoTokenizer.from_pretrained(folder)} if "stop_strings" in options else {}
    model.eval()

    def run(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        inputs = {name: torch.from_numpy(batch[name]).to(model.device) for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            sequences = model.generate(**inputs, **options, **more)
        skipped = inputs["input_ids"].shape[1] if decoder_only else 1
        return {"sequences": sequences[:, skipped:].cpu().numpy()}

    return run
