"""What tasks have in common whose answer is one name of a short list."""

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


class SingleChoice(Task):
    """One of ``labels`` an item; one unit, named ``""``. An answer stands under ``key``."""

    level: Level = "nominal"
    key = "label"

    def __init__(self, guideline: Guideline, labels: Sequence[str]) -> None:
        self.guideline = guideline
        self.labels = tuple(labels)

    def named(self, raw: str) -> str | None:
        """Return the label that a text is the name or an alias of, as a whole; else None."""
        return self.guideline.match(raw)

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with the choice, after a short ``rationale`` where asked for."""
        choice = one_of(choices(self.labels, self.guideline))
        return answer_model({self.key: (choice, ...)}, rationale=rationale)

    def read(self, answer: BaseModel, item: Item) -> Reading:  # noqa: ARG002
        """Return the label's name; the raw text must match a name or alias as a whole."""
        return Reading(self.match(chosen(getattr(answer, self.key), self.guideline)))

    def match(self, raw: Any, item: Item | None = None) -> Label:  # noqa: ARG002
        """Return the label's name for a recorded value."""
        if isinstance(raw, (list, tuple)) and len(raw) == 1:
            raw = raw[0]
        name = self.named(raw) if isinstance(raw, str) else None
        if name is None:
            raise OffListError(f"{shorten(raw)} is not one of: {', '.join(self.labels)}")
        return name

    def answer(self, label: Label) -> dict[str, Any]:
        """Return ``{key: label}``."""
        return {self.key: label}

    def distribution(self, tokens: Sequence[Mapping[str, Any]]) -> Distribution:
        """Return the probability of each label."""
        names: dict[str, Value] = {json.dumps(n, ensure_ascii=False): n for n in self.labels}
        return label_distribution(tokens, {"": (self.key, names)})

    def values(self, unit: str = "") -> tuple[Value, ...]:  # noqa: ARG002
        """Return the labels."""
        return self.labels

    def votes(self, label: Label) -> Votes:
        """Return ``{"": label}``."""
        return {"": label}

    def from_votes(self, votes: Votes) -> Label:
        """Return the vote of the one unit."""
        return votes.get("")
