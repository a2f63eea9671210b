"""Whom a strong annotator is asked about: fixed without gold, and the same for every item."""

import json
from dataclasses import replace

import pytest
from facts import Facts
from projects import make_project, openai_like
from typer.testing import CliRunner
from wire import serving

from prelabel import api
from prelabel.cli import app
from prelabel.config import changed
from prelabel.decide import load_rule
from prelabel.errors import InputError
from prelabel.escalation import ALL, NO_LABEL, NOBODY, cut_of, escalated, sureness
from prelabel.fitting import fit_all, fit_rule
from prelabel.project import load_project
from prelabel.records import Annotation, Gold
from prelabel.routing import route_all
from prelabel.settings import DecideConfig
from prelabel.votes import Ballot

ESCALATE = "decide: {escalate: {to: z, share: 0.5}, min_votes: 1}\n"
LEARN = {"min_votes": 1, "min_agreement": 0}


def cascade_config(share=0.5, **more):
    return DecideConfig.model_validate(LEARN | {"escalate": {"to": "z", "share": share}} | more)


@pytest.fixture
def facts(tmp_path):
    """Return eight items: x and y agree on the first four; z says c of all."""
    facts = Facts(tmp_path, items=8, settings=ESCALATE)
    for n in range(8):
        facts.say_all(f"i{n}", "a", "a" if n < 4 else "b", "c")
    return facts


def labels(routed):
    return {item: one.consensus.label for item, one in routed.items()}


def ballot(task, beliefs=None, **votes):
    return Ballot("i", {n: task.votes(v) for n, v in votes.items()}, beliefs or {})


def said(name, **extras):
    return Annotation("i", "h", name, "g", "labeled", extras=extras)


PARAMS = {"source": "majority", "ties": "probability", "priority": [], "bias": {}}


@pytest.mark.parametrize(
    ("beliefs", "extras", "votes", "expected"),
    [
        ({}, {}, {"x": "a", "y": "a"}, 1.0),
        ({}, {}, {"x": "a", "y": "a", "w": "b"}, 2 / 3),
        ({"x": {"": {"a": 0.7, "b": 0.3}}}, {}, {"x": "a", "y": "a"}, (0.7 + 1) / 2),
        ({"y": {"": {"a": 0.4, "b": 0.6}}}, {}, {"x": "a", "y": "a"}, (1 + 0.4) / 2),
        ({}, {"x": {"confidence": 0.6}}, {"x": "a", "y": "a"}, (0.6 + 1) / 2),
        ({}, {"x": {"confidence": 0.6, "consistency": 0.8}}, {"x": "a"}, 0.8),
        ({}, {"w": {"confidence": 0.9}}, {"x": "a", "y": "a", "w": "b"}, 2 / 3),
        ({}, {"x": {"confidence": 7}}, {"x": "a"}, 1.0),
        ({}, {}, {}, NO_LABEL),
    ],
)
def test_how_sure_annotators_are_is_the_mean_of_what_each_gives_their_label(
    facts, beliefs, extras, votes, expected
):
    task = facts.project.task
    own = [said(name, **extras.get(name, {})) for name in votes]
    assert sureness(ballot(task, beliefs, **votes), own, PARAMS, task) == pytest.approx(expected)


def test_of_several_units_the_least_sure_counts(tmp_path):
    task = Facts(tmp_path, "multi-label").project.task
    found = ballot(task, x=["a", "b"], y=["a"], w=["a"])
    own = [said(name) for name in "xyw"]
    assert sureness(found, own, PARAMS, task) == pytest.approx(2 / 3)


def test_a_budget_is_never_passed():
    keys = [(0.1 * n, str(n)) for n in range(10)]
    assert [cut_of(keys, share) for share in (0, 0.05, 1)] == [NOBODY, NOBODY, ALL]
    for share in (0.1, 0.3, 0.7, 0.99):
        cut = cut_of(keys, share)
        assert sum(key <= cut for key in keys) == int(10 * share + 1e-9)
    assert cut_of([], 0.5) == ALL


def test_where_the_strong_one_is_asked_its_label_counts(facts):
    evidence = facts.evidence()
    rule = fit_rule(evidence, cascade_config())
    routed = route_all(evidence, rule)
    assert labels(routed) == {f"i{n}": "a" if n < 4 else "c" for n in range(8)}
    asked = routed["i7"].consensus
    assert (asked.votes, asked.agreement) == (3, pytest.approx(1 / 3))
    assert (routed["i0"].consensus.votes, routed["i0"].consensus.agreement) == (2, 1)


