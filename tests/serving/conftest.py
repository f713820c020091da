"""The service is an extra: without its packages its tests are skipped."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def packages() -> None:
    """Skips where a package is missing that the service, or who asks it, needs."""
    for name in ("fastapi", "uvicorn", "prometheus_client", "httpx"):
        pytest.importorskip(name, reason=f"needs {name}: pip install 'hfrecipes[serve]' httpx")
