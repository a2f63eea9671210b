"""Tables of votes for tests of agreement."""

import pandas as pd
from hypothesis import strategies as st


def long(table):
    """Votes of a table: items x annotators, None where there is no vote."""
    rows = [
        (f"i{item:03}", f"a{annotator}", "", value)
        for item, row in enumerate(table)
        for annotator, value in enumerate(row)
        if value is not None
    ]
    return pd.DataFrame(rows, columns=["item", "annotator", "unit", "value"])


def label_sets(table, labels):
    rows = [
        (f"i{item}", f"a{annotator}", label, label in given)
        for item, row in enumerate(table)
        for annotator, given in enumerate(row)
        if given is not None
        for label in labels
    ]
    return pd.DataFrame(rows, columns=["item", "annotator", "unit", "value"])


tables = st.lists(
    st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=4, max_size=4),
    min_size=2,
    max_size=12,
)
