"""Audits of accepted labels, second half: the error that a filled sheet shows, and the alarm.

What people find is kept, audit after audit, and a monitor watches all of it: once it says that the
error is above what the rule promised, the rule should accept nothing more.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.audit_log import AuditLog, Draw, Outcome, append, read_log
from prelabel.errors import InputError
from prelabel.records import Label

if TYPE_CHECKING:
    from prelabel.drift import Watched
    from prelabel.estimate import Estimate
    from prelabel.gold_errors import Stratum
    from prelabel.project import Project
    from prelabel.sheets import Filled

EARLIER = "earlier audits"


@dataclass(frozen=True, slots=True)
class WrongLabel:
    """An accepted label that an audit did not confirm."""

    item: str
    accepted: Label
    label: Label
    stratum: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found.

    ``error`` is the share of wrong labels among all ``accepted`` items at the time of the draw.
    ``checked`` of ``drawn`` items are labeled; ``new`` outcomes were recorded now. ``watched`` is
    what the monitor makes of all audits of the rule, None for a rule without a target; ``stopped``
    says why it should accept nothing more, None where it may.
    """

    audit: str
    rule: str
    accepted: int
    drawn: int
    checked: int
    new: int
    error: Estimate
    strata: tuple[Stratum, ...]
    wrong: tuple[WrongLabel, ...]
    watched: Watched | None
    stopped: str | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"watched": self.watched and self.watched.to_dict()}


def audit_error(project: Project, sheet: Path, *, author: str = "") -> AuditReport:
    """Return the error of accepted labels from a sheet of `audit` with labels filled in.

    What people found is recorded, once however often the sheet is read; a changed label supersedes
    the earlier one. Rows without a label are not audited yet. ``author`` is who filled it in, where
    the sheet has no column of that name. Raises ``InputError`` for rows that are of no audit, or of
    several, and for labels that the guideline lacks.
    """
    from prelabel.audits import stratified_error
    from prelabel.sheets import read_filled

    filled = {row.item: row for row in read_filled(project, sheet)}
    log = read_log(project)
    drawn = _draw_of(project, log, sheet, list(filled.values()))
    fresh = [
        one
        for one in _outcomes(project, drawn, filled, author)
        if not _recorded(log.outcomes.get((one.audit, one.item)), one)
    ]
    append(project, fresh)
    log.outcomes.update({(one.audit, one.item): one for one in fresh})
    own = [one for (name, _), one in log.outcomes.items() if name == drawn.audit]
    strata = strata_of(drawn, own)
    found = _watch(log, drawn.rule)
    return AuditReport(
        audit=drawn.audit,
        rule=drawn.rule,
        accepted=sum(drawn.sizes.values()) + drawn.known,
        drawn=len(drawn.items),
        checked=len(own),
        new=len(fresh),
        error=stratified_error(strata),
        strata=tuple(strata),
        wrong=tuple(
            WrongLabel(one.item, one.accepted, one.label, one.stratum) for one in own if one.wrong
        ),
        watched=found,
        stopped=found.reason if found else None,
        notes=tuple(_notes(drawn, len(own))),
    )


def _draw_of(project: Project, log: AuditLog, sheet: Path, rows: Sequence[Filled]) -> Draw:
    """Return the draw that a sheet is of. Raises ``InputError`` where a row is of another."""
    first = rows[0]
    drawn = log.draws.get(first.audit)
    if drawn is None:
        raise InputError(
            f"{first.where}: of no audit of this project (column 'audit' says {first.audit!r}); "
            "fill in the sheet that `prelabel audit` wrote, with all its columns"
        )
    on_it = {one.item for one in drawn.items}
    for row in rows:
        if row.audit != drawn.audit:
            raise InputError(
                f"{row.where}: is of audit {row.audit!r}, earlier rows of {drawn.audit!r}; "
                "read each sheet by itself"
            )
        if row.item not in on_it:
            raise InputError(
                f"{row.where}: item {row.item!r} was not on the sheet of audit {drawn.audit}; "
                "take the row out"
            )
    if drawn.guideline != project.guideline.hash:
        raise InputError(
            f"{sheet}: was drawn under guideline {drawn.guideline}, and the project's is "
            f"{project.guideline.hash}; draw an audit under this one"
        )
    return drawn


def _outcomes(
    project: Project, drawn: Draw, filled: Mapping[str, Filled], author: str
) -> list[Outcome]:
    """Return what the rows say, in the random order in which the items were drawn."""
    now = time.time()
    return [
        Outcome(
            drawn.audit,
            now,
            drawn.rule,
            one.item,
            one.item_hash,
            one.label,
            filled[one.item].label,
            not project.task.right(filled[one.item].label, one.label),
            one.stratum,
            one.inclusion,
            one.watched,
            filled[one.item].author or author,
        )
        for one in drawn.items
        if one.item in filled
    ]


def _recorded(before: Outcome | None, now: Outcome) -> bool:
    return before is not None and json.dumps(before.label) == json.dumps(now.label)


def strata_of(drawn: Draw, outcomes: Sequence[Outcome]) -> list[Stratum]:
    """Return what was looked at in each stratum; of earlier audits' items all is known."""
    from prelabel.gold_errors import Stratum

    checked = Counter(one.stratum for one in outcomes)
    wrong = Counter(one.stratum for one in outcomes if one.wrong)
    found = [Stratum(name, n, checked[name], wrong[name]) for name, n in drawn.sizes.items()]
    if drawn.known:
        found.append(Stratum(EARLIER, drawn.known, drawn.known, drawn.known_wrong))
    return found


def _watch(log: AuditLog, rule: str) -> Watched | None:
    from prelabel.drift import Monitor

    target = log.target_of(rule)
    if target is None:
        return None
    return Monitor(target).watch([one.wrong for one in log.of_rule(rule) if one.watched])


def stopped(project: Project, rule_hash: str) -> str | None:
    """Return why a rule should accept nothing more, by its audits so far; None where it may."""
    found = _watch(read_log(project), rule_hash)
    return found.reason if found else None


def _notes(drawn: Draw, checked: int) -> list[str]:
    notes = []
    if left := len(drawn.items) - checked:
        notes.append(
            f"{left} items of the sheet have no label yet; the estimate holds only if those that "
            "have one were not picked"
        )
    if drawn.target is None:
        notes.append("no target error: nothing watches for an alarm; see `prelabel audit --target`")
    return notes
