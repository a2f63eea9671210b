"""Classification: one label an item."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prelabel.logprobs import label_distribution
from prelabel.records import Distribution, Item, Label, Value, Votes
from prelabel.tasks import Level, OffListError, Reading, Task, shorten
from prelabel.tasks.answers import answer_model, choices, chosen, one_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.guideline import Guideline
    from prelabel.splitting import Part


class Classification(Task):
    """One label an item; one unit, named ``""``."""

    name = "classification"
    level: Level = "nominal"
    splits = True

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline
        self.labels = guideline.label_names

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with ``label``, after a short ``rationale`` where asked for."""
        label = one_of(choices(self.labels, self.guideline))
        return answer_model({"label": (label, ...)}, rationale=rationale)

    def read(self, answer: BaseModel, item: Item) -> Reading:  # noqa: ARG002
        """Return the label's name; the raw text must match a name or alias as a whole."""
        return Reading(self.match(chosen(answer.label, self.guideline)))  # type: ignore[attr-defined]

    def match(self, raw: Any, item: Item | None = None) -> Label:  # noqa: ARG002
        """Return the label's name for a recorded value."""
        if isinstance(raw, (list, tuple)) and len(raw) == 1:
            raw = raw[0]
        name = self.guideline.match(raw) if isinstance(raw, str) else None
        if name is None:
            raise OffListError(f"{shorten(raw)} is not one of: {', '.join(self.labels)}")
        return name

    def answer(self, label: Label) -> dict[str, Any]:
        """Return ``{"label": name}``."""
        return {"label": label}

    def distribution(self, tokens: Sequence[Mapping[str, Any]]) -> Distribution:
        """Return the probability of each label."""
        names: dict[str, Value] = {json.dumps(n, ensure_ascii=False): n for n in self.labels}
        return label_distribution(tokens, {"": ("label", names)})

    def values(self, unit: str = "") -> tuple[Value, ...]:  # noqa: ARG002
        """Return the label names."""
        return self.labels

    def votes(self, label: Label) -> Votes:
        """Return ``{"": label}``."""
        return {"": label}

    def from_votes(self, votes: Votes) -> Label:
        """Return the vote of the one unit."""
        return votes.get("")

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:  # noqa: ARG002
        """Return the label of most parts, the earlier one's where several are.

        With ``merge: first``, the first in the guideline's label set that any part got.
        """
        given = [reading.label for reading in readings]
        if self.guideline.merge == "first":
            return Reading(min(given, key=self.labels.index))
        return Reading(max(given, key=given.count))
