"""Alarms: how far rows may be from held-out ones by chance alone.

The limits of all detectors are found together. A baseline and a window are drawn anew from the held-out rows many times (the
two-sample bootstrap, Efron and Tibshirani 1993, chapter 16), and the greatest of the detectors' distances, each on the scale of
its own, exceeds its limit at the chosen rate (the maximum statistic, Westfall and Young 1993): a window in which nothing has
moved raises any alarm at all about that often, however many detectors there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hfrecipes.config import dump
from hfrecipes.detectors import Detector
from hfrecipes.detectors._averages import Averages
from hfrecipes.errors import ModelError, UserError
from hfrecipes.folder import opened, read_json, sha256
from hfrecipes.part import named_by_a_model
from hfrecipes.signals import Sample, cut, see, spread
from hfrecipes.traffic import FILE
from hfrecipes.uncertainty import Claim, judged

if TYPE_CHECKING:
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

WATCHED: tuple[Mapping[str, Mapping[str, str]], ...] = (
    {"ks": {"feature": "characters"}},
    {"ks": {"feature": "tokens"}},
    {"ks": {"feature": "unknown_tokens"}},
    {"ks": {"feature": "rare_tokens"}},
    {"ks": {"feature": "confidence"}},
    {"confidence": {}},
    {"psi": {"feature": "answer"}},
    {"psi": {"feature": "tokens"}},
    {"chi_square": {"feature": "answer"}},
    {"chi_square": {"feature": "script"}},
    {"class_balance": {}},
    {"embedding_shift": {}},
    {"mmd": {}},
)
"""The detectors that every model is watched by, as far as its task has what they look at."""
WINDOWS = (30, 50, 100, 200, 500, 1000)
"""Rows of the windows that limits are found for."""
RATES = (0.1, 0.05, 0.01)
"""Windows that raise an alarm by chance."""
WINDOW, RATE = 200, 0.01
FEWEST = 50
"""Held-out rows below which chance cannot be told from drift."""
MOST = 2000
"""Held-out rows that are looked at."""
DRAWS = 2000
KEY = "monitor"
"""The entry of `baseline.json`."""
AGAIN = "Fit it again: hfrecipes fit"

Read = tuple[Averages, Mapping[str, Any], np.ndarray, np.ndarray]
"""A detector, its summary, the coordinates of the held-out rows, and those of a row that is new in everything."""


@dataclass(frozen=True)
class Alarms:
    """The detectors of a model with the summaries of its `rows` held-out rows, and the limits by rate, window and detector.
    `known` says which tokens were in those rows, and `worth` what confidence was worth: the share of right claims as `accuracy`,
    the mean confidence, and the confidence that as many claims reach as are right, as `threshold`; empty without claims."""

    rows: int
    known: np.ndarray
    detectors: Mapping[str, Averages]
    summaries: Mapping[str, Mapping[str, Any]]
    limits: Mapping[str, Mapping[str, Mapping[str, float]]]
    worth: Mapping[str, float]

    @classmethod
    def of(cls, folder: Path) -> Alarms:
        """Those of a run, of a release, or of a bundle: where there is a bundle to serve, of the graph that it serves.

        Raises ModelError where there are none, where they are those of other weights, or where the file is damaged.
        """
        index = folder / "bundles/index.json"
        bundle = folder / "bundles" / read_json(index)["default"] if index.is_file() else folder
        if (bundle / FILE).is_file() and (bundle / "manifest.json").is_file() and "checkpoint" in (facts := opened(bundle)):
            return cls.load(bundle / FILE, facts["checkpoint"])
        model = folder / "model" if (folder / "recipe.yaml").is_file() else folder
        if not (model / FILE).is_file():
            raise ModelError(
                str(folder), f"has no {FILE}", "Give a run or a release; one without it is fitted again: hfrecipes fit"
            )
        weights = model / "model.safetensors"
        return cls.load(model / FILE, sha256(weights) if weights.is_file() else "")

    @classmethod
    def load(cls, file: Path, weights: str) -> Alarms:
        """Those in a file that was made of the weights with this sha256."""
        try:
            found = read_json(file)
            belongs = found["weights"]
            kept = found[KEY]
            with named_by_a_model():
                parts = [Detector.choose(each["part"]) for each in kept["detectors"]]
            made = cls(
                int(kept["rows"]),
                np.unpackbits(np.frombuffer(bytes.fromhex(kept["known"]), dtype=np.uint8))[: kept["vocabulary"]].astype(bool),
                {part.title: part for part in parts},
                {part.title: each["summary"] for part, each in zip(parts, kept["detectors"], strict=True)},
                {rate: {size: {**by} for size, by in sizes.items()} for rate, sizes in kept["limits"].items()},
                {**kept["worth"]},
            )
        except (ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
            raise ModelError(str(file), f"cannot be read: {error!r:.80}", AGAIN) from error
        if weights != belongs:
            raise ModelError(str(file), "is not that of the checkpoint's weights", AGAIN)
        if not made.detectors:
            few = f"was made of {made.rows} held-out rows, and {FEWEST} are needed to tell drift from chance"
            raise ModelError(str(file), few, "Fit with more rows: data.validation_size")
        return made

    def limit(self, window: int, rate: float) -> dict[str, float]:
        """The limit of each detector for a window of so many rows: between the windows it was found for, it goes with the root of
        1/rows + 1/held-out rows. Raises UserError for a window below the smallest, or a rate that no limits were found for."""
        if window < WINDOWS[0]:
            raise UserError(
                "window",
                f"{window} rows are too few to tell drift from chance",
                f"Take {WINDOWS[0]} or more: the default is {WINDOW}",
            )
        if f"{rate:g}" not in self.limits:
            raise UserError(
                "rate", f"no limits were found for a false-alarm rate of {rate:g}", f"One of: {', '.join(self.limits)}"
            )
        sizes = self.limits[f"{rate:g}"]
        at = [self._scale(int(size)) for size in sizes]
        order = np.argsort(at)
        place = self._scale(window)
        return {
            title: float(np.interp(place, np.array(at)[order], np.array([by[title] for by in sizes.values()])[order]))
            for title in self.detectors
        }

    def _scale(self, window: int) -> float:
        return math.sqrt(1 / window + 1 / self.rows)


def fit(predictor: Predictor, rows: Sequence[Row], answers: Sequence[Any]) -> dict[str, Any]:
    """What `Alarms.load` reads, of labelled held-out rows and the answers to them, of which there may be none."""
    task, tokens, config = predictor.task, predictor.tokens, predictor.config
    rows, answers = rows[:MOST], answers[:MOST]
    asked = [task.row(row) for row in rows]
    known = spread(cut(asked, task, tokens), tokens.tokenizer.get_vocab_size()) > 0
    claims = [] if task.generates or not answers else judged(predictor, rows, answers)[0]
    return {
        "vocabulary": len(known),
        "known": np.packbits(known).tobytes().hex(),
        "worth": worth(claims),
        **calibrated(see(asked, answers, task, config, tokens)),
    }


def calibrated(sample: Sample) -> dict[str, Any]:
    """The detectors with their summaries of held-out rows, and their limits; none where the rows are fewer than `FEWEST`."""
    read: list[Read] = []
    for options in WATCHED if len(sample) >= FEWEST else ():
        detector = cast(Averages, Detector.choose(options))
        if detector.feature in sample:
            summary = detector.summarise(sample)
            coordinates = detector.coordinates(summary, sample)
            read.append((detector, summary, coordinates, detector.coordinates(summary, sample.novelty())))
    return {
        "rows": len(sample),
        "detectors": [{"part": dump(detector), "summary": summary} for detector, summary, _, _ in read],
        "limits": limits(read, WINDOWS, RATES) if read else {},
    }


def worth(claims: Sequence[Claim]) -> dict[str, float]:
    """What the confidence of claims on labelled rows was worth, as `Alarms.worth`."""
    if not claims:
        return {}
    sure, right = (
        np.array([confidence for confidence, _ in claims]).round(3),
        np.array([so for _, so in claims], dtype=np.float64),
    )
    threshold = np.quantile(sure, 1 - right.mean(), method="higher")
    return {"accuracy": float(right.mean()), "confidence": float(sure.mean()), "threshold": float(threshold)}


def limits(
    read: Sequence[Read], windows: Sequence[int], rates: Sequence[float], draws: int | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """The limit of each detector, by rate and window. `draws` (DRAWS) baselines and windows are drawn, always the same, from the
    held-out rows and one that is new in everything: about so often a new row is unlike all of those (add-one smoothing)."""
    draws = draws or DRAWS
    rows = len(read[0][2])
    draw = np.random.default_rng(0)
    cells = np.cumsum([coordinates.shape[1] for _, _, coordinates, _ in read])[:-1]
    whole = np.concatenate([np.concatenate([coordinates, new]) for _, _, coordinates, new in read], axis=1).astype(np.float32)
    before = np.split(_means(draw, whole, rows, draws), cells, axis=1)
    found: dict[str, dict[str, dict[str, float]]] = {f"{rate:g}": {} for rate in rates}
    for window in windows:
        after = np.split(_means(draw, whole, window, draws), cells, axis=1)
        apart = [detector.between(summary, b, a) for (detector, summary, _, _), b, a in zip(read, before, after, strict=True)]
        for rate in rates:
            least = [floor(each, window, rate / len(read)) for each in read]
            both = np.maximum(np.stack(apart), np.array(least)[:, None])
            found[f"{rate:g}"][str(window)] = {
                each[0].title: float(f"{limit:.6g}") for each, limit in zip(read, _together(both, rate), strict=True)
            }
    return found


def floor(read: Read, window: int, rate: float) -> float:
    """The distance of a window with as many rows that are new in everything as chance may bring although no held-out row was:
    of k rows that are new, all are among the window's with a chance of (window / (window + held-out rows)) to the k."""
    detector, summary, coordinates, new = read
    count = min(window, math.ceil(math.log(rate) / math.log(window / (window + len(coordinates)))))
    mean = coordinates.mean(axis=0)
    return float(detector.between(summary, mean, mean + count / window * (new[0] - mean)))


