"""Two classifiers as one ONNX graph: what the first is not sure of, the second answers.

Rows of a batch are told apart inside of the graph, so that whoever runs it gives texts in and gets logits out as from any other;
the second model stands in a branch that is not taken where the first is sure of all rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from hfrecipes.errors import ModelError, RecipeError, blamed
from hfrecipes.folder import read_json
from hfrecipes.models import Model, label_order, load_config, load_model
from hfrecipes.targets import Graph
from hfrecipes.targets._cpu import STATIC
from hfrecipes.targets._graph import constant
from hfrecipes.targets._onnx import export_graph
from hfrecipes.targets._static import static
from hfrecipes.tasks import Task
from hfrecipes.tokens import Tokens, positions
from hfrecipes.uncertainty import load as load_uncertainty

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WHERE = "export.cascade"
FIRST, SECOND = "first_", "second_"
"""What names begin with, so that no two are the same."""
CONFIDENCE = "confidence"
PRECISION = STATIC + "; a smaller model answers where its confidence is at least {:g}"


def export(
    model: PreTrainedModel,
    samples: Sequence[dict[str, np.ndarray]],
    folder: Path,
    first: Model,
    confidences: Sequence[float],
    opset: int | None,
) -> dict[str, Graph]:
    """The model alone in fp32, and behind `first` for each of the `confidences`; of several the run keeps one, or the model in
    int8 alone. The bundle in `folder` has the files of its reader already."""
    config: Any = model.config
    task: Any = Task.choose(read_json(folder / "task.json")["task"])
    if config.problem_type != "single_label_classification" or task.pattern:
        raise RecipeError(WHERE, "is for text-classification with one label a text, and no pattern", "Write cpu")
    small = _opened(first, Tokens.open(folder, task.max_length, positions(read_json(folder / "config.json"))))
    said, instead = f"{first.label} and the model", "Train both on rows of the same labels"
    order = label_order(config, small.config, said, f"{WHERE}.first", instead)
    temperature = load_uncertainty(Path(first.locate()), "pytorch").temperature
    (folder / "onnx").mkdir(parents=True)
    plain = folder / "onnx/model.onnx"
    ir.save(export_graph(model, samples[0], opset).program, plain)
    names = set(inspect.signature(small.forward).parameters)
    read = {name: array for name, array in samples[0].items() if name in names}
    ahead, behind = (static(made, samples) for made in (export_graph(small, read, opset).program, ir.load(plain)))
    graphs = {"fp32": Graph("onnx/model.onnx", "float32", batch_dependent=False)}
    several = len(confidences) > 1
    if several:
        ir.save(behind, folder / "onnx/model_alone.onnx")
        graphs["int8/alone"] = Graph("onnx/model_alone.onnx", STATIC, batch_dependent=False)
    made = cascade(ahead, behind, order, temperature)
    for confidence in confidences:
        file = f"onnx/model_{confidence:g}.onnx"
        made.graph.initializers[CONFIDENCE].const_value = ir.tensor(np.float32(confidence), name=CONFIDENCE)
        ir.save(made, folder / file)
        graphs[f"int8/{confidence:g}" if several else "int8"] = Graph(file, PRECISION.format(confidence), batch_dependent=False)
    return graphs


@blamed(f"{WHERE}.first")
def _opened(first: Model, tokens: Tokens) -> Any:
    """The first model. Raises ModelError where it is no classifier in a folder, or cannot read what the bundle reads."""
    found = Path(first.locate())
    if not found.is_dir():
        raise ModelError(WHERE, f"there is no folder {first.label}", "Give a run or a checkpoint on this machine")
    if Tokens.open(found, None, None).tokenizer.get_vocab() != tokens.tokenizer.get_vocab():
        what = f"{first.label} reads texts with another tokenizer than the model"
        raise ModelError(WHERE, what, "Give a student of the model: `model: {new: static}`, `vectors: {encoder: {teacher: RUN}}`")
    most = positions(read_json(found / "config.json"))
    if most and most < tokens.max_length:
        what = f"{first.label} reads {most} tokens of a text, and the model {tokens.max_length}"
        raise ModelError(WHERE, what, f"Write `task: {{text-classification: {{max_length: {most}}}}}`, or give another")
    return load_model(first, "text-classification", load_config(first), whole=True).eval()


def cascade(first: ir.Model, second: ir.Model, order: Sequence[int], temperature: float) -> ir.Model:
    """`first`, changed in place, with `second` taken over as a branch: where its highest probability of a row is below what the
    initializer `CONFIDENCE` says (1, until it is given another), the row's logits are those of `second`.

    Both give logits of shape (rows, labels) for the same inputs, each of shape (rows, tokens). The label i of `second` is the
    label `order[i]` of `first`, whose logits are divided by `temperature`.
    """
    graph, inner = first.graph, second.graph
    _rename(graph, FIRST)
    _rename(inner, SECOND)
    given = {value.name: value for value in graph.inputs}
    for value in inner.inputs:
        if value.name not in given:
            given[value.name] = ir.Value(name=value.name, shape=value.shape, type=value.type)
            graph.inputs.append(given[value.name])
    [logits] = graph.outputs
    make = _Chain(graph)
    turned = make("Gather", logits, constant(graph, "order", np.array(order)), axis=1)
    heated = make("Div", turned, constant(graph, "temperature", np.float32(temperature)))
    top = make("ReduceMax", make("Softmax", heated, axis=-1), constant(graph, "labels", np.array([1])), keepdims=0)
    unsure = make("Less", top, constant(graph, CONFIDENCE, np.float32(1)))
    rows = make("Squeeze", make("NonZero", unsure), constant(graph, "leading", np.array([0])))
    some = make("Greater", make("Size", rows), constant(graph, "none", np.array(0)))
    branches = {"then_branch": _corrected(inner, given, rows, heated), "else_branch": _kept(heated)}
    answer = make("If", some, **{name: ir.AttrGraph(name, branch) for name, branch in branches.items()})
    answer.name, answer.shape, answer.type = "logits", logits.shape, logits.type
    graph.outputs[0] = answer
    first.opset_imports.update(second.opset_imports)
    return first


class _Chain:
    """Adds nodes at the end of a graph."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph

    def __call__(self, op: str, *inputs: ir.Value, **attributes: ir.Attr | int) -> ir.Value:
        node = ir.node(op, inputs, attributes, name=f"cascade_{len(self.graph)}_{op.lower()}")
        node.outputs[0].name = f"{node.name}_made"
        self.graph.append(node)
        return node.outputs[0]


