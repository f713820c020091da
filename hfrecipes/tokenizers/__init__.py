"""Tokenization: how texts are cut into tokens, learned from the training texts. One file for each way.

A part learns a `tokenizers.Tokenizer`; `wrap` puts around it what the architecture of the model needs. The same texts give the
same `tokenizer.json`, byte for byte.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from hfrecipes.errors import DataError, RecipeError
from hfrecipes.part import Part
from hfrecipes.tokens import LONE_SURROGATES

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    from hfrecipes.family import Architecture


@dataclass(frozen=True)
class Layout:
    """What an architecture has around the tokens of a text.

    `special` maps transformers' names of the special tokens to the tokens, in the order of their ids from 0. `single` and `pair`
    are templates of `tokenizers`. `sentinels` is how many tokens `<extra_id_N>` mark the gaps of a corrupted text; their ids
    follow the vocabulary.
    """

    special: Mapping[str, str]
    single: str
    pair: str
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    padding_side: str = "right"
    sentinels: int = 0

    @property
    def unknown(self) -> str:
        """The token of all that is not in the vocabulary."""
        return self.special["unk_token"]

    @property
    def tokens(self) -> list[str]:
        """The special tokens in the order of their ids."""
        return list(self.special.values())


LAYOUTS: Mapping[Architecture, Layout] = MappingProxyType(
    {
        "encoder": Layout(
            {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"},
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            inputs=("input_ids", "token_type_ids", "attention_mask"),
        ),
        "decoder": Layout(
            {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
            single="<s> $A",
            pair="<s> $A $B",
            padding_side="left",
        ),
        "encoder-decoder": Layout(
            {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
            single="$A </s>",
            pair="$A </s> $B </s>",
            sentinels=100,
        ),
    }
)


class Tokenization(Part, kind="tokenizers"):
    """Base of tokenizers that are trained.

    `vocab_size` counts the special tokens and not the sentinels; None is no limit. `leading_space`: the token that opens a word
    holds the space before it, so a mask that stands for the token takes the space with it.
    """

    leading_space: ClassVar[bool] = False
    vocab_size: int | None

    @abstractmethod
    def learn(self, texts: Iterable[str], layout: Layout) -> Tokenizer:
        """A tokenizer with a vocabulary out of `texts`, which are read once; the special tokens of `layout` open it."""

    def train(self, texts: Iterable[str], architecture: Architecture = "encoder") -> Tokenizer:
        """Learn from texts, for `wrap` with the same architecture. Raises DataError where there is nothing to learn from, and
        RecipeError where the vocabulary cannot be as small as asked."""
        layout = LAYOUTS[architecture]
        least = len(layout.tokens)
        self.check_size(least + 1)
        source = (LONE_SURROGATES.sub("\ufffd", text) for text in texts)
        first = next((text for text in source if text.strip()), None)
        tokenizer = None if first is None else self.learn(chain([first], source), layout)
        size = tokenizer.get_vocab_size() if tokenizer else least
        if tokenizer is None or size <= least:
            raise DataError("data", "there is nothing in the texts to train a tokenizer on", "Name a column of more texts")
        self.check_size(size)
        return tokenizer

    def check_size(self, least: int) -> None:
        """Refuse a vocabulary that is smaller than what must be in it."""
        if self.vocab_size is not None and self.vocab_size < least:
            raise RecipeError(
                f"tokenizer.{self.name}.vocab_size",
                f"{self.vocab_size} is less than the special tokens with the smallest pieces, which are {least}",
                f"Write {least} or more",
            )

    def wrap(self, tokenizer: Tokenizer, architecture: Architecture, max_length: int) -> PreTrainedTokenizerFast:
        """A trained tokenizer as transformers and the model want it: special tokens, template, padding side, names of inputs."""
        from tokenizers import AddedToken, Tokenizer, processors
        from transformers import PreTrainedTokenizerFast

        layout = LAYOUTS[architecture]
        ids = {token: tokenizer.token_to_id(token) for token in layout.tokens}
        if list(ids.values()) != list(range(len(ids))):
            raise ValueError(f"the tokenizer was not trained for the architecture '{architecture}'")
        whole = Tokenizer.from_str(tokenizer.to_str())
        template = processors.TemplateProcessing(single=layout.single, pair=layout.pair, special_tokens=list(ids.items()))
        earlier = [whole.post_processor] if whole.post_processor else []
        whole.post_processor = processors.Sequence([*earlier, template])
        marks = {
            name: AddedToken(token, lstrip=self.leading_space and name == "mask_token", special=True)
            for name, token in layout.special.items()
        }
        sentinels = [AddedToken(f"<extra_id_{i}>", lstrip=self.leading_space, special=True) for i in range(layout.sentinels)]
        whole.add_special_tokens([*marks.values(), *sentinels])
        return PreTrainedTokenizerFast(
            tokenizer_object=whole,
            model_max_length=max_length,
            padding_side=layout.padding_side,
            model_input_names=list(layout.inputs),
            extra_special_tokens=sentinels,
            clean_up_tokenization_spaces=False,
            **marks,
        )

    def spell(self, token: str) -> str:
        """A token as people read it; a space is `▁`."""
        return token.replace(" ", "▁")
