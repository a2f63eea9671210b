"""Rules that learn from gold: which aggregator, and what is scored with what it did not see."""

import json

import pytest
from facts import Facts

from prelabel import api
from prelabel.decide import load_rule
from prelabel.errors import InputError

ITEMS = 90


def truth(n):
    return "abc"[n % 3]


def wrong(n):
    return "abc"[(n + 1) % 3]


def liars(folder, settings="decide: {}", gold=ITEMS):
    """Make a project where x is always right, and y and z are wrong together on half the items."""
    if gold:
        settings = f"gold: {{path: gold.jsonl}}\n{settings}"
    rows = [json.dumps({"id": f"i{n}", "label": truth(n)}) + "\n" for n in range(gold)]
    (folder / "gold.jsonl").write_text("".join(rows), encoding="utf-8")
    facts = Facts(folder, items=ITEMS, settings=f"{settings}\n")
    for n in range(ITEMS):
        other = wrong(n) if n % 2 else truth(n)
        facts.say_all(f"i{n}", truth(n), other, other)
    return facts.project


def test_with_gold_enough_the_aggregator_is_chosen_on_it(tmp_path):
    project = liars(tmp_path)
    routes = api.route(project)
    assert routes.rule.aggregate == "best"
    assert routes.rule.gold == ITEMS
    assert [routes.items[f"i{n}"].consensus.label for n in range(ITEMS)] == [
        truth(n) for n in range(ITEMS)
    ]
    path = api.fit(project).path
    assert load_rule(path) == routes.rule
    assert api.route(project, rule=path).items == routes.items


@pytest.mark.parametrize(("settings", "gold"), [("decide: {aggregate: majority}", 90), ("", 49)])
def test_a_majority_where_asked_for_or_gold_is_small(tmp_path, settings, gold):
    routes = api.route(liars(tmp_path, settings, gold))
    assert (routes.rule.aggregate, routes.rule.gold) == ("majority", 0)
    assert routes.items["i1"].consensus.label == wrong(1)


@pytest.mark.parametrize("method", ["weighted", "candidates", "naive-bayes", "stack-1"])
def test_methods_by_name_find_who_is_right(tmp_path, method):
    project = liars(tmp_path, f"decide: {{aggregate: {method}}}")
    routes = api.route(project)
    assert routes.rule.aggregate == method
    right = sum(routes.items[f"i{n}"].consensus.label == truth(n) for n in range(ITEMS))
    assert right >= ITEMS * 0.95
    assert api.score(project).consensus.accuracy.value >= 0.95


def test_dawid_skene_needs_no_gold_and_is_misled_by_annotators_that_err_together(tmp_path):
    project = liars(tmp_path, "decide: {aggregate: dawid-skene}", gold=0)
    routes = api.route(project)
    assert (routes.rule.aggregate, routes.rule.gold) == ("dawid-skene", 0)
    assert routes.items["i1"].consensus.label == wrong(1)
    assert any("3 annotators" in note for note in routes.rule.notes)


def test_the_consensus_is_scored_by_rules_that_did_not_see_the_item(tmp_path):
    """Labels are noise: what learned by heart would be right, what did not is at chance."""
    texts = [json.dumps({"id": f"i{n}", "label": truth(n * n % 7)}) + "\n" for n in range(60)]
    (tmp_path / "gold.jsonl").write_text("".join(texts), encoding="utf-8")
    settings = "gold: {path: gold.jsonl}\ndecide: {aggregate: stack-1}\n"
    facts = Facts(tmp_path, items=60, settings=settings)
    for n in range(60):
        facts.say_all(f"i{n}", *("abc"[(n * k * k + n // k) % 3] for k in (2, 3, 5, 7, 11)))
    gold = {g.item_id: g.label for g in facts.project.gold}
    routes = api.route(facts.project)
    seen = sum(routes.items[item].consensus.label == label for item, label in gold.items()) / 60
    scored = api.score(facts.project).consensus.accuracy.value
    assert scored < seen - 0.1


def test_what_needs_gold_says_so(tmp_path):
    project = liars(tmp_path, "decide: {aggregate: best}", gold=0)
    with pytest.raises(InputError, match="best learns from gold, and no gold item has votes"):
        api.route(project)


def test_gold_of_one_split_only(tmp_path):
    project = liars(tmp_path, "decide: {split: nowhere}")
    with pytest.raises(InputError, match="decide: split: no split 'nowhere' in the gold"):
        api.route(project)
