"""What may be wrong with a folder of a model, by name."""

from __future__ import annotations

from functools import partial

from tests.faults import hostile as h
from tests.faults.hostile import Case

PICKLED = (
    *(
        "pytorch_model.bin",
        "adapter_model.bin",
        "training_args.bin",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "scaler.pt",
    ),
    *("weights.ckpt", "weights.npy", "weights.npz", "model.joblib", "model.pkl", "tokenizer.pickle", "spiece.model"),
    *("program.pt2", "model.dill"),
)
KERNEL = "somebody/kernels"
CASES: dict[str, Case] = {
    **{f"a pickle in {name}": Case("checkpoint", partial(h.bomb, name)) for name in PICKLED},
    "a pickle in a bundle": Case("bundle", partial(h.bomb, "pytorch_model.bin")),
    "a pickle in a release": Case("release", partial(h.bomb, "optimizer.pt")),
    "code beside the weights": Case("checkpoint", lambda place: h.code(place) and None),
    "auto_map in config.json": Case("checkpoint", partial(h.remote, "config.json", "auto_map", {"AutoModel": "evil.Evil"})),
    "auto_map of another repository": Case(
        "checkpoint", partial(h.remote, "config.json", "auto_map", {"AutoConfig": "somebody/evil--evil.Evil"})
    ),
    "auto_map in tokenizer_config.json": Case(
        "checkpoint", partial(h.remote, "tokenizer_config.json", "auto_map", {"AutoTokenizer": ["evil.Evil", None]})
    ),
    "auto_map in a processor": Case(
        "checkpoint", partial(h.remote, "preprocessor_config.json", "auto_map", {"AutoProcessor": "evil.Evil"})
    ),
    "auto_map in a bundle": Case("bundle", partial(h.remote, "config.json", "auto_map", {"AutoModel": "evil.Evil"})),
    "custom_pipelines": Case("checkpoint", partial(h.remote, "config.json", "custom_pipelines", {"x": {"impl": "evil.Evil"}})),
    "kernels of another repository": Case("checkpoint", partial(h.remote, "config.json", "_attn_implementation", KERNEL)),
    "a task that is a Python file": Case("bundle", partial(h.part, "task.json", lambda values, file: values.update(task=file))),
    "a task with options that is a Python file": Case(
        "bundle", partial(h.part, "task.json", lambda values, file: values.update(task={file: {}}))
    ),
    "a head that is a Python file": Case(
        "answering", partial(h.part, "config.json", lambda values, file: values.update(h.RESHAPED, classifier_head={file: {}}))
    ),
    "a detector that is a Python file": Case(
        "watched", partial(h.part, "baseline.json", lambda values, file: values["monitor"]["detectors"][0].update(part=file))
    ),
    "shards above the folder": Case("checkpoint", partial(h.shards, h.outside)),
    "shards at an absolute path": Case("checkpoint", partial(h.shards, h.absolute)),
    "shards at a path of Windows": Case("checkpoint", partial(h.shards, lambda place: r"C:\secret.safetensors")),
    "weights elsewhere, by config.json": Case("checkpoint", partial(h.entry, "config.json", "transformers_weights", h.outside)),
    "a vocabulary elsewhere": Case("checkpoint", partial(h.entry, "tokenizer_config.json", "vocab_file", h.absolute)),
    "a tokenizer elsewhere": Case(
        "checkpoint", partial(h.entry, "tokenizer_config.json", "fast_tokenizer_files", lambda place: [h.outside(place)])
    ),
    "arguments of a tokenizer elsewhere": Case(
        "checkpoint", partial(h.entry, "tokenizer_config.json", "init_inputs", lambda place: [h.absolute(place)])
    ),
    "an adapter of a model elsewhere": Case(
        "checkpoint", partial(h.entry, "adapter_config.json", "base_model_name_or_path", h.absolute)
    ),
    "a file of a bundle's manifest elsewhere": Case(
        "bundle",
        partial(h.edit, "manifest.json", lambda values, place: values["files"].update({h.outside(place): {"size": 4}})),
        sealed=False,
    ),
    "a graph of a bundle elsewhere": Case(
        "bundle",
        partial(h.edit, "manifest.json", lambda values, place: values["graphs"]["int8"].update(file=h.absolute(place))),
        sealed=False,
    ),
    "a bundle of an index elsewhere": Case(
        "release", partial(h.entry, "bundles/index.json", "default", lambda _: "../../outside")
    ),
    "a file of a release's manifest elsewhere": Case(
        "release",
        partial(h.edit, "manifest.json", lambda values, place: values["files"].update({h.absolute(place): {"size": 4}})),
        sealed=False,
    ),
    "data of a graph elsewhere": Case("bundle", partial(h.graph, lambda g, p: h.external(h.outside, g.initializer[0], p))),
    "data of a graph at an absolute path": Case(
        "bundle", partial(h.graph, lambda g, p: h.external(h.absolute, g.initializer[0], p))
    ),
    "data of a constant elsewhere": Case("bundle", partial(h.graph, h.in_a_constant)),
    "data elsewhere, written oddly": Case("bundle", h.padded),
    "a graph with a huge tensor": Case("bundle", partial(h.graph, lambda g, _: g.initializer[0].dims.__setitem__(0, 1 << 40))),
    "a link to a file elsewhere": Case("checkpoint", partial(h.link, "model.safetensors", h.absolute)),
    "a link upwards": Case("bundle", partial(h.link, "config.json", h.outside)),
    "a link to a folder elsewhere": Case("release", partial(h.link, "notes.md", lambda place: place.outside)),
    "a link to a device": Case("checkpoint", partial(h.link, "vocab.txt", lambda _: "/dev/zero")),
    "a link to itself": Case("checkpoint", partial(h.link, "vocab.txt", lambda _: "vocab.txt")),
    "a link to nothing": Case("checkpoint", partial(h.link, "vocab.txt", lambda _: "../nothing.txt")),
    "a hard link": Case("checkpoint", partial(h.hard_link, "model.safetensors")),
    "a pipe for a configuration": Case("checkpoint", partial(h.fifo, "config.json")),
    "a pipe for a tokenizer": Case("bundle", partial(h.fifo, "tokenizer.json"), sealed=False),
    "a socket": Case("bundle", h.listening, sealed=False),
    **{f"an archive {name}": Case("checkpoint", partial(h.slip, name)) for name in ("a.zip", "a.tar", "a.tar.gz")},
    "a header of 2^60 bytes": Case("checkpoint", partial(h.long_header, 1 << 60)),
    "a header as long as the file": Case("checkpoint", partial(h.long_header, 1 << 16)),
    "a header of 90 MB": Case(
        "checkpoint", lambda place: (h.long_header(90 << 20, place), h.sparse("model.safetensors", 100 << 20, place))[0]
    ),
    "weights beyond the file": Case("checkpoint", partial(h.header, h.first({"data_offsets": [0, 1 << 40]}))),
    "weights of another shape": Case("checkpoint", partial(h.header, h.first({"shape": [1 << 20, 1 << 20]}))),
    "weights of a shape that overflows": Case("checkpoint", partial(h.header, h.first({"shape": [1 << 62, 4]}))),
    "a model of ten million layers": Case("checkpoint", partial(h.entry, "config.json", "num_hidden_layers", lambda _: 10**7)),
    "a vocabulary of a billion": Case("checkpoint", partial(h.entry, "config.json", "vocab_size", lambda _: 10**9)),
    "units of a million": Case("checkpoint", partial(h.entry, "config.json", "intermediate_size", lambda _: 10**6)),
    "a size without end": Case("checkpoint", partial(h.entry, "config.json", "hidden_size", lambda _: 1 << 60)),
    "weights that are NaN": Case("checkpoint", partial(h.weights, float("nan"))),
    "weights that are infinite": Case("checkpoint", partial(h.weights, float("inf"))),
    "a configuration nested deeply": Case("checkpoint", partial(h.text, "config.json", lambda _: h.DEEP)),
    "a manifest nested deeply": Case("bundle", partial(h.text, "manifest.json", lambda _: h.DEEP), sealed=False),
    "a tokenizer nested deeply": Case("checkpoint", partial(h.text, "tokenizer.json", lambda _: h.DEEP)),
    "a configuration of 9 MB": Case("checkpoint", partial(h.text, "config.json", lambda _: '{"a": "' + "x" * (9 << 20) + '"}')),
    "a tokenizer of 1 GB": Case("bundle", partial(h.sparse, "tokenizer.json", 1 << 30), sealed=False),
    "a configuration of two models": Case("checkpoint", partial(h.text, "config.json", lambda _: h.TWICE)),
    "a configuration that is a list": Case("bundle", partial(h.text, "config.json", lambda _: "[]")),
    "an expression that takes for ever": Case("checkpoint", partial(h.tokenizer, h.splits(r"(\w+\s?)+$"))),
    "an expression of choices": Case("bundle", partial(h.tokenizer, h.replaces("(a|aa)+$"))),
    "an expression spelled in escapes": Case("checkpoint", h.spelled),
    "an expression that is none": Case("bundle", partial(h.tokenizer, h.splits("(a"))),
    "tokens beyond the vocabulary": Case(
        "bundle",
        partial(
            h.tokenizer, lambda values: values["model"].update(vocab={k: i + 10**6 for k, i in values["model"]["vocab"].items()})
        ),
    ),
    "more tokens than the model has": Case(
        "bundle", partial(h.tokenizer, lambda values: values["model"]["vocab"].update({f"x{i}": 900 + i for i in range(99)}))
    ),
    "special tokens that are not there": Case(
        "bundle", partial(h.tokenizer, lambda values: values["post_processor"].update(special_tokens={}))
    ),
    "ten thousand files": Case("checkpoint", h.crowded),
    "folders in folders": Case("checkpoint", h.deep_folders),
    "a recipe with a tag of Python": Case(
        "recipe", partial(h.text, "recipe.yaml", lambda place: f"recipe: !!python/object/apply:os.mkdir [{place.pwned}]\n")
    ),
    "a recipe of a billion numbers": Case("recipe", partial(h.text, "recipe.yaml", lambda _: f"recipe: bert\n{h.LAUGHS}")),
    "a recipe nested deeply": Case("recipe", partial(h.text, "recipe.yaml", lambda _: "recipe: bert\ntask: " + "[" * 5000)),
    "a run with bundles elsewhere": Case("run", lambda place: elsewhere(place)),
}


def elsewhere(place: h.Place) -> None:
    """The bundles of a run are a link."""
    (place.folder / "bundles").rename(place.outside / "bundles")
    (place.folder / "bundles").symlink_to(place.outside / "bundles")
