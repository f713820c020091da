"""Drift page: what the windows of a source say, as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfrecipes.monitor import Drift
    from hfrecipes.watching import Watched

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; vertical-align: top; }
tr.beyond { background: #fdecea; }
img { max-width: 100%; }
.verdict { font-size: 1.3rem; font-weight: 600; }
"""
DETECTORS = ("detector", "distance", "limit", "in window", "beyond in", "since", "what moved", "rows that did most for it")
WINDOWS = ("window", "rows", "verdict", "beyond their limits", "accuracy expected", "by the threshold", "by labels")


def drift_page(found: Watched, facts: Mapping[str, Any], plot: Path | None) -> str:
    """The page: verdict, time line (the PNG at `plot`, where one was drawn), a row a detector, a row a window."""
    verdict = "Drift" if found.drifted else "No drift"
    counts = f"{found.alarmed} of {len(found.windows)} windows raised an alarm; chance may bring {found.allowed}"
    left = f" The last {found.left} rows are too few to be judged." if found.left else ""
    about = ", ".join(f"{name} {value}" for name, value in facts.items())
    parts = [
        f"<p class='verdict'>{verdict}</p>",
        f"<p>{escape(counts)} (false-alarm rate of a window: {found.rate:g}).{left}</p>",
        f"<p>{escape(about)}</p>",
        _picture(plot) if plot else "",
        "<h2>Detectors, where they were farthest</h2>",
        _table(DETECTORS, _detectors(found)),
        "<h2>Windows</h2>",
        _table(WINDOWS, _windows(found.windows)),
    ]
    head = f"<meta charset='utf-8'><title>{verdict}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _detectors(found: Watched) -> Iterable[tuple[bool, Sequence[str]]]:
    for finding, window, beyond in found.worst():
        figures = [f"{finding.distance:.4g}", f"{finding.limit:.4g}", str(window)]
        when = [str(len(beyond)), str(beyond[0])] if beyond else ["-", "-"]
        yield bool(beyond), [finding.detector, *figures, *when, finding.moved, ", ".join(str(name) for name in finding.ids)]


def _windows(windows: Sequence[Drift]) -> Iterable[tuple[bool, Sequence[str]]]:
    for each in windows:
        beyond = "; ".join(f"{finding.detector}: {finding.moved}" for finding in each.beyond)
        worth = ["-" if one is None else f"{one:.3f}" for one in (each.estimated, each.estimated_by_threshold, each.accuracy)]
        yield each.drifted, [str(each.window), str(each.rows), "drift" if each.drifted else "as before", beyond or "-", *worth]


def _picture(plot: Path) -> str:
    said = base64.b64encode(plot.read_bytes()).decode("ascii")
    return f"<img alt='Distance of each detector as a share of its limit, window by window' src='data:image/png;base64,{said}'>"


def _table(header: Sequence[str], rows: Iterable[tuple[bool, Sequence[str]]]) -> str:
    named = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = (
        f"<tr{' class=beyond' if beyond else ''}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for beyond, cells in rows
    )
    return f"<table><thead><tr>{named}</tr></thead>\n<tbody>" + "\n".join(body) + "</tbody></table>"
