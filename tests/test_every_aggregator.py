"""Every aggregator on every task: what all of them keep, whatever the votes."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tasks import label_strategy, task_of

from prelabel.aggregate import apply_majority, fit_majority
from prelabel.tasks import TASKS
from prelabel.votes import Ballot

AGGREGATORS = list(
    itertools.product(("majority", "distribution"), ("review", "priority", "probability"))
)
NAMES = ("x", "y", "z", "w")


def ballots_of(task, data, source, n=4):
    ballots = []
    for at in range(n):
        votes = {
            name: task.votes(data.draw(label_strategy(task)))
            for name in data.draw(st.lists(st.sampled_from(NAMES), unique=True))
        }
        beliefs = {}
        for name in votes if source == "distribution" else ():
            beliefs[name] = {}
            for unit in votes[name]:
                weights = [data.draw(st.integers(0, 20)) + 1e-3 for _ in task.values()]
                beliefs[name][unit] = {
                    v: w / sum(weights) for v, w in zip(task.values(), weights, strict=True)
                }
        ballots.append(Ballot(f"i{at}", votes, beliefs))
    return ballots


@pytest.mark.parametrize(("source", "ties"), AGGREGATORS)
@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None)
@given(data=st.data())
def test_every_aggregator_on_every_task(name, source, ties, data):
    task = task_of(name, ("a", "b", "c"))
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
        assert (found.label is None) == bool(found.tied and ties == "review")
        if found.label is not None:
            assert task.match(found.label) == found.label
        # neither the order of annotators nor the items around it matter
        turned = Ballot(
            ballot.item_id,
            dict(reversed(ballot.votes.items())),
            dict(reversed(ballot.distributions.items())),
        )
        assert apply_majority(turned, params, task) == found
        assert apply_majority(ballot, params, task) == found


@pytest.mark.parametrize(("source", "ties"), AGGREGATORS)
@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None)
@given(data=st.data())
def test_unanimity_is_the_label_with_agreement_one(name, source, ties, data):
    task = task_of(name, ("a", "b", "c"))
    label = data.draw(label_strategy(task))
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    ballot = Ballot("i", {name: task.votes(label) for name in names})
    params = fit_majority([ballot], source=source, ties=ties, priority=NAMES)
    found = apply_majority(ballot, params, task)
    assert (found.label, found.agreement, found.tied) == (label, 1.0, ())
