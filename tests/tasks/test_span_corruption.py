"""What span corruption takes out of a block, and what it makes of what a model writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hfrecipes.errors import RecipeError
from hfrecipes.models import load_tokens
from hfrecipes.tasks import Window
from hfrecipes.tasks.span_corruption import SpanCorruption
from hfrecipes.tokens import Tokens

CONFIG = {"eos_token_id": 1, "pad_token_id": 0, "decoder_start_token_id": 0, "is_encoder_decoder": True}
END, FIRST_GAP = 1, 1000


@pytest.fixture
def tokens(tiny_t5: Path) -> Tokens:
    return load_tokens(tiny_t5, 32, CONFIG)


def restored(source: list[int], target: list[int]) -> list[int]:
    """The block that a source with gaps and its target come from."""
    spans: dict[int, list[int]] = {}
    for i in target[:-1]:
        if i >= FIRST_GAP:
            spans[i] = current = []
        else:
            current.append(i)
    return [i for token in source[:-1] for i in (spans[token] if token >= FIRST_GAP else [token])]


@pytest.mark.parametrize("length", [2, 3, 7, 31, 128, 500])
def test_source_and_target_hold_every_token_of_a_block_once(length: int) -> None:
    task = SpanCorruption()
    block = list(range(2, 2 + length))
    gaps = list(range(FIRST_GAP, FIRST_GAP + 60))
    for seed in range(20):
        source, target = task.corrupt(block, gaps, END, np.random.default_rng(seed))
        assert source[-1] == target[-1] == END
        assert restored(source, target) == block
        missing = sum(i < FIRST_GAP for i in target[:-1])
        assert missing == max(1, round(0.15 * length))
        marks = [i for i in target if i >= FIRST_GAP]
        assert marks == gaps[: max(1, round(missing / 3)) + 1]
        assert [i for i in source if i >= FIRST_GAP] == marks[:-1]


def test_every_token_of_a_block_is_missing_at_times() -> None:
    task = SpanCorruption(share=0.3, mean_span=2.0)
    found: set[int] = set()
    for seed in range(200):
        found |= set(task.corrupt(list(range(2, 14)), range(FIRST_GAP, FIRST_GAP + 9), END, np.random.default_rng(seed))[1])
    assert set(range(3, 14)) <= found  # a block opens with a token that is kept


def test_gaps_are_new_in_training_and_the_same_in_evaluation(tiny_t5: Path, tokens: Tokens) -> None:
    from transformers import AutoModelForSeq2SeqLM

    task = SpanCorruption(max_length=32)
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5, dropout_rate=0.0)
    rows = [{"text": "the film was good and the plot was bad my new old card"}, {"text": "the bank play is fine"}]
    features = [{k: f[k] for k in ("input_ids", "attention_mask", "labels")} for f in task.examples(rows * 4, tokens, CONFIG)]
    batch = {k: torch.from_numpy(v) for k, v in task.collate(features, tokens).items()}
    with torch.no_grad():
        losses = [float(task.loss(model.train(), batch)[0]) for _ in range(4)]
        same = [float(task.loss(model.eval(), batch)[0]) for _ in range(2)]
    assert len(set(losses)) > 1
    assert same[0] == same[1]


def test_the_loss_of_a_row_does_not_depend_on_its_batch(tiny_t5: Path, tokens: Tokens) -> None:
    from transformers import AutoModelForSeq2SeqLM

    task = SpanCorruption(max_length=32, share=0.4)
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5).eval()
    blocks = [list(range(4, 4 + n)) for n in (12, 5)]
    features = [{"input_ids": b, "attention_mask": [1] * len(b), "labels": b} for b in blocks]

    def loss(chosen: list[dict[str, list[int]]]) -> float:
        batch = {k: torch.from_numpy(v) for k, v in task.collate(chosen, tokens).items()}
        with torch.no_grad():
            return float(task.loss(model, batch)[0])

    def targets(length: int) -> int:
        missing, spans = max(1, round(0.4 * length)), max(1, round(round(0.4 * length) / 3))
        return missing + spans + 2

    weights = [targets(12), targets(5)]
    apart = sum(loss([f]) * w for f, w in zip(features, weights, strict=True)) / sum(weights)
    assert loss(features) == pytest.approx(apart, abs=1e-5)


def test_what_is_written_goes_into_its_gap(tokens: Tokens) -> None:
    task = SpanCorruption()
    gap = [tokens.tokenizer.token_to_id(f"<extra_id_{i}>") for i in range(3)]
    word = {w: tokens.tokenizer.token_to_id(w) for w in ("film", "good", "bad")}
    written = np.array([gap[0], word["film"], gap[1], word["good"], word["bad"], gap[2], word["bad"], END])
    answer = task.answer({"text": "the <mask> was <mask> ."}, [Window({}, {"sequences": written})], tokens, CONFIG)
    assert answer.spans == ("film", "good bad")
    assert str(answer) == "the film was good bad ."


def test_more_gaps_than_the_tokenizer_has_tokens_for_are_refused(tokens: Tokens) -> None:
    with pytest.raises(RecipeError, match="gaps and the tokenizer tokens for 9"):
        SpanCorruption(share=0.5, mean_span=1.0).collate(
            [{"input_ids": list(range(4, 34)), "labels": list(range(4, 34))}], tokens
        )
