"""The API reference, made from the docstrings: a page for the public names, and one for each module.

python examples/docs/reference.py FOLDER
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc

import hfrecipes

APART = ("__main__", "cli", "skills")
"""The command line tells about itself."""


def main(folder: str) -> None:
    """Write `index.html` and the pages it leads to."""
    for name in hfrecipes.__all__:
        setattr(hfrecipes, name, getattr(hfrecipes, name))  # they are loaded when first asked for, and pdoc looks without asking
    names = [f"hfrecipes.{each.name}" for each in pkgutil.iter_modules(hfrecipes.__path__) if each.name not in APART]
    warnings.filterwarnings("ignore", "Error parsing type annotation")  # it is shown as it is written
    pdoc.render.configure(docformat="markdown", footer_text=f"hfrecipes {hfrecipes.__version__}")
    pdoc.pdoc("hfrecipes", *names, r"!.*\._", output_directory=Path(folder))
    print(f"{Path(folder) / 'index.html'}: {len(list(Path(folder).rglob('*.html')))} pages")


if __name__ == "__main__":
    main(*sys.argv[1:])
