"""What people decided about the guideline: rulings taken in, gates, versions accepted, labels kept.

``guidelines.jsonl`` has one JSON object a line, and lines are only ever added.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from prelabel.errors import InputError
from prelabel.journal import append_journal, read_journal

if TYPE_CHECKING:
    from prelabel.project import Project

FILE = "guidelines.jsonl"


@dataclass(frozen=True, slots=True)
class Word:
    """A person's word on a ruling of the review page."""

    ruling: str
    status: Literal["accepted", "rejected"]
    author: str
    reason: str
    created: float


@dataclass(frozen=True, slots=True)
class Gated:
    """What a gate said of a changed guideline; ``gold`` identifies the gold that it ran on."""

    old: str
    new: str
    gold: str
    verdict: str
    created: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """A person's yes to a changed guideline; ``gate`` is what its gate said, empty without one."""

    old: str
    new: str
    gate: str
    author: str
    reason: str
    created: float


@dataclass(frozen=True, slots=True)
class Carried:
    """A person's word that annotations, and people's opinions, hold under another guideline."""

    old: str
    new: str
    annotations: int
    opinions: int
    author: str
    reason: str
    created: float


Fact = Word | Gated | Accepted | Carried
_KINDS = {"word": Word, "gate": Gated, "accepted": Accepted, "carried": Carried}


@dataclass
class GuidelineLog:
    """All facts in the order in which they came; of a ruling the last word."""

    words: dict[str, Word] = field(default_factory=dict)
    gates: list[Gated] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)

    def gate(self, old: str, new: str) -> str:
        """Return what the last gate from one guideline to another said; empty without one."""
        found = [one.verdict for one in self.gates if (one.old, one.new) == (old, new)]
        return found[-1] if found else ""


def read_log(project: Project) -> GuidelineLog:
    """Return the facts. Raises ``InputError`` for a damaged file."""
    log = GuidelineLog()
    read_journal(project.state / FILE, partial(_take, log), "the guideline's history")
    return log


def _take(log: GuidelineLog, data: dict[str, Any]) -> None:
    kind = data.pop("fact")
    one: Any = _KINDS[kind](**data)
    if isinstance(one, Word):
        log.words[one.ruling] = one
    else:
        lists: dict[str, list[Any]] = {
            "gate": log.gates, "accepted": log.accepted, "carried": log.carried,
        }  # fmt: skip
        lists[kind].append(one)


def append(project: Project, *facts: Fact) -> None:
    """Add facts; they are on disk when this returns."""
    names = {made: name for name, made in _KINDS.items()}
    append_journal(
        project.state / FILE, [{"fact": names[type(one)]} | asdict(one) for one in facts]
    )


def need_author(what: str, author: str, reason: str) -> tuple[str, str, float]:
    """Return author, reason and now. Raises ``InputError`` where a person's word lacks either."""
    if not author.strip() or not reason.strip():
        raise InputError(f"{what}: say whose word it is, and why: --author NAME --reason TEXT")
    return author.strip(), reason.strip(), time.time()
