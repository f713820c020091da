"""ray_serve: an application of Ray Serve."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from pydantic import Field

from hfrecipes.config import to_yaml
from hfrecipes.engines import Bundle, Engine
from hfrecipes.part import value

APP = Path(__file__).with_name("_on_ray.py")


@value
class RayServe(Engine):
    """An application of Ray Serve around a Predictor, with requests in batches, in `least` to `most` processes.

    `serve run serve_config.yaml` in the folder, or `serve deploy` to a cluster whose machines have it.
    """

    least: Annotated[int, Field(ge=1)] = 1
    most: Annotated[int, Field(ge=1)] = 4

    def write(self, bundle: Bundle, folder: Path) -> None:
        shutil.copyfile(APP, folder / "serve_app.py")
        options = {"num_cpus": 1, **({"num_gpus": 1} if bundle.on_gpu else {})}
        deployment = {
            "name": "Answers",
            "max_ongoing_requests": 64,
            "autoscaling_config": {"min_replicas": self.least, "max_replicas": self.most},
            "ray_actor_options": options,
        }
        application = {"name": bundle.name, "route_prefix": "/", "import_path": "serve_app:app", "deployments": [deployment]}
        (folder / "serve_config.yaml").write_text(to_yaml({"applications": [application]}), "utf-8")
        bundle.copy(folder / "model")
