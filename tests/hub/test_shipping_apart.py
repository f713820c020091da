"""From a run to several repositories and back: each verifies alone, answers, and has a card that points to the weights."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hfrecipes import Predictor, bootstrap, verbs
from hfrecipes.apart import assemble_apart
from hfrecipes.card import FRONT
from hfrecipes.checks import CHECKLIST
from hfrecipes.destination import Publish
from hfrecipes.errors import ModelError
from hfrecipes.folder import Run, read_json, seal, write_json
from hfrecipes.recipe import Recipe
from hfrecipes.release import assemble
from hfrecipes.stages.card import card
from hfrecipes.stages.card_apart import card_apart
from hfrecipes.verification import smoke_apart, verify
from tests.hub.server import Hub, environment

TEXTS = ["the film was good", "the film was awful plot"]
PROGRAM = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi, snapshot_download
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from hfrecipes import Predictor, Recipe
from hfrecipes.destination import Publish
from hfrecipes.folder import Run
from hfrecipes.hub import local_folder
from hfrecipes.stages.publish import publish
from hfrecipes.verification import verify
import dataclasses

run, base, texts = Run(Path(sys.argv[1])), sys.argv[2], json.loads(sys.argv[3])
place = Publish(repo="me/films", apart=True, collection="All films")
recipe = dataclasses.replace(Recipe.load(run.recipe_file), publish=place)
names = [publish(recipe, run).name for _ in range(2)]
repos = ["me/films", "me/films-onnx-cpu", "me/films-adapter"]
folders = {repo: str(local_folder(repo)) for repo in repos}
merged = AutoModelForSequenceClassification.from_pretrained("me/films")
start = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
adapted = PeftModel.from_pretrained(start, "me/films-adapter").eval()
rows = AutoTokenizer.from_pretrained("me/films")(texts, return_tensors="pt", padding=True)
print(json.dumps({
    "names": names,
    "folders": folders,
    "complete": [verify(Path(folder))["complete"] for folder in folders.values()],
    "weights": [str(answer) for answer in Predictor.open("me/films@v1")(texts)],
    "bundle": [str(answer) for answer in Predictor.open("me/films-onnx-cpu")(texts)],
    "off": float((merged(**rows).logits - adapted(**rows).logits).abs().max()),
    "promoted": [place.releases().promote("v1").name, place.production().name],
    "items": [item.item_id for item in HfApi().get_collection(next(HfApi().list_collections(owner="me")).slug).items],
}))
"""


