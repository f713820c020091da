"""What is written for engines: complete, true to the graph, and readable for who reads it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import pytest
import yaml

from hfrecipes import Predictor
from hfrecipes.cli import main
from hfrecipes.engines import lay_out
from hfrecipes.engines._container import SERVING
from hfrecipes.folder import opened, read_json, seal, verified
from tests.contracts import every, make

WRITTEN = {
    "container": {"Containerfile", "requirements.txt", "model"},
    "kserve": {"Containerfile", "requirements.txt", "model", "inference_service.yaml"},
    "ray_serve": {"serve_app.py", "serve_config.yaml", "model"},
    "triton": {"films"},
}
ONNX_TYPES = {"TYPE_INT64": onnx.TensorProto.INT64, "TYPE_FP32": onnx.TensorProto.FLOAT}
WITHOUT = """
import sys
model, *lacking = sys.argv[1:]
sys.modules |= dict.fromkeys(lacking)
from pathlib import Path
from hfrecipes.cli import main
from hfrecipes.inference.predictor import Predictor
from hfrecipes.monitor import Monitor
from hfrecipes.serving import server
from hfrecipes.serving.app import service
from hfrecipes.serving.limits import Limits
service(Path(model), Predictor.open, Limits(), "", Monitor.from_pretrained)
"""
"""Opens a service where some packages cannot be imported."""


@pytest.fixture(scope="module")
def laid(shown: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the command writes for each engine."""
    root = tmp_path_factory.mktemp("engines")
    for engine in every("engines"):
        with pytest.raises(SystemExit) as stop:
            main(["export", str(shown), "--engine", engine, "--to", str(root / engine), "--name", "films"])
        assert not stop.value.code
    return {engine: root / engine for engine in every("engines")}


def test_every_engine_gets_its_files_and_a_bundle_that_answers(laid: dict[str, Path], shown: Path) -> None:
    assert {engine: {file.name for file in folder.iterdir()} for engine, folder in laid.items()} == WRITTEN
    text = "the film was good"
    for engine in set(WRITTEN) - {"triton"}:
        verified(laid[engine] / "model")
        assert Predictor.open(laid[engine] / "model")(text) == Predictor.open(shown)(text)


def test_the_configuration_of_triton_says_what_the_graph_says(laid: dict[str, Path], shown: Path) -> None:
    home = laid["triton"] / "films"
    bundle = shown / "bundles/cpu"
    facts = opened(bundle)
    assert (home / "1/model.onnx").read_bytes() == (bundle / facts["graphs"][facts["default"]]["file"]).read_bytes()
    config = pbtxt((home / "config.pbtxt").read_text("utf-8"))
    assert (config["name"], config["backend"], config["max_batch_size"]) == ("films", "onnxruntime", 64)
    assert config["dynamic_batching"] == {"max_queue_delay_microseconds": 2000}
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_CPU"}]
    graph = onnx.load(str(home / "1/model.onnx")).graph
    for told, tensors in ((config["input"], graph.input), (config["output"], graph.output)):
        assert len(told) == len(tensors) > 0
        for each, tensor in zip(told, tensors, strict=True):
            rows, *dims = tensor.type.tensor_type.shape.dim
            assert rows.dim_param and each["name"] == tensor.name
            assert ONNX_TYPES[each["data_type"]] == tensor.type.tensor_type.elem_type
            assert each["dims"] == [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]
    assert config["output"][0]["label_filename"] == "labels.txt"
    labels = read_json(home / "config.json")["id2label"]
    assert (home / "labels.txt").read_text("utf-8").split() == [labels[str(i)] for i in range(len(labels))]
    assert (home / "tokenizer.json").read_bytes() == (bundle / "tokenizer.json").read_bytes()


def test_the_container_serves_as_nobody_in_particular_and_has_all_that_is_imported(laid: dict[str, Path]) -> None:
    lines = (laid["container"] / "Containerfile").read_text("utf-8").splitlines()
    said = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    assert said["USER"] == "10001:10001"
    command = json.loads(said["ENTRYPOINT"])
    assert command == ["hfrecipes", "serve", "/model", "--host", "0.0.0.0", "--port", said["EXPOSE"]]
    required = {line.partition("==")[0] for line in (laid["container"] / "requirements.txt").read_text("utf-8").splitlines()}
    assert required == set(SERVING)
    others = {re.split(r"[^\w.-]", each)[0] for each in requires("hfrecipes") or [] if "extra ==" not in each} - required
    lacking = [top for top, names in packages_distributions().items() if others & set(names)]
    assert {"torch", "transformers", "datasets", "sklearn", "onnx"} <= set(lacking)
    model = str(laid["container"] / "model")
    subprocess.run([sys.executable, "-c", WITHOUT, model, *lacking], check=True)


