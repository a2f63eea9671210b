"""revise(): what confused annotators and what people ruled, as a proposed change of the guideline.

Nothing here touches the guideline: the proposal is a file of its own, judged by ``gating`` and
taken in by ``accepting``, each at a person's command.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.confusions import Confusion, Said, confusions
from prelabel.drafting import Case, Draft, Topic, draft_edge_cases
from prelabel.errors import InputError
from prelabel.gold_parts import part_gold
from prelabel.guideline_edit import PROPOSED, Entry, one_line, with_entries, writable
from prelabel.rulings import ProposedRuling, rulings

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Gold, Label
    from prelabel.tasks import Task

NAME = "guideline.proposed.yaml"
GAPS = ("guideline_gap", "ambiguous_item", "label_set_gap")
"""Causes that say something of the guideline."""

MOST_CONFUSIONS = 10
MOST_NAMES = 4


@dataclass(frozen=True, slots=True)
class Gap:
    """What a reviewer said of the guideline when they settled an item."""

    item: str
    text: str
    cause: str
    label: Label
    note: str
    author: str


@dataclass(frozen=True)
class Revision:
    """A proposed change, and what it follows from.

    ``path`` is the file with the proposal, None where there is nothing to propose. ``taken_in`` are
    the accepted rulings that are in it, ``waiting`` those that nobody has said yes or no to.
    ``topics`` are left to a person in the file's comments, but for those with a draft.
    """

    guideline_hash: str
    path: Path | None
    taken_in: tuple[ProposedRuling, ...]
    waiting: tuple[ProposedRuling, ...]
    confusions: tuple[Confusion, ...]
    gaps: tuple[Gap, ...]
    topics: tuple[Topic, ...]
    drafts: tuple[Draft, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"path": self.path and str(self.path)}


def revise(
    project: Project,
    *,
    to: Path | None = None,
    draft: str | None = None,
    least: int = 2,
    max_cost: float | None = None,
    database: str | None = None,
) -> Revision:
    """Propose a change of the guideline, in a file of its own, from rulings, confusions and notes.

    Accepted rulings come in as rulings. Labels confused ``least`` times or more, on the part of the
    gold that is not held out and where people settled items, and gaps that people noted are left to
    a person as comments, or drafted by the annotator named ``draft``. Gold that is held out for
    `gate` is not looked at, nor what people said of its items, but for rulings. Raises
    ``InputError`` where the file is there already.
    """
    path = to or project.folder / NAME
    if path.exists():
        raise InputError(
            f"{path}: is there already, with work in it perhaps; accept it, remove it, or choose "
            "another with --to"
        )
    project.checked_guideline()
    listed = rulings(project, database)
    taken_in = [one for one in listed if one.status == "accepted" and one.label is not None]
    found, gaps = _confused(project, least), _gaps(project, database)
    done = {one.item_id for one in listed if one.status in ("accepted", "in the guideline")}
    topics = [*_of_confusions(project, found), *_of_gaps(project, gaps, done)]
    drafts = draft_edge_cases(project, draft, topics, max_cost) if draft else []
    made = Revision(
        project.guideline.hash,
        path if taken_in or topics else None,
        tuple(taken_in),
        tuple(one for one in listed if one.status == "proposed"),
        tuple(found),
        tuple(gaps),
        tuple(topics),
        tuple(drafts),
        tuple(_notes(listed, drafts)),
    )
    return made if made.path is None else _write(project, made, path)


def _notes(listed: Sequence[ProposedRuling], drafts: Sequence[Draft]) -> Iterable[str]:
    for one in listed:
        if one.label is None and one.status != "in the guideline":
            yield f"ruling {one.id} has a label that the guideline lacks: it cannot come in"
    for draft in drafts:
        if draft.failure:
            yield f"{draft.author} gave no draft on: {draft.topic.what} ({draft.failure})"


def _confused(project: Project, least: int) -> list[Confusion]:
    """Return what is confused on the gold for revising, and where people settled items."""
    from prelabel.api import evidence_of
    from prelabel.review import decisions

    open_gold, held = part_gold(project)
    gold, unseen = {g.item_id: g.label for g in open_gold}, {g.item_id for g in held}
    settled = {
        item: one.label
        for item, one in decisions(project).items()
        if one.label is not None and item not in unseen
    }
    if not gold and not settled:
        return []
    evidence = evidence_of(project)
    shown = {evidence.names[key]: items for key, items in evidence.shown().items()}
    labels = evidence.labels()
    found = []
    for source, right in (("gold", gold), ("review", settled)):
        said: list[Said] = [
            (item, name, right[item], own[item])
            for name, own in labels.items()
            for item in right
            if item in own and item not in shown[name]
        ]
        found += confusions(said, project.task, source)  # type: ignore[arg-type]  # one of two
    often = [one for one in found if one.n >= least]
    return sorted(often, key=lambda one: (-one.n, one.source))[:MOST_CONFUSIONS]


def _gaps(project: Project, database: str | None) -> list[Gap]:
    from prelabel.review.results import rows

    unseen = {g.item_id for g in part_gold(project)[1]}
    said = [
        row for row in rows(project, database) if row["cause"] in GAPS and row["id"] not in unseen
    ]
    wanted = {row["id"] for row in said}
    texts = {i.id: "\n".join(i.fields.values()) for i in project.items() if i.id in wanted}
    return [
        Gap(row["id"], texts[row["id"]], row["cause"], row["label"], row["note"], row["author"])
        for row in said
    ]


def _of_confusions(project: Project, found: Sequence[Confusion]) -> list[Topic]:
    """Return a topic for each confusion, that of gold and of reviews together."""
    from prelabel.review import decisions

    gold: Mapping[str, Gold] = {g.item_id: g for g in part_gold(project)[0]}
    settled = decisions(project)
    texts = {item.id: "\n".join(item.fields.values()) for item in project.items()}
    together: dict[str, list[Confusion]] = defaultdict(list)
    for one in found:
        together[one.said].append(one)
    topics = []
    for said, parts in together.items():
        counts = ", ".join(f"{p.n} of {p.of} on {p.source} ({_who(p.annotators)})" for p in parts)
        cases = {}
        for part in parts:
            for item in part.items:
                by = gold[item] if part.source == "gold" else settled[item]
                right = _words(by.label, project.task)
                note = "" if part.source == "gold" else settled[item].note
                cases[item] = Case(item, texts[item], right, part.given or "", note)
        then = parts[0].right if parts[0].right in project.guideline.label_names else ""
        topics.append(Topic(f"{said}: {counts}", tuple(cases.values()), then or ""))
    return topics


def _of_gaps(project: Project, gaps: Sequence[Gap], done: set[str]) -> list[Topic]:
    """Return a topic for each item that people found the guideline to lack something for."""
    from prelabel.review.settling import CAUSES

    topics = []
    for one in gaps:
        if one.item in done or not one.note:
            continue
        right = "no label" if one.label is None else _words(one.label, project.task)
        case = Case(one.item, one.text, right, "", one.note)
        then = one.label if one.label in project.guideline.label_names else ""
        topics.append(Topic(f"{CAUSES[one.cause]} ({one.author})", (case,), then))
    return topics


def _words(label: Label, task: Task) -> str:
    from prelabel.review.shown import words

    return "; ".join(words(label, task))


def _who(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} annotators"


def _write(project: Project, made: Revision, path: Path) -> Revision:
    """Write the proposal: the guideline as it is, with the entries added and the rest as comments.

    Every comment about the proposal is marked, so that it goes when the proposal is accepted.
    """
    from dataclasses import replace

    from prelabel.exchange.files import replacing

    source = project.folder / project.config.guideline
    drafted = [one for one in made.drafts if not one.failure]
    added = {
        "rulings": [_ruling(one) for one in made.taken_in],
        "edge_cases": [_edge_case(one) for one in drafted],
    }
    text, kept = with_entries(source.read_bytes().decode("utf-8-sig"), added)
    today = datetime.now(tz=UTC).date().isoformat()
    head = [
        f"a change of {source.name}, guideline {made.guideline_hash}, by `prelabel revise` {today}",
        f"it holds once a person accepts it: prelabel guideline accept {path.name}",
        f"judge it on held-out gold before: prelabel guideline gate {path.name}",
        *(f"DRAFT by {one.author}, for a person to check: {one.when}" for one in drafted),
    ]
    left = [one for one in made.topics if one not in [draft.topic for draft in drafted]]
    tail = [line for topic in left for line in _stub(topic)]
    lines = [*(f"{PROPOSED} {one_line(line)}" for line in head), text.rstrip("\r\n")]
    lines += [f"{PROPOSED} {line}".rstrip() for line in tail]
    with replacing(path) as file:
        file.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))
    notes = () if kept else (f"{source.name} is not written in blocks: its comments are lost",)
    return replace(made, notes=(*made.notes, *notes))


def _ruling(one: ProposedRuling) -> Entry:
    value = {"id": one.id, "text": writable(one.text), "label": one.label}
    by = f"ruled by {one.author}, accepted by {one.said_by}: {one.reason}"
    return Entry(value | ({"why": writable(one.why)} if one.why else {}), (writable(by),))


def _edge_case(one: Draft) -> Entry:
    value = {"when": writable(one.when), "then": writable(one.then)}
    value |= {"why": writable(one.why)} if one.why else {}
    return Entry(value, (f"drafted by {one.author} on: {writable(one.topic.what)}",))


def _stub(topic: Topic) -> list[str]:
    """Return an edge case to be written by a person, with what it is to settle."""
    lines = ["", f"TODO {one_line(topic.what)}"]
    for case in topic.cases:
        given = f", given {case.given}" if case.given else ""
        note = f"; note: {case.note}" if case.note else ""
        text = one_line(case.text)
        shown = text if len(text) <= 200 else text[:199] + "…"
        lines.append("  " + one_line(f"{case.item}: {shown} (right: {case.right}{given}{note})"))
    return [*lines, "  edge_cases:", "    - when: TODO", f"      then: {topic.then or 'TODO'}"]
