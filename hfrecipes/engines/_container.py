"""Container: an image that answers over HTTP, as nobody in particular."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from hfrecipes import __version__
from hfrecipes.engines import Bundle

PORT = 8080
USER = 10001
SERVING = ("fastapi", "numpy", "onnxruntime", "prometheus-client", "pydantic", "pyyaml", "tokenizers", "typer", "uvicorn")
"""What `hfrecipes serve` imports for a bundle that does not write."""
WRITING = ("torch", "transformers")

CONTAINERFILE = """\
# The model in model/ over HTTP: POST /predict.   podman build -t {name} .   podman run -p {port}:{port} {name}
FROM docker.io/library/python:3.12-slim
# Another source of hfrecipes: --build-arg HFRECIPES=…
ARG HFRECIPES=hfrecipes=={version}
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt && pip install --no-cache-dir --no-deps "$HFRECIPES"
COPY model /model
USER {user}:{user}
EXPOSE {port}
# A key for those who ask: HFRECIPES_API_KEY of the environment.
ENTRYPOINT ["hfrecipes", "serve", "/model", "--host", "0.0.0.0", "--port", "{port}"]
"""


def write_container(bundle: Bundle, folder: Path) -> None:
    """A container file, the versions that the bundle was tried with here, and the bundle."""
    packages = (*SERVING, *WRITING) if bundle.generates else SERVING
    lines = [f"{package}=={version(package).partition('+')[0]}\n" for package in packages]
    (folder / "requirements.txt").write_text("".join(lines), "utf-8")
    said = CONTAINERFILE.format(name=bundle.name, port=PORT, user=USER, version=__version__)
    (folder / "Containerfile").write_text(said, "utf-8")
    bundle.copy(folder / "model")
