"""What the command line shows of forecasts, cascades and certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.promise import percent
from prelabel.screen import as_json, dollars, notes, out, table
from prelabel.screen_scores import short

if TYPE_CHECKING:
    from prelabel.cascading import Cascade, Rung
    from prelabel.certifying import Certificate
    from prelabel.estimate import Estimate
    from prelabel.forecasting import Forecasts, Outlook


MUCH = 100
"""Dollars from which cents say nothing."""

RANGES = "ranges hold 9 times in 10, $ of labeling 19 in 20; 'chance' is that of accepting anything"
ON_AVERAGE = "on average only: the best of several shares is a little better here than elsewhere"


def forecasts(found: Forecasts, *, json: bool) -> None:
    """Print what each target would mean."""
    if json:
        as_json(found.to_dict())
        return
    out.print(
        f"{found.kind} promise{_surely(found.delta)}: a pilot of {found.pilot} gold items, "
        f"{found.wrong} of {found.tested} with a wrong consensus; {found.labeled} of "
        f"{found.items} items are labeled",
        soft_wrap=True,
    )
    asked = any(one.review_hours.value is not None for one in found.rows)
    paid = any(one.review_dollars.value is not None for one in found.rows)
    columns = ["at most wrong", "gold", "accepted", "chance", "reviews left"]
    columns += ["hours of people"] * asked + ["$ in all"] * paid
    table(columns, [_row(one, asked=asked, paid=paid) for one in found.rows])
    table(
        ["annotator", "left to label", "$"],
        [(left.annotator, left.items, money(left.dollars)) for left in found.labeling],
    )
    notes([*found.notes, RANGES])


def _row(one: Outlook, *, asked: bool, paid: bool) -> tuple[str, ...]:
    hours = (counted(one.review_hours),) if asked else ()
    people = (money(one.dollars),) if paid else ()
    more = f"{one.forecast.gold} (+{one.more_gold})" if one.more_gold else one.forecast.gold
    return (
        percent(one.forecast.target),
        str(more),
        shared(one.forecast.coverage),
        f"{one.forecast.chance:.0%}",
        counted(one.reviews),
        *hours,
        *people,
    )


def cascade(found: Cascade, *, json: bool) -> None:
    """Print what each share for the strong annotator brings."""
    if json:
        as_json(found.to_dict())
        return
    out.print(
        f"{found.kind} promise, at most {percent(found.target)} wrong{_surely(found.delta)}: "
        f"{', '.join(found.cheap)}, then {found.strong}, on {found.items} items that all have "
        f"annotated, {found.gold} of them gold",
        soft_wrap=True,
    )
    reviewed = any(row.per_label.value is not None for row in found.rows)
    columns = [f"asks {found.strong} about", "accepted", "accuracy on gold", "$", "$ an accepted"]
    columns += ["times alone"] + ["$ a label with reviews"] * reviewed
    rows = [_rung(row, reviewed=reviewed) for row in (*found.rows, found.alone)]
    table(columns, rows, spare=["times alone", "$"])
    if found.best is not None:
        what = "with reviews" if found.best.per_label.value is not None else "an accepted label"
        out.print(f"least $ {what}: {_named(found.best)}", soft_wrap=True)
        _run(found, found.best)
    refused = [
        f"{_named(row)}: {row.promise.why}"
        for row in (*found.rows, found.alone)
        if row.promise.threshold is None
    ]
    notes([*refused, _looks(found), *found.notes])


def _rung(row: Rung, *, reviewed: bool) -> tuple[str, ...]:
    ratio = row.ratio
    return (
        _named(row),
        shared(row.accepted),
        short(row.accuracy),
        dollars(row.dollars),
        money(row.per_accepted),
        "n/a" if ratio.value is None else short(ratio) if row.share is not None else "1",
        *((money(row.per_label),) if reviewed else ()),
    )


def _named(row: Rung) -> str:
    return "all, alone" if row.share is None else f"{row.share:.0%}"


def _run(found: Cascade, rung: Rung) -> None:
    """Print how to do it for real."""
    if rung.share is None:
        return
    cheap = "".join(f" -a {name}" for name in found.cheap)
    after = "".join(f" --after {name}" for name in found.cheap)
    asks = f" && prelabel label -a {found.strong} --escalate {rung.share:g}{after}"
    out.print(
        escape(
            f"for all items: prelabel label{cheap}{asks if rung.share else ''}, write decide: "
            f"{found.settings(rung)} in prelabel.yaml, then prelabel fit"
        ),
        soft_wrap=True,
    )


def _looks(found: Cascade) -> str:
    if found.looks == 1:
        return ON_AVERAGE
    return (
        f"{found.looks} looks at one gold set ({found.strong} alone is one): each is tested at "
        f"delta {found.delta:g} / {found.looks} (Bonferroni), so that one may choose among them; "
        "a share that is fixed beforehand pays less"
    )


def certificate(found: Certificate, *, json: bool) -> None:
    """Print where the certificate went, and what it promises."""
    if json:
        as_json(found.to_dict())
        return
    if stopped := found.facts["audits"]["stopped"]:
        out.print(f"[red]stopped[/]: {escape(stopped)}; nothing is accepted any more")
    for one in () if stopped else found.facts["promises"]:
        group = f"{one['group']}: " if one["group"] else ""
        out.print(escape(f"{group}{one['sentence']}"), soft_wrap=True)
    gold = found.facts["gold"]
    notes([] if gold["at_hand"] else ["the gold at hand is not that of the promise"])
    out.print(f"wrote {escape(str(found.path))}", soft_wrap=True)


def _surely(delta: float | None) -> str:
    return "" if delta is None else f", delta {delta:g}"


def shared(one: Estimate) -> str:
    """Write a share in percent with its range."""
    return _ranged(one, lambda x: f"{x:.0%}")


def counted(one: Estimate) -> str:
    """Write a number of things with its range."""
    return _ranged(one, lambda x: f"{x:,.0f}")


def money(one: Estimate) -> str:
    """Write dollars with their range; a price that is unknown stays so."""
    return _ranged(one, _rounded) if one.value is not None else one.why


def _rounded(amount: float) -> str:
    return dollars(amount) if amount < MUCH else f"${amount:,.0f}"


def _ranged(one: Estimate, written: object) -> str:
    assert callable(written)
    if one.value is None:
        return "n/a"
    if one.low is None or one.high is None or one.low == one.high:
        return str(written(one.value))
    return f"{written(one.value)} [{written(one.low)}, {written(one.high)}]"
