"""Ratings: the mistakes a guideline can make, the prompt, and the shipped evalset."""

import json

import pytest
from test_rating import FIVE, HALVES, OPEN, rating, same

from prelabel.guideline import load_guideline
from prelabel.guideline_check import check
from prelabel.prompts import make_compiler
from prelabel.resources import data_folder
from prelabel.settings import AnnotatorConfig
from prelabel.tasks import make_task

HEAD = "name: g\npurpose: p\nquestion: q\ntask: rating\n"
EXAMPLES = "examples: [{text: a, answer: 1}, {text: b, answer: 2}, {text: c, answer: low}]\n"
SOUND = HEAD + EXAMPLES + "scale: {min: 1, max: 5, anchors: {1: low, 5: high}}\n"


def found_in(tmp_path, document):
    (tmp_path / "g.yaml").write_text(document)
    return [(f.line, f.level, f.message) for f in check(tmp_path / "g.yaml")]


def test_a_sound_guideline(tmp_path):
    assert found_in(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("scale: {min: 1, max: 5, anchors: {1: low, 5: high}}\n", "", 1,
         "no scale; write one, as 'scale: {min: 1, max: 5}'"),
        ("5: high", "6: high", 6, "anchor '6' is not on the scale: a whole number from 1 to 5; use one of its values"),
        ("5: high", "5.0: top, 5: high", 6, "anchor '5.0' is a value that has another anchor; keep one"),
        ("5: high", "5: Low", 6, "anchor '1' has the text of another anchor; say how they differ"),
        ("5: high", "5: '4'", 6, "anchor '5' says only a number; say what it stands for"),
        ("task: rating\n", "task: rating\nmerge: most\n", 5,
         "merge 'most' is not for rating; use one of: mean, median, min, max"),
        ("answer: 2", "answer: 7", 5, "'7' is not on the scale: a whole number from 1 to 5; mend the answer"),
        ("answer: 2", "answer: mid", 5, "'mid' is not on the scale: a whole number from 1 to 5; mend the answer"),
    ],
)  # fmt: skip
def test_mistakes_in_the_guideline(tmp_path, old, new, line, message):
    assert old in SOUND
    assert (line, "error", message) in found_in(tmp_path, SOUND.replace(old, new))


def test_ends_without_an_anchor_are_warned_of(tmp_path):
    message = "no anchor for 1 and 5; say under 'anchors:' what the ends of the scale mean"
    bare = SOUND.replace(", anchors: {1: low, 5: high}", "").replace("answer: low", "answer: 1")
    assert found_in(tmp_path, bare) == [(6, "warning", message)]


@pytest.mark.parametrize("prompt", ["full", "brief"])
@pytest.mark.parametrize(
    ("scale", "says"),
    [
        (FIVE, "1 to 5 in whole steps.\n- 1: not urgent\n- 5: very urgent\n"),
        (HALVES, "0 to 2 in steps of 0.5.\n"),
        (OPEN, "Any number from 0 to 5; decimals are allowed.\n"),
        ({"min": "0", "max": "1000000", "step": "1000000"}, "0 to 1000000 in steps of 1000000.\n"),
    ],
)
def test_the_prompt_says_the_scale(tmp_path, prompt, scale, says):
    task = rating(scale, abstain="it is empty.")
    config = AnnotatorConfig(name="a", model="local/x", prompt=prompt)
    [system] = make_compiler(task.guideline, task, config, [], tmp_path).static
    assert says in system["content"]
    assert "only in this case: it is empty.\n" in system["content"]
    assert system["content"].endswith('like {"abstain": false, "rating": <number>}')


def test_the_evalset_is_whole():
    folder = data_folder("evalsets") / "caretaker-messages"
    guideline = load_guideline(folder / "guideline.yaml")
    task = make_task(guideline)
    items, gold = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for name in ("items.jsonl", "gold.jsonl")
    )
    assert [row["id"] for row in items] == [row["id"] for row in gold]
    assert check(folder / "guideline.yaml") == []
    assert all(same(task.match(row["label"]), row["label"]) for row in gold)
    for split in ("calibration", "test"):
        assert {row["label"] for row in gold if row["split"] == split} == set(task.values())
    texts = {row["text"] for row in items}
    assert len(texts) == len(items)
    assert not texts & {example.text for example in guideline.examples}
    first = [task.match(example.answer) for example in guideline.examples[:5]]
    assert sorted(first) == list(task.values())  # the first five shots show the whole scale
