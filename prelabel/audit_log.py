"""The audits of a project on disk: what was drawn, and what people found; lines are only added.

``audits.jsonl`` has one JSON object a line: a ``draw``, a rule's accepted items chosen to be looked
at, or an ``outcome``, a person's label for one of them. A later outcome of the same item in the
same audit supersedes an earlier one; both stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from prelabel.journal import append_journal, read_journal
from prelabel.records import Label

if TYPE_CHECKING:
    from prelabel.project import Project

FILE = "audits.jsonl"


@dataclass(frozen=True, slots=True)
class Listed:
    """An item on a sheet, and the label that the rule accepted for it."""

    item: str
    item_hash: str
    label: Label
    stratum: str
    inclusion: float
    watched: bool


@dataclass(frozen=True, slots=True)
class Draw:
    """A sheet: which items, of how many in each stratum, under which rule.

    ``sizes`` counts the accepted items of each stratum that no earlier audit of the rule had looked
    at; those that one had are ``known``, ``known_wrong`` of them wrong. ``target`` is the error
    that the rule promises; None without a promise.
    """

    audit: str
    created: float
    rule: str
    guideline: str
    sizes: Mapping[str, int]
    known: int
    known_wrong: int
    target: float | None
    seed: int
    items: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a person found of one item: the label that was accepted, and the one it should be."""

    audit: str
    created: float
    rule: str
    item: str
    item_hash: str
    accepted: Label
    label: Label
    wrong: bool
    stratum: str
    inclusion: float
    watched: bool
    author: str


@dataclass
class AuditLog:
    """All draws by audit, and the outcomes by audit and item, both in the order of recording."""

    draws: dict[str, Draw] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def of_rule(self, rule: str) -> list[Outcome]:
        """Return the outcomes under a rule, each accepted label once, in the order of recording.

        A corrected outcome keeps its place. Of several audits that looked at the same label the
        first counts.
        """
        seen: dict[tuple[str, str, str], Outcome] = {}
        for one in self.outcomes.values():
            if one.rule == rule:
                seen.setdefault((one.item, one.item_hash, json.dumps(one.accepted)), one)
        return list(seen.values())

    def target_of(self, rule: str) -> float | None:
        """Return the error that a rule is watched for; None where it has no promise."""
        targets = (draw.target for draw in self.draws.values() if draw.rule == rule)
        return next((target for target in targets if target is not None), None)


def read_log(project: Project) -> AuditLog:
    """Return the audits of a project. Raises ``InputError`` for a file that is not as written."""
    log = AuditLog()
    read_journal(project.state / FILE, partial(_take, log), "the audits")
    return log


def _take(log: AuditLog, data: dict[str, Any]) -> None:
    kind = data.pop("kind")
    if kind == "draw":
        items = tuple(Listed(**one) for one in data.pop("items"))
        log.draws[data["audit"]] = Draw(**data, items=items)
    elif kind == "outcome":
        one = Outcome(**data)
        log.outcomes[one.audit, one.item] = one
    else:
        raise ValueError(kind)


def append(project: Project, facts: Iterable[Draw | Outcome]) -> None:
    """Add facts; they are on disk when this returns. Raises ``InputError`` where they cannot be."""
    append_journal(
        project.state / FILE,
        [{"kind": "draw" if isinstance(one, Draw) else "outcome"} | asdict(one) for one in facts],
    )
