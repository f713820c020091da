"""Retraining: a model in production, trained again on old and new rows when the world has moved, and promoted where it is better.

`hfrecipes retrain RUN new.jsonl` watches the new rows with the monitor of the release in production. Where the recipe's `retrain`
says so, a candidate is trained in a folder beside RUN, goes through the checklist, is held against the champion on new rows that
it did not learn from and on the old test split, and is promoted or kept aside with the reason. A command that was stopped goes on
where it was when it is given again. Nothing starts by itself: a line of cron does, as often as new rows come.

    0 3 * * *  cd /srv/intents && hfrecipes retrain runs/intents new.jsonl

In `retrain/` of the registry (of RUN, where there is none) lie `log.jsonl`, every decision, and the token of who is at work.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hfrecipes import distributed
from hfrecipes.audit import (
    FAILED,
    PROMOTED,
    PROMOTING,
    REFUSED,
    RESUMED,
    SKIPPED,
    STARTED,
    SUPERSEDED,
    Audit,
    Record,
    ages,
    moment,
)
from hfrecipes.bootstrap import Difference
from hfrecipes.data import Data, fingerprint
from hfrecipes.errors import CheckFailed, HfRecipesError, UserError
from hfrecipes.fencing import Fence, Superseded
from hfrecipes.folder import Run, read_json, sha256, write_json
from hfrecipes.inference.predictor import Predictor
from hfrecipes.locking import writing
from hfrecipes.monitor import Monitor
from hfrecipes.recipe import Recipe
from hfrecipes.retraining import candidate as made
from hfrecipes.retraining.champion import Champion, beside, champion, home
from hfrecipes.retraining.occasion import WORKED, drift, sentence, waits
from hfrecipes.retraining.rows import divided, known, labelled, lay_out, texts, unseen
from hfrecipes.stages.publish import publish
from hfrecipes.upkeep import DOMAIN, Retrain
from hfrecipes.watching import watch

log = logging.getLogger("hfrecipes")
LOG = "log.jsonl"


@dataclass(frozen=True)
class Decision:
    """What was decided, and why: a candidate was `promoted`, `refused`, or `superseded` by what happened meanwhile, or a
    retraining was `skipped`. Its `token`; the `candidate`'s run folder, the name of its `release` where it got one, and what it
    `gains` on the champion, on the new rows (`window`) and on the old test rows (`before`)."""

    event: str
    reason: str
    token: int
    candidate: Path | None = None
    release: str = ""
    gains: Mapping[str, Difference] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a candidate was trained for nothing."""
        return self.event in (REFUSED, SUPERSEDED)


@dataclass(frozen=True)
class Turn:
    """A retraining at work: of which run, on which new rows, under which token, and whether it was taken `over`."""

    run: Run
    recipe: Recipe
    data: Data
    how: Retrain
    audit: Audit
    fence: Fence
    token: int
    over: bool


def retrain(
    run: str | Path,
    new: str | Path,
    overrides: Sequence[str] = (),
    columns: Mapping[str, str] = MappingProxyType({}),
    split: str = "test",
    take_over: bool = False,
) -> Decision:
    """Train the model in production again where its recipe's `retrain` says so, on its rows and the labelled ones of `new`, and
    promote what is better.

    `run` is the run that went into production first; its later versions lie beside it. An override is `key.key=value` of its
    recipe (`retrain.adapt=head`), and `columns` says what a column of `new` is called where that differs. `take_over` begins
    though another process holds the turn, which can promote nothing from then on. Raises UserError for what cannot be read or is
    too little, and RunError where another retraining is at work.
    """
    if distributed.processes() > 1:
        raise UserError("retrain", "is the work of one process", "Start it without a launcher")
    found = Run.open(run)
    recipe = Recipe.load(found.recipe_file, overrides)
    data = Data(str(new), test=split, columns={**recipe.data.columns, **columns})
    place = home(found, recipe)
    fence = Fence(place)
    with fence.taken(take_over) as taken:
        how = recipe.retrain or Retrain()
        return _decided(Turn(found, recipe, data, how, Audit(place / LOG), fence, taken.token, taken.over))


