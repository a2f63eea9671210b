"""What `review fairness` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prelabel.prompts import named
from prelabel.screen import as_json, notes, table

if TYPE_CHECKING:
    from prelabel.estimate import Estimate
    from prelabel.review.measuring import Fairness, Figures

MOST_DISPUTED = 20

STANDS = {"below": "below", "reached": "reached", "open": "not shown yet"}

NAMES = {
    "accuracy": "accuracy",
    "an_hour": "labels an hour",
    "agreement": "agreement",
    "accepted": "wrong suggestions accepted",
    "chosen": "the same chosen blind",
    "bias": "automation bias",
    "saved": "time saved",
}


def fairness(found: Fairness, *, json: bool) -> None:
    """Print what was measured of people, and the gold that they differ from."""
    if json:
        as_json(found.to_dict())
        return
    every = {**found.reviewers, "all": found.overall}
    table(
        ["reviewer", "decided", "accuracy on hidden gold", f"floor {found.floor:g}"],
        [
            (name, one.decided, share(one.accuracy), _stands(found, name))
            for name, one in every.items()
        ],
        title="people: value [95% interval] (n)",
    )
    table(
        ["reviewer", "wrong accepted", "chosen blind", "automation bias"],
        [
            (name, share(one.accepted), share(one.chosen), share(one.bias))
            for name, one in every.items()
        ],
    )
    table(
        ["reviewer", "labels an hour", "agreement with others"],
        [(name, number(one.an_hour, ".0f"), share(one.agreement)) for name, one in every.items()],
    )
    table(
        ["reviewer", "seconds blind", "suggested", "time saved"],
        [
            (name, number(one.blind, ".1f"), number(one.suggested, ".1f"), share(one.saved))
            for name, one in every.items()
        ],
    )
    _disputed(found)
    notes([*_undefined(found.overall), *_remarks(found)])


def share(one: Estimate) -> str:
    """Return a share with its interval and n."""
    return number(one, ".2f")


def number(one: Estimate, digits: str) -> str:
    """Return a number with its interval and n; a note says why one is not defined."""
    if one.value is None:
        return "n/a"
    text = format(one.value, digits)
    if one.low is not None and one.high is not None:
        text += f" [{one.low:{digits}}, {one.high:{digits}}]"
    return f"{text} ({one.n})"


def _stands(found: Fairness, name: str) -> str:
    if name not in found.floors:
        return ""
    flag = ", flagged" if name in found.flagged else ""
    return STANDS[found.floors[name]] + flag


def _disputed(found: Fairness) -> None:
    if not found.disputed:
        return
    rows = [
        (
            one.item_id,
            named(one.gold),
            "; ".join(
                f"{'no label' if label is None else named(label)} ({', '.join(names)})"
                for label, names in one.said
            ),
            one.asked,
        )
        for one in found.disputed[:MOST_DISPUTED]
    ]
    title = f"{len(found.disputed)} hidden gold items that people differ from: is gold right?"
    table(["item", "gold", "people say", "asked"], rows, title=title)


def _undefined(overall: Figures) -> list[str]:
    return [
        f"{said} is not defined, because {estimate.why}"
        for name, said in NAMES.items()
        if (estimate := getattr(overall, name)).value is None
    ]


def _remarks(found: Fairness) -> list[str]:
    said = []
    if found.overall.pauses:
        said.append(f"{found.overall.pauses} decisions took too long and count as pauses")
    if found.overall.skipped:
        said.append(f"{found.overall.skipped} times hidden gold was skipped: it is not in accuracy")
    if found.flagged:
        said.append(
            f"flagged: {', '.join(found.flagged)}; what they decided waits for another opinion, "
            "see `prelabel review results`"
        )
    return said
