"""Cloze: a text written into a pattern with a masked word, and the word that stands for each label (Schick and Schütze 2021,
arXiv:2001.07676). Needs no torch: what is learned with a pattern is asked with it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from hfrecipes.errors import DataError, RecipeError
from hfrecipes.tokens import CHARACTERS_PER_TOKEN, MASKS, Tokens
from hfrecipes.value import AfterValidator, Checked, keywords, value

if TYPE_CHECKING:
    from tokenizers import Encoding

PLACES = re.compile("|".join([r"\{\w*\}", *map(re.escape, MASKS)]))
ROLES = ("text", "text_pair")


def _whole(text: str) -> str:
    places = PLACES.findall(text)
    if len(masks := [place for place in places if place in MASKS]) != 1:
        raise ValueError(f"has {len(masks)} masks. Write [MASK] once where the word goes: '{{text}} It was [MASK].'")
    named = [place[1:-1] for place in places if place not in MASKS]
    if unknown := [name for name in named if name not in ROLES]:
        raise ValueError(f"has a place {{{unknown[0]}}}. There are: {{text}}, {{text_pair}}")
    if named.count("text") != 1 or len(named) > len(set(named)):
        raise ValueError("has not one place for the text. Write {text} once, and {text_pair} once for pairs")
    return text


@value
class Cloze(Checked):
    """A pattern, and the word that stands for each label there.

    `text` is what the model reads: the row's text stands at `{text}`, a second one at `{text_pair}`, and the masked word at
    `[MASK]` (or `<mask>`, whatever the tokenizer calls it). Texts that are too long are cut, the pattern never. `words` gives the
    word of each label, one token of the model; a label that has none there stands for itself. A text alone is the pattern.
    """

    text: Annotated[str, AfterValidator(_whole)]
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, given: Any) -> Any:
        """Accept the pattern alone, and labels that are numbers."""
        given = {"text": given} if isinstance(given, str) else given
        words = keywords(given).get("words")
        if isinstance(given, Mapping) and isinstance(words, Mapping):
            given = {**given, "words": {str(label): word for label, word in words.items()}}
        return super().read(given)

    def encode(self, rows: Sequence[Mapping[str, Any]], tokens: Tokens) -> list[Encoding]:
        """One encoding a row, its texts written into the pattern. A mask that stands in a text is no mask."""
        mask = tokens.special("mask_token")
        room = tokens.max_length * CHARACTERS_PER_TOKEN - len(self.text) - len(mask)
        every = []
        for row in rows:
            given = {role for role in ROLES if row.get(role) is not None}
            if given != set(self.roles):
                what = f"the pattern has places for {' and '.join(self.roles)}, and a row has {' and '.join(sorted(given))}"
                raise DataError("task.pattern", what, "Write a pattern with a place for each text")
            cleaned = {role: tokens.clean(row[role]).replace(mask, " ") for role in self.roles}
            every.append({role: text[: room // len(cleaned)] for role, text in cleaned.items()})
        read = tokens.encode([self._written(texts, mask) for texts in every])
        return [e if not e.overflowing else self._cut(texts, tokens) for e, texts in zip(read, every, strict=True)]

    def ids(self, labels: Sequence[str], tokens: Tokens, where: str) -> list[int]:
        """The token of each label's word: what stands in the pattern where the mask does. Raises RecipeError where a word is not
        one token, or stands for two labels."""
        if unknown := sorted(set(self.words) - set(labels)):
            raise RecipeError(f"{where}.words", f"there is no label '{unknown[0]}'", f"There are: {', '.join(labels)}")
        frame = self._frame(tokens)
        if frame.overflowing or len(frame.ids) == tokens.max_length:
            what = f"leaves no room for the text among the {tokens.max_length} tokens that the model reads"
            raise RecipeError(where, what, "Write a shorter one")
        masked: Any = tokens.tokenizer.token_to_id(tokens.special("mask_token"))
        at = frame.ids.index(masked)
        found: dict[int, str] = {}
        for label in labels:
            word = self.words.get(label, label)
            ids = self._frame(tokens, word).ids
            instead = f"Write a word that is: `words: {{{label}: …}}`"
            if [*ids[:at], *ids[at + 1 :]] != [*frame.ids[:at], *frame.ids[at + 1 :]]:
                count = max(0, len(ids) - len(frame.ids) + 1)
                what = f"the word '{word}' of the label '{label}' is {count} tokens, not one of the model's"
                raise RecipeError(f"{where}.words", what, instead)
            if tokens.tokenizer.id_to_token(ids[at]) in tokens.names.values():
                what = f"the word '{word}' of the label '{label}' is no word of the model's vocabulary"
                raise RecipeError(f"{where}.words", what, instead)
            if ids[at] in found:
                what = f"'{word}' stands for two labels, '{found[ids[at]]}' and '{label}'"
                raise RecipeError(f"{where}.words", what, "Write a word of its own for each")
            found[ids[at]] = label
        return list(found)

    @property
    def roles(self) -> list[str]:
        """The columns of the texts that it has places for."""
        return [role for role in ROLES if f"{{{role}}}" in self.text]

    def _written(self, texts: Mapping[str, str], word: str) -> str:
        return PLACES.sub(lambda found: word if found[0] in MASKS else texts[found[0][1:-1]], self.text)

    def _frame(self, tokens: Tokens, word: str | None = None) -> Encoding:
        """The pattern around empty texts, with a word or the mask."""
        empty = dict.fromkeys(ROLES, "")
        return tokens.encode([self._written(empty, tokens.special("mask_token") if word is None else word)])[0]

    def _cut(self, texts: Mapping[str, str], tokens: Tokens) -> Encoding:
        """The encoding of texts that are too long, each cut until all of the pattern is there: the longer of two gives more."""
        mask, frame = tokens.special("mask_token"), self._frame(tokens)
        room = tokens.max_length - len(frame.ids)
        lengths = {role: len(e.ids) for role, e in zip(texts, tokens.encode(list(texts.values())), strict=True)}
        shares = {role: max(room // len(texts), room - sum(lengths.values()) + lengths[role]) for role in texts}
        for spare in range(room):  # a text may have a token more inside of the pattern than alone
            kept = {role: tokens.cut(text, shares[role] - spare) if shares[role] > spare else "" for role, text in texts.items()}
            [encoding] = tokens.encode([self._written(kept, mask)])
            if not encoding.overflowing:
                return encoding
        return frame
