"""Gold parted in two: what changes of the guideline may learn from, and what judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prelabel.project import TEST_SPLIT
from prelabel.records import content_hash

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.records import Gold


def part_gold(project: Project) -> tuple[list[Gold], list[Gold]]:
    """Return the gold to revise the guideline by, and the gold held out to judge the change.

    Where there is a split ``test`` it is held out and the rest is for revising; else a random half
    is held out, the same one always (by the item's id). Both are empty without gold.
    """
    every = project.fitting_gold()
    test = [g for g in every if g.split == TEST_SPLIT]
    if test and len(test) < len(every):
        return [g for g in every if g.split != TEST_SPLIT], test
    kept = [g for g in every if _held_out(g.item_id)]
    return [g for g in every if not _held_out(g.item_id)], kept


def _held_out(item: str) -> bool:
    return int(content_hash(["held out", item]), 16) % 2 == 0
