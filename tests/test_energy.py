"""Energy: counted over every counter, around their end, over tries and processes; and never guessed."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from hfrecipes import energy, verbs
from hfrecipes.card import FRONT
from hfrecipes.config import build
from hfrecipes.energy import NONE, UNREADABLE, Counter, Meter, gpus, in_words, kwh, metered, processor, spent
from hfrecipes.folder import read_json, write_json
from hfrecipes.recipe import Recipe
from hfrecipes.report import Report
from hfrecipes.stages.card import front_of


def zone(root: Path, folder: str, name: str, microjoules: int, around: int = 1_000_000_000) -> Path:
    """A power zone as Linux has one; the file of its counter."""
    (root / folder).mkdir(parents=True)
    (root / folder / "name").write_text(f"{name}\n")
    (root / folder / "max_energy_range_uj").write_text(f"{around}\n")
    (root / folder / "energy_uj").write_text(f"{microjoules}\n")
    return root / folder / "energy_uj"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with two packages, memory, and zones that are inside of others or around them."""
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 1)
    zone(tmp_path, "intel-rapl:0:1", "dram", 2_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 0)
    zone(tmp_path, "intel-rapl:2", "psys", 3)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 9)
    return tmp_path


def test_packages_and_memory_are_counted_and_nothing_twice(root: Path) -> None:
    found, why = processor(root)
    assert ([counter.name for counter in found], why) == (["package-0", "dram-0", "package-1"], "")
    assert [counter.read() for counter in found] == [5, 2, 0]


def test_a_counter_that_goes_around_is_counted_on(root: Path, tmp_path: Path) -> None:
    meter = Meter(processor(root)[0], {}, "a processor")
    file = root / "intel-rapl:0/energy_uj"
    for microjoules in (900_000_000, 100_000_000, 999_000_000, 4_000_000):
        file.write_text(str(microjoules))
        record = meter.record()
    assert record["joules"] == pytest.approx({"package-0": 895 + 200 + 899 + 5, "dram-0": 0, "package-1": 0})


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    assert processor(tmp_path / "none") == ([], NONE)
    file = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    file.unlink()
    file.mkdir()
    assert processor(tmp_path) == ([], UNREADABLE)


def test_a_counter_that_ends_midway_is_left_out_and_named(root: Path) -> None:
    meter = Meter(processor(root)[0], {}, "a processor")
    (root / "intel-rapl:1/energy_uj").unlink()
    (root / "intel-rapl:0/energy_uj").write_text("6000000")
    record = meter.record()
    assert record["joules"] == {"package-0": 1, "dram-0": 0}
    assert record["lacking"] == {"package-1": "its counter could not be read to the end"}


def test_tries_and_processes_add_up_also_those_that_were_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [0.0]

    def one() -> Meter:
        return Meter([Counter("package-0", lambda: counted[0])], {}, "a processor")

    with pytest.raises(KeyboardInterrupt), metered(tmp_path / "energy", one()):
        counted[0] = 30
        raise KeyboardInterrupt
    killed = metered(tmp_path / "energy", one(), every=0.01)
    killed.__enter__()
    counted[0] = 40
    for _ in range(500):
        time.sleep(0.01)
        if spent(tmp_path / "energy")["joules"] == {"package-0": 40}:
            break
    monkeypatch.setenv("RANK", "1")
    with metered(tmp_path / "energy", Meter([], {"GPU": NONE}, "another")):
        pass
    found = spent(tmp_path / "energy")
    assert found["joules"] == {"package-0": 40}
    assert found["lacking"] == {"GPU": NONE}
    assert (found["tries"], found["hardware"]) == (2, ["a processor", "another"])
    assert found["seconds"] > 0
    killed.__exit__(None, None, None)


class Refused(Exception):
    """NVML's error, in the NVML of these tests."""


def nvml(counted: list[int] | None) -> Any:
    """As much of NVML as is asked; without a count its GPUs have no counter."""

    def total(handle: str) -> int:
        if counted is None:
            raise Refused("Not Supported")
        return counted[0]

    found = {"GPU-a1b2": "first"}
    return SimpleNamespace(
        NVMLError=Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=found.__getitem__,
        nvmlDeviceGetTotalEnergyConsumption=total,
    )


