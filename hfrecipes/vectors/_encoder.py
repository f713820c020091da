"""Vectors out of an encoder: what it makes of each token alone, reduced to the main directions (Model2Vec, Tulkens and van Dongen
2024, https://github.com/MinishLab/model2vec)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from tqdm import tqdm

from hfrecipes.tokens import Tokens

AT_ONCE = 1024


def states(body: Any, tokens: Tokens, size: int) -> np.ndarray:
    """The mean of the last hidden states for each of `size` tokens alone in its frame, of shape (tokens, units)."""
    framed = tokens.encode([""])[0].ids
    first, last = framed[: (len(framed) + 1) // 2], framed[(len(framed) + 1) // 2 :]
    found = []
    with torch.inference_mode():
        for start in tqdm(range(0, size, AT_ONCE), desc="vectors", disable=None):
            ids = torch.tensor([[*first, token, *last] for token in range(start, min(size, start + AT_ONCE))])
            said = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            found.append(said.mean(dim=1).float().numpy())
    return np.concatenate(found)


def reduced(whole: np.ndarray, width: int) -> np.ndarray:
    """The main directions of vectors, at most `width`."""
    found: np.ndarray = PCA(min(width, *whole.shape), random_state=0).fit_transform(whole)
    return found