def test_kubernetes_is_told_where_the_service_listens_and_that_it_needs_no_rights(laid: dict[str, Path]) -> None:
    service = yaml.safe_load((laid["kserve"] / "inference_service.yaml").read_text("utf-8"))
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    [container] = service["spec"]["predictor"]["containers"]
    [port] = container["ports"]
    assert f"EXPOSE {port['containerPort']}\n" in (laid["kserve"] / "Containerfile").read_text("utf-8")
    assert {container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")} == {port["containerPort"]}
    assert container["securityContext"]["runAsNonRoot"] and not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["image"].startswith("films:")


def test_the_application_of_ray_answers_as_the_service_does(laid: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.requests import Request

    def batch(**_: Any) -> Callable[[Any], Any]:
        async def alone(self: Any, method: Any, question: Any) -> Any:
            return (await method(self, [question]))[0]

        return lambda method: lambda self, question: alone(self, method, question)

    ray: Any = ModuleType("ray")
    ray.serve = SimpleNamespace(batch=batch, deployment=lambda cls: SimpleNamespace(bind=lambda: cls))
    monkeypatch.setitem(sys.modules, "ray", ray)
    [application] = yaml.safe_load((laid["ray_serve"] / "serve_config.yaml").read_text("utf-8"))["applications"]
    module, _, name = application["import_path"].partition(":")
    spec = importlib.util.spec_from_file_location(module, laid["ray_serve"] / f"{module}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    made = getattr(loaded, name)
    assert made.__name__ == application["deployments"][0]["name"]
    answers = made()

    def ask(body: bytes) -> tuple[int, Any]:
        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
        reply = asyncio.run(answers(Request(scope, receive)))
        return reply.status_code, json.loads(reply.body)

    text = "the film was good"
    status, reply = ask(json.dumps({"inputs": [text, "bad"]}).encode())
    wanted = Predictor.open(laid["ray_serve"] / "model", threads=1)([text, "bad"])
    assert status == 200 and [each["label"] for each in reply["answers"]] == [each.label for each in wanted]
    assert [ask(body)[0] for body in (b"{", b"{}", b'{"inputs": [3]}')] == [400, 422, 422]


BAD: list[tuple[tuple[str, ...], str]] = [
    (("--engine", "tritn"), "--engine: unknown engine 'tritn'. Did you mean 'triton'? One of: "),
    (("--engine", "{triton: {row: 8}}"), "--engine.triton: unknown key 'row'. Did you mean 'rows'? One of: rows, wait_ms."),
    (("--engine", "{triton: {rows: 0}}"), "--engine.triton.rows: should be greater than or equal to 1, not 0."),
    (("--engine", "triton", "--name", "My Films"), "--name: 'My Films' is no name of a service. Write small letters, digits "),
]


@pytest.mark.parametrize(("argv", "said"), BAD)
def test_bad_input_is_one_line(
    argv: tuple[str, ...], said: str, shown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, str(shown), *argv, "--to", str(tmp_path / "out")).startswith(f"error: {said}")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_full_and_a_run_without_a_bundle(
    shown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text("")
    to = ("--engine", "triton", "--to", str(tmp_path))
    assert refused(capsys, str(shown), *to) == f"error: {tmp_path}: is there already. Give another folder with --to."
    assert "has no bundle yet. Run `hfrecipes ship` on it." in refused(capsys, str(tmp_path), *to)


def test_a_gpu_is_asked_for_where_the_bundle_wants_one_and_triton_takes_one_graph_only(
    shown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(shown / "bundles/cpu", tmp_path / "bundle")
    facts = {key: entry for key, entry in opened(bundle).items() if key not in ("format", "files")}
    graph = {"file": "onnx", "precision": "float16", "batch_dependent": False}
    seal(bundle, {**facts, "providers": ["CUDAExecutionProvider"], "graphs": {"fp16": graph}, "default": "fp16"})
    said = refused(capsys, str(bundle), "--engine", "triton", "--to", str(tmp_path / "triton"))
    assert said.endswith(": writes with several graphs, and Triton is given one ONNX graph. Take kserve or ray_serve.")
    kserve, ray = (
        lay_out(bundle, make("engines", name), tmp_path / name) and tmp_path / name for name in ("kserve", "ray_serve")
    )
    service = yaml.safe_load((kserve / "inference_service.yaml").read_text("utf-8"))
    assert service["spec"]["predictor"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    [application] = yaml.safe_load((ray / "serve_config.yaml").read_text("utf-8"))["applications"]
    assert application["deployments"][0]["ray_actor_options"]["num_gpus"] == 1
    assert "torch==" in (kserve / "requirements.txt").read_text("utf-8")


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main(["export", *argv])
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def pbtxt(text: str) -> Any:
    """The values in protobuf's text format, as far as we write it: a message is a mapping, and no field stands twice."""
    words = re.findall(r'"[^"]*"|[\w.-]+|\S', f"{{ {re.sub('#.*', '', text)} }}")

    def taken() -> Any:
        word = words.pop(0)
        if word == "[":
            found = []
            while words[0] != "]":
                found.append(taken())
                assert words[0] in (",", "]")
                words[:1] = [] if words[0] == "," else words[:1]
            words.pop(0)
            return found
        if word == "{":
            fields: dict[str, Any] = {}
            while (name := words.pop(0)) != "}":
                assert name.isidentifier() and name not in fields and words[0] in (":", "[", "{")
                words[:1] = [] if words[0] == ":" else words[:1]
                fields[name] = taken()
                words[:1] = [] if words[0] == "," else words[:1]
            return fields
        return word if word.isidentifier() else json.loads(word)

    whole = taken()
    assert not words
    return whole
