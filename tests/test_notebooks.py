"""The notebooks run from the first cell to the last, with a tiny model and rows in the place of their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BAD, GOOD, films, reviews, write_lines

nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install nbformat nbclient ipykernel")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install nbclient ipykernel")
pytest.importorskip("ipykernel", reason="needs ipykernel: pip install ipykernel")

BOOKS = sorted((Path(__file__).parents[1] / "examples/notebooks").glob("*.ipynb"))
NEW_WORDS = {**dict.fromkeys(GOOD, "card"), **dict.fromkeys(BAD, "bank")}
SAID = {
    "1_from_data_to_release": ("not released. latency: ", "cpu/", "image/png"),
    "2_smaller_and_faster": ("| candidate | graph |", "the fastest of", "image/png"),
    "3_in_production": ("as_before.jsonl as before", "moved.jsonl drifted:", "promoted: better on the new rows"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(
    path: Path, finished: Path, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = nbformat.read(path, as_version=4)
    films(tmp_path, values)
    write_lines(tmp_path / "data/test.jsonl", reviews(640, seed=0)[400:])
    given = {"MODEL": str(finished), "DATA": "data", "OUT": "run", "LAYERS": (2,), "NEW_WORDS": NEW_WORDS}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    [parameters] = [cell for cell in books.cells if "parameters" in cell.metadata.get("tags", [])]
    assert all(not cell.get("outputs") for cell in books.cells), "outputs are not kept: they would be of another day"
    names = [line.partition(" = ")[0] for line in parameters.source.splitlines() if " = " in line]
    parameters.source = "\n".join(f"{name} = {given[name]!r}" for name in names)
    nbclient.NotebookClient(books, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in books.cells for output in cell.get("outputs", [])]
    told = "\n".join(str({**output.get("data", {}), "said": output.get("text", "")}) for output in outputs)
    assert [word for word in SAID[path.stem] if word not in told] == [], [line[:500] for line in told.splitlines()]


def test_there_are_three() -> None:
    assert [path.stem for path in BOOKS] == [*SAID]