def _rename(graph: ir.Graph, prefix: str) -> None:
    """Let all names of a graph but those of its inputs begin with `prefix`."""
    for node in graph:
        for value in node.outputs:
            value.name = f"{prefix}{value.name}"
        node.name = f"{node.outputs[0].name}_node"
    for value in list(graph.initializers.values()):
        value.name = f"{prefix}{value.name}"


def _corrected(inner: ir.Graph, given: Mapping[str | None, ir.Value], rows: ir.Value, first: ir.Value) -> ir.Graph:
    """The logits `first` with those of the numbered `rows` replaced by what the graph `inner` makes of them."""
    begin = next(iter(inner))
    for value in list(inner.inputs):
        chosen = ir.node("Gather", [given[value.name], rows], {"axis": 0}, name=f"{SECOND}{value.name}_node")
        chosen.outputs[0].name = f"{SECOND}{value.name}"
        chosen.outputs[0].shape, chosen.outputs[0].type = value.shape, value.type
        inner.insert_before(begin, chosen)
        ir.convenience.replace_all_uses_with(value, chosen.outputs[0])
    inner.inputs.clear()
    make = _Chain(inner)
    places = make("Unsqueeze", rows, constant(inner, f"{SECOND}last", np.array([1])))
    [logits] = inner.outputs
    inner.outputs[0] = make("ScatterND", first, places, logits)
    inner.name = "second"
    return inner


def _kept(logits: ir.Value) -> ir.Graph:
    """The graph that gives what is there."""
    node = ir.node("Identity", [logits], name="cascade_kept")
    node.outputs[0].name = "kept_logits"
    return ir.Graph([], node.outputs, nodes=[node], name="first")