def decisions(run: str | Path) -> list[Record]:
    """The log of the retrainings of a run, the oldest first."""
    found = Run.open(run)
    return Audit(home(found, Recipe.load(found.recipe_file)) / LOG).records()


def _decided(turn: Turn) -> Decision:
    records = turn.audit.records()
    past, lines = ages(records, moment())
    for line in lines:
        log.warning("retrain: %s", line)
    master, digest = champion(turn.run, turn.recipe, records), _digest(turn.data)
    if landed := _landed(turn, records, master, digest):
        return landed
    predictor = Predictor.open(master.folder)
    old = known(master.run)
    rows = labelled(turn.data, predictor, old["train"])
    asked = json.dumps([turn.recipe.dump(), master.fingerprint, digest], sort_keys=True, default=str)
    facts: dict[str, Any] = {
        "asked": hashlib.sha256(asked.encode()).hexdigest(),
        "new": {"path": turn.data.path, "sha256": digest, "labelled": len(rows)},
        "old": {"run": master.run.path.name, "fingerprint": read_json(master.run.data / "facts.json")["fingerprint"]},
        "champion": {"release": master.release, "fingerprint": master.fingerprint},
    }
    last = next((r for r in reversed(records) if r.get("asked") == facts["asked"] and r["event"] in WORKED), None)
    if last is not None and last["event"] != STARTED:
        return _skipped(turn, facts, f"{last['candidate']} was {last['event']} on the same rows: {last['reason']}")
    if last is not None:
        facts["drift"] = last["drift"]
    elif reason := waits(turn.how, records, past) or _unmoved(turn, predictor, master, facts):
        return _skipped(turn, facts, reason)
    fresh = unseen(rows, old.values(), predictor.task)
    if not len(fresh):
        return _skipped(turn, facts, f"none of the labelled rows is new to {master.label}")
    learn, window = divided(fresh, turn.recipe, predictor.config, turn.how.held_out, turn.data.path)
    if turn.how.adapt == DOMAIN:
        made.body(turn.recipe, master, turn.run.path)
    if last is not None and not turn.over:  # else another process may still write there
        facts |= {name: last[name] for name in ("rows", "candidate")}
        turn.audit.append(RESUMED, turn.token, **facts)
    else:
        counts = {"seen": len(rows) - len(fresh), "learned": len(learn), "judged": len(window)}
        facts |= {"rows": {**counts, "window": fingerprint(window)}, "candidate": made.fresh_name(turn.run, records)}
        turn.audit.append(STARTED, turn.token, **facts)
    folder = beside(turn.run, facts["candidate"])
    recipe = made.adapted(turn.recipe, turn.how, master, folder)
    if not (folder / made.FACTS).is_file():
        with writing(folder):
            made.begin(recipe, master, folder)
            lay_out(folder, old, learn, window, turn.recipe, turn.recipe.task.stratify(predictor.config))
            if turn.how.adapt == DOMAIN:
                made.write_texts(folder, texts(turn.data, window, turn.recipe.task))
            write_json(folder / made.FACTS, facts)
    return _tried(turn, master, facts, folder, recipe)


def _unmoved(turn: Turn, predictor: Predictor, master: Champion, facts: dict[str, Any]) -> str:
    """Why the new rows are no reason to train again; "" where they are one. What the monitor found is noted in the facts."""
    monitor = Monitor.from_pretrained(master.folder, turn.how.window, turn.how.rate)
    facts["drift"] = drift(watch(predictor, monitor, turn.data))
    log.info("retrain: %s", sentence(facts["drift"]))
    return sentence(facts["drift"]) if turn.how.when == "drift" and not facts["drift"]["drifted"] else ""


