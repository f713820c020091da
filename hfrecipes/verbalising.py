"""Verbalising: the head of a model that reads a pattern, made of its checkpoint's masked-language-modelling head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.config import dump
from hfrecipes.errors import ModelError, RecipeError
from hfrecipes.heads import ENTRY, Head
from hfrecipes.models import Model, load_config, load_model
from hfrecipes.pooling import pooled_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PreTrainedModel

    from hfrecipes.cloze import Cloze
    from hfrecipes.tokens import Tokens

FILE = "verbaliser.safetensors"
"""The file beside prepared rows with the weights that the head starts from."""
NAME = "verbaliser"
TRAIN = "Train it on masked words first (`task: fill-mask`), then write `model: runs/…`"
BERT = "Take a BERT, or one like it"
CLOSE = 1e-3
"""How far a logit of the head may be from the checkpoint's own."""


def learn(cloze: Cloze, given: Model, tokens: Tokens, learned: Mapping[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """The entry of a configuration for the head that tells the words of a pattern. Its weights are written into `folder`, but
    for a checkpoint that was trained with a pattern, which has them. Raises UserError where the pattern, its words or the
    checkpoint cannot be used."""
    if learned["problem_type"] != "single_label_classification":
        what = "has one word for one label, and rows have not one label each here"
        raise RecipeError(where, what, "Leave the pattern out")
    config: Any = load_config(given)
    entry, own = config.to_dict().get(ENTRY), _knows_words(config)
    if given.new or given.width is not None or (entry is not None and not own):
        raise ModelError("model", f"{given.label} has no head that was trained on masked words", TRAIN)
    labels = [str(learned["id2label"][i]) for i in sorted(learned["id2label"])]
    ids = cloze.ids(labels, tokens, where)
    if own:
        if sorted(labels) != (known := sorted(map(str, config.id2label.values()))):
            what = f"{given.label} knows the words of other labels: {', '.join(known)}"
            raise ModelError("model", what, "Give the model that it was made from")
        return {ENTRY: entry}
    model = load_model(replace(given, layers=None), "fill-mask", config, whole=True).eval()
    described, weights = _taken(model, ids)
    _check(model, described, weights, ids, tokens.tokenizer.token_to_id(tokens.special("mask_token")))

    from safetensors.torch import save_file

    save_file(weights, folder / FILE)
    return {ENTRY: dump(described)}


def fill(model: PreTrainedModel, given: Model, folder: Path) -> None:
    """Give the head of a model, in place, the weights that `learn` wrote. Nothing where it wrote none, and nothing for a
    checkpoint that was trained with a pattern since."""
    if (folder / FILE).is_file() and not _knows_words(load_config(given)):
        from safetensors.torch import load_file

        pooled = pooled_head(model)
        assert pooled is not None, "a pattern has a head of its own"
        model.get_submodule(pooled[0]).load_state_dict(load_file(folder / FILE))


def _knows_words(config: Any) -> bool:
    """Whether a checkpoint was trained with a pattern."""
    entry = config.to_dict().get(ENTRY)
    return isinstance(entry, dict) and NAME in entry


@dataclass(frozen=True)
class _Layers:
    """The layers of a masked-language-modelling head: all of the known kinds have these."""

    dense: Any
    activation: str
    norm: Any
    last: Any


def _layers(model: Any) -> _Layers:
    """The layers outside of a model's body. Raises ModelError where they are not a linear one, a norm, and the last."""
    from torch.nn import LayerNorm, Linear
    from transformers.activations import ACT2CLS

    inside, last = {id(module) for module in model.base_model.modules()}, model.get_output_embeddings()
    own = [module for module in model.modules() if id(module) not in inside and not any(module.children())]
    dense = [module for module in own if isinstance(module, Linear) and module is not last]
    norms = [module for module in own if isinstance(module, LayerNorm)]
    if len(dense) != 1 or len(norms) != 1 or last is None:
        raise ModelError("model", f"the layers of {type(model).__name__}'s head are not known", BERT)
    kinds = {entry[0] if isinstance(entry, tuple) else entry: name for name, entry in reversed(ACT2CLS.items())}
    named = [kinds[type(module)] for module in own if type(module) in kinds]
    return _Layers(dense[0], named[0] if named else "gelu", norms[0], last)


def _taken(model: Any, ids: list[int]) -> tuple[Head, dict[str, Any]]:
    """The head as a part, and its weights: the last layer's for these tokens alone."""
    found = _layers(model)
    bias = [layer.bias is not None for layer in (found.dense, found.norm, found.last)]
    entry = {"units": found.dense.out_features, "activation": found.activation, "epsilon": found.norm.eps, "bias": bias}
    head: Head = Head.choose({NAME: entry})
    weights = {"0.weight": found.dense.weight, "2.weight": found.norm.weight, "3.weight": found.last.weight[ids]}
    biases = {"0.bias": found.dense.bias, "2.bias": found.norm.bias, "3.bias": found.last.bias}
    weights |= {name: each[ids] if name == "3.bias" else each for name, each in biases.items() if each is not None}
    return head, {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}


def _check(model: Any, described: Head, weights: dict[str, Any], ids: list[int], mask: Any) -> None:
    """Hold the head against the checkpoint's own, on a mask alone. Raises ModelError where their logits differ."""
    import torch

    given = torch.tensor([[mask]])
    with torch.no_grad():
        state = model.base_model(input_ids=given).last_hidden_state[0, 0]
        head = described.build(len(state), len(ids))
        head.load_state_dict(weights)
        mine, its = head(state), model(input_ids=given).logits[0, 0, ids]
    if not torch.allclose(mine, its, atol=CLOSE, rtol=CLOSE):
        raise ModelError("model", f"the layers of {type(model).__name__}'s head are not known", BERT)
