"""What the pages of one server share, and what is put together for one of them."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prelabel.review import queue, store
from prelabel.review.beside import Beside
from prelabel.review.deciding import options
from prelabel.review.entries import Candidate, Entry, key_of
from prelabel.review.forms import Content, make_form
from prelabel.review.hidden import planted
from prelabel.review.queue import Slot, Terms
from prelabel.review.schema import Database
from prelabel.review.sessions import Sessions, csrf_of
from prelabel.review.settling import CAUSES, Decision, acted, standing
from prelabel.review.shown import blind_reasons, marked, pretty_record, words
from prelabel.review.store import Reviewer

if TYPE_CHECKING:
    import sqlalchemy as sa

    from prelabel.tasks import Task

COUNTS_LAST = 10.0
"""Seconds for which the numbers at the top of the page may be old."""

MANY = 100
"""Items of a queue of which every tenth part that is done is said."""

Counts = tuple[Counter[str], float]


@dataclass
class Desk:
    """Everything that the pages need: the task, the database, the terms, who is logged in."""

    task: Task
    database: Database
    terms: Terms
    sessions: Sessions
    origins: tuple[str, ...]
    cookie: str
    refusal: Callable[[str], str | None] = lambda _name: None
    """Why a reviewer, by name, may not be given items; None where they may."""

    def __post_init__(self) -> None:
        self.form = make_form(self.task)
        self.beside = Beside(self.task)
        self._counts: Counts = (Counter(), 0.0)

    @property
    def secure(self) -> bool:
        """Whether people reach the server by https only, so that its cookie may say so."""
        return all(origin.startswith("https:") for origin in self.origins)

    @cached_property
    def templates(self) -> Environment:
        """The templates; all they show is escaped."""
        found = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        found.filters |= {"marked": marked, "record": pretty_record}
        return found

    def draw(self, template: str, **shown: Any) -> bytes:
        """Return a page; half characters, which no page can hold, become question marks."""
        page = self.templates.get_template(template)
        common = {"guideline": self.task.guideline, "causes": CAUSES, "reviewer": None}
        return page.render(**common | shown).encode("utf-8", "replace")

    def counts(self) -> Counter[str]:
        """Return how many items wait, some seconds old."""
        known, at = self._counts
        if not known or time.monotonic() - at > COUNTS_LAST:
            with self.database.reading() as connection:
                known = queue.counts(connection)
            self._counts = (known, time.monotonic())
        return known

    def progress(self, reviewer: Reviewer) -> str:
        """Return how far the review is, in words.

        With hidden gold in it no exact number is said: it would not change after such an item.
        """
        counts = self.counts()
        whole = sum(counts.values())
        if not self.terms.gold_rate:
            return f"{counts['open']} open, {counts['conflict']} in conflict, {counts['done']} done"
        said = [f"{counts['conflict']} in conflict"] if reviewer.senior else []
        if whole >= MANY:
            said.append(f"{counts['done'] * 10 // whole * 10} % done")
        return ", ".join(said)

    def common(self, connection: sa.Connection, reviewer: Reviewer, session: str) -> dict[str, Any]:
        """Return what every page of somebody logged in shows: who, how far, and the last step."""
        last = store.last_action(connection, reviewer.name, self.terms.guideline_hash)
        return {
            "reviewer": reviewer,
            "csrf": csrf_of(session),
            "request_id": secrets.token_hex(16),
            "progress": self.progress(reviewer),
            "last": last,
            "last_said": words(last.label, self.task) if last else [],
        }

    def item_page(
        self,
        connection: sa.Connection,
        slot: Slot,
        reviewer: Reviewer,
        content: Content | None,
        start: int | None,
    ) -> dict[str, Any]:
        """Return what the page of an item shows; ``content`` is what was sent and not taken.

        On a blind page there is nothing of what anybody said of the item.
        """
        found = queue.entry(connection, slot)
        if slot.trial == "planted":
            found = planted(found, slot.suggestion)
        rows = queue.rows_of(connection, slot, self.terms)
        said = standing(rows)
        own = next((one for one in said if one.author == reviewer.name), None)
        blind = self.terms.blind or slot.arm == "blind"
        candidates = () if blind else found.candidates
        if slot.stage == "conflict" and reviewer.senior and not blind:
            candidates = (*candidates, *(_as_candidate(one) for one in said))
        content = content or self._content(found, candidates, own, start, blind=blind)
        mine = [row.n for row in acted(rows) if row.author == reviewer.name]
        previous = store.last_action(
            connection,
            reviewer.name,
            self.terms.guideline_hash,
            before=max(mine, default=None),
        )
        near, folded = self.beside.split(found.item, [one.label for one in candidates])
        rulings = store.rulings(connection, self.task, reviewer.name)
        return {
            "item": found.item,
            "slot": slot,
            "blind": blind,
            "reasons": blind_reasons(found.reasons) if blind else found.reasons,
            "silent": () if blind else found.silent,
            "suggested": self._suggested(found, blind=blind),
            "candidates": [(one, words(one.label, self.task, found.item)) for one in candidates],
            "marks": _marks(candidates, self),
            "own": own,
            "own_said": words(own.label, self.task, found.item) if own else [],
            "previous": previous and key_of(previous.item_id),
            "near": near,
            "folded": folded,
            "cases": self.beside.cases(rulings, found.item),
            "form": self.form,
            "shown": self.form.shows(content, found.item),
            "said": options(content),
            "can_abstain": self.task.guideline.abstain,
        }

    def _suggested(self, found: Entry, *, blind: bool) -> list[str]:
        """Return the suggestion in words, for forms that do not begin with it."""
        if blind or found.suggestion is None or self.form.template != "choice.html":
            return []
        return words(found.suggestion, self.task, found.item)

    def _content(
        self,
        found: Entry,
        candidates: Sequence[Candidate],
        own: Decision | None,
        start: int | None,
        *,
        blind: bool,
    ) -> Content:
        """Return the form's content at first: one's own decision, a candidate, or nothing."""
        rest: dict[str, list[str]] = {}
        if start is not None and start < len(candidates):
            label = candidates[start].label
        elif own:
            label, rest = own.label, {"cause": [own.cause], "note": [own.note]}
        else:
            label = None if blind or self.form.at_once else found.suggestion
        return rest if label is None else {**self.form.fill(label), **rest}


def _as_candidate(one: Decision) -> Candidate:
    return Candidate(one.label, (one.author,), (one.note,) if one.note else ())


def _marks(candidates: Sequence[Candidate], desk: Desk) -> dict[str, list[str]]:
    """Return who named each value of a form's choices."""
    found: dict[str, list[str]] = {}
    for one in candidates:
        if one.label is None or desk.form.template not in ("choice.html", "checks.html"):
            continue
        for value in desk.form.fill(one.label).get("label", ()):
            found.setdefault(value, []).extend(one.by)
    return found
