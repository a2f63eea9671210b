"""The decision rule: fitted once, frozen, and the same for any item anywhere."""

import json
from dataclasses import replace

import pytest
from facts import LABELS, Facts
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.decide import RULE_VERSION, check_rule, load_rule, restrict
from prelabel.errors import InputError, RuleMismatchError
from prelabel.fitting import fit_rule
from prelabel.guideline import Guideline
from prelabel.records import Annotation
from prelabel.settings import DecideConfig
from prelabel.tasks import make_task
from prelabel.votes import Ballot, Evidence

DISTRIBUTION = DecideConfig(aggregate="distribution")


@pytest.fixture
def facts(tmp_path):
    return Facts(tmp_path)


def frozen(rule, folder):
    path = folder / "rule.json"
    path.write_text(rule.to_json(), encoding="utf-8")
    return path


def row(*weights):
    return {"": dict(zip(LABELS, (w / sum(weights) for w in weights), strict=True))}


@pytest.mark.parametrize(
    ("version", "what"), [(1, "of an earlier prelabel"), (RULE_VERSION + 1, "newer")]
)
def test_a_rule_of_another_version_is_named(facts, tmp_path, version, what):
    facts.say_all("i0", "a", "b")
    path = frozen(fit_rule(facts.evidence(), DecideConfig()), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": version}))
    with pytest.raises(InputError, match=f"rule version {version} is {what}"):
        load_rule(path)


def test_a_rule_comes_back_the_same(facts, tmp_path):
    facts.say("i0", "x", "a", distribution=row(3, 1, 0))
    facts.say("i1", "x", "b", distribution=row(1, 2, 7))
    facts.say("i1", "y", "b")
    rule = fit_rule(facts.evidence(), DISTRIBUTION)
    back = load_rule(frozen(rule, tmp_path))
    assert back == rule
    assert back.hash == rule.hash
    assert (rule.task, rule.annotators, rule.fitted_on) == (
        "classification",
        ("x@import", "y@import"),
        2,
    )
    for item in facts.project.items():
        ballot = facts.evidence().ballot(item.id)
        assert back.consensus(ballot, facts.project.task) == rule.consensus(
            ballot, facts.project.task
        )


def test_a_rule_of_multi_label_keeps_its_truth_values(tmp_path):
    facts = Facts(tmp_path, "multi-label")
    belief = {
        name: {True: p, False: 1 - p} for name, p in zip(LABELS, (0.9, 0.4, 0.5), strict=True)
    }
    facts.say("i0", "x", ["a"], distribution=belief)
    rule = fit_rule(facts.evidence(), DISTRIBUTION)
    back = load_rule(frozen(rule, tmp_path))
    assert back.params["bias"]["x@import"]["a"] == [[True, 0.9], [False, 0.1]]
    assert back.hash == rule.hash


def test_the_hash_is_of_what_a_rule_does_not_of_when(facts):
    facts.say_all("i0", "a", "b")
    first, second = (fit_rule(facts.evidence(), DecideConfig()) for _ in range(2))
    assert replace(second, created=0.0).hash == first.hash
    assert first == second
    assert fit_rule(facts.evidence(), DecideConfig(min_votes=1)).hash != first.hash


def test_a_rule_of_some_annotators(facts):
    facts.say_all("i0", "a", "b", "b")
    rule = fit_rule(facts.evidence(), DecideConfig(), ["x@import"])
    assert rule.annotators == ("x@import",)
    ballot = restrict(facts.evidence().ballot("i0"), rule.annotators)
    assert rule.consensus(ballot, facts.project.task).label == "a"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "not a decision rule; fit one with `prelabel fit`"),
        ("{", "not a decision rule"),
        ("[]", "not a decision rule"),
        ("3", "not a decision rule"),
        ("{}", "not a decision rule"),
        (f'{{"hash": "x", "version": {RULE_VERSION}}}', "not a decision rule"),
        (b"\xff", "not a decision rule"),
    ],
)
def test_a_file_that_is_no_rule(tmp_path, content, error):
    path = tmp_path / "rule.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load_rule(path)
    assert str(caught.value).startswith(f"{path}: {error}")


