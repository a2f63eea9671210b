"""Rating: one number an item, on the guideline's scale."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from numbers import Integral, Real
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from prelabel.errors import InputError
from prelabel.guideline import ABSTAIN, fold
from prelabel.records import Distribution, Item, Label, Value, Votes
from prelabel.tasks import (
    Level,
    OffListError,
    Reading,
    Task,
    shorten,
)
from prelabel.tasks.answers import answer_model, stay

if TYPE_CHECKING:
    from prelabel.guideline import Guideline, Scale
    from prelabel.guideline_fields import Finding, Line
    from prelabel.measures import Measures
    from prelabel.splitting import Part

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)

MOST_NAMED = 250
"""A schema names each value of a scale of at most so many; providers limit them."""

MOST_COUNTED = 20
"""A confusion table is shown for a scale of at most so many values."""

MERGES: dict[str, Callable[[Sequence[Fraction]], Fraction]] = {
    "mean": lambda numbers: sum(numbers, Fraction()) / len(numbers),
    "median": lambda numbers: Fraction(median(numbers)),
    "min": min,
    "max": max,
}
"""How the ratings of a long item's parts make one."""


class Rating(Task):
    """One number an item; one unit, named ``""``.

    A rating is an int where the scale's first value and its steps are whole, else a float.
    """

    name = "rating"

    def __init__(self, guideline: Guideline) -> None:
        if guideline.scale is None:
            raise InputError(
                f"guideline {guideline.name!r}: no scale; write one, as 'scale: {{min: 1, max: 5}}'"
            )
        self.guideline = guideline
        self.scale = guideline.scale
        self.level: Level = guideline.scale.level
        self.splits = guideline.merge in MERGES
        self.declared = scale_values(guideline.scale)
        self._by_value = {value: value for value in self.declared or ()}
        self._by_anchor = self._anchored()

    def _anchored(self) -> dict[str, int | float]:
        """Return ratings by the whole text of their anchors; texts of two ratings are none's."""
        used = Counter(fold(text) for text in self.scale.anchors.values())
        return {
            fold(text): value
            for key, text in self.scale.anchors.items()
            if used[fold(text)] == 1 and (value := self.number(key)) is not None
        }

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with ``rating``, after a short ``rationale`` where asked for.

        The schema names the values of a scale with steps. It gives no bounds of an open one, which
        not all providers allow in strict schemas: the prompt says them, and ``read`` checks.
        """
        whole = self.declared and isinstance(self.declared[0], int)
        schema: dict[str, Any] = {"type": "integer" if whole else "number"}
        if self.declared and len(self.declared) <= MOST_NAMED:
            schema["enum"] = list(self.declared)
        number: Any = StrictInt | StrictFloat | StrictStr
        if self.guideline.abstain:
            number |= None
        rating = Annotated[number, WithJsonSchema(schema)]
        return answer_model(
            {"rating": (rating, ...)}, rationale=rationale, abstain=bool(self.guideline.abstain)
        )

    def read(self, answer: BaseModel, item: Item) -> Reading:  # noqa: ARG002
        """Return the rating; one outside the scale is refused, never rounded or clamped."""
        stay(answer, self.guideline)
        return Reading(self.match(answer.rating))  # type: ignore[attr-defined]

    def match(self, raw: Any, item: Item | None = None) -> Label:  # noqa: ARG002
        """Return the value of the scale that a number, its text, or an anchor's text stands for."""
        value = self.number(raw)
        if value is None and isinstance(raw, str):
            value = self._by_anchor.get(fold(raw))
        if value is None:
            raise OffListError(f"{shorten(raw)} is not on the scale: {self.describe()}")
        return value

    def number(self, raw: Any) -> int | float | None:
        """Return the value of the scale that is exactly this number or its text, or None."""
        number = _as_number(raw)
        if number is None or self.declared is not None:
            return self._by_value.get(number)  # type: ignore[arg-type]
        inside = self.scale.min <= number <= self.scale.max  # also refuses what is not a number
        return number + 0.0 if inside else None  # never -0.0

    def describe(self) -> str:
        """Say in words which numbers are on the scale."""
        low, high = (f"{end:.10g}" for end in (self.scale.min, self.scale.max))
        if self.declared is None:
            return f"any number from {low} to {high}"
        if self.scale.step == 1 and isinstance(self.declared[0], int):
            return f"a whole number from {low} to {high}"
        return f"a number from {low} to {high} in steps of {self.scale.step:.10g}"

    def answer(self, label: Label) -> dict[str, Any]:
        """Return ``{"rating": number}``."""
        head: dict[str, Any] = {ABSTAIN: False} if self.guideline.abstain else {}
        return head | {"rating": label}

    def distribution(self, tokens: Sequence[Mapping[str, Any]]) -> Distribution:
        """Return the probability of each value; nothing on an open scale."""
        from prelabel.logprobs import label_distribution

        texts: dict[str, Value] = {f"{value:.10g}": value for value in self.declared or ()}
        return label_distribution(tokens, {"": ("rating", texts)})

    def values(self, unit: str = "") -> tuple[Value, ...] | None:  # noqa: ARG002
        """Return the values of the scale, ascending; None where it has no steps."""
        return self.declared

    def votes(self, label: Label) -> Votes:
        """Return ``{"": rating}``."""
        return {"": label}

    def from_votes(self, votes: Votes) -> Label:
        """Return the vote of the one unit."""
        return votes.get("")

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:  # noqa: ARG002
        """Return one rating of those of the parts, by the guideline's ``merge``.

        A mean or median between two values of the scale becomes the nearer, half-way the lower.
        """
        # as decimals were written: 0.15 is half-way between 0.1 and 0.2
        given = [Fraction(str(reading.label)) for reading in readings]
        return Reading(self._nearest(MERGES[self.guideline.merge or ""](given)))

    def _nearest(self, number: Fraction) -> int | float:
        if self.declared is None:
            return float(number)
        return min(self.declared, key=lambda value: (abs(Fraction(str(value)) - number), value))

    def right(self, gold: Label, given: Label) -> bool:
        """Say whether a rating is within the scale's tolerance of gold's."""
        return self.agrees("", gold, given)

    def agrees(self, unit: str, a: Value, b: Value) -> bool:
        """Say whether two ratings are within the scale's tolerance."""
        del unit
        return abs(float(a) - float(b)) <= self.scale.tolerance + 1e-9

    def measure(self, gold: Sequence[Label], given: Sequence[Label], seed: int = 0) -> Measures:
        """Return quadratic kappa, Spearman's and Pearson's correlation, the mean absolute error."""
        from prelabel.estimate import Estimate
        from prelabel.measures import Measures, counted, mean
        from prelabel.ordinal import pearson, spearman, weighted_kappa

        right = [self.right(a, b) for a, b in zip(gold, given, strict=True)]
        metrics = {
            "spearman": spearman(gold, given, seed),
            "mae": mean([abs(a - b) for a, b in zip(gold, given, strict=True)], seed),
            "pearson": pearson(gold, given, seed),
        }
        if self.declared is None:
            why = "the scale has no steps, and kappa compares values of a list"
            metrics["quadratic_kappa"] = Estimate(None, n=len(right), why=why)
        else:
            metrics = {"quadratic_kappa": weighted_kappa(gold, given, seed=seed)} | metrics
        if self.declared is None or len(self.declared) > MOST_COUNTED:
            return Measures(right, metrics)
        cells = Counter(zip(gold, given, strict=True))
        confusion = tuple(tuple(cells[a, b] for b in self.declared) for a in self.declared)
        support, predicted = (
            [[int(value == one) for one in self.declared] for value in side]
            for side in (gold, given)
        )
        hits = [
            [a * b for a, b in zip(x, y, strict=True)]
            for x, y in zip(support, predicted, strict=True)
        ]
        _, labels = counted(self.declared, support, predicted, hits, seed)
        return Measures(right, metrics, labels, confusion)


