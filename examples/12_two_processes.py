"""One recipe in two processes of this machine, and the job that would run it on a cluster.

python examples/12_two_processes.py [RECIPE [OUT]]

The same global batch gives the same weights, to a ten thousandth, with one process and with two.
"""

from __future__ import annotations

import os
import subprocess
import sys

from hfrecipes import Report
from hfrecipes.launching import launch

QUICK = ("train.num_train_epochs=1", "data.per_class=10", "check=[]")


def main(recipe: str = "recipes/bert/banking77.yaml", out: str = "runs/two", *changes: str) -> None:
    """What `hfrecipes launch RECIPE -n 2` does, and `hfrecipes launch RECIPE --nodes 4 -n 8 --gpus --render slurm`."""
    here = launch(recipe, changes or QUICK, processes=2, out=out)
    subprocess.run(here.command(), env={**os.environ, **here.environment}, check=True)
    print(Report.load(out).values["processes"], "processes")

    print(launch(recipe, nodes=4, processes=8, gpus=True).render("slurm"))


if __name__ == "__main__":
    main(*sys.argv[1:])