def test_no_rule_at_all(tmp_path):
    with pytest.raises(
        InputError, match=r"No such file or directory; fit a rule with `prelabel fit`"
    ):
        load_rule(tmp_path / "no.json")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_agreement", 0.1),
        ("min_votes", 1),
        ("annotators", ["y@import"]),
        ("guideline_hash", "0"),
        ("fitted_on", 9),
    ],
)
def test_a_rule_changed_by_hand_is_refused(facts, tmp_path, field, value):
    facts.say_all("i0", "a", "b")
    path = frozen(fit_rule(facts.evidence(), DecideConfig()), tmp_path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {field: value}))
    with pytest.raises(
        InputError, match=r"changed after it was fitted; fit it again with `prelabel fit`"
    ):
        load_rule(path)


def test_another_formatting_is_no_change(facts, tmp_path):
    facts.say_all("i0", "a", "b")
    rule = fit_rule(facts.evidence(), DecideConfig())
    path = frozen(rule, tmp_path)
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert load_rule(path) == rule


def test_a_rule_of_another_guideline_is_refused(facts):
    facts.say_all("i0", "a", "b")
    rule = fit_rule(facts.evidence(), DecideConfig())
    check_rule(rule, facts.evidence())
    facts.document["question"] = "Which now?"
    facts.write()
    facts.say_all("i0", "a", "b")
    with pytest.raises(RuleMismatchError, match=r"fitted under guideline .*; fit it again"):
        check_rule(rule, facts.evidence())


def test_a_rule_of_other_annotators_is_refused(facts):
    facts.say_all("i0", "a", "b")
    rule = fit_rule(facts.evidence(), DecideConfig())
    with pytest.raises(
        RuleMismatchError, match=r"counts on annotator y@import, which has no annotations here"
    ):
        check_rule(rule, facts.evidence("x"))


# One item alone, and among many

TASK = make_task(
    Guideline.model_validate(
        {
            "name": "g",
            "task": "classification",
            "labels": [{"name": n, "definition": n} for n in LABELS],
        }
    )
)
voices = st.dictionaries(
    st.sampled_from("xyz"),
    st.tuples(
        st.sampled_from(LABELS),
        st.one_of(st.none(), st.lists(st.integers(1, 9), min_size=3, max_size=3)),
    ),
)


def evidence_of(drawn):
    items = {
        f"i{n}": [
            Annotation(
                f"i{n}", "h", name, "g", "labeled", label, distribution=weights and row(*weights)
            )
            for name, (label, weights) in voice.items()
        ]
        for n, voice in enumerate(drawn)
    }
    return Evidence(TASK, "g", items, {name: name for name in "xyz"})


@settings(deadline=None)
@given(st.lists(voices, min_size=1, max_size=5), st.sampled_from(["majority", "distribution"]))
def test_applying_looks_at_one_item_only(drawn, source):
    evidence = evidence_of(drawn)
    rule = fit_rule(evidence, DecideConfig(aggregate=source))
    among = [rule.consensus(evidence.ballot(item), TASK) for item in evidence.items]
    for n, voice in enumerate(drawn):
        alone = evidence_of([voice])
        assert replace(rule.consensus(alone.ballot("i0"), TASK), item_id=f"i{n}") == among[n]


@settings(deadline=None)
@given(st.lists(voices, min_size=1, max_size=5))
def test_neither_items_nor_annotators_need_an_order(drawn):
    evidence = evidence_of(drawn)
    turned = Evidence(
        TASK,
        "g",
        {item: list(reversed(a)) for item, a in reversed(evidence.items.items())},
        evidence.names,
    )
    rules = [fit_rule(e, DISTRIBUTION) for e in (evidence, turned)]
    for item in evidence.items:
        first, second = (
            r.consensus(e.ballot(item), TASK)
            for r, e in zip(rules, (evidence, turned), strict=True)
        )
        assert first == second


def test_restrict_to_some():
    ballot = Ballot("i", {"x": {"": "a"}, "y": {"": "b"}}, {"y": row(1, 1, 1)})
    assert restrict(ballot, ["x"]) == Ballot("i", {"x": {"": "a"}}, {})
