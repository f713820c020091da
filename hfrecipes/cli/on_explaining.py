"""The command that explains an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfrecipes.cli.given import RunFolder, row_of


def explain(
    run: RunFolder,
    text: Annotated[str, typer.Argument(help="A text, or a JSON object with the task's columns.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The folder to write into; RUN/explanation else.")] = None,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="Points between padding and the text.")] = 64,
) -> None:
    """What each token did for an answer (integrated gradients), and where every head of the checkpoint looked."""
    from hfrecipes.explaining import explain as explained
    from hfrecipes.explanation_page import write_explanation

    found = explained(run, row_of(text, "explain"), steps)
    print(f"{found.target}: {found.value:.3f}, {found.baseline:.3f} without the text")
    for token, share in zip(found.tokens, found.attributions, strict=True):
        print(f"  {share:+.3f}  {token}")
    for file in write_explanation(found, out or run / "explanation"):
        print(file)
