"""Plots: PNG files for a report. Each function gives the name of the file it wrote, or None where there is nothing to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfrecipes.pick import Candidate
    from hfrecipes.speed import Timing
    from hfrecipes.tokenization import Cut

WORST = 12
"""How many of the most confused classes are shown."""


def _axes(width: float = 7.0, height: float = 4.5) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure: Any, file: Path) -> str:
    figure.savefig(file, dpi=120)
    return file.name


def draw_loss(history: Sequence[Mapping[str, float]], file: Path) -> str | None:
    """Training and validation loss by step, out of the Trainer's log."""
    lines = {
        name: [(h["step"], h[key]) for h in history if key in h]
        for name, key in (("training", "loss"), ("validation", "eval_loss"))
    }
    if not any(lines.values()):
        return None
    figure, axes = _axes()
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o" if len(points) < 20 else None, label=name) if points else None
    axes.set(xlabel="step", ylabel="loss", title="Loss")
    axes.legend()
    return _save(figure, file)


def draw_rates(rates: Sequence[float], losses: Sequence[float], suggestion: float, file: Path) -> str:
    """The loss over the learning rate, on a logarithmic axis, with the rate that is suggested."""
    figure, axes = _axes()
    axes.plot(rates, losses)
    axes.axvline(suggestion, color="tab:red", linestyle="--", label=f"suggested: {suggestion:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss (running mean)", title="Range test")
    axes.legend()
    return _save(figure, file)


def draw_reliability(bins: Sequence[Mapping[str, float]], error: float, file: Path) -> str | None:
    """The share of right claims over confidence, bin by bin; the area of a point is the number of claims in it."""
    if not bins:
        return None
    figure, axes = _axes(5.5, 5.0)
    most = max(each["count"] for each in bins)
    axes.plot([0, 1], [0, 1], color="tab:gray", linestyle="--", label="as sure as right")
    sure, right = [each["confidence"] for each in bins], [each["right"] for each in bins]
    axes.scatter(sure, right, s=[15 + 285 * each["count"] / most for each in bins], alpha=0.6)
    axes.plot(sure, right)
    axes.set(xlabel="confidence", ylabel="share that is right", title=f"Reliability (expected calibration error {error:.3f})")
    axes.legend()
    return _save(figure, file)


def draw_confusion(predictions: Sequence[Any], references: Sequence[Any], file: Path) -> str | None:
    """Which of the most confused classes are taken for which, as counts."""
    if not references or not isinstance(references[0], str):
        return None
    wrong = Counter((true, said) for true, said in zip(references, predictions, strict=True) if true != said)
    mistaken: Counter[str] = Counter()
    for (true, said), count in wrong.items():
        mistaken[true] += count
        mistaken[said] += count
    names = sorted(name for name, _ in mistaken.most_common(WORST)) or sorted(set(references))[:WORST]
    both = Counter(zip(references, predictions, strict=True))
    figure, axes = _axes(8.5, 7.5)
    grid = [[both[true, said] for said in names] for true in names]
    axes.imshow(grid, cmap="Blues")
    for y, line in enumerate(grid):
        for x, count in enumerate(line):
            axes.text(x, y, count or "", ha="center", va="center", color="white" if count > max(map(max, grid)) / 2 else "black")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true", title=f"The {len(names)} most confused classes")
    return _save(figure, file)


def draw_frontier(candidates: Sequence[Mapping[str, Any]], metric: str, file: Path) -> str | None:
    """The metric against the latency of one text; the area of a point is the size on disk."""
    figure, axes = _axes()
    for candidate in candidates:
        axes.scatter(candidate["p50_ms"], candidate["scores"][metric], s=20 + 4 * candidate["mb"], alpha=0.6)
        axes.annotate(
            f"{candidate['name']}, {candidate['mb']:.0f} MB",
            (candidate["p50_ms"], candidate["scores"][metric]),
            xytext=(8, 8),
            textcoords="offset points",
        )
    axes.set(xlabel="p50 of one text (ms)", ylabel=metric, xscale="log", title=f"{metric} against latency")
    axes.margins(0.25)
    return _save(figure, file)


