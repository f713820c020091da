"""What prompt tuning does to a tokenizer and to a model: tokens in front of every text, whose embeddings alone learn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import Embedding, Parameter
from torch.nn.functional import embedding

from hfrecipes.tokens import PROMPT

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NAME = "<prompt>"


def write_in_front(tokenizer: PreTrainedTokenizerBase, count: int) -> list[int]:
    """Let a tokenizer write so many new tokens before the first text of an input; gives their ids."""
    from tokenizers import AddedToken, Tokenizer

    names = [f"<prompt_{i}>" for i in range(count)]
    tokenizer.add_tokens([AddedToken(name, special=True) for name in names], special_tokens=True)
    ids: list[int] = tokenizer.convert_tokens_to_ids(names)  # type: ignore[assignment]
    backend = tokenizer.backend_tokenizer
    whole = json.loads(backend.to_str())
    steps = whole["post_processor"]
    parts = [] if steps is None else steps["processors"] if steps["type"] == "Sequence" else [steps]
    template = next((part for part in parts if part["type"] == "TemplateProcessing"), None)
    if template is None:
        template = as_template(parts)
        parts = [*(part for part in parts if part["type"] == "ByteLevel"), template]
    for kind in ("single", "pair"):
        first = next(i for i, item in enumerate(template[kind]) if "Sequence" in item)
        template[kind].insert(first, {"SpecialToken": {"id": NAME, "type_id": 0}})
    template["special_tokens"][NAME] = {"id": NAME, "ids": ids, "tokens": names}
    backend.post_processor = Tokenizer.from_str(
        json.dumps({**whole, "post_processor": {"type": "Sequence", "processors": parts}})
    ).post_processor
    return ids


def as_template(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The template that says what `BertProcessing` or `RobertaProcessing` does, or one without special tokens."""
    from tokenizers.processors import TemplateProcessing

    single, pair, special = "$A", "$A:0 $B:0", []
    for part in parts:
        if part["type"] in ("BertProcessing", "RobertaProcessing"):
            special = [tuple(part["cls"]), tuple(part["sep"])]
            cls, sep = (name for name, _ in special)
            single = f"{cls} $A {sep}"
            pair = f"{single} $B:1 {sep}:1" if part["type"] == "BertProcessing" else f"{single} {sep} $B:0 {sep}"
    found: dict[str, Any] = json.loads(TemplateProcessing(single=single, pair=pair, special_tokens=special).__getstate__())
    return found


def open_rows(model: PreTrainedModel) -> None:
    """Let the rows of the prompt learn as `prompt`, a parameter of the model of shape (tokens, units), beside the frozen table of
    embeddings."""
    table: Any = model.get_input_embeddings()
    ids = torch.tensor(getattr(model.config, PROMPT))
    prompt = Parameter(table.weight.detach()[ids].clone())
    model.register_parameter("prompt", prompt)
    first, count = int(ids[0]), len(ids)

    def look_up(tokens: torch.Tensor) -> torch.Tensor:
        found = embedding(tokens, table.weight, table.padding_idx)
        here = (tokens >= first) & (tokens < first + count)
        return torch.where(here[..., None], embedding((tokens - first).clamp(0, count - 1), prompt), found)

    for module in tables(model):
        module.forward = look_up


def close_rows(model: Any) -> None:
    """Write what the prompt has learned into the table."""
    table: Any = model.get_input_embeddings()
    with torch.no_grad():
        table.weight[torch.tensor(getattr(model.config, PROMPT))] = model.prompt
    for module in tables(model):
        del module.forward
    del model.prompt


def tables(model: PreTrainedModel) -> list[Any]:
    """The modules that look up the embeddings of tokens: T5's encoder and decoder have one each over the same weights."""
    weight = model.get_input_embeddings().weight
    return [module for module in model.modules() if isinstance(module, Embedding) and module.weight is weight]
