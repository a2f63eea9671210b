"""What the answers of all tasks have in common: their models, JSON in texts, the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema, create_model, model_validator

from prelabel.errors import InputError
from prelabel.guideline import ABSTAIN, Guideline, fold
from prelabel.records import Label
from prelabel.tasks import AbstainedError, OffListError, shorten

MOST_VALUES = 400
"""With more, the answer is a plain text that is matched here; providers allow 500 values."""

MOST_CHARACTERS = 15_000
MOST_CHARACTERS_OF_MANY = 7_500
MANY = 250
"""What strict schemas allow all values of one enum together, and one with more than ``MANY``."""

UNWRITABLE = re.compile("[\0\ud800-\udfff]")

WHY_UNWRITABLE = "has NUL or half a surrogate pair in it; write it without"

CONFIDENCE = "confidence"

PERCENT = re.compile(r"\s*(\d{1,3})\s*%?\s*")

PERCENTS = Annotated[Any, WithJsonSchema({"type": "integer", "enum": list(range(0, 101, 5))})]
"""A whole number of percent, as people and LLMs say it: nearly always a multiple of five (Xiong et
al., ICLR 2024, arXiv 2306.13063). An enum, because not all strict schemas take a minimum and a
maximum; it also leaves room for ``MOST_VALUES`` labels, and lets the embedded model choose."""

STRICT = ConfigDict(json_schema_extra={"additionalProperties": False})


def one_of(values: Sequence[str]) -> Any:
    """Return a type of text whose schema names ``values``; any other text reaches ``read``."""
    return Annotated[str, WithJsonSchema(text_schema(values))]


def text_schema(values: Sequence[str]) -> dict[str, Any]:
    """Return the schema of a text that is one of ``values``, of any where these are too many."""
    return {"type": "string"} | ({"enum": list(values)} if fits_schema(values) else {})


def fits_schema(values: Sequence[str]) -> bool:
    """Tell whether strict schemas allow an enum of these values."""
    most = MOST_CHARACTERS_OF_MANY if len(values) > MANY else MOST_CHARACTERS
    return len(values) <= MOST_VALUES and sum(map(len, values)) <= most


def answer_model(
    fields: Mapping[str, Any], *, rationale: bool, abstain: bool = False
) -> type[BaseModel]:
    """Return the model of an answer: a rationale and a way out where asked for, then ``fields``."""
    head: dict[str, Any] = {"rationale": (str, ...)} if rationale else {}
    if abstain:
        head[ABSTAIN] = (bool, ...)
    return create_model("Answer", __config__=STRICT, **head, **fields)


def with_confidence(model: type[BaseModel]) -> type[BaseModel]:
    """Return the model of an answer that ends with the annotator's own confidence in it.

    It comes last, so that the label does not depend on it. Whatever stands there, or nothing, the
    answer is read all the same: see `confidence_of`. Raises ``InputError`` where an answer has a
    field of that name already.
    """
    if CONFIDENCE in model.model_json_schema()["properties"]:
        raise InputError(
            f"the guideline has a field {CONFIDENCE!r}, and answers would have another; rename "
            f"the field, or take `{CONFIDENCE}: true` from the annotator"
        )
    may_lack: Any = model_validator(mode="before")(_may_lack_confidence)
    field: Any = {CONFIDENCE: (PERCENTS, ...)}  # required, as strict schemas want all fields
    return create_model(
        model.__name__, __base__=model, __validators__={"may_lack": may_lack}, **field
    )


def _may_lack_confidence(data: Any) -> Any:
    return {CONFIDENCE: None} | data if isinstance(data, dict) else data


def confidence_of(answer: BaseModel) -> float | None:
    """Return an annotator's own confidence in its answer, 0 to 1.

    None where it was not asked for, or is not a whole number of percent: 0.9 might be either.
    """
    said = getattr(answer, CONFIDENCE, None)
    if isinstance(said, bool) or not isinstance(said, (int, float, str)):
        return None
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    found = PERCENT.fullmatch(str(said))
    return int(found[1]) / 100 if found and int(found[1]) <= 100 else None


def json_of(text: str) -> Any | None:
    """Return what a text holds as JSON; None where it is none, or nested too deeply."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def need_json(text: str) -> Any:
    """Return what a text holds as JSON. Raises ``OffListError`` where it is none."""
    found = json_of(text)
    if found is None:
        raise OffListError(f"{shorten(text)} is not JSON")
    return found


def refuse_unwritable(text: str) -> None:
    """Raise ``OffListError`` for a text that no file can hold.

    JSON may write NUL, and half a surrogate pair, which UTF-8 cannot encode.
    """
    if UNWRITABLE.search(text):
        raise OffListError(f"{shorten(text)} {WHY_UNWRITABLE}")


def choices(labels: Sequence[str], guideline: Guideline) -> list[str]:
    """Return the values of a single choice: the labels, and the way out where there is one."""
    return [*labels, *([ABSTAIN] if guideline.abstain else [])]


def chosen(raw: str, guideline: Guideline) -> str:
    """Return a single choice as it is. Raises ``AbstainedError`` where it is the way out."""
    if guideline.abstain and fold(raw) == ABSTAIN:
        raise AbstainedError
    return raw


def of_parts(labels: Sequence[Label], guideline: Guideline, place: Callable[[Label], int]) -> Label:
    """Return the label of most parts, the earlier one's where several are.

    With ``merge: first``, the first in the guideline that any part got; ``place`` says where it is.
    """
    if guideline.merge == "first":
        return min(labels, key=place)
    return max(labels, key=labels.count)


def stay(answer: BaseModel, guideline: Guideline) -> None:
    """Raise ``AbstainedError`` where an answer's field ``abstain`` says so."""
    if guideline.abstain and getattr(answer, ABSTAIN):
        raise AbstainedError
