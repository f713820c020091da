"""The world moves: the monitor that came with a model says so, a candidate learns from the new rows, the better one is kept.

python examples/09_drift_and_retrain.py RUN NEW

RUN was shipped (07), NEW is a file of rows as they come in now, with their labels.
"""

from __future__ import annotations

import sys

from hfrecipes import Data, Monitor, Predictor, retrain
from hfrecipes.watching import watch


def main(run: str, new: str) -> None:
    """Watch, then retrain."""
    monitor = Monitor.from_pretrained(run, window=200, rate=0.01)  # one window of a hundred may alarm by chance
    watched = watch(Predictor.open(run), monitor, Data(new))
    for finding, window, _ in watched.worst():
        if finding.beyond:
            print(f"window {window}: {finding.detector} {finding.distance:.3g} (limit {finding.limit:.3g})")
    if not watched.drifted:
        print("as before")
        return

    decision = retrain(run, new)  # on old and new rows; the champion stays unless the candidate is better on the new ones
    print(f"{decision.event}: {decision.reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
