"""Classification: one label an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prelabel.tasks import Reading
from prelabel.tasks.answers import of_parts
from prelabel.tasks.single_choice import SingleChoice

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.splitting import Part


class Classification(SingleChoice):
    """One label of the guideline an item."""

    name = "classification"
    splits = True

    def __init__(self, guideline: Guideline) -> None:
        super().__init__(guideline, guideline.label_names)

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:  # noqa: ARG002
        """Return the label of most parts; with ``merge: first`` the first in the guideline."""
        given = [reading.label for reading in readings]
        return Reading(of_parts(given, self.guideline, self.labels.index))
