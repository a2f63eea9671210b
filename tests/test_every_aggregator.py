"""Every aggregator on every task: what all of them keep, whatever the votes."""

import itertools
import json

import pytest
from every_task import item_of, labels_of, task_of
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.aggregate import apply_majority, fit_majority
from prelabel.tasks import TASKS
from prelabel.votes import Ballot

AGGREGATORS = [
    (name, source, ties)
    for name, source, ties in itertools.product(
        TASKS,
        ("majority", "distribution", "median", "overlap"),
        ("review", "priority", "probability"),
    )
    if (source != "median" or name == "rating") and (source != "overlap" or name == "spans")
]
NAMES = ("x", "y", "z", "w")


def ballots_of(task, data, source, n=4):
    ballots = []
    for at in range(n):
        votes = {
            name: task.votes(data.draw(labels_of(task)))
            for name in data.draw(st.lists(st.sampled_from(NAMES), unique=True))
        }
        beliefs = {}
        for name in votes if source == "distribution" else ():
            beliefs[name] = {}
            for unit in votes[name]:
                values = task.values(unit)
                if values is None:
                    continue
                weights = [data.draw(st.integers(0, 20)) + 1e-3 for _ in values]
                beliefs[name][unit] = {
                    v: w / sum(weights) for v, w in zip(values, weights, strict=True)
                }
        ballots.append(Ballot(f"i{at}", dict(task.align(votes)), beliefs))
    return ballots


def is_whole(task, label):
    """Say whether a consensus is a whole label: a path may end where its levels disagree."""
    if task.name == "hierarchical":
        return label in [["a", "x"], ["a", "y"], ["b", "x"], ["b", "z"], ["c"]]
    if task.name == "spans":  # each span has its votes, but together they may overlap
        ends = sorted((span["start"], span["end"]) for span in label)
        return all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    return True


@pytest.mark.parametrize(("name", "source", "ties"), AGGREGATORS)
@settings(deadline=None)
@given(data=st.data())
def test_every_aggregator_on_every_task(name, source, ties, data):
    task = task_of(name)
    ballots = ballots_of(task, data, source)
    params = fit_majority(ballots, source=source, ties=ties, priority=NAMES[:2])
    params = json.loads(json.dumps(params))
    for ballot in ballots:
        found = apply_majority(ballot, params, task)
        assert found.votes == len(ballot.votes)
        if not ballot.votes:
            assert (found.label, found.agreement, found.tied) == (None, None, ())
            continue
        assert 1 / len(ballot.votes) - 1e-9 <= found.agreement <= 1
        # between texts a tie has no winner; else it is settled, or left to people
        open_tie = found.tied and (ties == "review" or name == "text")
        assert (found.label is None) == bool(open_tie)
        if found.label is not None and is_whole(task, found.label):
            assert task.match(found.label, item_of(name)) == found.label
        # neither the order of annotators nor the items around it matter
        turned = Ballot(
            ballot.item_id,
            dict(reversed(ballot.votes.items())),
            dict(reversed(ballot.distributions.items())),
        )
        assert apply_majority(turned, params, task) == found
        assert apply_majority(ballot, params, task) == found


@pytest.mark.parametrize(("name", "source", "ties"), AGGREGATORS)
@settings(deadline=None)
@given(data=st.data())
def test_unanimity_is_the_label_with_agreement_one(name, source, ties, data):
    task = task_of(name)
    label = data.draw(labels_of(task))
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    ballot = Ballot("i", {name: task.votes(label) for name in names})
    params = fit_majority([ballot], source=source, ties=ties, priority=NAMES)
    found = apply_majority(ballot, params, task)
    assert (found.label, found.agreement, found.tied) == (label, 1.0, ())
