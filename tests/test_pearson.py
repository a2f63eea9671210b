"""Pearson's correlation of ratings, against SciPy's."""

import numpy as np
import pytest
from every_task import task_of
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from prelabel.aggregate import apply_majority, fit_majority
from prelabel.ordinal import pearson
from prelabel.votes import Ballot


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=30))
def test_pearson_is_scipys(pairs):
    a, b = np.array(pairs, dtype=float).T / 10
    found = pearson(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found.value is None
        assert "only one rating" in found.why
    else:
        assert found.value == pytest.approx(pearsonr(a, b).statistic, abs=1e-6)


def test_ratings_within_the_tolerance_agree():
    scale = {"min": 0, "max": 5, "step": "none", "tolerance": 0.25}
    task = task_of("rating", scale=scale)
    ballot = Ballot("i", {"x": {"": 3.0}, "y": {"": 3.2}, "z": {"": 4.0}})
    params = fit_majority([ballot], source="median", ties="review", priority=())
    found = apply_majority(ballot, params, task)
    assert (found.label, found.agreement) == (3.2, pytest.approx(2 / 3))
    assert list(task.measure([3.0, 3.0, 3.0], [3.25, 3.3, 2.9]).right) == [True, False, True]