@pytest.mark.parametrize(("share", "n"), [(0, 0), (0.25, 2), (0.5, 4), (1, 8)])
def test_the_share_says_how_many_are_asked_about(facts, share, n):
    evidence = facts.evidence()
    rule = fit_rule(evidence, cascade_config(share))
    assert sum(label == "c" for label in labels(route_all(evidence, rule)).values()) == n


def test_who_is_asked_does_not_hang_on_gold(facts):
    evidence, items = facts.evidence(), list(facts.project.items())
    found = [
        fit_all(evidence, config, gold=gold, items=items).rule.params
        for config in (cascade_config(), cascade_config(promise="dataset", target=0.5))
        for gold in (
            [Gold(f"i{n}", "a") for n in range(8)],
            [Gold(f"i{n}", "bc"[n % 2]) for n in range(8)],
        )
    ]
    assert found[0] == found[1] == found[2] == found[3]


def test_what_a_strong_one_said_by_chance_is_not_heard(facts):
    """Those it is asked about are routed alike whether or not it has labeled others, too."""
    evidence = facts.evidence()
    rule = fit_rule(evidence, cascade_config())
    everything = route_all(evidence, rule)
    few = {
        item: [a for a in given if a.annotator != "z@import" or int(item[1]) >= 4]
        for item, given in evidence.items.items()
    }
    asked_only = replace(evidence, items=few)
    assert route_all(asked_only, rule) == everything
    assert fit_rule(asked_only, cascade_config()).hash == rule.hash


def test_an_item_that_waits_is_not_accepted_however_sure_others_are(facts):
    rule = fit_rule(facts.evidence(), cascade_config(1))
    facts.texts["new"] = "text new"
    facts.write()
    facts.say_all("new", "a", "a")
    route = route_all(facts.evidence(), rule)["new"]
    assert route.reasons == ("waits for z: the others are not sure enough",)
    assert not route.accepted


def test_an_item_that_does_not_wait_lacks_nobody(facts):
    facts.texts["new"] = "text new"
    facts.write()
    facts.say_all("new", "a", "a")
    rule = fit_rule(facts.evidence(), cascade_config(0.5))
    assert route_all(facts.evidence(), rule)["new"].accepted


def test_where_the_strong_one_failed_the_others_decide_and_it_is_said(tmp_path):
    facts = Facts(tmp_path, items=2, settings=ESCALATE)
    facts.say_all("i0", "a", "a", "c")
    facts.say_all("i1", "a", "b", "!refused")
    rule = fit_rule(facts.evidence(), cascade_config())
    found = route_all(facts.evidence(), rule)["i1"]
    assert found.reasons == ("tie", "failed: z (refused)")


def test_a_frozen_rule_asks_about_the_same_items_whatever_others_are_there(facts, tmp_path):
    path = api.fit(facts.project, to=tmp_path / "rule.json").path
    assert load_rule(path).params["escalation"]["to"] == "z@import"
    every = api.route(facts.project, rule=path).items
    facts.texts = {name: facts.texts[name] for name in ("i6", "i1")}
    facts.write()
    few = api.route(facts.project, rule=path).items
    assert list(few) == ["i6", "i1"]
    assert all(every[item] == one for item, one in few.items())


def test_the_consensus_is_scored_as_the_cascade_gives_it(facts):
    rows = [json.dumps({"id": f"i{n}", "label": "a" if n < 4 else "c"}) for n in range(8)]
    (facts.folder / "gold.jsonl").write_text("\n".join(rows))
    facts.settings = "gold: {path: gold.jsonl}\n" + ESCALATE
    facts.write()
    assert api.score(facts.project).consensus.accuracy.value == 1
    cheap = api.score(facts.project, ["x", "y"])  # the strong one is not there: no cascade
    assert cheap.consensus.accuracy.value == 0.5
    assert api.score(facts.project, ["z"]).consensus is None


