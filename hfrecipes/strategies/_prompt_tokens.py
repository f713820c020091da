"""What prompt tuning does to a tokenizer and to a model: tokens in front of every text, whose embeddings alone learn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import Embedding, Parameter
from torch.nn.functional import embedding

from hfrecipes.tokens import PROMPT as ENTRY

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["ENTRY", "close_rows", "open_rows", "write_in_front"]
NAME = "<prompt>"


def write_in_front(tokenizer: PreTrainedTokenizerBase, count: int) -> list[int]:
    """Let a tokenizer write so many new tokens before the first text of an input; gives their ids."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.processors import TemplateProcessing

    names = [f"<prompt_{i}>" for i in range(count)]
    tokenizer.add_tokens([AddedToken(name, special=True) for name in names], special_tokens=True)
    ids: list[int] = tokenizer.convert_tokens_to_ids(names)  # type: ignore[assignment]
    backend = tokenizer.backend_tokenizer
    whole = json.loads(backend.to_str())
    steps = whole["post_processor"]
    if steps is None or steps["type"] != "TemplateProcessing":
        plain = json.loads(TemplateProcessing(single="$A", pair="$A:0 $B:0", special_tokens=[]).__getstate__())
        plain = around(steps) or plain
        kept = [steps] if steps is not None and steps["type"] == "ByteLevel" else []
        steps = {"type": "Sequence", "processors": [*kept, plain]}
    template = steps["processors"][-1] if steps["type"] == "Sequence" else steps
    for kind in ("single", "pair"):
        first = next(i for i, item in enumerate(template[kind]) if "Sequence" in item)
        template[kind].insert(first, {"SpecialToken": {"id": NAME, "type_id": 0}})
    template["special_tokens"][NAME] = {"id": NAME, "ids": ids, "tokens": names}
    backend.post_processor = Tokenizer.from_str(json.dumps({**whole, "post_processor": steps})).post_processor
    return ids


def around(steps: dict[str, Any] | None) -> dict[str, Any] | None:
    """The template that says what `BertProcessing` or `RobertaProcessing` does; None for others."""
    from tokenizers.processors import TemplateProcessing

    if steps is None or steps["type"] not in ("BertProcessing", "RobertaProcessing"):
        return None
    (cls, cls_id), (sep, sep_id) = steps["cls"], steps["sep"]
    second = f"$B:1 {sep}:1" if steps["type"] == "BertProcessing" else f"{sep} $B:0 {sep}"
    made = TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} {second}", special_tokens=[(cls, cls_id), (sep, sep_id)]
    )
    found: dict[str, Any] = json.loads(made.__getstate__())
    return found


def open_rows(model: PreTrainedModel) -> None:
    """Let the rows of the prompt learn as `prompt`, a parameter of the model of shape (tokens, units), beside the frozen table of
    embeddings."""
    table: Any = model.get_input_embeddings()
    ids = torch.tensor(getattr(model.config, ENTRY))
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
        table.weight[torch.tensor(getattr(model.config, ENTRY))] = model.prompt
    for module in tables(model):
        del module.forward
    del model.prompt


def tables(model: PreTrainedModel) -> list[Any]:
    """The modules that look up the embeddings of tokens: T5's encoder and decoder have one each over the same weights."""
    weight = model.get_input_embeddings().weight
    return [module for module in model.modules() if isinstance(module, Embedding) and module.weight is weight]
