"""Routing: accepted, or review with reasons that name what happened."""

import pytest
from facts import Facts

from prelabel.errors import RuleMismatchError
from prelabel.fitting import fit_rule
from prelabel.routing import route_all, route_one
from prelabel.settings import DecideConfig


@pytest.fixture
def facts(tmp_path):
    return Facts(tmp_path)


def routed(facts, *labels, **config):
    """Route item i0 with these annotations; another item has all annotators'."""
    facts.say_all("i1", *("a" for _ in labels))
    facts.say_all("i0", *labels)
    evidence = facts.evidence()
    rule = fit_rule(evidence, DecideConfig.model_validate(config))
    return route_one(evidence, rule, "i0")


def test_agreed(facts):
    found = routed(facts, "a", "a", "b")
    assert (found.accepted, found.reasons, found.consensus.label) == (True, (), "a")


def test_low_agreement(facts):
    found = routed(facts, "a", "a", "b", min_agreement=0.67)
    assert (found.accepted, found.reasons) == (False, ("low agreement: 0.667 below 0.67",))
    assert found.consensus.label == "a"


@pytest.mark.parametrize("ties", ["review", "priority", "probability"])
def test_a_tie_goes_to_review_however_it_is_broken(facts, ties):
    found = routed(facts, "a", "b", ties=ties, min_agreement=0.1, min_votes=1)
    assert (found.accepted, found.reasons) == (False, ("tie",))
    assert (found.consensus.label is None) == (ties == "review")


def test_a_tie_in_multi_label_names_its_labels(tmp_path):
    facts = Facts(tmp_path, "multi-label")
    found = routed(facts, ["a", "b"], ["a", "c"], min_agreement=0.1)
    assert found.reasons == ("tie: b, c",)


@pytest.mark.parametrize(
    "kind", ["outage", "timeout", "rate_limited", "refused", "off_list", "budget"]
)
def test_a_failure_is_named_and_never_low_agreement(facts, kind):
    found = routed(facts, "a", f"!{kind}")
    assert found.reasons == ("too few votes: 1 of 2 needed", f"failed: y ({kind})")
    assert found.consensus.agreement == 1.0


def test_all_failed(facts):
    found = routed(facts, "!outage", "!outage")
    assert found.reasons == (
        "too few votes: 0 of 2 needed",
        "failed: x (outage)",
        "failed: y (outage)",
    )
    assert (found.consensus.label, found.consensus.agreement) == (None, None)


def test_abstained(facts):
    found = routed(facts, "a", "-")
    assert found.reasons == ("too few votes: 1 of 2 needed", "abstained: y")


def test_not_labeled_yet(facts):
    assert routed(facts, None, None, "a").reasons == (
        "too few votes: 1 of 2 needed",
        "not labeled yet by 2 of 3 annotators",
    )


def test_a_failure_among_enough_votes_is_no_reason(facts):
    assert routed(facts, "a", "a", "!outage").accepted
    low = routed(facts, "a", "b", "!outage")
    assert low.reasons == ("tie", "failed: z (outage)")


def test_a_consensus_that_the_guideline_forbids(tmp_path):
    facts = Facts(tmp_path, "multi-label", max_labels=2)
    found = routed(facts, ["a", "b"], ["b", "c"], ["a", "c"])
    assert found.consensus.label == ["a", "b", "c"]
    assert found.reasons == ("not allowed: 3 labels where the guideline allows 2",)


def test_every_item_is_routed(facts):
    facts.say_all("i0", "a", "a")
    facts.say_all("i1", "a", "b")
    evidence = facts.evidence()
    found = route_all(evidence, fit_rule(evidence, DecideConfig()))
    assert [(r.item_id, r.accepted) for r in found.values()] == [
        ("i0", True),
        ("i1", False),
        ("i2", False),
    ]
    assert found["i2"].reasons == (
        "too few votes: 0 of 2 needed",
        "not labeled yet by 2 of 2 annotators",
    )


def test_annotators_outside_the_rule_do_not_count(facts):
    facts.say_all("i0", "a", "a", "!outage")
    evidence = facts.evidence()
    rule = fit_rule(evidence, DecideConfig(min_votes=3), ["x@import", "y@import"])
    assert route_one(evidence, rule, "i0").reasons == ("too few votes: 2 of 3 needed",)


def test_a_foreign_rule_routes_nothing(facts):
    facts.say_all("i0", "a", "a")
    rule = fit_rule(facts.evidence(), DecideConfig())
    with pytest.raises(RuleMismatchError):
        route_all(facts.evidence("x"), rule)


def test_low_agreement_names_the_fields_it_is_about(tmp_path):
    fields = [{"name": n, "definition": n} for n in ("town", "price", "day")]
    facts = Facts(tmp_path, "extraction", labels=[], fields=fields)
    facts.say("i0", "x", {"town": "Ulm", "price": "3", "day": "Monday"})
    facts.say("i0", "y", {"town": "Ulm", "price": "4", "day": "Friday"})
    facts.say("i0", "z", {"town": "Ulm", "price": "3", "day": "Sunday"})
    evidence = facts.evidence()
    found = route_one(evidence, fit_rule(evidence, DecideConfig(min_agreement=0.9)), "i0")
    assert found.reasons == ("tie: day",)
    facts.say("i0", "w", {"town": "Ulm", "price": "3", "day": "Sunday"})
    evidence = facts.evidence()
    found = route_one(evidence, fit_rule(evidence, DecideConfig(min_agreement=0.9)), "i0")
    assert found.reasons == ("low agreement: price 0.75, day 0.5 below 0.9",)


def test_that_an_item_was_labeled_in_parts_is_said_where_it_is_reviewed(facts):
    facts.say("i0", "x", "a", extras={"parts": 3})
    facts.say("i0", "y", "b")
    evidence = facts.evidence()
    found = route_one(evidence, fit_rule(evidence, DecideConfig()), "i0")
    assert found.reasons == ("tie", "long: x labeled it in 3 parts")