@pytest.mark.parametrize(
    ("settings", "only", "said"),
    [
        ({"escalate": {"to": "v", "share": 0.5}}, None, "'v' has no annotations; there are: x, y"),
        ({"escalate": {"to": "z", "share": 0.5}}, ["z@import"], "'z' is alone; label with a"),
        ({"escalate": {"to": "z", "share": 0.5}, "aggregate": "best"}, None, "learns from it"),
        ({"escalate": {"to": "z", "share": 0.5}, "min_votes": 3}, None, "write `min_votes: 2`"),
    ],
)
def test_cascades_that_cannot_be(facts, settings, only, said):
    config = DecideConfig.model_validate(LEARN | settings)
    with pytest.raises(InputError, match=said):
        fit_all(facts.evidence(), config, only)


@pytest.mark.parametrize("share", [-0.1, 1.1, "some"])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(InputError, match=r"decide: escalate.share: "):
        changed(DecideConfig(), {"escalate": {"to": "z", "share": share}})


def test_the_least_sure_items_are_named_first(facts):
    found = escalated(facts.project, ["x", "y"], 0.5)
    assert sorted(found) == ["i4", "i5", "i6", "i7"]
    assert escalated(facts.project, ["x", "y"], 0.25) == found[:2]
    assert len(escalated(facts.project, ["x", "y"], 1)) == 8


@pytest.mark.parametrize(
    ("cheap", "share", "said"),
    [
        ([], 0.5, "name the annotators that labeled everything, with --after"),
        (["x"], 1.5, "must be a share from 0 to 1, such as 0.3; got 1.5"),
        (["x", "w"], 0.5, "7 of 8 items are not labeled by all of x, w"),
        (["nobody"], 0.5, "annotator 'nobody' has no annotations"),
    ],
)
def test_who_is_to_be_asked_cannot_be_said(facts, cheap, share, said):
    facts.say("i0", "w", "a")
    with pytest.raises(InputError, match=said):
        escalated(facts.project, cheap, share)


def test_label_asks_the_strong_one_about_the_least_sure_only(tmp_path):
    """From the labels of two cheap annotators to accepted items, through the command line."""
    run = CliRunner().invoke
    texts = [f"a comment, number {n}" for n in range(20)]
    with serving() as cheap, serving() as other, serving() as strong:
        annotators = [
            openai_like(cheap, "small"),
            openai_like(other, "tiny", prompt="brief"),
            openai_like(strong, "large"),
        ]
        project = make_project(tmp_path, texts, annotators, timeout=60.0)
        other.script = cheap.script
        where = ["-p", str(project.folder)]
        last = ["label", *where, "-a", "large", "--escalate", "0.3", "--after", "small"]
        assert "'small' has no annotations" in str(run(app, last).exception)
        assert run(app, ["label", *where, "-a", "small", "-a", "tiny"]).exit_code == 0
        last += ["--after", "tiny"]
        done = json.loads(run(app, [*last, "--json"]).stdout)
        assert (done["total"], done["outcomes"]["labeled"]) == (6, 6)
        assert sum(strong.calls.values()) == 6
        again = json.loads(run(app, [*last, "--json"]).stdout)
        assert (again["skipped"], sum(strong.calls.values())) == (6, 6)
    text = (project.folder / "prelabel.yaml").read_text()
    settings = json.loads(text) | {
        "decide": {"escalate": {"to": "large", "share": 0.3}, "min_votes": 1, "min_agreement": 0}
    }
    (project.folder / "prelabel.yaml").write_text(json.dumps(settings))
    routes = api.route(load_project(project.folder))
    three = {item for item, r in routes.items.items() if r.consensus.votes == 3}
    assert three == {a.item_id for a in large(routes)}
    assert not any("waits" in why for r in routes.items.values() for why in r.reasons)


def large(routes):
    name = next(key for key, name in routes.evidence.names.items() if name == "large")
    return [a for own in routes.evidence.items.values() for a in own if a.annotator == name]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--after", "x"], "says nothing without --escalate"),
        (["--escalate", "0.3", "--after", "small"], "name the strong annotator with -a"),
        (["-a", "small", "--escalate", "0.3", "--after", "small"], "name the strong annotator"),
    ],
)
def test_label_refuses_half_a_cascade(tmp_path, options, said):
    with serving() as wire:
        project = make_project(tmp_path, ["one"], [openai_like(wire, "small")])
        found = CliRunner().invoke(app, ["label", "-p", str(project.folder), *options])
    assert isinstance(found.exception, InputError)
    assert said in str(found.exception)
