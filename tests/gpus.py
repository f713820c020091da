"""Tests and GPUs: those of a GPU run where there is one and they are asked for, all others on the CPU, the same everywhere."""

from __future__ import annotations

import os

import pytest
import torch


def pytest_configure(config: pytest.Config) -> None:
    """Hide the GPUs of a machine from all tests, unless `pytest -m gpu` asks for theirs."""
    if "gpu" not in config.option.markexpr:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of a GPU where no GPU is seen."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU, and `pytest -m gpu`")
