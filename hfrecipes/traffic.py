"""Traffic: what texts and the answers to them look like, as figures. A checkpoint carries those of held-out rows as
`baseline.json`, and a monitor holds what comes in production against them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

FILE = "baseline.json"
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
DIRECTIONS = 8
"""Random directions that embeddings are projected on."""
EMBEDDED = 256
"""Rows whose embeddings are taken."""
COMMONEST = 100
NEEDED = ("rows", "answers", "confidence", "characters", "tokens", "unknown_tokens", "scripts", "embeddings")
"""What every baseline holds."""


def summarise(
    predictor: Predictor, rows: Sequence[Row], answers: Sequence[Any], confidences: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """The histogram of what was answered, the quantiles of confidence, and of the texts: characters, tokens, the share of unknown
    tokens, and scripts."""
    task, config = predictor.task, predictor.config
    asked = [task.row(row) for row in rows]
    texts = [text_of(row, task.columns) for row in asked]
    encoded = predictor.tokens.encode(texts)
    unknown = predictor.tokens.names.get("unk_token")
    ids = [encoding.ids for encoding in encoded]
    unknowns = sum(sum(token == unknown for token in encoding.tokens) for encoding in encoded)
    return {
        "rows": len(rows),
        "answers": histogram(said for answer in answers for said in things(task.prediction(answer, config), config)),
        "confidence": quantiles([sure for each in confidences for sure in each]),
        "characters": quantiles([len(text) for text in texts]),
        "tokens": quantiles([len(each) for each in ids]),
        "unknown_tokens": unknowns / max(1, sum(map(len, ids))),
        "scripts": histogram(script(text) for text in texts),
    }


def balance(predictor: Predictor, rows: Sequence[Row]) -> dict[str, float]:
    """The shares of the true answers of labelled rows."""
    task, config = predictor.task, predictor.config
    return histogram(said for row in rows for said in things(task.reference(row, config), config))


def embeddings(states: np.ndarray) -> dict[str, Any]:
    """The mean of embeddings of shape (rows, width), and of their projections on `DIRECTIONS` random directions (always the same)
    the mean and the standard deviation."""
    import numpy as np

    directions = np.random.default_rng(0).standard_normal((states.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    projected = states @ directions
    return {
        "rows": len(states),
        "mean": [round(float(x), 6) for x in states.mean(axis=0)],
        "projections": {"mean": projected.mean(axis=0).round(6).tolist(), "sd": projected.std(axis=0).round(6).tolist()},
    }


def text_of(row: Row, columns: Mapping[str, Any]) -> str:
    """All texts in a row, and its words, joined by blanks."""
    found = []
    for role in columns:
        entry = row.get(role)
        if columns[role].text and isinstance(entry, str):
            found.append(entry)
        elif role == "tokens" and isinstance(entry, list):
            found.append(" ".join(map(str, entry)))
    return " ".join(found)


def things(prediction: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """What a prediction names: a label, several, a rounded number; of a text that is no label, the number of its words."""
    if isinstance(prediction, list):
        for each in prediction:
            yield from things(each, config)
    elif isinstance(prediction, float):
        yield f"{prediction:.1f}"
    else:
        said = str(prediction)
        yield said if said in config.get("label2id", {}) else f"{len(said.split())} words"


def histogram(found: Iterator[str]) -> dict[str, float]:
    """The share of each thing, the commonest first; beyond `COMMONEST` they are counted as one."""
    counts = Counter(found)
    total = max(1, counts.total())
    kept = {name: count / total for name, count in counts.most_common(COMMONEST)}
    return {**kept, "…": 1 - sum(kept.values())} if len(counts) > COMMONEST else kept


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """The quantiles by their share; empty without values."""
    import numpy as np

    if not len(values):
        return {}
    return {f"{share:g}": round(float(x), 6) for share, x in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def script(text: str) -> str:
    """The script that most letters of a text are of, by their Unicode names: `LATIN`, `CYRILLIC`, `CJK`; `none` without any."""
    seen = Counter(unicodedata.name(letter, "?").partition(" ")[0] for letter in text if letter.isalpha())
    return seen.most_common(1)[0][0] if seen else "none"
