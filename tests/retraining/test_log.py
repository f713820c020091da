"""The log of decisions, clocks that jump, and what cool-down, schedule and budget make of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import audit, retrain
from hfrecipes.audit import Audit, Moment, ages, moment
from hfrecipes.durations import seconds, words
from hfrecipes.errors import ModelError
from hfrecipes.retraining.occasion import waits
from hfrecipes.upkeep import Budget, Retrain
from tests.conftest import write_lines
from tests.retraining.conftest import moved

HOUR = 3600.0


def record(hours: float, event: str = "started", boot: str = "", uptime: float = 0.0, **more: Any) -> dict[str, Any]:
    """A record so many hours after some start."""
    return {"wall": hours * HOUR, "boot": boot, "uptime": uptime * HOUR, "event": event, "time": f"{hours} h", "token": 1, **more}


def hours(records: list[dict[str, Any]], now: Moment) -> list[float]:
    """The ages of records in hours."""
    return [age / HOUR for age in ages(records, now)[0]]


def test_durations_are_read_and_said() -> None:
    assert [seconds(each) for each in ("30m", "12h", "7d", "2w", "5s")] == [1800, 43_200, 604_800, 1_209_600, 5]
    assert [words(each) for each in (5, 90, 5400, 86_400, 0.2)] == ["5s", "1.5m", "1.5h", "1d", "0s"]


def test_records_are_appended_and_a_line_that_was_cut_short_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Audit(tmp_path / "retrain/log.jsonl")
    assert log.records() == []
    log.append("started", 1, new={"sha256": "ä"})
    before = log.file.read_bytes()
    log.file.write_bytes(before + before[:40])
    log.append("refused", 2, reason="worse")
    assert log.file.read_bytes().startswith(before)
    assert [(each["event"], each["token"]) for each in log.records()] == [("started", 1), ("refused", 2)]
    assert "line 2 is no record" in caplog.text
    log.file.unlink()
    log.file.mkdir()
    with pytest.raises(ModelError, match="cannot be written"):
        log.append("started", 3)


def test_ages_are_those_of_the_wall_across_restarts() -> None:
    now = Moment(100 * HOUR, "b", 2 * HOUR)
    assert hours([record(10, boot="a", uptime=50), record(90, boot="a")], now) == [90, 10]
    assert ages([record(10)], now)[1] == []


@pytest.mark.parametrize(("jump", "way"), [(1000.0, "forward"), (-1000.0, "back")])
def test_a_clock_that_was_set_since_the_system_started_changes_no_age(jump: float, way: str) -> None:
    now = Moment((2000 + 3 + jump) * HOUR, "a", 8 * HOUR)
    records = [record(2000, boot="a", uptime=5), record(2001, boot="a", uptime=6)]
    assert hours(records, now) == [3, 2]
    [line] = ages(records, now)[1]
    assert line == f"the clock was set {way} by 6w since the started of 2001 h: uptime counts"


def test_a_record_in_the_future_counts_from_the_next_time_that_can_be_believed() -> None:
    now = Moment(100 * HOUR, "b", 2 * HOUR)
    records = [record(90), record(5000), record(97, "skipped"), record(6000)]
    assert hours(records, now) == [10, 3, 3, 0]
    assert ages(records, now)[1] == [
        "the log has 2 from the future, the last of 6000 h: each counts as being from the next one's time"
    ]


def test_no_record_is_older_than_one_before_it() -> None:
    assert hours([record(90), record(1)], Moment(100 * HOUR, "", 0)) == [10, 10]


def test_cool_down_schedule_and_budget() -> None:
    records = [
        record(0),
        record(1, "refused", minutes=30.0),
        record(50),
        record(51, "promoted", minutes=31.0),
        record(52, "skipped"),
    ]

    def said(how: Retrain, at: float) -> str:
        return waits(how, records, ages(records, Moment(at * HOUR, "", 0))[0])

    cool = Retrain(cool_down="12h")
    assert said(cool, 52) == "cool-down: the last retraining was 1h ago, and 12h lie between two"
    assert said(cool, 64) == "" and waits(cool, [], []) == ""
    assert said(Retrain(when="schedule", every="7d"), 60) == "schedule: the last retraining was 9h ago, and 7d lie between two"
    two = Retrain(budget=Budget(within="3d", retrainings=2))
    assert said(two, 60) == "budget: 2 retrainings within 3d, of 2" and said(two, 73) == ""
    hour = Retrain(budget=Budget(within="3d", minutes=60))
    assert said(hour, 60) == "budget: 61.0 minutes within 3d, of 60" and said(hour, 74) == ""


def test_a_retraining_that_comes_too_early_is_not_begun(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = Audit(run / "retrain/log.jsonl")
    with monkeypatch.context() as future:
        later = dataclasses.replace(moment(), wall=moment().wall + 365 * 24 * HOUR, boot="another")
        future.setattr(audit, "moment", lambda: later)
        log.append("refused", 1, reason="worse")
    new = write_lines(tmp_path / "new.jsonl", moved(200, seed=1))
    found = retrain(run, new, ["retrain.cool_down=1d"])
    assert (found.event, found.reason) == ("skipped", "cool-down: the last retraining was 0s ago, and 1d lie between two")
    assert "the log has 1 from the future" in caplog.text
    assert not (run.parent / "films_r2").exists()
