"""The wheel: built, installed into an empty folder, and used from there with no file of the checkout on the path."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.plugins.building import ALONE, PIP, call, install

ROOT = Path(__file__).parents[2]
NOT_PACKED = {"__pycache__", ".mypy_cache", ".ruff_cache"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([*PIP, "wheel", *ALONE, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True)
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that it is installed in."""
    return install(wheel, tmp_path_factory.mktemp("site"))


@pytest.fixture
def away(site: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python where the checkout is not found: without `.pth` files, in an empty folder."""
    path = os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    return lambda *words: call(sys.executable, "-S", *words, path=Path(path), cwd=tmp_path)


def test_every_file_is_packed_and_no_other(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kept = [file for top in ("hfrecipes", "optimum") for file in (ROOT / top).rglob("*") if file.is_file()]
    assert packed == {str(file.relative_to(ROOT)) for file in kept if not NOT_PACKED & set(file.parts)}
    assert {"hfrecipes/py.typed", "hfrecipes/serving/page.html", "optimum/commands/register/register_recipes.py"} <= packed


def test_every_requirement_holds_here_or_is_of_an_extra(wheel: Path) -> None:
    from importlib.metadata import version

    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    told = message_from_bytes(archive.read(name))
    asked = [Requirement(line) for line in told.get_all("Requires-Dist", [])]
    needed = [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    assert len(needed) > 20
    assert [str(each) for each in needed if not each.specifier.contains(version(each.name), prereleases=True)] == []
    extras = set(told.get_all("Provides-Extra", []))
    assert {"serve", "tune", "monitor", "sign", "openvino"} <= extras
    assert all(any(each.marker and each.marker.evaluate({"extra": extra}) for each in asked) for extra in extras)


def test_it_lists_from_where_it_was_installed(site: Path, away: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    found = away("-c", "import hfrecipes; print(hfrecipes.__file__)")
    assert found.stdout.strip() == str(site / "hfrecipes/__init__.py"), found.stderr
    found = away("-m", "hfrecipes", "list")
    assert found.returncode == 0, found.stderr
    assert "  gradual_unfreezing " in found.stdout


def test_it_runs_a_recipe_and_answers(
    away: Callable[..., subprocess.CompletedProcess[str]], recipe_file: Callable[..., Path], tmp_path: Path
) -> None:
    found = away("-m", "hfrecipes", "run", recipe_file(), "-o", tmp_path / "run")
    assert found.returncode == 0, found.stderr
    found = away("-m", "hfrecipes", "predict", tmp_path / "run", "the film was great")
    assert found.returncode == 0, found.stderr
    assert "positive" in found.stdout


def test_hf_takes_its_script_as_an_extension(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `hf extensions install OWNER/hf-recipes` leaves it: a manifest that names the script of the package."""
    folder = tmp_path / ".local/share/hf/extensions/hf-recipes"
    folder.mkdir(parents=True)
    told = {"owner": "me", "repo": "hf-recipes", "repo_id": "me/hf-recipes", "short_name": "recipes", "type": "python"}
    when = datetime.datetime.now(datetime.UTC).isoformat()
    script = str(site / "bin/hf-recipes")
    (folder / "manifest.json").write_text(json.dumps({**told, "executable_path": script, "installed_at": when}), "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_DISABLE_UPDATE_CHECK", "1")
    hf = Path(sys.executable).with_name("hf")
    found = call(hf, "recipes", "list", "losses", path=site)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("losses\n  attentions ")
    assert call(hf, "recipes", "list", "loss", path=site).returncode == 2


def test_accelerate_launches_it(site: Path, recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    accelerate = Path(sys.executable).with_name("accelerate")
    here = ["launch", "--cpu", "--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    words = ["-m", "hfrecipes", "fit", recipe_file(), "train.num_train_epochs=1", "-o", tmp_path / "run"]
    found = call(accelerate, *here, *words, path=site, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "run/model/model.safetensors").is_file()
