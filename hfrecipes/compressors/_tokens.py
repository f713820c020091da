"""Tokens that the data never uses, taken out of a tokenizer: texts made of the others are read as before, under new ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json, write_json

CONTINUED = ("##", "▁", "Ġ")
"""What stands in front of characters in vocabularies."""


def kept(folder: Path, used: Iterable[int]) -> list[int]:
    """The ids to keep, in their order: those used, special and added ones, single characters, so that any word of known
    characters can still be read, and of pairs that were merged all that lead to a token that is kept. Raises ModelError where
    the kind of tokenizer is not known."""
    values = read_json(folder / "tokenizer.json")
    model, ids, asked = values["model"], _ids(values["model"]), set(used)
    chosen = {token for token, i in ids.items() if i in asked or len(_bare(token)) <= 1}
    chosen |= {model["unk_token"]} if model.get("unk_token") else set()
    if model["type"] == "Unigram" and model.get("unk_id") is not None:
        chosen.add(model["vocab"][model["unk_id"]][0])
    parts = {"".join(pair): pair for pair in map(_pair, model.get("merges", ()))}
    waiting = list(chosen)
    while waiting:
        for part in parts.get(waiting.pop(), ()):
            if part not in chosen:
                chosen.add(part)
                waiting.append(part)
    added = {entry["id"] for entry in values["added_tokens"]}
    return sorted({ids[token] for token in chosen if token in ids} | added)


def cut(folder: Path, keep: Sequence[int]) -> None:
    """Take all other tokens out of the tokenizer in a folder; token `keep[i]` has id `i` then."""
    values = read_json(folder / "tokenizer.json")
    fresh = {old: new for new, old in enumerate(keep)}
    model = values["model"]
    ids = _ids(model)
    if model["type"] == "Unigram":
        model["vocab"] = [entry for i, entry in enumerate(model["vocab"]) if i in fresh]
        model["unk_id"] = None if model.get("unk_id") is None else fresh[model["unk_id"]]
    else:
        model["vocab"] = {token: fresh[i] for token, i in sorted(ids.items(), key=lambda item: item[1]) if i in fresh}
    if "merges" in model:
        known = model["vocab"]
        model["merges"] = [m for m in model["merges"] if all(each in known for each in (*_pair(m), "".join(_pair(m))))]
    for entry in values["added_tokens"]:
        entry["id"] = fresh[entry["id"]]
    _renumber_special(values["post_processor"] or {}, fresh)
    write_json(folder / "tokenizer.json", values)
    options = read_json(folder / "tokenizer_config.json")
    if "added_tokens_decoder" in options:
        options["added_tokens_decoder"] = {str(fresh[int(i)]): entry for i, entry in options["added_tokens_decoder"].items()}
        write_json(folder / "tokenizer_config.json", options)


def renumber(config: Any, fresh: Mapping[int, int], others: Sequence[str] = ()) -> None:
    """Give the ids of tokens in a configuration, in place, their new numbers."""
    for name, entry in config.to_dict().items():
        if name.endswith("_token_id") or name in others:
            if isinstance(entry, int) and entry in fresh:
                setattr(config, name, fresh[entry])
            elif isinstance(entry, list):
                setattr(config, name, [fresh.get(i, i) for i in entry])


def _ids(model: Mapping[str, Any]) -> dict[str, int]:
    readers: dict[str, Callable[[Any], dict[str, int]]] = {
        "Unigram": lambda vocabulary: {token: i for i, (token, _) in enumerate(vocabulary)},
        **dict.fromkeys(("BPE", "WordPiece", "WordLevel"), dict),
    }
    if model.get("type") not in readers:
        raise ModelError(
            "compress.vocabulary", f"tokens of the kind {model.get('type')} are not known", f"One of: {', '.join(readers)}"
        )
    return readers[model["type"]](model["vocab"])


def _bare(token: str) -> str:
    """A token without the mark that it continues or begins a word."""
    for mark in CONTINUED:
        if token.startswith(mark) and len(token) > len(mark):
            return token[len(mark) :]
    return token


def _pair(merge: Any) -> tuple[str, str]:
    first, second = merge.split(" ", 1) if isinstance(merge, str) else merge
    return first, second


def _renumber_special(processor: Any, fresh: Mapping[int, int]) -> None:
    """Give the special tokens that a post-processor writes, in place, their new ids."""
    for entry in (processor.get("special_tokens") or {}).values():
        entry["ids"] = [fresh[i] for i in entry["ids"]]
    for name in ("sep", "cls"):
        if isinstance(processor.get(name), list):
            processor[name][1] = fresh[processor[name][1]]
    for each in processor.get("processors", ()):
        _renumber_special(each, fresh)
