"""Preselection: which labels of a large label set are defined to an item."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prelabel.errors import InputError
from prelabel.guideline import Guideline, load_guideline
from prelabel.preselection import Preselector, recall
from prelabel.shots import Shot
from prelabel.tasks import make_task

ROOT = Path(__file__).resolve().parents[1]
TEXTS = {
    "lost_card": "The bank card is gone.",
    "exchange_rate": "How much one currency is worth in another.",
    "top_up": "Putting money onto the account.",
    "pin": "The secret number of a card.",
}


def guideline_of(labels=TEXTS, task="classification", examples=(), aliases=()):
    document = [
        {
            "name": name,
            "definition": definition,
            "examples": [{"text": text} for text in dict(examples).get(name, ())],
            "aliases": dict(aliases).get(name, ()),
        }
        for name, definition in dict(labels).items()
    ]
    return Guideline.model_validate({"name": "g", "task": task, "labels": document})


def shot(text, label):
    return Shot({"text": text}, label)


def test_a_label_is_known_by_all_its_texts():
    named = Preselector(guideline_of(), [], 4)
    assert named.choose("I lost my card!")[0] == "lost_card"  # by its name
    assert named.choose("what is a currency worth")[0] == "exchange_rate"  # by its definition
    assert named.choose("putting money")[0] == "top_up"
    question = "geldautomat nummer"
    assert Preselector(guideline_of(aliases={"pin": ["Geheimnummer"]}), [], 1).choose(question) == [
        "pin"
    ]
    example = {"pin": ["Where do I type my Nummer at a Geldautomat?"]}
    assert Preselector(guideline_of(examples=example), [], 1).choose(question) == ["pin"]
    learned = Preselector(guideline_of(), [shot("der Geldautomat schluckt", "lost_card")], 1)
    assert learned.choose(question) == ["lost_card"]


def test_labels_without_likeness_come_in_the_guidelines_order():
    for text in ("", "   ", "zzz", "😀", "שלום"):
        assert Preselector(guideline_of(), [], 9).choose(text) == list(TEXTS)
    same = guideline_of(dict.fromkeys("abcd", "the same definition"))
    assert Preselector(same, [], 2).choose("definition") == ["a", "b"]


def test_k_labels_are_chosen_or_all_there_are():
    assert [len(Preselector(guideline_of(), [], k).choose("card")) for k in (1, 3, 4, 9)] == [
        1,
        3,
        4,
        4,
    ]
    with pytest.raises(InputError, match="candidates must be 1 or more, got 0"):
        Preselector(guideline_of(), [], 0)


def test_an_item_does_not_find_its_own_gold():
    text = "der Automat hat sie geschluckt"
    own = shot(f" {text.upper()}\n", "pin")
    rest = [shot("ein Automat mit Münzen", "top_up")]
    with_own, without = (Preselector(guideline_of(), shots, 4) for shots in ([*rest, own], rest))
    assert with_own.choose(text)[0] == without.choose(text)[0] == "top_up"
    assert with_own.choose("sie geschluckt")[0] == "pin"


def test_the_same_words_said_twice_do_not_count_either():
    text = "der Automat"
    shots = [shot(text, "pin"), shot(text, "pin"), shot(text, "lost_card")]
    expected = Preselector(guideline_of(), [], 4).choose(text)
    assert Preselector(guideline_of(), shots, 4).choose(text) == expected


def test_nested_labels_are_chosen_among_the_leaves():
    tree = Guideline.model_validate(
        {
            "name": "g",
            "task": "hierarchical",
            "labels": [
                {
                    "name": "animals",
                    "definition": "d",
                    "labels": [
                        {"name": "dogs", "definition": "they bark"},
                        {"name": "other", "definition": "cats and so on"},
                    ],
                },
                {"name": "other", "definition": "plants"},
            ],
        }
    )
    preselector = Preselector(tree, [shot("my tulip", ["other"])], 2)
    assert preselector.choose("who barks") == ["dogs", "other"]
    names = [label.name for label in preselector.definitions("who barks")]
    assert names == ["animals > dogs", "animals > other"]
    assert preselector.definitions("a red tulip")[-1].name == "other"
    found = recall(preselector, [("who barks", ["animals", "dogs"]), ("tulips", ["other"])], [1, 2])
    assert found[2].value == 1
    with pytest.raises(InputError, match="'animals' is no label of the guideline"):
        recall(preselector, [("who barks", ["animals"])], [1])


def test_recall_counts_items_whose_labels_are_all_there():
    preselector = Preselector(guideline_of(task="multi-label"), [], 2)
    items = [("lost card", ["lost_card"]), ("lost card", ["exchange_rate"]), ("lost card", [])]
    items.append(("currency, and putting money", ["exchange_rate", "top_up"]))
    found = recall(preselector, items, [1, 2, 4])
    assert [(found[k].value, found[k].n) for k in (1, 2, 4)] == [
        (pytest.approx(1 / 3), 3),
        (pytest.approx(2 / 3), 3),
        (1, 3),
    ]
    assert found[1].low == pytest.approx(0.0615, abs=1e-4)  # Wilson's interval of 1 of 3
    assert found[1].high == pytest.approx(0.7923, abs=1e-4)
    assert recall(preselector, [], [1])[1].why == "no item has a label"


@given(st.lists(st.tuples(st.text(max_size=12), st.sampled_from(list(TEXTS))), max_size=6),
       st.text(max_size=12))  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_every_label_is_ranked_once_whatever_the_texts(pairs, text):
    shots = [shot(*pair) for pair in pairs]
    preselector = Preselector(guideline_of(), shots, 4)
    order = preselector.rank(text)
    assert sorted(order) == [0, 1, 2, 3]
    assert preselector.rank(text) == order
    assert preselector.rank(f"  {text}\n") == order
    assert Preselector(guideline_of(), shots[::-1], 4).rank(text) == order


def test_label_names_without_a_word_are_compared_by_their_signs():
    signs = guideline_of({"😀": "", "☹": "", "+++": ""})
    assert Preselector(signs, [], 1).choose("+++ today") == ["+++"]


def rendered(candidates):
    env = Environment(
        loader=FileSystemLoader(ROOT / "prompts"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["tojson_text"] = lambda value: json.dumps(value, ensure_ascii=False)
    return env.get_template("_candidates.jinja").render(candidates=candidates).strip()


def test_the_prompt_defines_the_candidates_briefly():
    examples = {"pin": ["Change my PIN", 'It says "wrong"', "a third"]}
    preselector = Preselector(guideline_of(TEXTS | {"top_up": ""}, examples=examples), [], 2)
    assert rendered(preselector.definitions("the PIN to top up")) == (
        "The labels most similar to this item (another of the label set may be right all the same):\n"
        "- top_up\n"
        "- pin: The secret number of a card.\n"
        '  for example "Change my PIN"\n'
        '  for example "It says \\"wrong\\""'
    )


def test_the_shipped_large_label_set():
    folder = ROOT / "evalsets" / "city-desk"
    guideline = load_guideline(folder / "guideline.yaml")
    assert len(guideline.labels) == 80
    assert all(label.definition and len(label.examples) >= 3 for label in guideline.labels)
    found, gold = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("items.jsonl", "gold.jsonl")
    )
    texts = {row["id"]: row["text"] for row in found}
    task = make_task(guideline)
    items = [(texts[row["id"]], task.match(row["label"])) for row in gold if row["split"] == "test"]
    found = recall(Preselector(guideline, [], 12), items, [5, 12, 20, 80])
    assert {k: round(e.value * e.n) for k, e in found.items()} == {5: 40, 12: 52, 20: 58, 80: 92}
    shown = {text for text, _ in items} & {e.text for x in guideline.labels for e in x.examples}
    assert not shown
