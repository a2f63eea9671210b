"""Labels made under earlier guidelines, as annotators of their own beside the present ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from prelabel.errors import InputError
from prelabel.ledger import Ledger

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Annotation
    from prelabel.votes import Evidence

SHOWN = 8
"""Digits of a guideline's hash in an annotator's name."""


def with_earlier(project: Project, evidence: Evidence, guidelines: Sequence[str]) -> Evidence:
    """Return the evidence, and what the same annotators said under earlier guidelines.

    ``guidelines`` are hashes or their first digits. An annotator is the same if its name is, and
    counts as ``name @ hash``; of several settings under one guideline the last used counts, and
    only annotations of items that have not changed. Raises InputError for an unknown guideline.
    """
    if not guidelines:
        return evidence
    items = {item: list(given) for item, given in evidence.items.items()}
    names, now = dict(evidence.names), {item.id: item.hash for item in project.items()}
    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        same = {r["id"]: r["name"] for r in ledger.annotators() if r["name"] in names.values()}
        for digits in guidelines:
            version = _hash(ledger, digits, evidence.guideline_hash)
            last: dict[str, Annotation] = {}
            given = list(ledger.current(list(same), version))
            for annotation in given:
                name = same[annotation.annotator]
                if name not in last or annotation.created >= last[name].created:
                    last[name] = annotation
            used = {name: annotation.annotator for name, annotation in last.items()}
            names |= {f"{x}@{version}": f"{name} @ {version[:SHOWN]}" for name, x in used.items()}
            for one in given:
                if one.annotator in used.values() and now.get(one.item_id) == one.item_hash:
                    items[one.item_id].append(replace(one, annotator=f"{one.annotator}@{version}"))
    return replace(evidence, items=items, names=names)


def _hash(ledger: Ledger, digits: str, present: str) -> str:
    known = sorted(key for key in ledger.hashes() if key != present)
    found = [key for key in known if digits and key.startswith(digits)]
    if len(found) != 1:
        there = ", ".join(key[:SHOWN] for key in known) or "none"
        what = "several guidelines begin" if found else "no earlier guideline begins"
        raise InputError(f"compare: {what} with {digits!r}; there are: {there}")
    return found[0]
