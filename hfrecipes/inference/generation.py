"""Generation: text from a PyTorch model, or from the ONNX graphs of a bundle through the same `generate` of transformers.

An exported generator has the graphs `prefill` and `decode` with a KV cache between them, and an encoder where its
architecture has one. `OnnxGenerator` looks to transformers like a model, so that greedy search, beams, sampling, stop strings
and streaming are those of `GenerationMixin`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, GenerationMixin, PreTrainedModel, TextIteratorStreamer
from transformers.exporters import ExportedModel

from hfrecipes.inference.engines import session_options

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
    def open(
        cls, folder: Path, providers: Sequence[str], threads: int | None, place: Mapping[str, Any] = MappingProxyType({})
    ) -> OnnxGenerator:
        """The graphs that a target wrote into `folder`; `place` are options of the first provider, such as the device."""
        options, asked = session_options(threads), [(providers[0], dict(place)), *providers[1:]]
        parts = [folder, folder / ENCODER] if (folder / ENCODER).is_dir() else [folder]
        loaded = [ExportedModel.from_pretrained(p, providers=asked, session_options=options) for p in parts]
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


def read_pair(model: OnnxGenerator, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The `logits` of an encoder-decoder for a source (`input_ids`) and what stands in its decoder (`decoder_input_ids`)."""
    given = {name: torch.from_numpy(array) for name, array in batch.items()}
    read = model.get_encoder()(given["input_ids"], given["attention_mask"])
    found = model(None, given["attention_mask"], decoder_input_ids=given["decoder_input_ids"], encoder_outputs=read)
    return {"logits": found.logits.numpy()}


@dataclass(frozen=True)
class Writer:
    """The engine of tasks that write: calls `generate` of a model with `options` (`max_new_tokens`, `num_beams`, `do_sample`,
    `stop_strings`, …). `folder` holds the tokenizer, which stop strings and streams need."""

    model: Any
    folder: Path
    options: Mapping[str, Any]

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`sequences`: the new tokens of each row, shape (rows, longest), without the prompt."""
        sequences = self._generate(batch)
        skipped = 1 if self.model.config.is_encoder_decoder else batch["input_ids"].shape[1]
        return {"sequences": sequences[:, skipped:].cpu().numpy()}

    def stream(self, batch: Mapping[str, np.ndarray]) -> Iterator[str]:
        """The text that is written for one prompt, piece by piece. An error while writing is raised here."""
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        with ThreadPoolExecutor(max_workers=1) as pool:
            written = pool.submit(self._generate, batch, streamer=streamer)
            written.add_done_callback(lambda _: streamer.text_queue.put(streamer.stop_signal))
            yield from streamer
            written.result()

    @property
    def tokenizer(self) -> Any:
        """The tokenizer as transformers has it."""
        return AutoTokenizer.from_pretrained(self.folder)

    def _generate(self, batch: Mapping[str, np.ndarray], **more: Any) -> torch.Tensor:
        inputs = {name: torch.from_numpy(batch[name]).to(self.model.device) for name in ("input_ids", "attention_mask")}
        if "stop_strings" in self.options:
            more["tokenizer"] = self.tokenizer
        with torch.inference_mode():
            found: torch.Tensor = self.model.eval().generate(**inputs, **self.options, **more)
        return found
