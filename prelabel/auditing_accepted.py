"""Audits of accepted labels, first half: a random part of them on a blind sheet for people.

The labels that the rule accepted are not on the sheet; they are kept beside the ledger, where
`prelabel.audited_errors` finds them once the sheet is filled in.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.audit_log import AuditLog, Draw, Listed, append, read_log
from prelabel.errors import InputError
from prelabel.records import content_hash

if TYPE_CHECKING:
    from prelabel.api import Routes
    from prelabel.audits import Drawn
    from prelabel.project import Project
    from prelabel.records import Consensus, Item


@dataclass(frozen=True)
class Audit:
    """A blind sheet of accepted items.

    ``accepted`` counts the items that the rule accepts, ``known`` those of them that earlier audits
    looked at, ``strata`` what the rest was parted into: name, size, drawn. ``table`` has a row an
    item: its id, its text, an empty label; the labels accepted are not in it.
    """

    audit: str
    rule: str
    accepted: int
    known: int
    strata: dict[str, tuple[int, int]]
    target: float | None
    table: list[dict[str, Any]]
    columns: tuple[str, ...]
    path: Path
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"path": str(self.path)}


def audit(
    project: Project,
    to: Path,
    *,
    n: int = 100,
    rule: Path | None = None,
    seed: int = 0,
    target: float | None = None,
) -> Audit:
    """Draw a random part of the accepted items, and write them to a sheet for people to label.

    Items are drawn by strata of confidence and label; those that an earlier audit of the rule
    looked at are not drawn again. ``target`` is the error that the rule promises, to be watched; by
    default the one that it was fitted for. The sheet's ending names its format; see `audit_error`
    for what to do with it. Raises ``InputError`` where nothing is left to audit, for a target other
    than the one that the rule is watched for, and where ``to`` is there already.
    """
    from prelabel.api import route
    from prelabel.audits import draw
    from prelabel.exchange.tables import format_of

    if n < 1:
        raise InputError(f"n must be 1 or more, got {n}")
    format_of(to)
    if to.exists():
        raise InputError(f"{to}: is there already, with work in it perhaps; choose another name")
    routes, log = route(project, rule=rule), read_log(project)
    aim = _target(log, routes, target)
    items = {item.id: item for item in project.items()}
    known = known_outcomes(log, routes, items)
    stratum, errors = _strata(routes, known, n)
    left = {item: name for item, name in stratum.items() if item not in known}
    if not left:
        raise InputError(_nothing_left(project, routes))
    listed = _listed(draw(left, n, errors, seed=seed), routes, items)
    now = time.time()
    made = Draw(
        audit=content_hash([now, seed, routes.rule.hash, [asdict(one) for one in listed]]),
        created=now,
        rule=routes.rule.hash,
        guideline=routes.evidence.guideline_hash,
        sizes=dict(sorted(Counter(left.values()).items())),
        known=len(known),
        known_wrong=sum(known.values()),
        target=aim,
        seed=seed,
        items=listed,
    )
    append(project, [made])
    return _written(project, made, to, (*routes.evidence.notes, *_notes(rule, made)))


def _listed(
    drawn: Sequence[Drawn], routes: Routes, items: Mapping[str, Item]
) -> tuple[Listed, ...]:
    return tuple(
        Listed(
            one.item,
            items[one.item].hash,
            routes.items[one.item].consensus.label,
            one.stratum,
            one.inclusion,
            one.watched,
        )
        for one in drawn
    )


def _written(project: Project, made: Draw, to: Path, notes: tuple[str, ...]) -> Audit:
    """Write the sheet of a draw, each row with the audit's name: it says what the row is of."""
    from prelabel.exchange.tables import write_rows
    from prelabel.sheets import blind_rows

    on_it = {one.item for one in made.items}
    items = {item.id: item for item in project.items() if item.id in on_it}
    columns, table = blind_rows([items[one.item] for one in made.items])
    columns, table = [*columns, "audit"], [row | {"audit": made.audit} for row in table]
    write_rows(to, table, columns)
    counts = Counter(one.stratum for one in made.items)
    return Audit(
        audit=made.audit,
        rule=made.rule,
        accepted=sum(made.sizes.values()) + made.known,
        known=made.known,
        strata={name: (size, counts[name]) for name, size in made.sizes.items()},
        target=made.target,
        table=table,
        columns=tuple(columns),
        path=to,
        notes=notes,
    )


