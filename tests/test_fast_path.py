"""The settings of the process: made where they have an effect, and taken back."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import pytest
import torch

from hfrecipes import fast_path


def test_memory_is_kept_under_glibc() -> None:
    has = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt")
    assert fast_path.keep_memory() is has


def test_the_collector_passes_over_what_was_there_before() -> None:
    gc.unfreeze()  # what the tests keep from it themselves
    with fast_path.taken(["collector"], bf16=True) as settings:
        assert settings == ["collector"]
        assert gc.get_freeze_count() > 10_000
        with fast_path.taken(["collector"], bf16=True) as inner:
            assert inner == []
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


def test_a_gpu_plans_no_attention_anew_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    with fast_path.taken(["attention_kernels"], bf16=True) as settings:
        assert settings == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with fast_path.taken(["attention_kernels"], bf16=True) as settings:
        assert settings == ["attention_kernels"]
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        with fast_path.taken(["attention_kernels"], bf16=True) as inner:
            assert inner == []
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.cudnn_sdp_enabled()


def test_dropout_draws_quickly_where_there_is_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    own = torch.empty(64)

    def drawn() -> torch.Tensor:
        torch.manual_seed(0)
        return own.clone().bernoulli_(0.5)

    before = drawn()
    with fast_path.taken(["dropout_masks"], bf16=True) as settings:
        assert settings == ["dropout_masks"]
        assert not torch.equal(drawn(), before)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with fast_path.taken(["dropout_masks"], bf16=True) as settings:
        assert settings == []
        assert torch.equal(drawn(), before)


@pytest.mark.parametrize(("wanted", "bf16"), [((), False), (("allocator",), False), (("matmul_precision",), True)])
def test_what_is_not_wanted_or_has_no_effect_is_left(wanted: tuple[fast_path.Setting, ...], bf16: bool) -> None:
    with fast_path.taken(wanted, bf16) as settings:
        assert "matmul_precision" not in settings
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(
    ("vendor", "amx", "rounds"), [("AuthenticAMD", False, True), ("GenuineIntel", False, False), ("AuthenticAMD", True, False)]
)
def test_products_are_relaxed_where_they_keep_their_accuracy(
    vendor: str, amx: bool, rounds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"vendor_id : {vendor}")
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_tile": amx, "avx512_bf16": True})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with fast_path.taken(fast_path.SETTINGS, bf16=False) as settings:
        assert ("matmul_precision" in settings) is rounds
        assert torch.get_float32_matmul_precision() == ("medium" if rounds else "highest")
    assert torch.get_float32_matmul_precision() == "highest"


def test_relaxed_products_keep_the_accuracy_of_fp32_here() -> None:
    if not fast_path.rounds_like_fp32():
        pytest.skip("this processor computes them otherwise")
    torch.manual_seed(0)
    one, two = torch.randn(256, 384), torch.randn(384, 256)
    exact = (one.double() @ two.double()).float()
    with fast_path.taken(fast_path.SETTINGS, bf16=False):
        relaxed = one @ two
    assert (relaxed - exact).abs().max() / exact.abs().max() < 1e-4
