"""Every reason for a review, of the item it is of; random audits and rulings in particular."""

import json

import pytest
from every_task import task_of
from facts import Facts
from hypothesis import given, settings
from hypothesis import strategies as st
from review_site import disputed, record, serving
from test_promising import camp

from prelabel import api
from prelabel.decide import load_rule
from prelabel.errors import InputError
from prelabel.fitting import fit_rule
from prelabel.known import known
from prelabel.precedents import Decided, contradicted, decided, in_common, words_of
from prelabel.project import load_project
from prelabel.records import Adjudication, Image, Item
from prelabel.routing import RANDOM_AUDIT, is_audited, route_all
from prelabel.settings import DecideConfig
from prelabel.tasks import make_task

RULINGS = [{"id": "R1", "text": "The parcel never came, at all.", "label": "b", "why": "delivery"}]


@pytest.fixture
def facts(tmp_path):
    facts = Facts(tmp_path, items=4, rulings=RULINGS)
    facts.texts |= {"i0": "the parcel never CAME at all!", "i1": "The parcel came, and all of it."}
    facts.write()
    return facts


def reasons(facts, item="i0"):
    return api.route(facts.project).items[item].reasons


def test_a_label_against_a_ruling_on_such_a_text_goes_to_people(facts):
    for item in facts.texts:
        facts.say_all(item, "a", "a")
    routes = api.route(facts.project)
    assert routes.items["i0"].reasons == ("contradicts ruling R1: b",)
    assert [r.item_id for r in routes.accepted] == ["i1", "i2", "i3"]


def test_a_label_as_ruled_is_accepted(facts):
    facts.say_all("i0", "b", "b")
    assert api.route(facts.project).items["i0"].accepted


def test_a_ruling_is_one_reason_of_several(facts):
    facts.say_all("i0", "a", "c")
    assert reasons(facts) == ("tie", "contradicts ruling R1: b")


def test_a_long_text_may_differ_in_a_word(tmp_path):
    words = [f"word{n}" for n in range(60)]
    facts = Facts(tmp_path, items=2, rulings=[RULINGS[0] | {"text": " ".join(words)}])
    facts.texts = {"i0": " ".join([*words[:30], "other", *words[31:]]), "i1": " ".join(words[:30])}
    facts.write()
    for item in facts.texts:
        facts.say_all(item, "a", "a")
    assert reasons(facts) == ("contradicts ruling R1: b",)
    assert reasons(facts, "i1") == ()


def test_what_reviewers_settled_speaks_for_the_same_text_of_other_items(tmp_path):
    project = disputed(tmp_path, ["you are a fool", "You are a fool.", "nice to meet you"])
    record(project, [(f"i{n}", name, "toxic") for n in (1, 2) for name in ("alpha", "beta")])
    assert api.route(project).items["i1"].accepted
    with serving(project) as site:
        site.join("ada", "senior").decide(label="not_toxic", cause="annotator_error")
    items = api.route(project).items
    assert items["i1"].reasons == ("contradicts the review of item i0: not_toxic",)
    assert items["i2"].accepted
    assert not any("contradicts" in why for why in items["i0"].reasons)  # it is settled itself


def settled(label):
    return {"i0": Adjudication("i0", label, "ada", "", "", 0.0)}


def test_no_label_and_labels_that_stand_in_a_text_say_nothing_of_others(tmp_path):
    project = Facts(tmp_path).project
    assert decided(project, settled(None)) == []
    (tmp_path / "spans").mkdir()
    spans = Facts(tmp_path / "spans", "spans").project
    assert decided(spans, settled([{"start": 0, "end": 4, "label": "a", "text": "text"}])) == []


def test_items_with_pictures_are_not_their_text(facts):
    before, task = decided(facts.project, {}), make_task(facts.project.guideline)
    item = Item("x", {"text": RULINGS[0]["text"]})
    seen = Item("x", {"text": RULINGS[0]["text"]}, images=(Image("p", "a.png", "d"),))
    assert contradicted([item], {"x": "a"}, before, task) == {"x": "contradicts ruling R1: b"}
    assert contradicted([seen], {"x": "a"}, before, task) == {}
    assert contradicted([item], {"x": None}, before, task) == {}


