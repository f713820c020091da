"""Card: the model card of a run, `README.md`, written from what was measured and merged with what people wrote into it.

What is generated stands between marks, and is written anew each time. All else is left as it is: text outside of the marks, keys
of the front matter that were changed by hand, and a generated part that somebody rewrote, which becomes text of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from hfrecipes.value import Checked, hint, keywords, value

FILE = "README.md"
LIMITS = "## Limits"
PLACEHOLDER = "*Write here what this model should not be used for, and who was not in the data.*"
PART = re.compile(r"<!-- hfrecipes:(?P<name>[\w-]+) (?P<digest>[0-9a-f]{12}) -->\n(?P<body>.*?)<!-- /hfrecipes -->\n", re.DOTALL)
FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
LICENSES = (
    *(
        "apache-2.0",
        "mit",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-3.0",
        "agpl-3.0",
        "mpl-2.0",
    ),
    *(
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
    ),
    *(
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
    ),
    *(
        "openrail",
        "bigscience-openrail-m",
        "creativeml-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigcode-openrail-m",
        "artistic-2.0",
    ),
    *(
        "afl-3.0",
        "bsl-1.0",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "isc",
        "ms-pl",
        "ncsa",
        "odbl",
        "odc-by",
        "ofl-1.1",
    ),
    *(
        "osl-3.0",
        "postgresql",
        "unlicense",
        "wtfpl",
        "zlib",
        "pddl",
        "gfdl",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
    ),
    *("gemma", "unknown", "other"),
)
"""The identifiers of the Hub."""
NON_COMMERCIAL, SHARE_ALIKE = re.compile(r"-nc\b"), re.compile(r"-sa\b|gpl|odbl")


def _known(license: str) -> str:
    if license not in LICENSES:
        raise ValueError(f"'{license}' is no licence of the Hub. {hint(license, LICENSES)}")
    return license


License = Annotated[str, AfterValidator(_known)]


@value
class Card(Checked):
    """What only people know about a model. `license` is that of the model, by the Hub's identifier; `data_license` and
    `base_license` those of the data and of the checkpoint it was trained from, which are checked against it. `language` is a
    code or a list of codes, `intended_use` and `limits` are text in Markdown, `datasets` and `tags` names on the Hub.
    `carbon_intensity` is that of the electricity it was trained with, in grams of CO2 equivalent a kWh, and `location` where that
    was: with an energy that was measured they become the emissions that the Hub shows. `benchmark` names a data set that is
    registered as one there, of which the test split is `benchmark_task`: the figure that decides goes to its leaderboard
    (`.eval_results/`)."""

    license: License | None = None
    data_license: License | None = None
    base_license: License | None = None
    language: str | tuple[str, ...] = ()
    intended_use: str = ""
    limits: str = ""
    datasets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    carbon_intensity: Annotated[float, Field(gt=0)] | None = None
    location: str = ""
    benchmark: str | None = None
    benchmark_task: str = "default"

    @classmethod
    def read(cls, given: Any) -> Any:
        """Refuse a model's licence that allows what one of its sources forbids."""
        keys = keywords(given)
        if conflict := conflicting(keys.get("license"), keys.get("base_license"), keys.get("data_license")):
            raise PydanticCustomError("license", "{conflict}", {"conflict": conflict})
        return super().read(given)


def conflicting(license: str | None, base: str | None, data: str | None) -> str:
    """Why a model may not have a licence, for those of the checkpoint and of the data it was made from; nothing where it may."""
    for what, source in (("the checkpoint", base), ("the data", data)):
        if not license or not source or source == license:
            continue
        if NON_COMMERCIAL.search(source) and not NON_COMMERCIAL.search(license):
            return f"{license} allows commercial use, which {source} of {what} forbids. Write a licence with -nc"
        if SHARE_ALIKE.search(source):
            return f"{source} of {what} asks for the same licence, not {license}. Write `license: {source}`"
    return ""


def section(text: str, heading: str) -> str:
    """What people wrote below a heading, up to the next one of its level; nothing where the placeholder still stands there."""
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    body = PART.sub("", found.group(1)) if found else ""
    return body.replace(PLACEHOLDER, "").strip()


def marked(name: str, body: str) -> str:
    """A generated part between its marks, with a digest by which it is seen whether somebody rewrote it."""
    whole = body.strip() + "\n"
    return f"<!-- hfrecipes:{name} {_digest(whole)} -->\n{whole}<!-- /hfrecipes -->\n"


def compose(front: Mapping[str, Any], title: str, parts: Mapping[str, str], limits: str) -> str:
    """A new card: front matter, the generated parts in their order, and the section on limits for people to fill."""
    head = yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True)
    body = "\n".join(marked(name, text) for name, text in parts.items())
    return f"---\n{head}---\n\n# {title}\n\n{body}\n{LIMITS}\n\n{limits or PLACEHOLDER}\n"


def merge(old: str, front: Mapping[str, Any], before: Mapping[str, Any], parts: Mapping[str, str]) -> str:
    """A card as it was, with the generated parts written anew. `before` is the front matter that was generated the last time: a
    key that differs from it was changed by hand, and stays. A part that somebody rewrote stays as text, in front of the new
    one."""
    match = FRONT.match(old)
    held: Any = yaml.safe_load(match.group(1)) if match else {}
    held = held if isinstance(held, dict) else {}
    kept = {key: entry for key, entry in held.items() if key not in before or entry != before[key]}
    merged = {**{key: entry for key, entry in front.items() if key not in kept and (key in held or key not in before)}, **kept}
    ordered = {key: merged[key] for key in [*held, *front] if key in merged}
    body = old[match.end() :] if match else old
    seen: set[str] = set()

    def anew(found: re.Match[str]) -> str:
        name = found["name"]
        seen.add(name)
        mine = found["body"] + "\n" if _digest(found["body"]) != found["digest"] else ""
        return mine + (marked(name, parts[name]) if name in parts else "")

    body = PART.sub(anew, body)
    for name in parts:
        if name not in seen:
            place = body.find(f"{LIMITS}\n")
            at = place if place >= 0 else len(body)
            body = f"{body[:at]}{marked(name, parts[name])}\n{body[at:]}"
    if f"{LIMITS}\n" not in body:
        body = f"{body.rstrip()}\n\n{LIMITS}\n\n{PLACEHOLDER}\n"
    return f"---\n{yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True)}---\n{body}"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:12]