def _target(log: AuditLog, routes: Routes, target: float | None) -> float | None:
    """Return the error to watch for: once named for a rule, it stays."""
    from prelabel.drift import Monitor

    wanted = promised_error(routes) if target is None else target
    if wanted is not None:
        Monitor(wanted)  # refuses what is no error rate
    before = log.target_of(routes.rule.hash)
    if target is not None and before is not None and before != target:
        raise InputError(
            f"target: this rule is watched for an error of {before:g}, not {target:g}; a target "
            "changed after the first audit promises nothing, so fit another rule, or leave it out"
        )
    return wanted if before is None else before


def promised_error(routes: Routes) -> float | None:
    """Return the most errors among accepted labels that the rule's promise allows; None without.

    A promise about all items allows as many more among those accepted as these are fewer.
    """
    from prelabel.routing import RANDOM_AUDIT

    kept = [one for one in routes.rule.promises.values() if one.threshold is not None]
    if not kept or not routes.accepted:
        return None
    target = max(one.target for one in kept)
    if any(one.kind == "dataset" for one in kept):
        audited = sum(RANDOM_AUDIT in one.reasons for one in routes.items.values())
        target *= len(routes.items) / (len(routes.accepted) + audited)
    return target if target < 1 else None


def known_outcomes(log: AuditLog, routes: Routes, items: Mapping[str, Item]) -> dict[str, bool]:
    """Return whether each label was found wrong that the rule accepts now and an audit looked at.

    A label given to an earlier text of its item, or another label, does not count.
    """
    found = {}
    for one in log.of_rule(routes.rule.hash):
        now = routes.items.get(one.item)
        same = now and now.accepted and items[one.item].hash == one.item_hash
        if now and same and now.consensus.label == one.accepted:
            found[one.item] = one.wrong
    return found


def _strata(
    routes: Routes, known: Mapping[str, bool], n: int
) -> tuple[dict[str, str], dict[str, float] | None]:
    """Return the stratum of each accepted item, and guesses at the strata's error rates.

    The guess is what earlier audits found; before the first, what the rule's confidence says, and
    none where it has no confidence.
    """
    from prelabel.audits import FLOOR, stratify

    accepted = routes.accepted
    calibrated = all(one.consensus.confidence is not None for one in accepted)
    scores = [_score(one.consensus) for one in accepted]
    names = stratify(
        scores,
        [one.consensus.label for one in accepted],
        max(n // FLOOR, 1),
        "confidence" if calibrated else "agreement",
    )
    stratum = {one.item_id: name for one, name in zip(accepted, names, strict=True)}
    if known:
        return stratum, _found_rates(stratum, known)
    if not calibrated:
        return stratum, None
    doubts: dict[str, list[float]] = {}
    for name, score in zip(names, scores, strict=True):
        doubts.setdefault(name, []).append(1 - score)
    return stratum, {name: sum(own) / len(own) for name, own in doubts.items()}


def _score(one: Consensus) -> float:
    return (one.agreement or 0.0) if one.confidence is None else one.confidence


def _found_rates(stratum: Mapping[str, str], known: Mapping[str, bool]) -> dict[str, float]:
    """Return the strata's error rates in earlier audits, each drawn to the whole by two items."""
    whole = (sum(known.values()) + 0.5) / (len(known) + 1)
    looked = Counter(stratum[item] for item in known)
    wrong = Counter(stratum[item] for item, bad in known.items() if bad)
    names = set(stratum.values())
    return {name: (wrong[name] + 2 * whole) / (looked[name] + 2) for name in names}


def _nothing_left(project: Project, routes: Routes) -> str:
    if routes.accepted:
        return f"all {len(routes.accepted)} accepted items are audited already"
    from prelabel.audited_errors import stopped

    why = stopped(project, routes.rule.hash)
    return f"no item is accepted, so there is nothing to audit ({why or 'all go to review'})"


def _notes(rule: Path | None, made: Draw) -> list[str]:
    notes = []
    if rule is None:
        notes.append(
            "the rule was fitted now, and is another one once more is labeled; freeze it with "
            "`prelabel fit` and name it with --rule to add audit to audit"
        )
    if made.target is None:
        notes.append("no target error: the audit measures, but nothing watches for an alarm")
    elif (seen := sum(one.watched for one in made.items)) < len(made.items):
        notes.append(
            f"{seen} of {len(made.items)} items are for the monitor too: it needs all accepted "
            "items to be equally likely, and doubtful ones were drawn more often"
        )
    return notes
