"""Parts of other packages: installed by pip, listed by name, used in a recipe, and one line where they are broken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes import installed
from hfrecipes.folder import read_json
from tests.plugins.building import call, install, write_package

STRATEGY = '''"""head_and_norms: the norms and the last layer learn."""

from typing import Any

from hfrecipes.family import Family
from hfrecipes.part import value
from hfrecipes.strategies import Strategy


@value
class HeadAndNorms(Strategy):
    """What acme trains: norms and the head."""

    def prepare(self, model: Any, family: Family) -> Any:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("norm" in name.lower() or "classifier" in name)
        return model

    def finish(self, model: Any) -> Any:
        return model.requires_grad_(True)
'''
CHECK = '''"""named: the task has a name."""

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value


@value
class Named(Check):
    """The label names have `letters` letters at least."""

    letters: int = 1

    def judge(self, trial: Trial) -> Verdict:
        return Verdict(self.name, self.letters < 9, str(self.letters))
'''
CLI = [sys.executable, "-m", "hfrecipes"]


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three installed packages: one with a strategy and a check, a broken one, and one without its module."""
    root = tmp_path_factory.mktemp("acme")
    good = {"acme_parts/strategies/head_and_norms.py": STRATEGY, "acme_parts/checks/named.py": CHECK}
    bad = {"bad_parts/losses/far.py": "import nothing_of_this_name\n", "bad_parts/checks/torn.py": "class (:\n"}
    for name, module, files in (
        ("acme", "acme_parts", {"acme_parts/__init__.py": "", **good}),
        ("bad", "bad_parts", {"bad_parts/__init__.py": "raise RuntimeError('at import')\n", **bad}),
        ("gone", "gone_parts.deeper", {"gone_parts/__init__.py": ""}),
    ):
        install(write_package(root / name, name, module, files), root / "site")
    return root / "site"


def test_an_installed_package_is_listed_without_being_imported(acme: Path) -> None:
    found = call(*CLI, "list", path=acme)
    assert found.returncode == 0, found.stderr
    assert "  head_and_norms         What acme trains: norms and the head.\n" in found.stdout
    assert "  named                  The label names have `letters` letters at least.\n" in found.stdout
    assert "  far                    far.py of the package bad 1.0 is broken: it holds no part\n" in found.stdout
    assert "torn.py of the package bad 1.0 is broken: " in found.stdout
    assert found.stdout.endswith("the package gone 1.0 is broken: it has no module gone_parts.deeper\n")
    assert "  lora " in found.stdout


def test_a_recipe_uses_what_was_installed(acme: Path, recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    recipe = recipe_file(strategy="head_and_norms", check=[{"named": {"letters": 2}}])
    found = call(*CLI, "run", recipe, "train.num_train_epochs=1", "-o", tmp_path / "run", path=acme)
    assert found.returncode == 0, found.stderr
    report = read_json(tmp_path / "run/report.json")
    assert [(verdict["check"], verdict["passed"]) for verdict in report["checks"]] == [("named", True)]
    assert "strategy: head_and_norms" in (tmp_path / "run/recipe.yaml").read_text("utf-8")


def test_a_broken_package_is_one_line_that_names_it(acme: Path, recipe_file: Callable[..., Path]) -> None:
    for check, said in (
        ("torn", "checks.torn: the package bad 1.0 is broken: RuntimeError: at import. Mend it, or uninstall it."),
        ("nmed", "unknown check 'nmed'. Did you mean 'named'?"),
    ):
        found = call(*CLI, "show", recipe_file(check=[check]), path=acme)
        assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)
        assert said in found.stderr


def test_what_reads_every_part_names_the_broken_package_too(acme: Path) -> None:
    found = call(*CLI, "schema", path=acme)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "the package bad 1.0 is broken: " in found.stderr


def test_two_packages_with_one_name_are_refused_and_ours_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hfrecipes.part import find, names
    from hfrecipes.strategies.full import Full

    homes = []
    for package in ("one", "two"):
        folder = write_package(tmp_path, package, package, {f"{package}/checks/named.py": CHECK}) / package
        (folder / "strategies").mkdir()
        (folder / "strategies/full.py").write_text(STRATEGY, "utf-8")
        homes.append(installed.Home(package, folder, f"{package} 1.0"))
    monkeypatch.setattr(installed, "homes", lambda: tuple(homes))
    with pytest.raises(LookupError, match=r"^named is a name of one 1\.0 and two 1\.0; uninstall one$"):
        find("checks", "named")
    assert find("strategies", "full") is Full
    assert names("strategies").count("full") == 1