def draw_pareto(candidates: Sequence[Candidate], picked: Candidate | None, figure: str, file: Path) -> str:
    """The figure against the latency of one text, the area of a point its size on disk; what no other beats has a number and a
    line below."""
    named = [candidate for candidate in candidates if candidate.best or candidate == picked]
    canvas, axes = _axes(9.0, 5.0 + 0.2 * len(named))
    for candidate in candidates:
        place = candidate.p50_ms, candidate.score
        color = "tab:red" if candidate == picked else "tab:blue" if candidate.best else "lightgray"
        label = None
        if candidate in named:
            number = named.index(candidate) + 1
            label = f"{number}  {candidate.name}, {candidate.mb:.0f} MB" + (" (picked)" if candidate == picked else "")
            axes.annotate(str(number), place, ha="center", va="center", fontsize=8, zorder=3)
        axes.scatter(*place, s=60 + 4 * candidate.mb, alpha=0.6, color=color, label=label)
    axes.set(xlabel="p50 of one text (ms)", ylabel=figure, xscale="log", title=f"{figure} against latency and size")
    axes.margins(0.1)
    canvas.legend(loc="outside lower center", fontsize=7, markerscale=0.4)
    return _save(canvas, file)


def draw_speed(timings: Sequence[Timing], file: Path) -> str:
    """Rows a second against the tokens of a row, one picture a batch size, one line a side."""
    batches = sorted({timing.batch for timing in timings})
    figure, _ = _axes(4.5 * len(batches), 4.0)
    figure.clear()
    for axes, batch in zip(figure.subplots(1, len(batches), squeeze=False)[0], batches, strict=True):
        for side in dict.fromkeys((timing.side, timing.device) for timing in timings):
            mine = [t for t in timings if (t.side, t.device, t.batch) == (*side, batch)]
            axes.plot([t.length for t in mine], [t.rows_per_s for t in mine], marker="o", label=" ".join(side))
        axes.set(xlabel="tokens a row", ylabel="rows a second", yscale="log", title=f"{batch} at once")
    axes.legend(fontsize=7)
    return _save(figure, file)


def draw_tokens(cuts: Sequence[Cut], file: Path) -> str | None:
    """Tokens a word and bytes a token of several tokenizers, side by side."""
    if not cuts:
        return None
    figure, axes = _axes(height=1.0 + 0.8 * len(cuts))
    for offset, label, values in (
        (-0.2, "tokens a word", [cut.fertility for cut in cuts]),
        (0.2, "bytes a token", [cut.bytes_per_token for cut in cuts]),
    ):
        bars = axes.barh([place + offset for place in range(len(cuts))], values, height=0.38, label=label)
        axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_yticks(range(len(cuts)), [f"{cut.name}\n{cut.vocabulary:,}" for cut in cuts])
    axes.set(ylabel="tokenizer, vocabulary", title="How texts are cut")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.legend()
    return _save(figure, file)


def draw_drift(lines: Mapping[str, Sequence[float]], file: Path) -> str | None:
    """The distance of each detector as a share of its limit, window by window; those beyond it in colours, the others in grey."""
    if not any(lines.values()):
        return None
    figure, axes = _axes(9.0, 5.0)
    axes.axhline(1.0, color="black", linestyle="--", label="limit")
    for name, ratios in lines.items():
        beyond = max(ratios) > 1
        style = {"marker": "o", "label": name} if beyond else {"color": "lightgray", "zorder": 1}
        axes.plot(range(1, len(ratios) + 1), ratios, markersize=4, **style)
    axes.set(xlabel="window", ylabel="distance / limit", yscale="symlog", title="Drift")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right upper", fontsize=7)
    return _save(figure, file)
