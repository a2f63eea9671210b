"""What the command line shows of agreement between annotators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.screen import as_json, notes, out, table

if TYPE_CHECKING:
    from prelabel.estimate import Estimate
    from prelabel.reliability import Agreement

NAMES = {
    "percent": "percent agreement",
    "overlap": "mean overlap",
    "alpha": "Krippendorff alpha",
    "alpha_nominal": "alpha of whole label sets",
    "alpha_masi": "alpha, MASI",
    "alpha_jaccard": "alpha, Jaccard",
    "unitizing_alpha": "unitizing alpha",
    "fleiss": "Fleiss kappa",
    "cohen": "Cohen kappa",
    "conger": "Conger kappa",
    "ac1": "Gwet AC1",
    "brennan_prediger": "Brennan-Prediger",
} | {
    f"{key}_{weights}": f"{name}, {weights}"
    for weights in ("linear", "quadratic")
    for key, name in (
        ("percent", "percent agreement"),
        ("fleiss", "Fleiss kappa"),
        ("cohen", "Cohen kappa"),
        ("conger", "Conger kappa"),
        ("ac2", "Gwet AC2"),
        ("brennan_prediger", "Brennan-Prediger"),
    )
}


def agreement(found: Agreement, *, json: bool) -> None:
    """Print agreement."""
    if json:
        as_json(found.to_dict())
        return
    if found.n_annotators < 2:
        out.print(f"agreement: {escape(found.reading)}")
        return
    measure = (
        f"mean overlap of two annotators: {found.overlap:.3f}"
        if found.overlap
        else f"Krippendorff alpha ({found.metric}): {found.alpha:.3f} - {escape(found.reading)}"
    )
    drawn = f"; intervals from {found.n_clusters} clusters" if found.n_clusters else ""
    out.print(
        f"{found.n_annotators} annotators, {found.n_items} items with two votes or more{drawn}\n"
        f"{measure}\npercent agreement: {found.percent:.3f}",
        soft_wrap=True,
    )
    notes(found.notes)
    coefficients(found)
    annotators(found)
    confused(found)


def coefficients(found: Agreement) -> None:
    """Print the coefficients beside alpha, and each label's agreement."""
    rows = [(NAMES.get(name, name), f"{e:.3f}", e.n) for name, e in found.coefficients.items()]
    table(["coefficient", "value", "n"], rows)
    if found.labels:
        labels = [
            (row.label, f"{row.share:.0%}", *(cell(e) for e in (row.alpha, row.ac1, row.specific)))
            for row in found.labels
        ]
        table(["label", "share", "alpha", "AC1", "of its votes, others too"], labels)
    if found.unitizing:
        table(["label", "unitizing alpha"], [(name, f"{e:.3f}") for name, e in found.unitizing])


def annotators(found: Agreement) -> None:
    """Print the pairs of annotators, and what is left without each."""
    last = "overlap" if found.overlap else "Cohen kappa"
    weighted = any(pair.quadratic for pair in found.pairs)
    pairs = [
        (
            f"{p.a} - {p.b}",
            p.n,
            f"{p.percent:.3f}",
            f"{p.overlap or p.kappa:.3f}",
            *([cell(p.quadratic)] if weighted else []),
        )
        for p in found.pairs
    ]
    columns = ["annotators", "n", "percent agreement", last]
    table([*columns, "quadratic kappa"] if weighted else columns, pairs)
    if found.without:
        measure = "overlap" if found.overlap else "alpha"
        rows = [(name, f"{e:.3f}", e.n) for name, e in found.without]
        table(["without", measure, "n"], rows)


def confused(found: Agreement) -> None:
    """Print the labels that annotators confuse, with items."""
    rows = [
        (
            f"{p.a} / {'without' if p.b is None else p.b}",
            p.count,
            f"{p.share:.0%}",
            ", ".join(p.items),
        )
        for p in found.confused[:10]
    ]
    if rows or not found.overlap:
        table(["confused labels", "n", "of all disagreements", "such as"], rows)


def cell(estimate: Estimate | None) -> str:
    """Return an estimate for a table; a dash where there is none."""
    if estimate is None or estimate.value is None:
        return "-"
    return f"{estimate:.2f}" if estimate.low is not None else f"{estimate.value:.2f}"
