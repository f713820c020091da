"""kserve: an InferenceService of Kubernetes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hfrecipes.config import to_yaml
from hfrecipes.engines import Bundle, Engine
from hfrecipes.engines._container import PORT, USER, write_container
from hfrecipes.part import value


@value
class Kserve(Engine):
    """An InferenceService that runs the image of the container file beside it, between `least` and `most` times.

    `kubectl apply -f inference_service.yaml`. The key of the clients is `api-key` of the secret NAME, where there is one.
    """

    least: Annotated[int, Field(ge=0)] = 1
    most: Annotated[int, Field(ge=1)] = 4
    memory: str = "1Gi"
    cpu: str = "1"

    def write(self, bundle: Bundle, folder: Path) -> None:
        write_container(bundle, folder)
        wanted = {"cpu": self.cpu, "memory": self.memory, **({"nvidia.com/gpu": "1"} if bundle.on_gpu else {})}
        key = {"name": bundle.name, "key": "api-key", "optional": True}
        container: dict[str, Any] = {
            "name": "kserve-container",
            "image": f"{bundle.name}:{bundle.manifest['checkpoint'][:12]}",
            "ports": [{"containerPort": PORT, "protocol": "TCP"}],
            "env": [{"name": "HFRECIPES_API_KEY", "valueFrom": {"secretKeyRef": key}}],
            "resources": {"requests": wanted, "limits": dict(wanted)},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": PORT}},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        service = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": bundle.name},
            "spec": {"predictor": {"minReplicas": self.least, "maxReplicas": self.most, "containers": [container]}},
        }
        (folder / "inference_service.yaml").write_text(to_yaml(service), "utf-8")
