"""One side of a labelling benchmark in a process of its own, on one thread: texts in, labels out.

    python -m tests.benchmarks.one_labelling '{"side": "ours", "run": "runs/x", "texts": 192}'

`side` is `ours` or `ours_one` (the bundle `cpu`: all texts at once, or one by one), `cascade` or `cascade_one` (the bundle of
that name likewise), `graph_one` (the graph of `cpu` through ONNX Runtime alone, one by one), `ort_one` (`run` is a folder with
the checkpoint as transformers exports it and ONNX Runtime makes it int8, one by one), `pipeline_32`, `pipeline_1` (transformers'
pipeline over the checkpoint, in batches of so many), `pipeline_one` (called with one text at a time), or the model alone on texts
of 32 tokens, one by one: `eager` in PyTorch, `ours_32` and `cascade_32`. Prints CPU milliseconds a text and the labels.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

WARM, PASSES = 32, 3
INT8 = "model_int8.onnx"
"""The graph of `ort_one`."""
DATA = Path("examples/data/banking77/test.jsonl")


def texts(count: int) -> list[str]:
    """Short texts of real customers, evenly spread over the test split."""
    lines = DATA.read_text("utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines[:: max(1, len(lines) // count)]][:count]


def served(graph: str, together: bool = True) -> Callable[[str, Sequence[str]], Callable[[], list[str]]]:
    """A graph of the run, all texts at once or one by one."""

    def made(run: str, given: Sequence[str]) -> Callable[[], list[str]]:
        from hfrecipes import Predictor

        predictor = Predictor.open(run, graph, threads=1)
        if together:
            return lambda: [answer.label for answer in predictor(list(given))]
        return lambda: [predictor(text).label for text in given]

    return made


def graph_one(run: str, given: Sequence[str]) -> Callable[[], list[str]]:
    folder = Path(run) / "bundles/cpu"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return alone(folder, manifest["graphs"][manifest["default"]]["file"], given)


def ort_one(run: str, given: Sequence[str]) -> Callable[[], list[str]]:
    return alone(Path(run), INT8, given)


def alone(folder: Path, graph: str, given: Sequence[str]) -> Callable[[], list[str]]:
    """Text after text through ONNX Runtime as it comes, with the tokenizer and the names of a folder."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / graph), options)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    names = json.loads((folder / "config.json").read_text("utf-8"))["id2label"]

    def label(text: str) -> str:
        found = tokenizer.encode(text)
        every = {"input_ids": found.ids, "attention_mask": found.attention_mask, "token_type_ids": found.type_ids}
        batch = {entry.name: np.array([every[entry.name]]) for entry in session.get_inputs()}
        return str(names[str(int(session.run(None, batch)[0][0].argmax()))])

    return lambda: [label(text) for text in given]


def pipeline_of(batch: int | None) -> Callable[[str, Sequence[str]], Callable[[], list[str]]]:
    def made(run: str, given: Sequence[str]) -> Callable[[], list[str]]:
        import torch
        from transformers import pipeline

        torch.set_num_threads(1)
        classify: Any = pipeline("text-classification", model=f"{run}/model", device="cpu")
        if batch is None:
            return lambda: [classify(text)[0]["label"] for text in given]
        return lambda: [found["label"] for found in classify(list(given), batch_size=batch)]

    return made


def eager(run: str, given: Sequence[str]) -> Callable[[], list[str]]:
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(1)
    model: Any = AutoModelForSequenceClassification.from_pretrained(f"{run}/model").eval()
    batches = [{name: torch.from_numpy(array) for name, array in batch.items()} for batch in of_32(run, len(given))]

    def labels() -> list[str]:
        with torch.inference_mode():
            return [str(model(**batch).logits.argmax().item()) for batch in batches]

    return labels


def engine(graph: str) -> Callable[[str, Sequence[str]], Callable[[], list[str]]]:
    """Our engine over a graph on 32 tokens, beside `eager`."""

    def made(run: str, given: Sequence[str]) -> Callable[[], list[str]]:
        from hfrecipes import Predictor

        predictor, batches = Predictor.open(run, graph, threads=1), of_32(run, len(given))
        return lambda: [str(predictor.engine(batch)["logits"].argmax()) for batch in batches]

    return made


def of_32(run: str, count: int) -> list[dict[str, Any]]:
    """So many texts of the test split that have 32 tokens or more, cut behind the 32nd, one a batch; again from the first where
    there are fewer."""
    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{run}/model/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(32)
    found = [entry for entry in tokenizer.encode_batch(texts(10_000)) if len(entry.ids) == 32]
    names = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    batches = [{name: np.array([getattr(entry, key)]) for name, key in names.items()} for entry in found]
    return list(islice(cycle(batches), count))


SIDES: dict[str, Callable[[str, Sequence[str]], Callable[[], list[str]]]] = {
    "ours": served("cpu/int8"),
    "cascade": served("cascade/int8"),
    "ours_one": served("cpu/int8", together=False),
    "cascade_one": served("cascade/int8", together=False),
    "ours_32": engine("cpu/int8"),
    "cascade_32": engine("cascade/int8"),
    "graph_one": graph_one,
    "ort_one": ort_one,
    "pipeline_32": pipeline_of(32),
    "pipeline_1": pipeline_of(1),
    "pipeline_one": pipeline_of(None),
    "eager": eager,
}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    chosen = texts(asked["texts"])
    SIDES[asked["side"]](asked["run"], chosen[:WARM])()
    labels = SIDES[asked["side"]](asked["run"], chosen)
    labels()
    times = []
    for _ in range(PASSES):
        started = time.process_time()
        found = labels()
        times.append(time.process_time() - started)
    print(json.dumps({"ms": 1000 * min(times) / len(chosen), "labels": found}))
