"""Multi-label: any number of labels an item, each decided for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from prelabel.errors import InputError
from prelabel.guideline import ABSTAIN
from prelabel.records import Label, Value, Votes
from prelabel.tasks import AbstainedError, Level, OffListError, shorten

if TYPE_CHECKING:
    from prelabel.guideline import Guideline

RESERVED = ("rationale", ABSTAIN)


class MultiLabel:
    """A list of labels in the guideline's order; a unit a label, its value whether it applies."""

    name = "multi-label"
    level: Level = "nominal"

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline
        self.labels = guideline.label_names

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with a boolean a label, so that each label is decided, none forgotten.

        Raises ``InputError`` for a label that is called like the rationale's own field.
        """
        if rationale and "rationale" in self.labels:
            raise InputError(
                f"guideline {self.guideline.name!r}: label 'rationale' cannot be told from the "
                "annotator's rationale; rename the label, or set rationale: false"
            )
        fields: dict[str, Any] = {"rationale": (str, ...)} if rationale else {}
        if self.guideline.abstain:
            fields[ABSTAIN] = (bool, ...)
        for i, name in enumerate(self.labels):  # an alias may be any text, a field name may not
            fields[f"label_{i}"] = (bool, Field(alias=name))
        config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})

        def named(_model: type[BaseModel], data: Any) -> Any:
            return self._named(data)

        validator: Any = model_validator(mode="before")(classmethod(named))  # type: ignore[arg-type]
        return create_model("Answer", __config__=config, __validators__={"n": validator}, **fields)

    def _named(self, data: Any) -> Any:
        """Put a label's name for each key that spells it otherwise (case, NFD, alias)."""
        if not isinstance(data, dict):
            return data
        found: dict[str, Any] = {}
        for key, value in data.items():
            name = key if key in RESERVED else self.guideline.match(key) or key
            if name in found:
                raise ValueError(f"label {name!r} is answered twice")
            found[name] = value
        return found

    def read(self, answer: BaseModel) -> Label:
        """Return the labels answered with true; an unknown label answered with true is refused."""
        data = answer.model_dump(by_alias=True)
        if self.guideline.abstain and data.get(ABSTAIN):
            raise AbstainedError
        strange = [key for key, value in (answer.model_extra or {}).items() if value is not False]
        if strange:
            raise OffListError(f"{shorten(strange[0])} is not one of: {', '.join(self.labels)}")
        return self._checked([name for name in self.labels if data[name]])

    def match(self, raw: Any) -> Label:
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
        return self._checked([name for name in self.labels if name in found])

    def _checked(self, labels: list[str]) -> Label:
        most = self.guideline.max_labels
        if most is not None and len(labels) > most:
            raise OffListError(f"{len(labels)} labels where the guideline allows {most}")
        return labels

    def answer(self, label: Label) -> dict[str, Any]:
        """Return a boolean for each label."""
        head = {ABSTAIN: False} if self.guideline.abstain else {}
        return head | {name: name in label for name in self.labels}

    def choices(self) -> Mapping[str, tuple[str, Mapping[str, Value]]]:
        """Return a unit a label, its key the label's name, true or false."""
        return {name: (name, {"true": True, "false": False}) for name in self.labels}

    def values(self) -> tuple[Value, ...]:
        """Return True and False."""
        return (True, False)

    def votes(self, label: Label) -> Votes:
        """Return a boolean for each declared label."""
        return {name: name in label for name in self.labels}

    def from_votes(self, votes: Votes) -> Label:
        """Return the labels whose unit is True, in the guideline's order."""
        return [name for name in self.labels if votes.get(name)]
