"""file: vectors that somebody else trained, from a text file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hfrecipes.errors import DataError
from hfrecipes.part import value
from hfrecipes.vectors import Corpus, Vectors

if TYPE_CHECKING:
    import numpy as np


@value
class File(Vectors):
    """The vectors in a text file, in word2vec's format (its first line says how many there are) or GloVe's. Words that the
    tokenizer does not have are left out."""

    path: str

    def signature(self) -> str:
        import hashlib

        file = Path(self.path).expanduser()
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""

    def learn(self, corpus: Corpus) -> np.ndarray:
        import numpy as np

        from hfrecipes.words import read_vectors

        names, table = read_vectors(Path(self.path).expanduser(), "vectors.file.path")
        if table.shape[1] != corpus.width:
            what = f"the vectors have {table.shape[1]} units, and the model {corpus.width}"
            raise DataError("vectors.file.path", what, f"Write `model.config.hidden_size: {table.shape[1]}`")
        places = {name: number for number, name in enumerate(corpus.names) if name and number not in corpus.special}
        found = np.zeros((corpus.size, corpus.width), np.float32)
        known = [(places[name], row) for row, name in enumerate(names) if name in places]
        if not known:
            what = f"none of the {len(names):,} words is a token of the model"
            raise DataError("vectors.file.path", what, "Give vectors of the words that the tokenizer has")
        for place, row in known:
            found[place] = table[row]
        return found
