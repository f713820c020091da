"""Served: an opened release, and its replies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from hfrecipes.folder import sha256
from hfrecipes.hub import local_folder
from hfrecipes.inference.predictor import Predictor
from hfrecipes.pointer import FILE
from hfrecipes.serving import monitoring
from hfrecipes.serving.examples import example, inputs, needed
from hfrecipes.serving.monitoring import Watch

T = TypeVar("T")
Opener = Callable[[Path], Predictor]


class Promised(BaseModel):
    """What the truth is among at the coverage that was asked for; where it `abstains`, a person should look. An end of an
    interval that is null is no bound."""

    among: list[Any]
    abstains: bool


class Reply(BaseModel, Generic[T]):
    """Answers in the order of the inputs, and who gave them."""

    answers: list[T]
    confidences: list[list[float]] = Field(description="How sure each answer is of each thing that it claims")
    covered: list[Promised] | None = Field(description="With a coverage: what is promised of each answer")
    release: str = Field(description="The release in a registry; empty elsewhere")
    model: str = Field(description="The fingerprint of the model")
    ids: list[str] = Field(description="Names of the answers, for labels that come later: POST /labels")


@dataclass(frozen=True)
class Question:
    """The `items` of one request, texts or rows, for the release that was served when it came."""

    served: Served
    items: tuple[Any, ...]
    coverage: float | None = None

    @cached_property
    def characters(self) -> int:
        """The length of all texts."""
        return sum(map(length, self.items))


@dataclass(frozen=True)
class Said:
    """The body of a reply in JSON; its answers, what they are called, and how sure they are."""

    body: bytes
    answers: tuple[Any, ...]
    ids: tuple[str, ...]
    confidences: tuple[float, ...]


@dataclass(frozen=True)
class Served:
    """A predictor with the name of its `release` ("" where it is of no registry), the sha256 of that release's manifest, and what
    watches it."""

    predictor: Predictor
    release: str = ""
    sealed: str = ""
    watch: Watch = field(default_factory=Watch)
    turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, where: str | Path, opener: Opener, monitor: monitoring.Opener | None = None) -> Served:
        """Open a run, a release, what a registry has in production, or `owner/name` on the Hub, and ask it for an answer."""
        folder = local_folder(where)
        registry = (Path(where).expanduser() / FILE).is_file()
        named = (folder.name, sha256(folder / "manifest.json")) if registry else ("", "")
        made = cls(opener(folder), *named, Watch.open(folder, monitor))
        made.replies([Question(made, (example(made.predictor.task),))])
        return made

    @cached_property
    def reply(self) -> type[Reply[Any]]:
        """The type of the replies."""
        made: type[Reply[Any]] = Reply[self.predictor.task.answers]  # type: ignore[name-defined]
        return made

    @cached_property
    def roles(self) -> list[str]:
        """The columns that an answer is made from."""
        return inputs(self.predictor.task)

    @cached_property
    def needed(self) -> list[str]:
        """Those of them that a row has to have."""
        return needed(self.predictor.task)

    def replies(self, questions: Sequence[Question]) -> list[Said]:
        """What to say to each of several questions that are answered together."""
        with self.turn:
            answers = self.predictor([item for question in questions for item in question.items])
            found, start = [], 0
            for question in questions:
                found.append(self._said(question, answers[start : start + len(question.items)]))
                start += len(question.items)
            return found

    def pieces(self, item: Any) -> Iterator[str]:
        """The answer to one item as it is written. Raises UserError for tasks that do not write."""
        stream = self.predictor.stream(item)
        with self.turn:  # a tokenizer serves one thread at a time
            first = next(stream, "")
        yield first
        yield from stream

    def _said(self, question: Question, answers: Sequence[Any]) -> Said:
        task, covered = self.predictor.task, None
        if question.coverage is None:
            sure = [task.confidences(answer) for answer in answers]
        else:
            limit = self.predictor.uncertainty.limit(question.coverage)
            sure = self.predictor.confidences([task.row(item) for item in question.items], answers)
            within = [task.within(a, limit, each, self.predictor.config) for a, each in zip(answers, sure, strict=True)]
            covered = [Promised(among=list(each.among), abstains=each.abstains) for each in within]
        reply = self.reply.model_construct(
            answers=list(answers),
            confidences=sure,
            covered=covered,
            release=self.release,
            model=self.predictor.fingerprint,
            ids=self.watch.ids(len(answers)),
        )
        claims = tuple(claim for each in sure for claim in each)
        return Said(reply.model_dump_json().encode(), tuple(answers), tuple(reply.ids), claims)


def length(item: Any) -> int:
    """The characters of a text, or of the texts and words of a row."""
    if isinstance(item, str):
        return len(item)
    return sum(len(word) for entry in item.values() for word in entry)
