"""card_apart: the cards of what a release has in repositories of its own, each of which points to the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.apart import ADAPTER, CARDS, pieces, repository
from hfrecipes.folder import Run, read_json
from hfrecipes.report import Report, markdown_table
from hfrecipes.stages.card import HFRECIPES, auto, example_for, front_of, onnx_use, write_card

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

FULL = "float32"
PEFT = """With PEFT, on the model that it was trained on:

```python
from peft import PeftModel
from transformers import {auto}

model = PeftModel.from_pretrained({auto}.from_pretrained("{base}"{labels}), "{repo}")
```

[{weights}](https://huggingface.co/{weights}) is that model with this adapter merged into it: do not add it there again.
"""


def card_apart(recipe: Recipe, run: Run, weights: str) -> None:
    """Write a card for each piece, or merge the one that is there, into the folder `cards` of the run."""
    found, folder = Report.load(run.path), run.path / CARDS
    folder.mkdir(exist_ok=True)
    limits = f"Those of [{weights}](https://huggingface.co/{weights})."
    for piece, source in pieces(run).items():
        made = _adapter if piece == ADAPTER else _bundle
        front, parts = made(recipe, run, found, weights, repository(weights, piece), source)
        title = repository(weights, piece).partition("/")[2]
        write_card(folder / f"{piece}.md", folder / f"{piece}.json", front, title, parts, limits)


def _bundle(
    recipe: Recipe, run: Run, found: Report, weights: str, repo: str, source: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    manifest = read_json(source / "manifest.json")
    graphs, target = manifest["graphs"], manifest["target"]
    front = _front(recipe, found, repo, f"{target}/{manifest['default']}")
    front |= {"library_name": "onnx", "base_model": weights, "tags": [*front["tags"], "onnx"]}
    if any(graph["precision"] != FULL for graph in graphs.values()):
        front["base_model_relation"] = "quantized"
    else:
        front.pop("base_model_relation", None)
    onnx = "" if recipe.task.generates else onnx_use(run, target, repo, repo)
    header, rows = found.rows()
    kept = [row for row in rows if row[0] == "pytorch" or row[0].startswith(f"{target}/")]
    told = f"[{weights}](https://huggingface.co/{weights}) for `{target}`: {', '.join(f'`{name}`' for name in graphs)}."
    parts = {
        "use": f"## Use\n\n{told}\n\n{onnx}With hfrecipes:\n\n{HFRECIPES.format(repo=repo, example=example_for(recipe))}",
        "evaluation": "## Evaluation\n\n"
        f"Measured on {found.values['test_rows']} rows of the {found.values['split']} split, on "
        f"{found.values['hardware']['cpu']}. `pytorch` are the weights.\n\n{markdown_table(header, kept)}",
    }
    return front, parts


def _adapter(
    recipe: Recipe, run: Run, found: Report, weights: str, repo: str, source: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    front = _front(recipe, found, repo, "pytorch") | {"library_name": "peft"}
    kind, classes = auto(recipe), read_json(run.model / "config.json").get("id2label", {})
    labels = f", num_labels={len(classes)}" if "Classification" in kind else ""
    base = front.get("base_model", recipe.model.label.rpartition("/")[2])
    if "base_model" in front:
        front["base_model_relation"] = "adapter"
    use = PEFT.format(auto=kind, base=base, labels=labels, repo=repo, weights=weights)
    return front, {"use": f"## Use\n\n{use}"}


def _front(recipe: Recipe, found: Report, repo: str, measured: str) -> dict[str, Any]:
    """The front matter of the weights, with the figures of one candidate; what training took is told there."""
    whole = front_of(recipe, found)
    front = {key: entry for key, entry in whole.items() if key not in ("model-index", "co2_eq_emissions")}
    scores = [{"type": name, "name": name, "value": round(score, 6)} for name, score in found.of(measured).items()]
    if scores:
        results = whole["model-index"][0]["results"]
        front["model-index"] = [{"name": repo.partition("/")[2], "results": [{**results[0], "metrics": scores}]}]
    return front
