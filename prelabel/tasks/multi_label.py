"""Multi-label: any number of labels an item, each a vote of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, WithJsonSchema

from prelabel.guideline import ABSTAIN
from prelabel.logprobs import list_distribution
from prelabel.records import Distribution, Item, Label, Value, Votes
from prelabel.tasks import Level, OffListError, Reading, Task, shorten
from prelabel.tasks.answers import answer_model, stay, text_schema

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.splitting import Part


class MultiLabel(Task):
    """A list of labels in the guideline's order; a unit a label, its value whether it applies."""

    name = "multi-label"
    level: Level = "nominal"
    splits = True

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline
        self.labels = guideline.label_names

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with ``labels``, after a short ``rationale`` where asked for."""
        entry = text_schema(self.labels)
        listed = Annotated[list[str], WithJsonSchema({"type": "array", "items": entry})]
        return answer_model(
            {"labels": (listed, ...)}, rationale=rationale, abstain=bool(self.guideline.abstain)
        )

    def read(self, answer: BaseModel, item: Item) -> Reading:  # noqa: ARG002
        """Return the labels of the list; each must match a name or alias as a whole."""
        stay(answer, self.guideline)
        return Reading(self.match(answer.labels))  # type: ignore[attr-defined]

    def match(self, raw: Any, item: Item | None = None) -> Label:  # noqa: ARG002
        """Return the label list for a recorded list; one text counts as a list of one."""
        names = [raw] if isinstance(raw, str) else raw
        if not isinstance(names, (list, tuple)):
            raise OffListError(f"{shorten(raw)} is not a list of labels")
        found = set()
        for name in names:
            label = self.guideline.match(name) if isinstance(name, str) else None
            if label is None:
                raise OffListError(f"{shorten(name)} is not one of: {', '.join(self.labels)}")
            found.add(label)
        most = self.guideline.max_labels
        if most is not None and len(found) > most:
            raise OffListError(f"{len(found)} labels where the guideline allows {most}")
        return [name for name in self.labels if name in found]

    def answer(self, label: Label) -> dict[str, Any]:
        """Return ``{"labels": [name, …]}``."""
        head: dict[str, Any] = {ABSTAIN: False} if self.guideline.abstain else {}
        return head | {"labels": list(label)}

    def distribution(self, tokens: Sequence[Mapping[str, Any]]) -> Distribution:
        """Return, for each label, the probability that it applies."""
        return list_distribution(tokens, "labels", self.labels)

    def values(self, unit: str = "") -> tuple[Value, ...]:  # noqa: ARG002
        """Return True and False."""
        return (True, False)

    def votes(self, label: Label) -> Votes:
        """Return a boolean for each declared label."""
        return {name: name in label for name in self.labels}

    def from_votes(self, votes: Votes) -> Label:
        """Return the labels whose unit is True, in the guideline's order."""
        return [name for name in self.labels if votes.get(name)]

    def right(self, gold: Label, given: Label) -> bool:
        """Say whether both have the same labels, in whatever order."""
        return set(gold) == set(given)

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:  # noqa: ARG002
        """Return every label that a part got; the guideline's most labels is not enforced here."""
        given = {name for reading in readings for name in reading.label}
        return Reading([name for name in self.labels if name in given])
