"""Answers that were given before are given again, from memory or a file, and never another model's."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Cache, Predictor
from hfrecipes.cli import main
from hfrecipes.errors import UserError
from hfrecipes.tasks import Task
from tests.conftest import sentiment
from tests.contracts import every

TEXTS = [row["text"] for row in sentiment(12)]


def bound(fingerprint: str = "one", **options: Any) -> Cache:
    cache = Cache(**options)
    cache.bind(fingerprint, lambda answer: str(answer).encode(), lambda given: given.decode())
    return cache


class Counted:
    """An engine that counts the rows it was given."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.rows = engine, 0

    def __call__(self, batch: Any) -> Any:
        self.rows += len(batch["input_ids"])
        return self.engine(batch)


def opened(folder: Path, **options: Any) -> tuple[Predictor, Counted]:
    predictor = Predictor.open(folder, cache=Cache(**options))
    counted = Counted(predictor.engine)
    return replace(predictor, engine=counted), counted


def test_a_text_is_computed_once_however_it_is_asked(finished: Path) -> None:
    predictor, counted = opened(finished)
    plain = Predictor.open(finished)
    assert [str(answer) for answer in predictor([*TEXTS, *TEXTS])] == [str(answer) for answer in plain([*TEXTS, *TEXTS])]
    computed = counted.rows
    assert computed == len(set(TEXTS))
    again = [predictor(TEXTS[0]), *predictor(text for text in TEXTS), *predictor([{"text": TEXTS[0]}])]
    assert counted.rows == computed + 1  # the row as columns is another way to ask
    assert again[0] == again[1]
    assert predictor.cache is not None
    assert predictor.cache.hits == 13
    assert 0 < predictor.cache.ratio < 1


def test_a_file_answers_in_the_next_process_and_is_emptied_for_another_model(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    first, counted = opened(finished, file=file)
    said = first(TEXTS)
    assert first.cache is not None
    first.cache.flush()
    second, computed = opened(finished, file=file)
    assert second(TEXTS) == said
    assert (counted.rows, computed.rows) == (len(set(TEXTS)), 0)
    other = Predictor.open(finished, "cpu/fp32", cache=Cache(file=file))
    assert other.cache is not None
    other(TEXTS[0])
    assert other.cache.hits == 0


def test_a_new_release_is_another_model(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "bundles/cpu", tmp_path / "bundle")
    first, _ = opened(tmp_path / "bundle", file=tmp_path / "file")
    first(TEXTS)
    assert first.cache is not None
    first.cache.flush()
    manifest = tmp_path / "bundle/manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace('"format": 1', '"format": 1 '), "utf-8")
    second, counted = opened(tmp_path / "bundle", file=tmp_path / "file")
    second(TEXTS)
    assert counted.rows == len(set(TEXTS))


def test_what_was_asked_for_last_stays_and_the_number_is_bounded() -> None:
    cache = bound(entries=100)
    for i in range(1_000):
        cache.put(cache.key(f"text {i}"), i)
        assert cache.get(cache.key("text 0")) == 0
        assert len(cache) <= 100
    assert cache.get(cache.key("text 999")) == 999
    assert cache.get(cache.key("text 500")) is None
    assert cache.evictions > 800


def test_an_answer_that_is_too_old_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = bound(ttl=10)
    now = 1_000.0
    monkeypatch.setattr("time.time", lambda: now)
    cache.put(cache.key("a"), "answer")
    now = 1_009.0
    assert cache.get(cache.key("a")) == "answer"
    now = 1_011.0
    assert cache.get(cache.key("a")) is None
    assert (cache.hits, cache.misses) == (1, 1)


def test_the_file_is_bounded_and_what_waits_is_found(tmp_path: Path) -> None:
    cache = bound(entries=2, file=tmp_path / "file", filed=1_000)
    for i in range(3_000):
        cache.put(cache.key(str(i)), i)
    assert cache.get(cache.key("2999")) is not None
    assert cache.get(cache.key("2990")) == "2990"
    cache.flush()
    fresh = bound(file=tmp_path / "file")
    held = sum(fresh.get(fresh.key(str(i))) is not None for i in range(3_000))
    assert 500 < held <= 1_000 + 256
    assert fresh.get(fresh.key("2998")) == "2998"


def test_threads_share_a_cache() -> None:
    cache = bound(entries=64)

    def work(number: int) -> None:
        for i in range(2_000):
            key = cache.key(str((i + number) % 50))
            held = cache.get(key)
            assert held is None or held == (i + number) % 50
            cache.put(key, (i + number) % 50)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.hits + cache.misses == 8_000


@pytest.mark.parametrize("content", [b"no data base at all, but long enough to be one" * 40])
def test_a_damaged_file_is_one_line(content: bytes, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(finished), "the film", "--cache", str(tmp_path / "file")])
    assert ended.value.code == 2
    assert "is no cache, or damaged" in capsys.readouterr().err


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="Write 2 or more"):
        Cache(entries=1)


@pytest.mark.parametrize("name", every("tasks"))
def test_the_type_of_the_answers_of_every_task_is_known(name: str) -> None:
    task: Any = Task.find(name)
    found = task.answers.fget(task.__new__(task))
    assert isinstance(found, type)
