from __future__ import annotations

from pathlib import Path

from tests.oldest import oldest


def test_each_lower_bound_of_the_project_and_of_its_extras_is_pinned_and_no_tool(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\ndependencies = ["torch>=2.11", "scipy"]\n[project.optional-dependencies]\n'
        'serve = ["uvloop>=0.21; sys_platform != \'win32\'"]\ndemo = ["gt==0.1"]\ndev = ["hypothesis>=6", "uvloop>=0.21"]\n',
        "utf-8",
    )
    assert oldest(file) == ["torch==2.11", "uvloop==0.21"]
