"""Explanation page: a text with what each of its tokens did for the answer, and where every head looked."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.folder import write_json, write_text

if TYPE_CHECKING:
    from hfrecipes.explaining import Explanation

STYLE = """
body { font: 15px/1.6 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #222; }
.token { padding: .15rem .3rem; border-radius: .2rem; display: inline-block; margin: .1rem; }
img { max-width: 100%; }
"""
INCHES = 1.7
"""The side of one head's map."""


def write_explanation(found: Explanation, folder: Path) -> list[Path]:
    """Write `explanation.json`, `explanation.html` and, where there is attention, `attention.png` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plot = folder / "attention.png"
    plot.unlink(missing_ok=True)
    if found.attention is not None:
        draw_attention(found.attention, found.tokens, plot)
    shares = [round(float(share), 6) for share in found.attributions]
    figures = {"value": found.value, "baseline": found.baseline, "gap": found.gap}
    values = {"answer": found.answer, "target": found.target, "tokens": list(found.tokens), "attributions": shares, **figures}
    write_json(folder / "explanation.json", values)
    write_text(folder / "explanation.html", page(found, plot if plot.is_file() else None))
    return [file for file in (folder / "explanation.html", folder / "explanation.json", plot) if file.is_file()]


def page(found: Explanation, plot: Path | None) -> str:
    """The page, which needs nothing beside it."""
    largest = max(float(np.abs(found.attributions).max()), 1e-12)
    spans = "".join(_span(token, float(share), largest) for token, share in zip(found.tokens, found.attributions, strict=True))
    said = (
        f"The logit of {found.target} is {found.value:.3f}, and {found.baseline:.3f} with padding in place of the text. "
        f"Green tokens raised it, red ones lowered it; together they did {found.attributions.sum():.3f}."
    )
    parts = [f"<h1>{escape(found.target)}</h1>", f"<p>{spans}</p>", f"<p>{escape(said)}</p>"]
    if plot is not None:
        picture = base64.b64encode(plot.read_bytes()).decode("ascii")
        words = "A row a layer, a column a head; in each map a row is a token that looks, a column one that is looked at."
        parts += ["<h2>Attention</h2>", f"<p>{words}</p>", f"<img alt='Attention' src='data:image/png;base64,{picture}'>"]
    head = f"<meta charset='utf-8'><title>{escape(found.target)}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _span(token: str, share: float, largest: float) -> str:
    hue, strength = ("120" if share > 0 else "0"), abs(share) / largest
    style = f"background: hsl({hue} 70% {100 - 45 * strength:.0f}%)"
    return f"<span class='token' style='{style}' title='{share:.4f}'>{escape(token)}</span>"


def draw_attention(attention: np.ndarray, tokens: tuple[str, ...], file: Path) -> None:
    """A map a head, a row of them a layer; every map has the same scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers, heads = attention.shape[:2]
    figure = Figure(figsize=(INCHES * heads + 1, INCHES * layers + 1), layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(layers, heads, squeeze=False)
    shown = [token.replace("$", r"\$") for token in tokens]  # a dollar would open a formula
    for layer in range(layers):
        for head in range(heads):
            axes = grid[layer, head]
            axes.imshow(attention[layer, head], vmin=0, vmax=1, cmap="viridis", aspect="auto")
            axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=6)
            axes.set_xticks(range(len(shown)) if layer == layers - 1 else [])
            axes.set_yticks(range(len(shown)) if head == 0 else [])
            if layer == layers - 1:
                axes.set_xticklabels(shown, rotation=90, fontsize=5)
            if head == 0:
                axes.set_yticklabels(shown, fontsize=5)
    figure.savefig(file, dpi=100)
