"""Generation: text from a PyTorch model, or from the ONNX graphs of a bundle through the same `generate` of transformers.

An exported generator has the graphs `prefill` and `decode` with a KV cache between them, and an encoder where its
architecture has one. `OnnxGenerator` looks to transformers like a model, so that greedy search, beams, sampling, stop strings
and streaming are those of `GenerationMixin`.
"""

from __future__ import annotations

import copy
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

from hfrecipes.inference.admission import Admission, Greedy, fits
from hfrecipes.inference.engines import session_options
from hfrecipes.inference.planning import plan

ENCODER = "encoder"
"""The folder of the encoder's graph beside the decoder's."""
PLAIN = {
    *("bos_token_id", "decoder_start_token_id", "eos_token_id", "max_new_tokens", "min_new_tokens", "pad_token_id"),
    *("transformers_version", "use_cache"),
}
"""The options of `generate` with which it is greedy and nothing else."""


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
        decoder_attention_mask: torch.Tensor | None = None,
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
        if decoder_input_ids is not None:
            rows, length = decoder_input_ids.shape
            whole = decoder_attention_mask is None
            given["decoder_attention_mask"] = (
                torch.ones(rows, past + length, dtype=torch.long) if whole else decoder_attention_mask
            )
        if past:
            given |= {"cache": held, "past_key_values": held}
        runner = self.graphs.runners["decode" if past else "prefill"]
        given["attention_mask"] = attention_mask
        return runner(**{name: entry for name, entry in given.items() if name in runner.metadata.kwargs})


def greedy(model: OnnxGenerator, options: Mapping[str, Any]) -> Greedy | None:
    """How `generate` would write under `options` where it is greedy and nothing else."""
    asked = copy.deepcopy(model.generation_config)
    unknown = asked.update(**options)
    changed = {name for name, entry in asked.to_diff_dict().items() if entry not in (None, False) and not name.startswith("_")}
    if unknown or not changed <= PLAIN or asked.max_new_tokens is None:
        return None
    given = asked.eos_token_id
    ends = () if given is None else (given,) if isinstance(given, int) else tuple(given)
    filler = asked.pad_token_id if asked.pad_token_id is not None else (ends or (0,))[0]
    start = asked.decoder_start_token_id if asked.decoder_start_token_id is not None else asked.bos_token_id
    return Greedy(asked.max_new_tokens, asked.min_new_tokens or 0, ends, filler, start or 0)


def read_pair(model: OnnxGenerator, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The `logits` of an encoder-decoder for a source (`input_ids`) and what stands in its decoder (`decoder_input_ids`)."""
    given = {name: torch.from_numpy(array) for name, array in batch.items()}
    read = model.get_encoder()(given["input_ids"], given["attention_mask"])
    found = model(None, given["attention_mask"], decoder_input_ids=given["decoder_input_ids"], encoder_outputs=read)
    return {"logits": found.logits.cpu().numpy()}


@dataclass(frozen=True)
class Writer:
    """The engine of tasks that write: calls `generate` of a model with `options` (`max_new_tokens`, `num_beams`, `do_sample`,
    `stop_strings`, …), or `admission`, which writes the same in less time. `folder` holds the tokenizer, which stop strings and
    streams need. `equal`: `generate` gets only prompts of one length together."""

    model: Any
    folder: Path
    options: Mapping[str, Any]
    admission: Admission | None = None
    equal: bool = False

    @classmethod
    def over(cls, model: OnnxGenerator, folder: Path, options: Mapping[str, Any], admits: bool) -> Writer:
        """Over the graphs of a bundle, with admission where they can and the options ask for nothing that it cannot do, and where
        it `admits` rows to a batch that others have begun.

        A decoder's rows are of equal length in `generate`: ONNX Runtime 1.32 takes the positions of the first row for all when it
        reads prompts with rotary embeddings, so that padded rows of a llama would go on wrong.
        """
        how, sessions = greedy(model, options), {name: runner.session for name, runner in model.graphs.runners.items()}
        pair = model.encoder is not None
        if how is None or not admits or not fits(sessions["prefill"], sessions["decode"], pair):
            return cls(model, folder, options, equal=not pair)
        encoder = model.encoder.exported.runners["model"].session if model.encoder is not None else None
        return cls(model, folder, options, Admission(sessions["prefill"], sessions["decode"], encoder, how), equal=not pair)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`sequences`: the new tokens of each row, shape (rows, longest), without the prompt."""
        read = batch["attention_mask"] == 1
        if self.admission is not None and read.any(axis=1).all():
            prompts = [ids[there] for ids, there in zip(batch["input_ids"], read, strict=True)]
            return {"sequences": self.admission(prompts)}
        planned = plan(read.sum(axis=1).tolist(), equal=self.equal)
        parts = [self._written(batch, read, rows) for rows in planned]
        filler, width = int(self.model.generation_config.pad_token_id or 0), max(part.shape[1] for part in parts)
        found = np.full((len(read), width), filler, np.int64)
        for rows, part in zip(planned, parts, strict=True):
            found[rows, : part.shape[1]] = part
        return {"sequences": found}

    def _written(self, batch: Mapping[str, np.ndarray], read: np.ndarray, rows: list[int]) -> np.ndarray:
        """What `generate` writes for some rows, without the prompts; `read` says where they are no padding."""
        columns = np.flatnonzero(read[rows].sum(axis=0)).tolist() or [-1]
        sequences = self._generate({name: batch[name][rows][:, columns] for name in ("input_ids", "attention_mask")})
        skipped = 1 if self.model.config.is_encoder_decoder else len(columns)
        new: np.ndarray = sequences[:, skipped:].cpu().numpy()
        return new

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
