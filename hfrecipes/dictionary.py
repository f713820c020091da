"""Dictionary: the words of a run, of the vectors that it starts from, or of a text file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hfrecipes import origin
from hfrecipes.checkpoint import load_trained, open_reader
from hfrecipes.errors import RunError
from hfrecipes.folder import Run
from hfrecipes.tokens import Tokens
from hfrecipes.vectors import Corpus
from hfrecipes.words import Words, read_vectors


def words_of(where: Path, before: bool = False) -> Words:
    """The words and their vectors: in a text file, in the model of a run, or, where nothing is trained yet or `before` is asked
    for, as they were learned. Raises RunError where a folder has none."""
    if where.is_file():
        return Words.of(*read_vectors(where, "words"))
    run = Run(where)
    learned = run.data / origin.FILE
    if not before and run.model.is_dir():
        *_, tokens = open_reader(run.model)
        table: Any = load_trained(run.model).get_input_embeddings()
        return _named(tokens, table.weight.detach().numpy())
    if not learned.is_file():
        what = "has no trained model" if not before else "was trained without `vectors`"
        raise RunError(str(where), what, "Give a run of static vectors, or a text file of vectors")
    return _named(Tokens.open(run.data / "tokenizer", None, None), origin.learned(run.data)["vectors"])


def _named(tokens: Tokens, table: Any) -> Words:
    corpus = Corpus([], tokens, {"vocab_size": len(table)})
    return Words.of(["" if i in corpus.special else name for i, name in enumerate(corpus.names)], table)