@pytest.fixture(scope="module")
def adapted(shown: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of LoRA that kept its adapter, and showed every item or gave a reason. Read it, never change it."""
    root = tmp_path_factory.mktemp("adapted")
    changes = ["strategy={lora: {keep_adapter: true}}", "train.learning_rate=2e-2", "train.num_train_epochs=1"]
    changes.append(f"publish.registry={root / 'registry'}")
    recipe = Recipe.load(shown / "recipe.yaml", changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "DRAWS", 50)
        run = verbs.fit(recipe, root / "run")
        verbs.ship(run, dict.fromkeys(CHECKLIST, "a test"))
    return run


@pytest.fixture(scope="module")
def folders(adapted: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of that run for me/films and beside it. Read them, never change them."""
    card_apart(apart(Recipe.load(adapted.recipe_file)), adapted, "me/films")
    return assemble_apart(adapted, tmp_path_factory.mktemp("pieces"), "me/films", smoke_apart(adapted))


def apart(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, publish=Publish(repo="me/films", apart=True))


def front(card: Path) -> dict[str, Any]:
    """The front matter of a card."""
    found = FRONT.match(card.read_text("utf-8"))
    assert found is not None
    return dict(yaml.safe_load(found.group(1)))


def test_a_run_goes_to_several_repositories_and_answers_from_there(
    hub: Hub, adapted: Run, tiny_bert: Path, tmp_path: Path
) -> None:
    asked = [sys.executable, "-c", PROGRAM, str(adapted.path), str(tiny_bert), json.dumps(TEXTS)]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment(hub, tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["names"] == ["v1", "v1"]
    assert found["complete"] == [True, True, True]
    assert found["weights"] == [str(answer) for answer in Predictor.open(adapted, "pytorch")(TEXTS)]
    assert found["bundle"] == [str(answer) for answer in Predictor.open(adapted)(TEXTS)]
    assert found["off"] < 1e-4
    assert found["promoted"] == ["v1", "v1"]
    assert all("production" in hub.repo(repo).branches for repo in found["folders"])
    assert found["items"] == ["me/films", "me/films-onnx-cpu", "me/films-adapter"]
    assert len(hub.calls("commit")) == 3 and len(hub.calls("create-collection")) == 1
    sent = b"".join(request.body for request in hub.requests)
    assert str(adapted.path.parent).encode() not in sent and str(tiny_bert).encode() not in sent
    cards = {repo: Path(folder) / "README.md" for repo, folder in found["folders"].items()}
    bundle = front(cards["me/films-onnx-cpu"])
    assert (bundle["base_model"], bundle["base_model_relation"]) == ("me/films", "quantized")
    assert bundle["license"] == "apache-2.0"
    code = re.findall(r"```python\n(.*?)```", cards["me/films-onnx-cpu"].read_text("utf-8"), re.DOTALL)
    assert len(code) == 2
    for each in code:
        exec(each.replace("me/films-onnx-cpu", found["folders"]["me/films-onnx-cpu"]), {})


def test_what_is_released_is_split_and_nothing_is_lost(adapted: Run, folders: dict[str, Path], tmp_path: Path) -> None:
    assemble(adapted, tmp_path / "release")
    whole = set(read_json(tmp_path / "release/manifest.json")["files"])
    held = {piece: {*read_json(folder / "manifest.json")["files"]} for piece, folder in folders.items()}
    assert [*held] == ["onnx-cpu", "adapter", "weights"]
    bundles = {f"bundles/cpu/{name}" for name in held["onnx-cpu"]} | {"bundles/cpu/manifest.json", "bundles/index.json"}
    assert whole <= held["weights"] | bundles | {f"adapter/{name}" for name in held["adapter"]}
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= whole
    assert "onnx/model.onnx" in held["onnx-cpu"] and "model.safetensors" not in held["onnx-cpu"]
    assert not any(name.startswith(("bundles/", "adapter/")) or name.endswith(".onnx") for name in held["weights"])


def test_the_card_of_an_adapter_points_to_what_it_was_trained_on_and_that_of_the_weights_to_the_bundle(
    adapted: Run, tmp_path: Path
) -> None:
    run = Run(Path(shutil.copytree(adapted.path, tmp_path / "run")))
    recipe = apart(Recipe.load(run.recipe_file, ["model=google-bert/bert-base-uncased"]))
    card_apart(recipe, run, "me/films")
    found = front(run.path / "cards/adapter.md")
    assert (found["base_model"], found["base_model_relation"]) == ("google-bert/bert-base-uncased", "adapter")
    assert (found["library_name"], found["model-index"][0]["name"]) == ("peft", "films-adapter")
    assert "do not add it there again" in (run.path / "cards/adapter.md").read_text("utf-8")
    card(recipe, run)
    assert 'Predictor.open("me/films-onnx-cpu")' in (run.path / "README.md").read_text("utf-8")
    assert "onnx" not in front(run.path / "README.md")["tags"]
    text = (run.path / "cards/onnx-cpu.md").read_text("utf-8")
    (run.path / "cards/onnx-cpu.md").write_text(text.replace("# films-onnx-cpu", "# films-onnx-cpu\n\nBy us."))
    card_apart(recipe, run, "me/films")
    assert "By us." in (run.path / "cards/onnx-cpu.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("piece", "file", "said"),
    [
        ("onnx-cpu", "onnx/model.onnx", "is not the bundle that the checklist was made for"),
        ("onnx-cpu", "bundle.json", "was made for another bundle"),
        ("onnx-cpu", "extra.txt", "is not the bundle that the checklist was made for"),
        ("adapter", "adapter_config.json", "was made for another adapter"),
        ("weights", "model.safetensors", "was made for other weights"),
        ("weights", "bundles/index.json", "holds bundles beside weights that are apart from them"),
        ("onnx-cpu", "smoke.json", "does not answer the texts of smoke.json"),
    ],
)
def test_a_piece_that_was_changed_and_sealed_again_does_not_verify(
    piece: str, file: str, said: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders[piece], tmp_path / piece))
    assert verify(folder)["complete"]
    if file == "smoke.json":
        smoke = read_json(folder / file)
        write_json(folder / file, {**smoke, "answers": ["x", *smoke["answers"][1:]]})
    else:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes((folder / file).read_bytes() + b" " if (folder / file).is_file() else b"{}")
    with pytest.raises(ModelError, match=f"{file} is not"):
        verify(folder)
    facts = {key: fact for key, fact in read_json(folder / "manifest.json").items() if key not in ("format", "files")}
    seal(folder, facts)
    with pytest.raises(ModelError, match=said):
        verify(folder)