def _tried(turn: Turn, master: Champion, facts: dict[str, Any], folder: Path, recipe: Recipe) -> Decision:
    """Train the candidate that is laid out in a folder, and decide about it."""
    log.info("retrain: %s, in place of %s", folder, master.label)
    gained: dict[str, Difference] = {}
    try:
        run = made.train(turn.recipe, recipe, turn.how, master, folder)
        gained = made.gains(recipe, master, run)
        better, reason = made.verdict(gained, turn.how)
        facts |= {"minutes": made.minutes(folder), "gains": {name: each.values() for name, each in gained.items()}}
        if better:
            release = _promoted(turn, master, facts, run, recipe, reason)
            return _kept(turn, folder, facts, Decision(PROMOTED, reason, turn.token, folder, release, gained))
        event = REFUSED
    except (CheckFailed, Superseded) as error:
        event, reason = SUPERSEDED if isinstance(error, Superseded) else REFUSED, str(error)
    except HfRecipesError as error:
        turn.audit.append(FAILED, turn.token, **facts, reason=str(error))
        raise
    facts |= {"minutes": made.minutes(folder)}
    turn.audit.append(event, turn.token, **facts, reason=reason)
    return _kept(turn, folder, facts, Decision(event, reason, turn.token, folder, "", gained))


def _promoted(turn: Turn, master: Champion, facts: Mapping[str, Any], run: Run, recipe: Recipe, reason: str) -> str:
    """Put the candidate in production, and give the name of its release. Raises Superseded where it is no longer this process's
    turn, or something else went into production meanwhile."""
    with turn.fence.guarded(turn.token):
        now = champion(turn.run, turn.recipe, turn.audit.records())
        if now.fingerprint != master.fingerprint:
            raise Superseded(f"{now.label} went into production meanwhile, and it was held against {master.label}")
        release = ""
        if recipe.publish is not None:
            added = publish(recipe, run)
            release = added.name
            sealed = {"release": release, "fingerprint": added.fingerprint}
            turn.audit.append(PROMOTING, turn.token, **facts, **sealed, reason=reason)
            recipe.publish.releases().promote(release)
        turn.audit.append(PROMOTED, turn.token, **facts, release=release, reason=reason)
        return release


def _landed(turn: Turn, records: Sequence[Record], master: Champion, digest: str) -> Decision | None:
    """The decision of a process that was stopped after its candidate went into production, and before it could say so."""
    last = next((record for record in reversed(records) if record["event"] in (PROMOTING, *WORKED)), None)
    if last is None or last["event"] != PROMOTING or last["fingerprint"] != master.fingerprint:
        return None
    kept = {name: entry for name, entry in last.items() if name not in ("time", "wall", "boot", "uptime", "event", "token")}
    turn.audit.append(PROMOTED, turn.token, **kept)
    if last["new"]["sha256"] != digest:
        return None
    folder = beside(turn.run, last["candidate"])
    gained = {name: Difference.of(each) for name, each in last["gains"].items()}
    return _kept(turn, folder, kept, Decision(PROMOTED, last["reason"], turn.token, folder, last["release"], gained))


def _kept(turn: Turn, folder: Path, facts: Mapping[str, Any], decision: Decision) -> Decision:
    """The decision, noted in the candidate's folder, too."""
    said = {"event": decision.event, "reason": decision.reason, "token": turn.token, "release": decision.release}
    write_json(folder / made.FACTS, {**facts, **said})
    return decision


def _digest(data: Data) -> str:
    """The sha256 of the new rows: of their file, where they are one."""
    local = data.local()
    return sha256(local) if local is not None and local.is_file() else data.signature()


def _skipped(turn: Turn, facts: Mapping[str, Any], reason: str) -> Decision:
    turn.audit.append(SKIPPED, turn.token, reason=reason, **facts)
    return Decision(SKIPPED, reason, turn.token)
