"""Which labels annotators confuse most, and on which items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from prelabel.agreement_records import ConfusedPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prelabel.coefficients import IntArray
    from prelabel.records import Value

MOST_EXAMPLES = 5
MOST_CONFUSED = 20


def confused_values(
    counts: IntArray, values: Sequence[Value], items: Sequence[str]
) -> tuple[ConfusedPair, ...]:
    """Return the values that most annotator pairs gave to one item; ``counts`` items x values."""
    table = counts.astype(np.float64)
    pairs = np.triu(table.T @ table, 1)
    places = sorted(np.argwhere(pairs).tolist(), key=lambda at: -pairs[at[0], at[1]])
    return tuple(
        ConfusedPair(
            values[a],
            values[b],
            int(pairs[a, b]),
            float(pairs[a, b] / pairs.sum()),
            _examples(counts[:, a] * counts[:, b], items),
        )
        for a, b in places[:MOST_CONFUSED]
    )


def contested_labels(
    counts: IntArray, labels: Sequence[str], items: Sequence[str]
) -> tuple[ConfusedPair, ...]:
    """Return the labels that most annotator pairs differ on.

    ``counts`` is items x labels x (given, not given).
    """
    differing = counts[:, :, 0] * counts[:, :, 1]
    total = differing.sum(axis=0)
    order = np.argsort(-total, kind="stable")[:MOST_CONFUSED].tolist()
    return tuple(
        ConfusedPair(
            labels[at],
            None,
            int(total[at]),
            float(total[at] / total.sum()),
            _examples(differing[:, at], items),
        )
        for at in order
        if total[at]
    )


def _examples(differing: IntArray, items: Sequence[str]) -> tuple[str, ...]:
    """Return the items where most annotator pairs differ, in order of id where equal."""
    where = np.flatnonzero(differing)
    order = where[np.argsort(-differing[where], kind="stable")]
    return tuple(items[row] for row in order[:MOST_EXAMPLES])
