"""Commands on services: answers over HTTP, here or where an engine runs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Annotated

import typer

from hfrecipes.errors import DependencyError, UserError

PACKAGES = ("fastapi", "uvicorn", "prometheus_client")
KEY = "HFRECIPES_API_KEY"
HOME = ("127.0.0.1", "localhost", "::1")


def serve(
    where: Annotated[str, typer.Argument(metavar="WHERE", help="A run, a release, a registry, or owner/name on the Hub.")],
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is one that is free.")] = 8000,
    graph: Annotated[str | None, typer.Option(help="A graph of the bundle, such as fp32, or pytorch.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the model; all cores where it is not given.")] = None,
    devices: Annotated[str | None, typer.Option(help="One session each: cuda:0,cuda:1 or cpu,cpu; auto: a core each.")] = None,
    cache: Annotated[int, typer.Option(min=0, help="Answers to keep in memory; 0 keeps none.")] = 0,
    api_key_file: Annotated[
        Path | None, typer.Option(help=f"A file with the key that clients have to show; else {KEY} of the environment.")
    ] = None,
    in_flight: Annotated[int, typer.Option(min=1, help="Rows that are accepted at once; beyond it the answer is 503.")] = 256,
    batch_rows: Annotated[int, typer.Option(min=1, help="Rows that are answered together at most.")] = 128,
    wait_ms: Annotated[float, typer.Option(help="Milliseconds that a row waits for others.")] = 2.0,
    items: Annotated[int, typer.Option(min=1, help="Items of one request at most.")] = 128,
    characters: Annotated[int, typer.Option(min=1, help="Characters of one item at most.")] = 20_000,
    size: Annotated[int, typer.Option(min=1, help="Bytes of one request at most.")] = 4_000_000,
    timeout: Annotated[float, typer.Option(help="Seconds that one request may take.")] = 30.0,
    monitor: Annotated[bool, typer.Option(help="Whether the model's monitor looks at what is asked and answered.")] = True,
    window: Annotated[int, typer.Option(help="Rows that it judges together.")] = 200,
    rate: Annotated[float, typer.Option(help="How often a window may raise an alarm by chance: 0.1, 0.05 or 0.01.")] = 0.01,
) -> None:
    """Answer over HTTP: POST /predict. Of a registry always with the release in production."""
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise DependencyError("serve", f"needs {package.replace('_', '-')}", "Run: pip install 'hfrecipes[serve]'")
    from hfrecipes.inference.cache import Cache
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.monitor import Monitor
    from hfrecipes.serving.app import service
    from hfrecipes.serving.limits import Limits
    from hfrecipes.serving.server import listening
    from hfrecipes.serving.server import serve as served

    limits = Limits(in_flight, batch_rows, wait_ms=wait_ms, items=items, characters=characters, size=size, timeout=timeout)
    key = _key(api_key_file)
    places = devices.split(",") if devices and devices != "auto" else devices

    def opened(folder: Path) -> Predictor:
        return Predictor.open(folder, graph, threads, cache=Cache(cache) if cache else None, devices=places)

    def watched(folder: Path) -> Monitor:
        return Monitor.from_pretrained(folder, window, rate)

    door = service(where, opened, limits, key, watched if monitor else None)
    with listening(host, port) as place:
        now = door.batcher.served
        address = f"[{host}]" if ":" in host else host
        said = f"{where}{f' ({now.release})' if now.release else ''}"
        print(f"serving {said} at http://{address}:{place.getsockname()[1]}", flush=True)
        if not key and host not in HOME:
            print(f"warning: anybody may ask. Give --api-key-file, or set {KEY}", flush=True)
        served(door, place, timeout)


def export(
    where: Annotated[str, typer.Argument(metavar="WHERE", help="A run, a release, a registry, or owner/name on the Hub.")],
    engine: Annotated[
        str, typer.Option(help="One of `hfrecipes list engines`; with options as in a recipe: '{triton: {rows: 8}}'.")
    ],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder.")],
    name: Annotated[
        str | None, typer.Option(help="What the service is called; as the folder of WHERE, where it is not given.")
    ] = None,
) -> None:
    """Lay the bundle out for an engine that serves it on more than one machine."""
    from hfrecipes.config import named
    from hfrecipes.engines import Engine, lay_out

    made = named(Engine, engine, "--engine")  # type: ignore[type-abstract]
    for file in lay_out(where, made, to, name):
        print(file)


def _key(file: Path | None) -> str:
    """The key in a file, or in the environment; "" where there is neither. Raises UserError where it is empty."""
    if file is None and KEY not in os.environ:
        return ""
    try:
        key = (os.environ[KEY] if file is None else file.read_text("utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("--api-key-file", f"{file} cannot be read: {error}", "Give a file with one line") from None
    if not key or not key.isprintable():
        raise UserError(KEY if file is None else "--api-key-file", "holds no key", "Write one line of letters and digits")
    return key
