"""Patterns: whether a regular expression of a tokenizer can take for ever.

Tokenizers match by backtracking: `(a+)+b` takes twice as long for each further letter. Every character and every class counts as
the same letter here, so that what could overlap does. Refused are choices and repetitions of no fixed length inside of a
repetition, more than two open repetitions one after another, two with something behind them that can fail, and references to a
group. The expressions of the tokenizers in use, of GPT-2, Llama, Qwen, DeepSeek and their like, have none of these.
"""

from __future__ import annotations

import re
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 4096
OPEN, SHORT = 2, 8
"""Repetitions without an end, and with one, that may follow one another."""
ENDLESS = 64
"""A repetition of so many is one without an end."""
REPEATS = (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT)
PIECES = re.compile(
    r"""
    (?P<letter> \[\^?\]? (?: [^\[\]\\] | \\. | \[ (?:[^\[\]\\]|\\.)* \] )* \]
                | \\[pPx]\{[^}]*\} | \\[^1-9kgRX] | [^\\()\[|*+?^$] )
    | (?P<kept> \((?!\?) | \(\? (?: [:=!>] | <[=!] ) | \{(?:\d+,?\d*|,\d+)\} | [)|*+?^$] )
    | \( \? (?: (?P<flags>[a-zA-Z-]*) (?P<closed>[:)]) | P?<\w+> )
    """,
    re.VERBOSE | re.DOTALL,
)
COUNT = re.compile(r"\{(?:\d+,?\d*|,\d+)\}")


class Hard(Exception):
    """The expression can take for ever, or cannot be judged."""


def is_bounded(pattern: str) -> bool:
    """Whether a text is matched in a time that grows no faster than with the cube of its length, whatever it holds."""
    try:
        _weigh(_parser.parse(_plain(pattern)))
    except (Hard, re.error, OverflowError, RecursionError):
        return False
    return True


def _plain(pattern: str) -> str:
    """The expression with the letter `a` for every character, every escape and every class."""
    out, at = [], 0
    while at < len(pattern):
        count = COUNT.match(pattern, at)
        found = count or PIECES.match(pattern, at)
        if found is None or len(pattern) > LONGEST:
            raise Hard
        if count or found["kept"]:
            out.append(found[0])
        elif found["letter"]:
            out.append("a")
        elif found["closed"] != ")":
            out.append("(?:")
        at = found.end()
    return "".join(out)


def _weigh(parts: Any) -> tuple[int, int]:
    """How many open and how many short repetitions can follow one another in a part of an expression."""
    opened = short = 0
    for kind, given in parts:
        if kind in REPEATS:
            least, most, body = given
            inside = _weigh(body)
            if most > 1 and (any(inside) or _chooses(body)):
                raise Hard
            if most > 1 and least != most:
                inside = (1, 0) if most >= ENDLESS else (0, 1)
            elif least != most:
                inside = (inside[0], inside[1] + 1)
            fails = least > 0
        elif kind is kinds.BRANCH:
            every = [_weigh(each) for each in given[1]]
            inside, fails = (max(each[0] for each in every), max(each[1] for each in every)), True
        elif kind is kinds.SUBPATTERN:
            inside, fails = _weigh(given[3]), True
        elif kind in (kinds.ASSERT, kinds.ASSERT_NOT):
            inside, fails = _weigh(given[1]), True
        elif kind is kinds.ATOMIC_GROUP:
            inside, fails = _weigh(given), True
        elif kind in (kinds.GROUPREF, kinds.GROUPREF_EXISTS):
            raise Hard
        else:
            inside, fails = (0, 0), True
        if opened >= OPEN and fails:
            raise Hard
        opened, short = opened + inside[0], short + inside[1]
        if opened > OPEN or short > SHORT:
            raise Hard
    return opened, short


def _chooses(parts: Any) -> bool:
    """Whether there is a choice in a part of an expression."""
    nested = {kinds.SUBPATTERN: lambda given: given[3], kinds.ATOMIC_GROUP: lambda given: given}
    nested |= dict.fromkeys((kinds.ASSERT, kinds.ASSERT_NOT), lambda given: given[1]) | dict.fromkeys(
        REPEATS, lambda given: given[2]
    )
    return any(kind is kinds.BRANCH or (kind in nested and _chooses(nested[kind](given))) for kind, given in parts)
