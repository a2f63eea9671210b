"""What the command line shows of annotators judged and gold audited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.prompts import named
from prelabel.screen import as_json, notes, out, table
from prelabel.screen_scores import short

if TYPE_CHECKING:
    from prelabel.alternatives import AltTest
    from prelabel.auditing import GoldAudit
    from prelabel.choosing import Choice
    from prelabel.error_correlation import ErrorCorrelation
    from prelabel.gold_errors import Close, GoldError
    from prelabel.human_ceiling import Beside, Ceiling

MOST_CLOSE = 20


def alt_tests(found: Sequence[AltTest], *, json: bool) -> None:
    """Print whether LLMs may stand in for people."""
    if json:
        as_json([one.to_dict() for one in found])
        return
    rows = [
        (
            one.llm,
            one.n_items,
            short(one.winning_rate),
            short(one.advantage),
            "n/a" if one.passed is None else "yes" if one.passed else "no",
        )
        for one in found
    ]
    title = f"epsilon {found[0].epsilon:g}, {found[0].similarity}: value [95% interval]"
    table(["LLM", "items", "winning rate", "advantage", "may stand in"], rows, title=title)
    beside([one.beside for one in found])
    each = [
        (
            f"{one.llm} for {person.name}",
            person.n,
            short(person.advantage),
            "" if person.p_adjusted is None else f"{person.p_adjusted:.3g}",
            person.why or ("yes" if person.replaced else "no"),
        )
        for one in found
        for person in one.people
    ]
    table(["LLM and person", "items", "advantage", "adjusted p", "may replace"], each)
    notes(
        [
            f"{one.llm}: winning rate is not defined: {one.winning_rate.why}"
            for one in found
            if one.passed is None
        ]
        + [
            f"{one.llm}: the winning rate has no interval: {one.winning_rate.why}"
            for one in found
            if one.passed is not None and one.winning_rate.low is None
        ]
        + [note for note in found[0].notes if all(note in one.notes for one in found)]
        + [
            f"{one.llm}: {note}"
            for one in found
            for note in one.notes
            if not all(note in other.notes for other in found)
        ]
    )


def beside(rows: Sequence[Beside]) -> None:
    """Print annotators beside people, on the same items against the same other people."""
    table(
        ["annotator", "items", "its score", "people's score", "difference"],
        [(r.name, r.score.n, short(r.score), short(r.people), short(r.gap)) for r in rows],
        title="against the other people, on the same items",
    )


def ceiling(found: Ceiling, *, json: bool) -> None:
    """Print how well people score against each other, and annotators beside them."""
    if json:
        as_json(found.to_dict())
        return
    title = f"people against the {found.against} of the other people, {found.measure}"
    rows = [("human ceiling", found.people.n, short(found.people))]
    rows += [(one.name, one.score.n, short(one.score)) for one in found.each]
    table(["", "items", "score [95% interval]"], rows, title=title)
    if found.beside:
        beside(found.beside)
    notes(found.notes)


def gold_audit(found: GoldAudit, *, reveal: bool, json: bool) -> None:
    """Print how much gold is suspicious; what exactly only where asked for."""
    if json:
        as_json(found.to_dict(reveal=reveal))
        return
    out.print(
        f"{found.gold} gold items: {found.unanimous} that no annotator agrees with, "
        f"{found.improbable} improbable\n"
        f"{len(found.table)} to label again blind: {found.suspicious} suspicious, "
        f"{found.controls} random controls"
        + (f", in {escape(str(found.path))}" if found.path else ""),
        soft_wrap=True,
    )
    if reveal:
        rows = [
            (
                one.item,
                f"{one.suspicion:.2f}",
                named(one.gold),
                named(one.alternative),
                ", ".join(one.reasons),
            )
            for one in found.ranked
            if one.reasons
        ]
        table(["item", "suspicion", "gold", "annotators say", "why"], rows)
    notes(found.notes)


def gold_error(found: GoldError, *, json: bool) -> None:
    """Print how much of the gold is wrong."""
    if json:
        as_json(found.to_dict())
        return
    rows = [
        (name, one.n, short(one))
        for name, one in {
            "all gold": found.error,
            "suspicious": found.suspicious,
            "controls": found.controls,
        }.items()
    ]
    table(
        ["gold", "adjudicated", "share wrong [95% interval]"],
        rows,
        title=f"{found.gold} gold items",
    )
    changed = [
        (one.item, named(one.gold), named(one.adjudicated), one.part) for one in found.changed
    ]
    table(["to decide", "gold", "adjudicated", "was"], changed)
    if found.close:
        cannot_tell(found.close)
    undefined = [] if found.error.value is not None else [f"not defined: {found.error.why}"]
    notes([*undefined, *found.notes])


def cannot_tell(close: Sequence[Close]) -> None:
    """Print the pairs of annotators that gold cannot tell apart, the nearest first."""
    rows = [
        (f"{one.a} - {one.b}", one.n, f"{abs(one.difference):.3f}", f"{one.moves:.3f}")
        for one in sorted(close, key=lambda one: abs(one.difference))
    ]
    left = f", the first {MOST_CLOSE} of {len(rows)}" if len(rows) > MOST_CLOSE else ""
    table(
        ["gold cannot tell apart", "n", "accuracies differ by", "gold's errors can move that by"],
        rows[:MOST_CLOSE],
        title=f"pairs whose difference gold's errors could turn{left}",
    )


def choice(found: Choice, *, json: bool) -> None:
    """Print how aggregators compare."""
    if json:
        as_json(found.to_dict())
        return
    rows = [
        (
            one.method,
            short(one.log_loss),
            short(one.difference) if one.difference.value else "lowest",
            short(one.accuracy),
        )
        for one in found.scores
    ]
    if rows:
        title = f"on {found.items} gold items, held out: value [95% interval]"
        table(["aggregator", "log-loss", "above the lowest", "accuracy"], rows, title=title)
    out.print(f"chosen: {found.method}")
    notes(found.notes)


def errors(found: ErrorCorrelation, *, json: bool) -> None:
    """Print how errors go together."""
    if json:
        as_json(found.to_dict())
        return
    # of two labels, those who are both wrong always say the same
    telling = any(one.same_label.value not in (None, 1.0) for one in found.pairs)
    figures = {
        "mean correlation of errors": found.mean_phi,
        f"independent annotators that the {len(found.accuracy)} are worth": found.effective,
        "share of labels that all give alike": found.unanimous,
        "of these, wrong": found.unanimous_wrong,
    }
    figures |= (
        {"of two that are both wrong, with the same label": found.same_label} if telling else {}
    )
    rows = [(what, f"{estimate:.3f}", f"{estimate.n}") for what, estimate in figures.items()]
    if found.independent_wrong is not None:
        rows.insert(4, ("  were errors independent", f"{found.independent_wrong:.4f}", ""))
    table(["", "value [95% interval]", "n"], rows, title="errors on gold")
    pairs = [
        (
            f"{one.a} - {one.b}",
            one.n,
            short(one.phi),
            short(one.both_wrong),
            "" if one.expected is None else f"{one.expected:.3f}",
            *([short(one.same_label)] if telling else []),
        )
        for one in found.pairs
    ]
    columns = ["annotators", "n", "correlation", "both wrong", "if independent"]
    columns += ["same label"] if telling else []
    title = "errors that go together: value [95% interval]"
    table(columns, pairs, title=title, spare=["same label"])
    notes(found.notes)
