"""The page, in a real browser: a person types a text, and reads the answer, how sure it is, and whether the world has moved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Predictor
from tests.conftest import reviews
from tests.serving.asking import JSON, process

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture
def browser() -> Iterator[Any]:
    """A headless Chromium; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if (found := next(filter(None, map(shutil.which, BROWSERS)), None)) is None:
        pytest.skip(f"needs a browser, one of: {', '.join(BROWSERS)} (Debian: apt-get install chromium)")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def test_a_person_types_a_text_and_reads_answer_confidence_and_drift(shown: Path, browser: Any) -> None:
    import httpx

    text = reviews(1, seed=40)[0]["text"]
    [answer] = Predictor.open(shown, "fp32")([text], coverage=0.99)
    assert answer.among
    strange = [f"das Kino war gut, {row['text']}" for row in reviews(30, seed=41)]
    headers = {**JSON, "authorization": "Bearer secret"}
    with process(shown, "--window", "30") as (_, address):
        page = browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        assert page.inner_text("#task") == "text-classification"
        page.wait_for_selector("#drift:has-text('is not the key of this service')")
        page.fill("#text", text)
        page.fill("#coverage", "0.99")
        page.click("button")
        page.wait_for_selector("#answer .error:has-text('is not the key of this service')")

        page.fill("#key", "secret")
        page.click("button")
        page.wait_for_selector("#answer h2")
        shown_there = page.inner_text("#answer")
        told = json.loads(page.text_content("#answer pre"))
        assert page.inner_text("#answer h2") == told["answers"][0]["label"]
        assert f"Confidence: {told['confidences'][0][0]:.3f}" in shown_there
        assert told["covered"] == [{"among": list(answer.among), "abstains": answer.abstains}]
        assert f"At a coverage of 0.99 among: {', '.join(answer.among)}" in shown_there
        page.wait_for_selector("#drift:has-text('of the 30 rows of the first window have come')")

        assert httpx.post(f"{address}/predict", content=json.dumps({"inputs": strange}), headers=headers).status_code == 200
        page.wait_for_selector("#drift p.error:has-text('ks(unknown_tokens) is ')", timeout=20_000)
        assert "1 of 1 windows raised an alarm" in page.inner_text("#drift")
        assert page.locator("#drift .windows .beyond").count() == 1
        assert "held out" in page.inner_text("#drift")
        assert faults == []
