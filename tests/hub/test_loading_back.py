"""What was published is loaded back from the Hub by transformers, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hfrecipes.folder import seal
from hfrecipes.publishing import Published
from tests.hub.conftest import CARD
from tests.hub.server import WRITE, Hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
Send = Callable[..., Published]
Offered = Callable[..., Path]
LOAD = """
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
found = {}
for repo, revision in json.loads(sys.argv[1]):
    model = AutoModelForSequenceClassification.from_pretrained(repo, revision=revision).eval()
    tokenizer = AutoTokenizer.from_pretrained(repo, revision=revision)
    with torch.no_grad():
        found[repo] = model(**tokenizer(["the film was good"], return_tensors="pt")).logits.tolist()
print(json.dumps(found))
"""


def test_a_published_model_is_loaded_back_from_the_hub(
    hub: Hub, sending: Offered, send: Send, tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    logits = {}
    for xet in (False, True):
        torch.manual_seed(int(xet))
        repo, folder = f"me/xet-{xet}", tmp_path / f"model-{xet}"
        model = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3).eval()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(CARD)
        seal(folder, {})
        sending(xet=xet)
        send(folder, repo)
        with torch.no_grad():
            logits[repo] = model(**tokenizer(["the film was good"], return_tensors="pt")).logits.tolist()
    wanted = json.dumps([("me/xet-False", "v1"), ("me/xet-True", "main")])
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": WRITE}
    environment |= {
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "0",
    }
    done = subprocess.run([sys.executable, "-c", LOAD, wanted], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == logits
    assert [request for request in hub.calls("xet-token") if "read" in request.path]