def _means(draw: np.random.Generator, coordinates: np.ndarray, size: int, draws: int) -> np.ndarray:
    """The means of `draws` samples of `size` rows, drawn with replacement, shape (draws, coordinates)."""
    rows = len(coordinates)
    at = draw.integers(rows, size=(draws, size)) + np.arange(draws)[:, None] * rows
    counts = np.bincount(at.ravel(), minlength=draws * rows).reshape(draws, rows)
    found: np.ndarray = (counts.astype(np.float32) @ coordinates / size).astype(np.float64)
    return found


def _together(apart: np.ndarray, rate: float) -> np.ndarray:
    """Limits that a share of at most `rate` of all draws exceeds in any detector; `apart` has the shape (detectors, draws). The
    rank is one standard error on the safe side. The scale of a detector is how far 1 of 100 draws is from the middle one, or half
    of how far the rarest are: where few draws move at all, they must not widen the limits of the others."""
    middle = np.median(apart, axis=1)
    usual, rare = np.quantile(apart, [0.99, 1 - rate / len(apart)], axis=1) - middle
    scale = np.maximum(usual, rare / 2)
    moves = scale > 1e-9
    draws = apart.shape[1]
    allowed = max(1, math.floor(rate * draws - math.sqrt(rate * draws)))
    top = ((apart[moves] - middle[moves, None]) / scale[moves, None]).max(axis=0) if moves.any() else np.zeros(draws)
    cut = np.sort(top)[draws - 1 - allowed]
    found: np.ndarray = np.where(moves, middle + cut * scale, apart.max(axis=1))
    return found
