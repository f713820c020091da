"""The loop: what is served meets a new world, an alarm is raised, and the service is right again once a better model is there."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from hfrecipes import bootstrap, retrain
from hfrecipes.cli import main
from hfrecipes.folder import read_json
from hfrecipes.registry import Registry
from hfrecipes.retraining import decisions
from tests.conftest import LIMITS, write_lines
from tests.retraining.conftest import moved
from tests.serving.asking import asked, client, until


@pytest.fixture
def published(shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run beside the registry where it is in production."""
    monkeypatch.setattr(bootstrap, "DRAWS", 50)
    run = shutil.copytree(shown, tmp_path / "runs/films")
    registry = shutil.copytree(shown.parent / "registry", tmp_path / "registry")
    text = run.joinpath("recipe.yaml").read_text("utf-8")
    run.joinpath("recipe.yaml").write_text(text.replace(str(shown.parent / "registry"), str(registry)), "utf-8")
    Registry(registry).promote("v1")
    return run


def test_the_service_is_right_again_in_a_world_that_moved(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi", reason="needs fastapi: pip install 'hfrecipes[serve]'")
    from hfrecipes.serving import watching

    monkeypatch.setattr(watching, "EVERY", 0.02)
    registry, rows = tmp_path / "registry", moved(60, seed=2)
    new = write_lines(tmp_path / "new.jsonl", moved(240, seed=1))
    with pytest.raises(SystemExit) as alarm:
        main(["watch", str(published), str(new), "-o", str(tmp_path / "watched")])
    assert alarm.value.code == 1

    async def loop() -> list[tuple[str, float]]:
        found = []
        async with client(registry) as service:

            async def answered() -> tuple[str, float]:
                reply = (await asked(service, [row["text"] for row in rows])).json()
                said = [answer["label"] for answer in reply["answers"]]
                return reply["release"], sum(a == row["label"] for a, row in zip(said, rows, strict=True)) / len(rows)

            async def served(name: str) -> bool:
                return (await answered())[0] == name

            found.append(await answered())
            with pytest.raises(SystemExit) as stop:
                await asyncio.to_thread(main, ["retrain", str(published), str(new)])
            assert stop.value.code == 0
            await until(lambda: served("v2"))
            found.append(await answered())
        return found

    (before, was), (after, now) = asyncio.run(loop())
    assert (before, after) == ("v1", "v2")
    assert was < 0.75 and now > 0.95
    assert capsys.readouterr().out.splitlines()[-1].startswith("promoted v2: better on the new rows: accuracy 0.")
    assert [record["event"] for record in decisions(published)] == ["started", "promoting", "promoted"]
    assert LIMITS in (published.parent / "films_r2/README.md").read_text("utf-8")

    log = registry / "retrain/log.jsonl"  # as if the process had been killed before it could say what it had done
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    again = retrain(published, new)
    assert (again.event, again.release, again.token, again.gains["window"].better) == ("promoted", "v2", 2, True)
    assert [record["event"] for record in decisions(published)] == ["started", "promoting", "promoted"]
    assert retrain(published, new, ["retrain.when=always"]).reason == "none of the labelled rows is new to v2"
    Registry(registry).rollback()
    assert retrain(published, new).reason.startswith("films_r2 was promoted on the same rows: ")


def test_a_worse_candidate_is_kept_aside_and_the_champion_stays(published: Path, tmp_path: Path) -> None:
    draw = random.Random(3)
    noise = [{**row, "label": draw.choice(["positive", "negative"])} for row in moved(200, seed=1)]
    found = retrain(published, write_lines(tmp_path / "new.jsonl", noise), ["train.num_train_epochs=1"])
    registry = Registry(tmp_path / "registry")
    assert (found.event, found.release) == ("refused", "") and found.reason
    assert found.candidate is not None and (found.candidate / "model/model.safetensors").is_file()
    assert read_json(found.candidate / "retrain.json")["reason"] == found.reason
    assert [(each.name, each.current) for each in registry.releases()] == [("v1", True)]
