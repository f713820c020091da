"""report: `report.json` from what the stages left, and `report.md` with its plots from that. Written anew each time."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hfrecipes import distributed, energy
from hfrecipes.averaging import ENSEMBLE, MC_DROPOUT
from hfrecipes.folder import Run, opened, read_json, write_json, write_text
from hfrecipes.hardware import hardware
from hfrecipes.plots import draw_confusion, draw_frontier, draw_loss, draw_reliability
from hfrecipes.report import Report, choices, compression, few_shot, markdown_table, sentences, verdict_in_words
from hfrecipes.stages import seconds
from hfrecipes.uncertainty import calibration_error, reliability

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

CHOSEN = (
    "Measured on held-out rows that the training did not see, with one thread; milliseconds of processor time a text, one by one "
    "and in a list. Of those that the checks let through, the fastest was kept."
)


def report(recipe: Recipe, run: Run, waived: Mapping[str, str] = MappingProxyType({})) -> None:
    """Gather the figures of all finished stages; `waived` are the reasons for which checks may fail."""
    distributed.on_main(lambda: _write(recipe, run, waived))


def _write(recipe: Recipe, run: Run, waived: Mapping[str, str]) -> None:
    facts = read_json(run.data / "facts.json")
    done = seconds(run)
    beside = [name for name in (MC_DROPOUT, ENSEMBLE) if (run.answers / f"{name}.json").is_file()]
    names = [*(["trained"] if recipe.compress else []), "pytorch", *beside]
    candidates = [read_json(run.answers / f"{name}.json") for name in names]
    if "measure" in done:
        candidates += [read_json(file) for file in sorted((run.path / "measured").glob("*.json"))]
    values: dict[str, Any] = {
        "recipe": recipe.dump(),
        "processes": distributed.processes(),
        "hardware": hardware(),
        "data": {key: facts[key] for key in ("rows", "cut_off", "max_length", "fingerprint")},
        "split": candidates[0]["facts"]["split"],
        "test_rows": len(read_json(run.answers / "rows.json")),
        "seconds": done,
        "figures": [metric.figure for metric in recipe.metrics(read_json(run.model / "config.json"))],
        "validation": read_json(run.model / "scores.json")["validation"],
        "candidates": [{"name": candidate["name"], **candidate["facts"]} for candidate in candidates],
    }
    errors = {each["name"]: calibration_error([(float(sure), bool(so)) for sure, so in each["claims"]]) for each in candidates}
    values["calibration_error"] = {name: error for name, error in errors.items() if candidates[0]["claims"]}
    if "export" in done:
        manifests = {target: opened(run.bundles / target) for target in read_json(run.bundles / "index.json")["targets"]}
        values["choices"] = {target: manifest["choice"] for target, manifest in manifests.items() if manifest.get("choice")}
        values["elsewhere"] = {
            target: {key: manifest[key] for key in ("lacking", "examined")}
            for target, manifest in manifests.items()
            if "lacking" in manifest
        }
    if (run.model / energy.FILE).is_file():
        values["energy"] = read_json(run.model / energy.FILE)
    if "few_shot" in done:
        values["few_shot"] = read_json(run.path / "few_shot.json")
    if recipe.compress:
        values["compression"] = read_json(run.path / "compression.json")
    if (run.answers / "before.json").is_file():
        values |= {name: read_json(run.answers / f"{name}.json") for name in ("baseline", "before")}
    if "check" in done:
        from hfrecipes.stages.check import trial

        verdicts = [{**verdict, "waived": waived.get(verdict["check"])} for verdict in read_json(run.path / "checks.json")]
        values |= {"served": trial(recipe, run).served, "checks": verdicts}
    write_json(run.report_file, values)
    plots = [draw_loss(read_json(run.model / "history.json"), run.path / "loss.png")]
    named = {candidate["name"]: candidate for candidate in candidates}
    served = named.get(values.get("served"), named["pytorch"])
    if not (recipe.task.generates or recipe.task.by_likelihood):
        plots.append(draw_confusion(served["predictions"]["served"], _references(recipe, run), run.path / "confusion.png"))
    claims = [(float(sure), bool(so)) for sure, so in served["claims"]]
    plots.append(draw_reliability(reliability(claims), calibration_error(claims), run.path / "reliability.png"))
    plots.append(draw_frontier(values["candidates"], values["figures"][0], run.path / "frontier.png"))
    write_text(run.path / "report.md", _markdown(Report(run.report_file, values), [plot for plot in plots if plot]))


def _references(recipe: Recipe, run: Run) -> list[Any]:
    rows = read_json(run.answers / "rows.json")
    config = read_json(run.model / "config.json")
    return [recipe.task.reference(row, config) for row in rows]


def _markdown(found: Report, plots: list[str]) -> str:
    values = found.values
    cpu = values["hardware"]
    checks = [[v["check"], verdict_in_words(v), v["reason"]] for v in values.get("checks", [])]
    parts = [
        f"# {values['recipe']['recipe']}: {values['recipe']['task'] if isinstance(values['recipe']['task'], str) else next(iter(values['recipe']['task']))}",  # noqa: E501
        f"Trained on {values['data']['rows']['train']} rows, chosen on {values['data']['rows']['validation']}, measured on "
        f"{values['test_rows']} rows of the {values['split']} split, on {cpu['cpu']} ({cpu['cores']} cores).",
        f"{values['data']['cut_off']['train']} training windows fill the {values['data']['max_length']} tokens that are read: "
        "their texts go on in another window or are cut, as the task says.",
        markdown_table(*found.rows()),
        f"Served: `{values['served']}`." if "served" in values else "Nothing was exported yet: `hfrecipes ship`.",
        "MB: weights on disk (10^6 bytes). p50 and p95: one text at a time. sentences/s: padded batches of 32.",
    ]
    if "few_shot" in values:
        parts += few_shot(values["few_shot"])
    if values["calibration_error"]:
        rows = [[name, f"{error:.4f}"] for name, error in values["calibration_error"].items()]
        parts += ["## Confidence", markdown_table(["candidate", "expected calibration error"], rows)]
    if checks:
        parts += ["## Checks", markdown_table(["check", "verdict", "figures"], checks)]
    for target, facts in values.get("elsewhere", {}).items():
        apart = [f"`{name}` differs by {share:.2%} from PyTorch on the CPU" for name, share in facts["examined"].items() if share]
        said = f"`{target}` was exported and is valid ONNX; it was not timed, since this machine lacks {facts['lacking']}."
        parts.append(" ".join([said, *(f"{words}." for words in apart)]))
    for target, table in values.get("choices", {}).items():
        parts += [f"## Candidates for {target}", markdown_table(*choices(table, values["figures"][0])), CHOSEN]
    parts += ["## Plots", *(f"![{plot}]({plot})" for plot in plots)]
    if "compression" in values:
        parts += ["## Compression", markdown_table(*compression(values["compression"])), *sentences(values["compression"])]
    took = [[name, f"{spent:.1f}"] for name, spent in values["seconds"].items()]
    parts += ["## Seconds", markdown_table(["stage", "seconds"], took)]
    if "energy" in values:
        parts.append(f"Energy of the training: {energy.in_words(values['energy'])}.")
    return "\n\n".join(parts) + "\n"
