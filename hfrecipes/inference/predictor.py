"""Predictor: texts in, answers out, from a run, a checkpoint or a bundle.

Over a bundle it imports neither torch nor transformers: the first answer of a new process comes within a fraction of a second.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.checkpoint import load_trained, open_reader
from hfrecipes.edge import explained
from hfrecipes.errors import DataError, ModelError, UserError
from hfrecipes.folder import listing, opened, read_json, sha256
from hfrecipes.hub import local_folder
from hfrecipes.inference import adding
from hfrecipes.inference.engines import Engine, engine_of, onnx_engine, torch_engine
from hfrecipes.inference.likelihood import likelihood
from hfrecipes.inference.planning import MANY_SLOTS, TOKEN_BUDGET, plan, shown
from hfrecipes.tasks import Features, Row, Task, Window, by_row
from hfrecipes.tokens import Tokens
from hfrecipes.uncertainty import UNFITTED, Covered, Uncertainty
from hfrecipes.uncertainty import load as load_uncertainty

if TYPE_CHECKING:
    from hfrecipes.inference.cache import Cache

TOGETHER = 32 * 512
"""Tokens, padding included, of a batch that is not planned."""
AT_FIRST, LOOK_AHEAD = 64, 2048
"""Texts read ahead of the answers when they come from a stream: few at first, so that the first answer comes soon, then twice as
many each time."""


@dataclass(frozen=True)
class Predictor:
    """Answers for texts. `Predictor.open("runs/x")(["…", "…"])` gives the answers in order.

    A text is a string, a pair of strings, or a mapping with the task's columns. A single text gives one answer, a list a
    list, and any other iterable an iterator that reads at most `LOOK_AHEAD` texts ahead.
    """

    task: Task
    config: Mapping[str, Any]
    tokens: Tokens
    engine: Engine
    scorer: Engine
    batch_dependent: bool = False
    slots: int = TOKEN_BUDGET
    cache: Cache | None = None
    spread: Callable[[Engine, Iterable[Any]], Iterable[Any]] = map
    source: Path | None = None
    asked: str = ""
    uncertainty: Uncertainty = UNFITTED

    @cached_property
    def fingerprint(self) -> str:
        """What tells models apart that may answer differently: a hash of the files and of what was asked for at opening."""
        if self.source is None:
            return ""
        sealed = self.source / "manifest.json"
        files = sha256(sealed) if sealed.is_file() else listing(self.source)
        return hashlib.sha256(json.dumps([files, self.asked], sort_keys=True).encode()).hexdigest()

    @classmethod
    def open(
        cls,
        path: str | Path,
        graph: str | None = None,
        threads: int | None = None,
        cache: Cache | None = None,
        devices: Sequence[str] | str | None = None,
        **generation: Any,
    ) -> Predictor:
        """Open a run folder, a release, a bundle, or a checkpoint: a folder, or `owner/name` or `owner/name@revision` on the Hub.

        `graph` is `int8`, `fp32`, … of a bundle (its default is the one to serve), `TARGET/GRAPH` of a run with several targets,
        or `pytorch` for the checkpoint. `cache` gives answers to texts that were asked before. `devices` opens one session each,
        with `threads` (1) threads, between which batches are shared: `["cuda:0", "cuda:1"]`, `["cpu", "cpu"]` (a core each), or
        `auto`; without it one session takes all cores. `generation` changes options of `generate`. Raises ModelError where there
        is no such folder, repository or graph.
        """
        folder = local_folder(path)
        with explained(str(path), "cannot be opened", "Give a run, a bundle or a checkpoint that is whole"):
            found, source = cls._open(path, folder, graph, threads, devices, generation)
        asked = json.dumps([graph, generation], sort_keys=True, default=str)
        found = dataclasses.replace(found, source=source, asked=asked)
        if cache is None:
            return found
        if found.task.generates and {**found.task.writing(), **generation}.get("do_sample"):
            raise UserError("cache", "answers are drawn at random, and no two are the same", "Write do_sample=False, or no cache")
        from pydantic import TypeAdapter

        answers = TypeAdapter(found.task.answers)
        cache.bind(found.fingerprint, answers.dump_json, answers.validate_json)
        return dataclasses.replace(found, cache=cache)

    @classmethod
    def _open(
        cls,
        path: str | Path,
        folder: Path,
        graph: str | None,
        threads: int | None,
        devices: Sequence[str] | str | None,
        generation: Mapping[str, Any],
    ) -> tuple[Predictor, Path]:
        """The predictor, and the folder that it was made from."""
        index = folder / "bundles" / "index.json"
        if graph == "pytorch" or (graph is None and (folder / "model.safetensors").is_file() and not index.is_file()):
            if devices is not None:
                raise UserError("devices", "a checkpoint runs where PyTorch puts it", "Ask for a graph of a bundle")
            checkpoint = folder / "model" if (folder / "recipe.yaml").is_file() else folder
            return cls.around(load_trained(checkpoint), checkpoint, generation), checkpoint
        if (folder / "recipe.yaml").is_file() or index.is_file():
            if not index.is_file():
                raise ModelError(str(path), "has no bundle yet", "Run `hfrecipes ship` on it, or ask for graph='pytorch'")
            target, _, graph = (graph or "").rpartition("/")
            folder = folder / "bundles" / (target or read_json(index)["default"])
        manifest = opened(folder)
        graphs = manifest["graphs"]
        chosen = graph or str(manifest["default"])
        if chosen not in graphs:
            raise ModelError(str(folder), f"has no graph '{chosen}'", f"It has: {', '.join(graphs)}")
        found = cls.over(folder, graphs[chosen], manifest["providers"], threads, devices, generation)
        return dataclasses.replace(found, uncertainty=load_uncertainty(folder, chosen)), folder

    @classmethod
    def over(
        cls,
        folder: Path,
        graph: Mapping[str, Any],
        providers: Sequence[str],
        threads: int | None = None,
        devices: Sequence[str] | str | None = None,
        generation: Mapping[str, Any] = MappingProxyType({}),
    ) -> Predictor:
        """One graph of the bundle in `folder`, as its manifest describes it."""
        task, config, tokens = open_reader(folder)
        if devices is not None:
            from hfrecipes.inference.devices import Sessions, devices_of

            places = devices_of(devices, providers)
            threads = 1 if threads is None else threads
            pairs = [cls._engines(graph, task, folder, [place.provider], threads, place.options, generation) for place in places]
            sessions = Sessions([engine for engine, _ in pairs], places)
            return cls(task, config, tokens, sessions, pairs[0][1], graph["batch_dependent"], spread=sessions.spread)
        engine, scorer = cls._engines(graph, task, folder, providers, threads, {}, generation)
        slots = MANY_SLOTS if task.generates else TOKEN_BUDGET
        return cls(task, config, tokens, engine, scorer, graph["batch_dependent"], slots=slots)

    @staticmethod
    def _engines(
        graph: Mapping[str, Any],
        task: Task,
        folder: Path,
        providers: Sequence[str],
        threads: int | None,
        options: Mapping[str, Any],
        generation: Mapping[str, Any],
    ) -> tuple[Engine, Engine]:
        """What answers, and what says how likely rows are."""
        file = folder / graph["file"]
        if not task.generates:
            engine = engine_of(file, providers, threads, options)
            return engine, engine
        from hfrecipes.inference.generation import OnnxGenerator, Writer, read_pair

        model = OnnxGenerator.open(file, providers, threads, options)
        pair = model.encoder is not None
        scorer = partial(read_pair, model) if pair else onnx_engine(file / "prefill.onnx", providers, threads, options)
        return Writer.over(model, folder, {**task.writing(), **generation}, not graph["batch_dependent"]), scorer

    @classmethod
    def around(cls, model: Any, folder: Path, generation: Mapping[str, Any] = MappingProxyType({})) -> Predictor:
        """A PyTorch model with the task, the label names and the tokenizer of the checkpoint in `folder`."""
        task, config, tokens = open_reader(folder)
        engine = scorer = torch_engine(model)
        if task.generates:
            from hfrecipes.inference.generation import Writer

            engine = Writer(model, folder, {**task.writing(), **generation})
        return cls(task, config, tokens, engine, scorer, uncertainty=load_uncertainty(folder, "pytorch"))

    def __call__(self, texts: Any, coverage: float | None = None) -> Any:
        """Answers in the order of the texts. With a `coverage`, such as 0.9, each is a `Covered`: what the truth is among, and
        whether a person should look; raises UserError where the model was not fitted for that."""
        if coverage is not None:
            self.uncertainty.limit(coverage)
        if isinstance(texts, (str, Mapping)):
            return self._told([texts], self.together, coverage)[0]
        if isinstance(texts, Sequence):
            return self._told(texts, self.answer, coverage)
        return self._stream(iter(texts), coverage)

    def _told(self, texts: Sequence[Any], answer: Callable[[Sequence[Row]], list[Any]], coverage: float | None) -> list[Any]:
        answers = self._known(texts, answer)
        return answers if coverage is None else self.covered([self._row(text) for text in texts], answers, coverage)

    def covered(self, rows: Sequence[Row], answers: Sequence[Any], coverage: float) -> list[Covered]:
        """Answers to rows as far as they can be promised at a coverage."""
        limit, sure = self.uncertainty.limit(coverage), self.confidences(rows, answers)
        return [self.task.within(answer, limit, each, self.config) for answer, each in zip(answers, sure, strict=True)]

    def confidences(self, rows: Sequence[Row], answers: Sequence[Any]) -> list[list[float]]:
        """How sure each answer to a row is of each thing that it claims; for a text that was written, the geometric mean of the
        probabilities of its tokens, which takes another pass."""
        if not self.task.generates or self.task.by_likelihood:
            return [self.task.confidences(answer) for answer in answers]
        taught = [self.task.taught(row, answer) for row, answer in zip(rows, answers, strict=True)]
        return [[math.exp(-lost / max(1, count))] for lost, count in self.likelihood(taught)]

    def _known(self, texts: Sequence[Any], answer: Callable[[Sequence[Row]], list[Any]]) -> list[Any]:
        """Answers from the cache, and from `answer` to the other texts, each asked once."""
        cache = self.cache
        if cache is None:
            return answer([self._row(text) for text in texts])
        keys = [cache.key(text) for text in texts]
        found = {key: held for key in keys if (held := cache.get(key)) is not None}
        if missing := {key: text for key, text in zip(keys, texts, strict=True) if key not in found}:
            for key, fresh in zip(missing, answer([self._row(text) for text in missing.values()]), strict=True):
                found[key] = fresh
                cache.put(key, fresh)
        return [found[key] for key in keys]

    add_class = adding.add_class

    def stream(self, text: Any) -> Iterator[str]:
        """The answer to one text, piece by piece as it is written. Raises UserError for tasks that do not write."""
        if not self.task.generates:
            raise UserError("stream", f"{self.task.name} does not write", "Call the predictor instead")
        features = self.task.encode([self._row(text)], self.tokens, self.config)
        writer: Any = self.engine
        yield from writer.stream(self.task.collate(features, self.tokens))

    def _row(self, given: Any) -> Row:
        """The row that is meant. Raises DataError where it is none that the task can read."""
        row = self.task.meant(given)
        if not row or not all(isinstance(entry, (str, list)) for entry in row.values()):
            wanted = ", ".join(f"{role} ({column.meaning})" for role, column in self.task.columns.items())
            raise DataError("text", f"{self.task.name} cannot read {given!r:.60}", f"Its columns are: {wanted}")
        return row

    def _stream(self, texts: Iterator[Any], coverage: float | None) -> Iterator[Any]:
        size = AT_FIRST
        while window := list(itertools.islice(texts, size)):
            yield from self._told(window, self.answer, coverage)
            size = min(2 * size, LOOK_AHEAD)

    def answer(self, rows: Sequence[Row]) -> list[Any]:
        """Answers for rows, in planned batches: texts of like length together; of equal length where the graph's answers
        depend on the batch."""
        features = self.task.encode(rows, self.tokens, self.config)
        lengths = [len(f["input_ids"]) for f in features]
        return self._answers(rows, features, plan(lengths, self.slots, equal=self.batch_dependent))

    def together(self, rows: Sequence[Row]) -> list[Any]:
        """Answers for rows as exactly one batch, or as few as fit into memory where one text fills many windows."""
        features = self.task.encode(rows, self.tokens, self.config)
        size = max(1, TOGETHER // max((len(f["input_ids"]) for f in features), default=1))
        return self._answers(
            rows, features, [list(range(i, min(i + size, len(features)))) for i in range(0, len(features), size)]
        )

    def likelihood(self, rows: Sequence[Row]) -> list[tuple[float, int]]:
        """For each row the negative log-likelihood (in nats, summed) and the number of the tokens that the task's probes ask
        for; a probe counts for the row in which it begins."""
        return likelihood(self.task, self.config, self.tokens, self.scorer, rows)

    def _answers(self, rows: Sequence[Row], features: Sequence[Features], batches: Sequence[Sequence[int]]) -> list[Any]:
        windows: list[Window] = []
        collated = (self.task.collate([features[i] for i in batch], self.tokens) for batch in batches)
        for batch, outputs in zip(shown(batches), self.spread(self.engine, collated), strict=True):
            for position, i in enumerate(batch):
                windows.append(Window(features[i], self._cut(outputs, position, len(features[i]["input_ids"]))))
        gathered = by_row(rows, windows)
        return [self.task.answer(row, found, self.tokens, self.config) for row, found in zip(rows, gathered, strict=True)]

    def _cut(self, outputs: Mapping[str, np.ndarray], position: int, length: int) -> dict[str, np.ndarray]:
        """The outputs of one row of a batch, without its padding."""
        found = {name: outputs[name][position] for name in self.task.outputs}
        if self.uncertainty.temperature != 1:
            found = {name: array / self.uncertainty.temperature for name, array in found.items()}
        if not self.task.per_token:
            return found
        left = self.tokens.padding_side == "left"
        return {name: array[-length:] if left else array[:length] for name, array in found.items()}
