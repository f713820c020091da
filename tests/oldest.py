"""The oldest release of each dependency that pyproject.toml allows, as constraints for pip: `make oldest` tests with them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

BOUND = re.compile(r"([\w.-]+)>=([\d.]+)")


def oldest(file: Path) -> list[str]:
    """Each dependency with a lower bound at that bound, those of extras included; not the tools of the extra `dev`."""
    project = tomllib.loads(file.read_text("utf-8"))["project"]
    groups = [project["dependencies"], *(group for name, group in project["optional-dependencies"].items() if name != "dev")]
    found = [BOUND.match(wanted) for group in groups for wanted in group]
    return sorted({f"{each[1]}=={each[2]}" for each in found if each is not None})


if __name__ == "__main__":
    print("\n".join(oldest(Path(__file__).parents[1] / "pyproject.toml")))