def test_words_in_common_are_counted_once():
    assert in_common(words_of("A b, c!"), words_of("a B")) == 2 / 3
    assert in_common(words_of("c C c"), words_of("d")) == in_common(words_of(""), words_of("")) == 0
    assert words_of("A b, c!") == {"a", "b", "c"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.sampled_from("abcdefghijklmnop"), max_size=16), max_size=12), st.data())
def test_the_nearest_text_is_found_as_by_comparing_with_every_one(sets, data):
    """Nine of ten words are seldom met by chance: texts are made of others with a word changed."""
    before = [Decided(f"ruling R{n}", " ".join(sorted(own)), "b") for n, own in enumerate(sets)]
    texts = [set(own) for own in sets] + [{"a", "b"}]
    texts = [own ^ data.draw(st.sets(st.sampled_from("apq"), max_size=1)) for own in texts]
    items = [Item(f"i{n}", {"text": " ".join(own)}) for n, own in enumerate(texts)]
    found = contradicted(items, {item.id: "a" for item in items}, before, task_of("classification"))
    for item, own in zip(items, texts, strict=True):
        shares = [in_common(frozenset(own), frozenset(other)) for other in sets]
        best = max(range(len(sets)), key=lambda at: (shares[at], -at), default=None)
        near = best is not None and shares[best] >= 0.9
        assert found.get(item.id) == (f"contradicts ruling R{best}: b" if near else None)


# Random audits


def test_a_share_of_what_would_be_accepted_is_audited_whatever_it_is(tmp_path):
    facts = Facts(tmp_path, items=400)
    rows = [json.dumps({"id": f"i{n}", "x": "a", "y": "ab"[n % 2]}) for n in range(400)]
    (tmp_path / "said.jsonl").write_text("\n".join(rows))
    api.import_annotations(facts.project, tmp_path / "said.jsonl")
    evidence = facts.evidence()
    none = route_all(evidence, fit_rule(evidence, DecideConfig()))
    some = route_all(evidence, fit_rule(evidence, DecideConfig(audit=0.25)))
    audited = [item for item, one in some.items() if one.reasons == (RANDOM_AUDIT,)]
    assert 30 < len(audited) < 70  # of 200 that agree
    for item, one in some.items():
        assert one.accepted == (none[item].accepted and item not in audited)
        assert RANDOM_AUDIT not in one.reasons or len(one.reasons) == 1
    again = route_all(evidence.only(set(audited)), fit_rule(evidence, DecideConfig(audit=0.25)))
    assert all(one.reasons == (RANDOM_AUDIT,) for one in again.values())


def test_who_is_audited_hangs_on_nothing_but_the_id(tmp_path):
    """So that those audited err as often as those still accepted."""
    project, truth = camp(tmp_path)
    rule = api.fit(project, promise="selective", target=0.1, audit=0.3).rule
    plain = api.fit(project, promise="selective", target=0.1).rule
    assert rule.promises == plain.promises
    assert rule.hash != plain.hash
    items = list(project.items())
    before = route_all(api.evidence_of(project), plain, items)
    after = route_all(api.evidence_of(project), rule, items)
    for item, one in before.items():
        audited = one.accepted and is_audited(rule, item)
        assert after[item].accepted == (one.accepted and not audited)
        assert (RANDOM_AUDIT in after[item].reasons) == audited
    every = [item for item in truth if is_audited(rule, item)]
    assert 0.2 < len(every) / len(truth) < 0.4