def scale_values(scale: Scale) -> tuple[int | float, ...] | None:
    """Return the values of a scale, ascending; None where it has no steps."""
    if scale.step is None:
        return None
    low, step = Fraction(str(scale.min)), Fraction(str(scale.step))
    values = [low + step * k for k in range(round((Fraction(str(scale.max)) - low) / step) + 1)]
    whole = all(value.denominator == 1 for value in (low, step))
    return tuple(int(value) if whole else float(value) for value in values)


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield what is wrong with the scale, its anchors, and the rule for long items."""
    from prelabel.guideline_fields import Finding

    if guideline.scale is None:
        yield Finding(line("scale"), "error", "no scale; write one, as 'scale: {min: 1, max: 5}'")
        return
    if guideline.merge is not None and guideline.merge not in MERGES:
        message = f"merge {guideline.merge!r} is not for rating; use one of: {', '.join(MERGES)}"
        yield Finding(line("merge"), "error", message)
    yield from _check_anchors(Rating(guideline), line)


def _check_anchors(task: Rating, line: Line) -> Iterator[Finding]:
    """Check that anchors are values of the scale, one text each, and that its ends have one."""
    from prelabel.guideline_fields import Finding

    values = {key: task.number(key) for key in task.scale.anchors}
    for key in values:
        if problem := _anchor_problem(task, key, list(values.values())):
            here = line("scale", "anchors", key)
            yield Finding(here, "error", f"anchor {key!r} {problem}")
    ends = [end for end in (task.scale.min, task.scale.max) if end not in values.values()]
    if ends:
        named = " and ".join(f"{end:.10g}" for end in ends)
        message = f"no anchor for {named}; say under 'anchors:' what the ends of the scale mean"
        yield Finding(line("scale"), "warning", message)


def _anchor_problem(task: Rating, key: str, values: Sequence[float | None]) -> str:
    texts = [fold(text) for text in task.scale.anchors.values()]
    text, value = fold(task.scale.anchors[key]), task.number(key)
    if value is None:
        return f"is not on the scale: {task.describe()}; use one of its values"
    if values.count(value) > 1:
        return "is a value that has another anchor; keep one"
    if texts.count(text) > 1:
        return "has the text of another anchor; say how they differ"
    return "says only a number; say what it stands for" if _as_number(text) is not None else ""


def _as_number(raw: Any) -> int | float | None:
    """Return the number that a value is, or that a text writes in digits, or None."""
    if isinstance(raw, str):
        return float(raw) if NUMBER.fullmatch(raw.strip()) else None
    if isinstance(raw, bool) or not isinstance(raw, Real):
        return None
    return int(raw) if isinstance(raw, Integral) else float(raw)
