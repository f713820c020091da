"""A feature store of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfrecipes import feature_store


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(feature_store.WHERE, str(tmp_path / "features"))
    return tmp_path / "features"
