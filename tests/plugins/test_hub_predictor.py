"""A predictor on the Hub, as its users write it: pushed from one process, loaded by another, over real connections."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from hfrecipes import HubPredictor, Predictor
from hfrecipes.errors import ModelError
from tests.hub.conftest import hub
from tests.hub.server import WRITE, Hub
from tests.plugins.building import call

TEXTS = ["the film was good", "the film was awful plot"]
PROGRAM = """
import json, sys
from hfrecipes import HubPredictor
url = HubPredictor(sys.argv[1]).push_to_hub("me/films")
again = HubPredictor.from_pretrained("me/films")
print(json.dumps([url, [str(answer) for answer in again(json.loads(sys.argv[2]))]]))
"""
__all__ = ["hub"]


def test_it_is_pushed_and_answers_from_the_hub(hub: Hub, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"HF_ENDPOINT": hub.url, "HF_TOKEN": WRITE, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    for name, entry in {**given, "HF_HUB_OFFLINE": "0"}.items():
        monkeypatch.setenv(name, entry)
    done = call(sys.executable, "-c", PROGRAM, finished, json.dumps(TEXTS))
    assert done.returncode == 0, done.stderr[-2000:]
    url, answers = json.loads(done.stdout.splitlines()[-1])
    assert url.startswith(f"{hub.url}/me/films") and len(hub.calls("commit")) == 1
    assert answers == [str(answer) for answer in Predictor.open(finished)(TEXTS)]
    sent = b"".join(request.body for request in hub.requests)
    assert b'"visibility":"private"' in sent and WRITE.encode() not in sent


def test_a_saved_folder_is_whole_and_has_a_card(finished: Path, tmp_path: Path) -> None:
    made = HubPredictor(finished)
    made.save_pretrained(tmp_path / "bundle")
    again = HubPredictor.from_pretrained(tmp_path / "bundle", graph="fp32")
    assert [answer.label for answer in again(TEXTS)] == [answer.label for answer in made(TEXTS)]
    assert json.loads((tmp_path / "bundle/config.json").read_text())["model_type"] == "bert"
    assert "library_name: hfrecipes" in (tmp_path / "bundle/README.md").read_text()
    assert os.listdir(tmp_path) == ["bundle"]
    with pytest.raises(ModelError, match="no graph 'int3'"):
        HubPredictor.from_pretrained(tmp_path / "bundle", graph="int3")