def test_a_gpu_is_counted_in_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [2_500]
    monkeypatch.setitem(sys.modules, "pynvml", nvml(counted))
    found, why = gpus(["GPU-a1b2"])
    meter = Meter(found, {}, "a GPU")
    counted[0] = 10_000
    assert (meter.record()["joules"], why) == ({"GPU-0": 7.5}, "")
    monkeypatch.setitem(sys.modules, "pynvml", nvml(None))
    assert gpus(["GPU-a1b2"]) == ([], NONE)


def test_a_gpu_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpus(["GPU-a1b2"]) == ([], "no counter here without pip install 'hfrecipes[energy]'")


def test_a_record_is_kept_when_the_folder_goes_meanwhile(tmp_path: Path) -> None:
    with metered(tmp_path / "checkpoints/energy", Meter([], {"processor": NONE}, "a processor")):
        shutil.rmtree(tmp_path / "checkpoints")
    assert spent(tmp_path / "checkpoints/energy")["tries"] == 1


def test_in_words() -> None:
    whole = {"joules": {"package-0": 3_600, "dram-0": 360}, "lacking": {}}
    assert kwh(whole) == pytest.approx(1.1e-3)
    assert in_words(whole) == "1.10 Wh by package-0, dram-0"
    assert in_words({"joules": {"GPU-1": 7.2e6}, "lacking": {"processor": NONE}}) == (
        "2.00 kWh by GPU-1; not measured: no counter here (processor)"
    )
    nothing = {"joules": {}, "lacking": {"processor": NONE}}
    assert kwh(nothing) is None
    assert in_words(nothing) == "not measured: no counter here (processor)"


def test_a_training_is_counted_with_the_try_before_it_and_card_and_report_say_so(
    root: Path, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "POWERCAP", root)
    mine = {"carbon_intensity": 250, "location": "Bern, Switzerland"}
    recipe = build(Recipe, {**values, "export": [], "train": {**values["train"], "num_train_epochs": 1}, "card": mine})
    run = verbs.begin(recipe, tmp_path / "run")
    tried = {"rank": 0, "on": "an older processor", "seconds": 60.0, "joules": {"package-0": 7.2e6}, "lacking": {}}
    (run.checkpoints / "energy").mkdir(parents=True)
    write_json(run.checkpoints / "energy/0-1.json", tried)
    verbs.fit(recipe, run.path)
    found = read_json(run.model / "energy.json")
    assert found == Report.load(run.path).values["energy"]
    assert found["joules"] == {"package-0": 7.2e6, "dram-0": 0, "package-1": 0}
    assert (found["tries"], found["lacking"]) == (2, {}) and found["seconds"] > 60
    assert not run.checkpoints.exists()
    said = "2.00 kWh by package-0, dram-0, package-1"
    card, words = (run.path / "README.md").read_text("utf-8"), (run.path / "report.md").read_text("utf-8")
    assert f"Energy: {said}." in card and said in words
    front = FRONT.match(card)
    assert front is not None
    assert yaml.safe_load(front.group(1))["co2_eq_emissions"] == {
        "emissions": 500.0,
        "source": "2.00 kWh by package-0, dram-0, package-1; at 250 g a kWh, as the recipe says",
        "training_type": "fine-tuning",
        "geographical_location": "Bern, Switzerland",
        "hardware_used": ", ".join(found["hardware"]),
    }


def test_nothing_is_said_of_emissions_where_no_energy_was_measured(finished: Path) -> None:
    found, recipe = Report.load(finished), Recipe.load(finished / "recipe.yaml", ["card.carbon_intensity=250"])
    assert found.values["energy"]["joules"] == {} and found.values["energy"]["seconds"] > 0
    assert "not measured: no counter here (processor)." in (finished / "README.md").read_text("utf-8")
    assert "co2_eq_emissions" not in front_of(recipe, found)
