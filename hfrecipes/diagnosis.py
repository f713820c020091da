"""Diagnosis: what this machine has and what is likely to be fastest on it, and what it lacks for a recipe."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from hfrecipes import __version__, installed
from hfrecipes.data import open_splits, take
from hfrecipes.errors import UserError
from hfrecipes.hardware import hardware
from hfrecipes.targets import Target

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

QUICKEST = ("tensorrt", "cuda", "coreml", "directml", "arm", "cpu")
"""Targets, those for the faster devices first."""
INT8 = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp")
"""What processors call their instructions for int8."""
ROOM = 2.0
"""GB of disk that a run of a small model fills."""
Facts = list[tuple[str, str]]


def packages() -> Facts:
    """The packages that hfrecipes needs, with their versions, and its extras with what they lack."""
    asked = [Requirement(line) for line in requires("hfrecipes") or ()]
    needed = [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    found = [(each.name, _state(each)) for each in needed]
    for extra in metadata("hfrecipes").get_all("Provides-Extra") or ():
        of_it = [
            each for each in asked if each.marker is not None and each not in needed and each.marker.evaluate({"extra": extra})
        ]
        lacking = [each.name for each in of_it if _state(each).startswith("missing")]
        found.append((f"[{extra}]", f"missing: {', '.join(lacking)}" if lacking else "complete"))
    return found + [(home.package, f"brings parts: {home.folder}") for home in installed.homes()]


def devices() -> Facts:
    """Where it can train and serve, and what is likely to be fastest there."""
    import onnxruntime
    import torch

    from hfrecipes.arguments import native_bf16

    cpu = hardware()
    flags = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").is_file() else ""
    int8 = [name for name in INT8 if name in flags]
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    able = [name for name in QUICKEST if Target.find(name)().lacking() is None]
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return [
        ("processor", f"{cpu['cpu']}, {cpu['cores']} cores{f', int8 by {int8[0]}' if int8 else ', no instructions for int8'}"),
        ("disk", f"{free:.0f} GB free"),
        ("trains on", f"{', '.join(gpus) or 'the CPU'}, {'bf16' if native_bf16() else 'fp32'}"),
        ("serves with", ", ".join(onnxruntime.get_available_providers())),
        ("likely fastest", f"export: [{able[0]}]; `hfrecipes bench RUN` measures it"),
    ]


def lacking(recipe: Recipe) -> tuple[list[str], list[str]]:
    """What keeps a recipe from running here, and what it will do without, a line each."""
    from hfrecipes.arguments import check_arguments
    from hfrecipes.stages.check import foreseen
    from hfrecipes.stages.prepare import teacher_print
    from hfrecipes.stages.train import head_for
    from hfrecipes.tracking import check_trackers

    def trains() -> None:
        check_arguments(recipe)
        check_trackers(recipe)

    stops: list[str] = []
    checks: tuple[Callable[[], Any], ...] = (
        lambda: _columns(recipe),
        recipe.model.locate,
        lambda: teacher_print(recipe),
        recipe.objective.signature,
        *(target.signature for target in recipe.export),
        lambda: head_for(recipe),
        trains,
    )
    for check in checks:
        try:
            check()
        except UserError as error:
            stops.append(str(error))
    notes = [
        f"export.{target.name}: is exported and checked, not timed: this machine lacks {words}"
        for target in recipe.export
        if (words := target.lacking()) is not None
    ]
    notes += [f"ship will refuse it: {line}" for line in foreseen(recipe)] if not stops else []
    remote = {"data": recipe.data.local() is None if not stops else False, "model": _is_remote(recipe)}
    notes += [f"{name}: comes from the Hub, or from its cache" for name, so in remote.items() if so]
    if any(remote.values()) and os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        notes.append("HF_HUB_OFFLINE is set: only what is in the cache is found")
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < ROOM:
        notes.append(f"disk: {free:.1f} GB are free; a run of a small model fills about {ROOM:.0f}")
    return stops, notes


def python() -> str:
    """This Python and this hfrecipes."""
    return f"hfrecipes {__version__}, Python {sys.version.split()[0]}"


def _columns(recipe: Recipe) -> None:
    """Refuse training rows on this machine without the columns that the task reads."""
    if recipe.data.local() is not None:
        data = dataclasses.replace(recipe.data, drop_leaks=False)
        take(data, open_splits(data), data.train, recipe.task.columns)


def _is_remote(recipe: Recipe) -> bool:
    path = recipe.model.path
    return bool(path) and not path.startswith("package:") and not Path(path).expanduser().exists()


def _state(asked: Requirement) -> str:
    try:
        there = version(asked.name)
    except PackageNotFoundError:
        return f"missing: pip install '{asked.name}{asked.specifier}'"
    return there if asked.specifier.contains(there, prereleases=True) else f"{there}, but {asked.specifier} is needed"
