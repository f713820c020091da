"""Commands on runs: ship one, ask its model, compare several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hfrecipes.cli.given import RunFolder, Wait, column_of, finish, row_of
from hfrecipes.errors import UserError


def ship(
    run: RunFolder,
    waive: Annotated[
        list[str] | None, typer.Option(metavar="CHECK=REASON", help="Let a check fail, for a reason that report and card tell.")
    ] = None,
    sign: Annotated[Path | None, typer.Option(metavar="KEY", help="Sign the checklist with a private key in PEM.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure again, say where the machine had other work.")] = False,
    wait: Wait = False,
) -> None:
    """Export, measure and check a run that was fitted, and publish it where its recipe says so."""
    from hfrecipes import verbs
    from hfrecipes.folder import Run

    waived = dict(_waiver(entry) for entry in waive or [])
    found = Run.open(run)
    finish(lambda: verbs.ship(found, waived, sign, again), run, wait)


def verify(
    where: Annotated[
        str, typer.Argument(metavar="WHERE", help="A run, a release, a registry, or owner/name[@revision] on the Hub.")
    ],
    key: Annotated[Path | None, typer.Option(metavar="KEY", help="The public key that it has to be signed for, in PEM.")] = None,
) -> None:
    """Check that a release is what its checklist was made for: every file, all evidence, and what it answers."""
    from hfrecipes.hub import local_folder
    from hfrecipes.verification import verify as verified

    found = verified(local_folder(where), key)
    for item in found["items"]:
        print(
            f"{'waived' if item['waived'] and not item['passed'] else 'passed'}  {item['check']}: "
            f"{item['waived'] or item['reason']}"
        )
    print(f"{where}: verified, {'the whole checklist' if found['complete'] else 'a part of the checklist'} was shown")


def predict(
    run: RunFolder,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts, or JSON objects with the task's columns; else the lines of standard input. With --out: a file, a folder "
            "or a data set on the Hub."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write rows and answers there: .parquet, .jsonl or .csv.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(metavar="ROLE=NAME", help="What a column of the file is called.")] = None,
    split: Annotated[str, typer.Option(help="The split of a data set with several.")] = "test",
    graph: Annotated[str | None, typer.Option(help="A graph of the bundle, such as fp32, or pytorch.")] = None,
    cache: Annotated[Path | None, typer.Option(help="A file that keeps the answers for the next time.")] = None,
    devices: Annotated[str | None, typer.Option(help="One session each: cuda:0,cuda:1 or cpu,cpu or auto.")] = None,
) -> None:
    """Answer texts, or all rows of a file, from the bundle of a run."""
    from hfrecipes.inference.cache import Cache
    from hfrecipes.inference.predictor import Predictor

    if (out is not None and len(texts or []) != 1) or (column and out is None):
        raise UserError("predict", "one source of rows goes with --out", "Write: predict RUN rows.parquet -o answers.parquet")
    places = devices.split(",") if devices else None
    predictor = Predictor.open(run, graph, cache=None if cache is None else Cache(file=cache), devices=places)
    if out is not None:
        from hfrecipes.data import Data
        from hfrecipes.inference.files import predict_file

        named = dict(column_of(entry, predictor.task.columns) for entry in column or [])
        [source] = texts or []
        print(f"{predict_file(predictor, Data(source, test=split, columns=named), out)} rows in {out}")
        return
    given = iter(texts) if texts else (line.rstrip("\n") for line in sys.stdin)
    for answer in predictor(row_of(text, "predict") for text in given):
        print(answer)


def bench(
    run: RunFolder,
    devices: Annotated[str, typer.Option(help="Where graphs run: cpu, or several: cpu,cuda:0.")] = "cpu",
    batches: Annotated[str, typer.Option(help="Rows at once.")] = "1,8,32",
    lengths: Annotated[str, typer.Option(help="Tokens a row.")] = "16,64,128",
    threads: Annotated[int, typer.Option(min=1, help="Threads of each side.")] = 1,
) -> None:
    """Time every graph of a run beside PyTorch and transformers' pipeline, by rows at once, tokens and device."""
    from hfrecipes.folder import Run
    from hfrecipes.speed import bench as timed
    from hfrecipes.tables import print_timings

    shapes = _numbers("--batches", batches), _numbers("--lengths", lengths)
    print_timings(timed(Run.open(run), devices.split(","), *shapes, threads))
    print(run / "bench.md")


def table(runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")]) -> None:
    """A Markdown table of runs: before and after training, as served, size and speed."""
    from hfrecipes.report import Report, comparison, markdown_table

    print(markdown_table(*comparison([Report.load(folder) for folder in runs])))


def retention(
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="The teacher's run folder.")],
    student: Annotated[
        Path, typer.Argument(metavar="STUDENT", help="The student's run folder; retention.json is written there.")
    ],
    alone: Annotated[Path | None, typer.Option(metavar="RUN", help="The same student trained without a teacher.")] = None,
    candidate: Annotated[str, typer.Option(help="Which model: pytorch, or a graph such as cpu/int8.")] = "pytorch",
) -> None:
    """What a student keeps of its teacher: scores with paired intervals, parameters, MB and speed."""
    from hfrecipes.report import markdown_table
    from hfrecipes.retention import compare

    found = compare(teacher, student, alone, candidate)
    print("\n\n".join([markdown_table(*found.table()), *found.sentences()]))


def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder that is held beside it.")],
) -> None:
    """Two runs side by side: keys of the recipes that differ, what the second gains for certain, size and speed."""
    from hfrecipes.beside import compare
    from hfrecipes.report import markdown_table

    found = compare(first, second)
    print("\n\n".join(markdown_table(*table) for table in found.tables((str(first), str(second)))))


def _waiver(entry: str) -> tuple[str, str]:
    name, equals, reason = entry.partition("=")
    if not equals:
        raise UserError("--waive", f"'{entry}' gives no reason", f'Write {name}="why it does not matter here"')
    return name, reason


def _numbers(option: str, said: str) -> list[int]:
    found = said.split(",")
    if not all(each.isdigit() and int(each) > 0 for each in found):
        raise UserError(option, f"'{said}' is no list of numbers", "Write them with commas: 1,8,32")
    return [int(each) for each in found]