def test_audits_are_asked_first_and_said(tmp_path):
    facts = Facts(tmp_path, items=60, settings="decide: {audit: 0.2}\n")
    for n in range(60):
        facts.say_all(f"i{n}", "a", "a" if n % 3 else "b")
    path = api.fit(facts.project, to=tmp_path / "r.json").path
    routes = api.route(facts.project, rule=path)
    named = [RANDOM_AUDIT in one.reasons for one in routes.queue]
    assert named == sorted(named, reverse=True)
    assert any(named)
    assert not all(named)
    assert "0.2 of what would be accepted goes to people at random" in load_rule(path).notes


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_audit_is_a_share(tmp_path, share):
    facts = Facts(tmp_path)
    facts.say_all("i0", "a", "a")
    with pytest.raises(InputError, match="decide: audit: "):
        api.fit(facts.project, audit=share)


# The others


def test_each_reason_is_listed_with_its_item(tmp_path):
    """What is routed by a promise names what keeps an item from being accepted."""
    project, _ = camp(tmp_path, items=200, gold=150)
    path = api.fit(project, promise="selective", target=0.15).path
    with (tmp_path / "items.jsonl").open("a") as file:
        for name in ("other", "long", "missing", "refused", "tied", "empty"):
            text = "quarterly dividends" if name == "other" else "tent pitch fire water plain"
            file.write("\n" + json.dumps({"id": name, "text": text}))
    facts = Facts.__new__(Facts)
    facts.folder, facts.project = tmp_path, load_project(tmp_path)
    from prelabel.ledger import Ledger

    facts.ledger = Ledger(project.state / "ledger.sqlite")
    ids = {name: key for key, name in api.evidence_of(project).names.items()}

    def say(item, name, *label, **more):
        facts.say(item, ids[name], *label, **more)

    for name in "xyz":
        say("other", name, "a")
    say("long", "x", "a", extras={"parts": 3})
    say("long", "y", "a", extras={"ungrounded": [{"text": "Bob", "why": "it is not there"}]})
    say("missing", "x", "a")
    say("refused", "x", outcome="failed", failure="refused")
    say("refused", "y", outcome="abstained")
    for name, label in zip("xy", "ab", strict=True):
        say("tied", name, label)
    facts.ledger.close()
    found = api.route(load_project(tmp_path), rule=path).items
    listed = {name: " | ".join(found[name].reasons) for name in found}
    assert "unlike any gold item" in listed["other"]
    assert "not in the item: y named 'Bob' (it is not there)" in listed["long"]
    assert "long: x labeled it in 3 parts" in listed["long"]
    assert "too few votes: 1 of 2 needed" in listed["missing"]
    assert "not labeled yet by 2 of 3 annotators" in listed["missing"]
    assert "failed: x (refused)" in listed["refused"]
    assert "abstained: y" in listed["refused"]
    assert "tie" in listed["tied"]
    assert "not labeled yet by 3 of 3 annotators" in listed["empty"]
    assert any(one.startswith("low confidence: ") for one in listed.values())
    assert all(one.accepted == (not one.reasons) for one in found.values())


def test_a_low_confidence_names_the_fields_not_all_agree_on(tmp_path):
    fields = [{"name": n, "definition": n} for n in ("town", "price")]
    facts = Facts(tmp_path, "extraction", items=60, labels=[], fields=fields)
    rows = []
    for n in range(60):
        label = {"town": "Ulm", "price": str(n)}
        facts.say(f"i{n}", "x", label)
        facts.say(f"i{n}", "y", label)
        facts.say(f"i{n}", "z", label | ({"price": "7"} if n % 2 else {}))
        rows.append(
            json.dumps({"id": f"i{n}", "label": label | ({"town": "Bonn"} if n % 4 == 1 else {})})
        )
    (tmp_path / "gold.jsonl").write_text("\n".join(rows))
    facts.settings = "gold: {path: gold.jsonl}\ndecide: {promise: dataset, target: 0.1}\n"
    facts.write()
    routes = api.route(facts.project)
    low = [r for r in routes.queue if r.reasons[0].startswith("low confidence")]
    told = [r for r in low if "not all agree on price 0.667" in r.reasons[0]]
    assert {int(r.item_id[1:]) % 2 for r in told} <= {1}
    assert low
    assert known(routes.evidence, routes.rule, "i1").consensus.shares["price"] == 2 / 3
