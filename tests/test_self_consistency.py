"""Samples: an item asked several times; what most answers say, paid once each, never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w
from every_task import GUIDELINES, item_of, labels_of, task_of
from hypothesis import given
from hypothesis import strategies as st
from test_views_and_parts import LONG, SPLIT, project_of, said

from prelabel.annotate import LLMAnnotator
from prelabel.budget import Budget
from prelabel.cache import ResponseCache
from prelabel.errors import InputError
from prelabel.planning import plan
from prelabel.project import Project, load_project
from prelabel.records import Item
from prelabel.run import label
from prelabel.self_consistency import Said, majority, mean_distribution, most_said
from prelabel.tasks import Reading

YES, NO = "toxic", "not_toxic"


@pytest.fixture
def wire() -> Iterator[w.Wire]:
    with w.serving() as server:
        yield server


def sampled(wire: w.Wire, samples: int, **settings: Any) -> dict[str, Any]:
    """Return the settings of an annotator that asks several times, once each."""
    return p.openai_like(wire, samples=samples, temperature=0.7, reasks=0, **settings)


def replies(*names: str) -> Any:
    """Return a script whose n-th answer to a text is a label, or what a behaviour does."""

    def script(_text: str, n: int) -> w.Reply:
        name = names[n]
        return w.BEHAVIOURS[name]() if name in w.BEHAVIOURS else said(label=name)

    return script


def only(project: Project) -> Any:
    (found,) = p.annotations(project).values()
    return found


# What the answers say together


def test_most_answers_are_the_label(tmp_path: Path, wire: w.Wire) -> None:
    wire.script = replies(YES, NO, YES)
    project = p.make_project(tmp_path, ["x"], [sampled(wire, 3)])
    status = label(project)
    assert status.outcomes == {"labeled": 1}
    found = only(project)
    assert (found.label, found.extras) == (YES, {"consistency": 2 / 3, "samples": 3})
    assert found.usage.calls == len(wire.requests) == 3
    assert found.usage.input_tokens == wire.tokens["in"]
    assert found.usage.cost == pytest.approx(status.spent)
    assert not found.replayed
    assert {request["body"]["temperature"] for request in wire.requests} == {0.7}
    assert found.distribution is not None
    assert found.distribution[""][YES] == pytest.approx((0.8 + 0.2 + 0.8) / 3)
    (project.state / "ledger.sqlite").unlink()
    label(project)
    again = only(project)
    assert (again.label, again.extras) == (found.label, found.extras)
    assert (again.replayed, again.usage, len(wire.requests)) == (True, found.usage, 3)


@pytest.mark.parametrize(
    ("answers", "outcome", "consistency"),
    [
        ((YES, NO), YES, 0.5),
        ((NO, YES, YES, NO), NO, 0.5),
        (("mute", NO, YES, YES, NO), NO, 0.4),  # the first that has a label
        ((YES, "malformed", YES, NO, "off_list"), YES, 0.4),
        (("mute", "truncated", YES, YES, YES), YES, 0.6),
        (("mute", "truncated", "mute", YES, YES), "refused", None),
        ((YES, "truncated", "mute", "malformed", "mute"), "refused", None),
        ((YES, "truncated", YES, "mute"), "truncated", None),  # half is not most
        (("abstain", "mute", "abstain"), "abstained", None),
        ((YES, "abstain", YES), YES, 2 / 3),
    ],
)
def test_an_answer_without_a_label_has_no_vote(
    tmp_path: Path, wire: w.Wire, answers: Any, outcome: str, consistency: float | None
) -> None:
    wire.script = replies(*answers)
    annotator = sampled(wire, len(answers))
    labels = [{"name": name, "definition": name} for name in (YES, NO)]
    project = project_of(
        tmp_path, "classification", [{"text": "x"}], [annotator], abstain="never", labels=labels
    )
    label(project)
    found = only(project)
    assert (found.label or found.failure or found.outcome) == outcome
    samples = {"samples": len(answers)}
    assert found.extras == samples | ({} if consistency is None else {"consistency": consistency})
    assert found.usage.calls == len(answers)
    if found.failure == "truncated":
        assert found.detail.startswith("cut at")


def test_rationale_and_confidence_are_of_the_answers_that_agree(
    tmp_path: Path, wire: w.Wire
) -> None:
    given_ = [(NO, "first", 100), (YES, "second", 60), (YES, "third", 90), (YES, "fourth", None)]
    wire.script = lambda _, n: said(
        **dict(zip(("label", "rationale", "confidence"), given_[n], strict=True))
    )
    annotator = sampled(wire, 4, rationale=True, confidence=True)
    project = p.make_project(tmp_path, ["x"], [annotator])
    label(project)
    found = only(project)
    assert (found.label, found.rationale) == (YES, "second")
    assert found.extras == {"consistency": 0.75, "samples": 4, "confidence": 0.75}


def test_both_orders_and_all_parts_are_asked_at_each_time(tmp_path: Path, wire: w.Wire) -> None:
    # the first time and the third the better one wins in both orders, the second time the first
    def script(text: str, n: int) -> w.Reply:
        swapped = "good" in text.split("-B>")[1]
        return said(better="B" if swapped and n != 1 else "A")

    wire.script = script
    rows, items = [{"a": "good", "b": "bad"}], {"text": ["a", "b"]}
    project = project_of(tmp_path, "pairwise", rows, [sampled(wire, 3)], items=items)
    (planned,) = plan(project).annotators
    assert (planned.calls, planned.split) == (6, 0)
    label(project)
    found = only(project)
    extras = {"views": ["A", "B"], "consistency": 2 / 3, "samples": 3}
    assert (found.label, found.extras, found.usage.calls) == ("A", extras, 6)
    wire.script = lambda *_: said(labels=["a"])
    folder = tmp_path / "long"
    folder.mkdir()
    annotator = sampled(wire, 2, split=SPLIT)
    project = project_of(folder, "multi-label", [{"text": LONG}], [annotator])
    (planned,) = plan(project).annotators
    label(project)
    found = only(project)
    assert found.usage.calls == planned.calls
    assert (planned.split, planned.calls % 2) == (1, 0)
    assert found.extras == {"parts": planned.calls // 2, "consistency": 1.0, "samples": 2}


# Labels of every shape


@pytest.mark.parametrize("name", GUIDELINES)
@given(data=st.data())
def test_the_label_is_one_that_the_guideline_allows(name: str, data: st.DataObject) -> None:
    task, item = task_of(name), item_of(name)
    labels = data.draw(st.lists(labels_of(task), min_size=1, max_size=6))
    found = majority(task, item, labels)
    assert task.match(found, item) == found
    together = most_said(task, item, [Said(Reading(one)) for one in labels], 6).reading
    agreeing = sum(task.right(found, one) for one in labels)
    assert together.extras == {"consistency": agreeing / 6, "samples": 6}
    most = data.draw(labels_of(task))
    assert task.right(majority(task, item, [*labels, *[most] * (len(labels) + 1)]), most)


@given(given_=st.lists(st.sampled_from("abc"), min_size=1, max_size=9))
def test_of_single_labels_it_is_the_most_frequent_and_of_several_the_first(
    given_: list[str],
) -> None:
    counts = Counter(given_)
    most = max(counts.values())
    expected = next(one for one in given_ if counts[one] == most)
    assert majority(task_of("classification"), item_of("classification"), given_) == expected


@pytest.mark.parametrize(
    ("name", "more", "labels", "expected"),
    [
        ("rating", {}, [1, 5, 4], 4),
        ("rating", {}, [1, 5, 4, 5], 4),
        ("multi-label", {}, [["a", "b"], ["b"], ["c"]], ["b"]),
        # unit by unit it would be a, b and c
        ("multi-label", {"max_labels": 2}, [["a", "b"], ["b", "c"], ["a", "c"]], ["a", "b"]),
        # unit by unit it would be a alone, an inner label
        (
            "hierarchical",
            {},
            [["a", "x"], ["a", "y"], ["c"], ["b", "z"], ["b", "z"], ["a", "x"], ["a", "y"]],
            ["a", "x"],
        ),
        ("text", {"normalize": ["case"]}, ["Bob", "ann", "Ann"], "Ann"),
        ("text", {"normalize": ["case"]}, ["Bob", "ann"], "Bob"),
        ("extraction", {}, [{"price": 1, "kind": "a"}, {"price": 1}, {"kind": "a"}],
         {"price": 1, "kind": "a"}),
    ],
)  # fmt: skip
def test_examples(name: str, more: dict[str, Any], labels: list[Any], expected: Any) -> None:
    assert majority(task_of(name, **more), item_of(name), labels) == expected


def test_the_mean_distribution() -> None:
    one, two = {"": {"a": 0.6, "b": 0.4}}, {"": {"a": 0.2, "b": 0.8}}
    mean = mean_distribution([one, two])
    assert mean is not None
    assert mean[""] == pytest.approx({"a": 0.4, "b": 0.6})
    assert mean_distribution([one, None]) is None
    assert mean_distribution([one, {"other": {"a": 1.0}}]) is None


# Asking several times


@pytest.mark.parametrize("temperature", [0, 0.0, None, "absent"])
def test_it_needs_a_temperature(tmp_path: Path, wire: w.Wire, temperature: Any) -> None:
    own = {} if temperature == "absent" else {"temperature": temperature}
    with pytest.raises(InputError) as caught:
        p.make_project(tmp_path, ["x"], [p.openai_like(wire, samples=5, **own)])
    assert str(caught.value) == (
        f"{tmp_path / 'prelabel.yaml'}: annotators[0]: samples need a temperature above 0, such "
        "as 0.7"
    )
    with pytest.raises(InputError, match=r"samples: must be greater than or equal to 1$"):
        p.make_project(tmp_path, ["x"], [p.openai_like(wire, samples=0)])


@pytest.mark.parametrize("seed", [None, 7])
def test_each_time_has_a_seed_and_a_key_of_its_own(
    tmp_path: Path, wire: w.Wire, seed: int | None
) -> None:
    project = p.make_project(tmp_path, ["x"], [sampled(wire, 3, seed=seed)])
    label(project)
    seeds = [request["body"].get("seed") for request in wire.requests]
    assert seeds == ([None] * 3 if seed is None else [7, 8, 9])
    cache = ResponseCache(tmp_path / "other", "x")
    budget = Budget(None, lambda: 0.0)
    keys = set()
    for other in (seed, 100):
        made = p.make_project(tmp_path / str(other), ["x"], [sampled(wire, 3, seed=other)])
        one = LLMAnnotator(made, made.config.annotators[0], cache, budget)
        messages = [*one.llm.static, *one.prompt(Item("i0", {"text": "x"})).messages]
        keys |= {one.llm.key(messages, sample) for sample in range(3)}
    assert len(keys) == 6


def test_a_sample_more_costs_a_sample(tmp_path: Path, wire: w.Wire) -> None:
    for samples, calls in ((1, 1), (3, 3), (5, 5), (3, 5)):
        project = p.make_project(tmp_path, ["x"], [sampled(wire, samples)])
        (planned,) = plan(project).annotators
        assert planned.calls == calls - len(wire.requests)
        label(project)
        assert len(wire.requests) == calls


def test_the_plan_counts_every_call(tmp_path: Path, wire: w.Wire) -> None:
    texts = [f"text {n}" for n in range(10)]
    one = p.openai_like(wire, "one", temperature=0.7)
    project = p.make_project(tmp_path, texts, [one, sampled(wire, 4, name="four")])
    single, four = plan(project).annotators
    assert (single.calls, four.calls, four.items, four.cached) == (10, 40, 10, 0)
    assert four.at_most == pytest.approx(4 * (single.at_most or 0))
    assert four.input_tokens == pytest.approx(4 * single.input_tokens, abs=4)
    status = label(project, ["four"])
    assert len(wire.requests) == 40
    assert status.spent <= (four.at_most or 0)
    single, four = plan(project).annotators
    assert (single.calls, four.calls, four.settled) == (0, 0, 10)


# Nothing is paid twice


def test_a_call_without_an_answer_ends_the_item_and_the_next_run_goes_on(
    tmp_path: Path, wire: w.Wire
) -> None:
    wire.script = replies(YES, YES, "down", YES, NO, YES)
    project = p.make_project(tmp_path, ["x"], [sampled(wire, 5)], retries=0)
    assert label(project).failures == {"outage": 1}
    assert (only(project).label, only(project).usage.calls) == (None, 3)
    (planned,) = plan(project).annotators
    assert planned.calls == 3
    assert label(project).outcomes == {"labeled": 1}
    found = only(project)
    assert (found.label, found.extras["consistency"]) == (YES, 0.8)
    assert (wire.calls["x"], wire.answered["x"]) == (6, 5)


def test_a_budget_that_ends_within_an_item(tmp_path: Path, wire: w.Wire) -> None:
    texts = [f"text {n}" for n in range(4)]
    annotator = sampled(wire, 5, concurrency=1)
    project = p.make_project(tmp_path, texts, [annotator])
    (planned,) = plan(project).annotators
    assert planned.at_most is not None
    assert planned.dollars is not None
    limit = planned.at_most / 20 + planned.dollars[0] / 20 * 7
    status = label(project, max_cost=limit)
    assert status.stopped or status.failures["budget"]
    assert status.spent <= limit
    answered = sum(wire.answered.values())
    assert 0 < answered < 20
    assert all(a.extras["samples"] == 5 for a in p.annotations(project).values())
    (planned,) = plan(project).annotators
    assert planned.calls == 20 - answered
    assert label(project, max_cost=1.0).done == 4
    assert set(wire.answered.values()) == {5}
    assert set(wire.calls.values()) == {5}


def test_killed_in_the_midst_of_items(tmp_path: Path, wire: w.Wire) -> None:
    wire.delay = 0.02
    texts = [f"text {n}" for n in range(8)]
    project = p.make_project(tmp_path, texts, [sampled(wire, 5, concurrency=3)])
    command = [sys.executable, "-m", "prelabel", "label", "--project", str(tmp_path)]
    wire.script = lambda *_: w.Reply()
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    until = time.monotonic() + 60
    while sum(wire.answered.values()) < 13 and running.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert 13 <= sum(wire.answered.values()) < 40
    assert label(load_project(tmp_path)).done == 8
    lost = sum(wire.calls.values()) - 5 * len(texts)
    assert 0 <= lost <= 3  # the calls in flight
    found = p.annotations(project)
    assert all(a.extras == {"consistency": 1.0, "samples": 5} for a in found.values())
    assert all(a.usage.calls == 5 for a in found.values())
