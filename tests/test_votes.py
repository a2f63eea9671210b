"""Evidence: which annotations count now, and tables of them."""

import pytest
from facts import Facts

from prelabel import api
from prelabel.annotate import annotator_id, compiler_of
from prelabel.errors import InputError
from prelabel.records import Gold, Usage
from prelabel.votes import gold_table, missing_gold, mixed_people, outcome_table, vote_table


@pytest.fixture
def facts(tmp_path):
    return Facts(tmp_path)


def test_a_ballot_holds_votes_only(facts):
    facts.say_all("i0", "a", "!outage", "-")
    facts.say("i0", "w", "b", distribution={"": {"a": 0.4, "b": 0.6}})
    ballot = facts.evidence().ballot("i0")
    assert ballot.votes == {"x@import": {"": "a"}, "w@import": {"": "b"}}
    assert ballot.distributions == {"w@import": {"": {"a": 0.4, "b": 0.6}}}


def test_every_item_is_there_in_order(facts):
    facts.say("i2", "x", "a")
    evidence = facts.evidence()
    assert list(evidence.items) == ["i0", "i1", "i2"]
    assert evidence.ballot("i0").votes == {}
    assert evidence.names == {"x@import": "x"}
    assert evidence.notes == ()


def test_the_last_word_counts(facts):
    facts.say("i0", "x", outcome="failed", failure="timeout")
    facts.say("i0", "x", "b")
    [annotation] = facts.evidence().items["i0"]
    assert annotation.label == "b"


def test_annotations_of_an_old_text_are_left_out_with_a_note(facts):
    facts.say_all("i0", "a", "b")
    facts.say_all("i1", "a")
    facts.texts["i0"] = "another text"
    del facts.texts["i2"]
    facts.write()
    evidence = facts.evidence()
    assert (evidence.items["i0"], len(evidence.items["i1"])) == ([], 1)
    assert evidence.notes == (
        "2 annotations left out: their items are gone or have another text now",
    )


def test_annotations_under_another_guideline_are_left_out_with_a_note(facts):
    facts.say_all("i0", "a", "b")
    facts.document["question"] = "Which now?"
    facts.write()
    with pytest.raises(
        InputError,
        match=r"no annotations to work with; .* \(2 annotations left out: made under another guideline\)",
    ):
        facts.evidence()
    facts.say("i1", "x", "a")
    evidence = facts.evidence()
    assert evidence.items["i0"] == []
    assert evidence.notes == ("2 annotations left out: made under another guideline",)
    assert evidence.guideline_hash == facts.project.guideline.hash


def test_no_annotations_is_one_line(facts):
    with pytest.raises(
        InputError,
        match=r"^no annotations to work with; run `prelabel label`, or `prelabel import`",
    ):
        facts.evidence()


def test_annotators_by_name(facts):
    facts.say_all("i0", "a", "b", "c")
    assert facts.evidence("z", "x").names == {"x@import": "x", "z@import": "z"}
    with pytest.raises(InputError, match=r"annotator 'q' has no annotations; there are: x, y, z"):
        facts.evidence("q")


def test_an_annotator_with_other_settings_is_another(tmp_path):
    facts = Facts(tmp_path, settings="annotators: [{name: m, model: openai/x}]\n")
    [config] = facts.project.config.annotators
    identifier = annotator_id(config, compiler_of(facts.project, config))
    facts.ledger.add_annotator(identifier, "m", "llm", {})
    facts.say("i0", identifier, "a")
    assert facts.evidence().names == {identifier: "m"}
    facts.settings = "annotators: [{name: m, model: openai/x, temperature: 1}]\n"
    facts.write()
    note = "annotator 'm' has other settings now; label again with it"
    with pytest.raises(InputError, match=rf"no annotations .*\({note}\)"):
        facts.evidence()
    with pytest.raises(
        InputError, match=rf"annotator 'm' has no annotations; there are: none; {note}"
    ):
        facts.evidence("m")
    facts.say("i0", "x", "b")
    assert facts.evidence().notes == (note,)
    assert facts.evidence().names == {"x@import": "x"}


def test_settings_that_change_no_answer_keep_an_annotator(tmp_path):
    facts = Facts(tmp_path, settings="annotators: [{name: m, model: openai/x}]\n")
    [config] = facts.project.config.annotators
    facts.settings = (
        "annotators: [{name: m, model: openai/x, concurrency: 3, api_key: k, reasks: 0}]\n"
    )
    facts.write()
    [changed] = facts.project.config.annotators
    ids = {annotator_id(c, compiler_of(facts.project, c)) for c in (config, changed)}
    assert len(ids) == 1


def test_tables(tmp_path):
    facts = Facts(tmp_path, "multi-label")
    facts.say("i0", "x", ["a", "c"], usage=Usage(1, cost=0.5), latency=2.0, shown=("i9",))
    facts.say("i1", "x", outcome="failed", failure="refused", usage=Usage(1, cost=None))
    evidence = facts.evidence()
    assert vote_table(evidence).to_dict("records") == [
        {"item": "i0", "annotator": "x", "unit": "a", "value": True},
        {"item": "i0", "annotator": "x", "unit": "b", "value": False},
        {"item": "i0", "annotator": "x", "unit": "c", "value": True},
    ]
    outcomes = outcome_table(evidence)
    assert list(outcomes.columns) == [
        "item",
        "annotator",
        "outcome",
        "failure",
        "cost",
        "latency",
        "shown",
    ]
    assert outcomes["outcome"].tolist() == ["labeled", "failed"]
    assert outcomes["cost"].isna().tolist() == [False, True]
    assert outcomes["shown"].tolist() == [("i9",), ("i9",)]  # of all the annotator's prompts
    gold = gold_table(evidence.task, [Gold("i0", ["b"])])
    assert gold["value"].tolist() == [False, True, False]


def test_empty_tables_have_their_columns(facts):
    facts.say("i0", "x", outcome="failed", failure="outage")
    assert list(vote_table(facts.evidence()).columns) == ["item", "annotator", "unit", "value"]
    assert list(gold_table(facts.project.task, []).columns) == ["item", "unit", "value"]


def test_gold_of_items_that_are_not_there_is_said_once(facts):
    facts.say("i0", "x", "a")
    evidence = facts.evidence()
    gold = [Gold("i0", "a"), Gold("no1", "a"), Gold("no2", "b")]
    assert missing_gold(evidence, gold) == (
        "2 gold labels are of items that are not in the project, the first 'no1'",
    )
    assert missing_gold(evidence, gold[:2]) == (
        "1 gold label is of items that are not in the project, the first 'no1'",
    )
    assert missing_gold(evidence, gold[:1]) == ()


def test_people_among_others_are_said(tmp_path):
    facts = Facts(tmp_path)
    facts.say_all("i0", "a", "b")
    facts.ledger.add_annotator("ann@person", "ann", "person", {})
    facts.say("i0", "ann@person", "a")
    (note,) = mixed_people(facts.project, facts.evidence(), "the agreement")
    assert note.startswith("1 of 3 annotators is a person: the agreement is of them and the others")
    assert mixed_people(facts.project, facts.evidence("x", "y"), "the agreement") == ()
    assert note in api.agreement(facts.project).notes
