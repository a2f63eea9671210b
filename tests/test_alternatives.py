"""The alternative annotator test: published values, a second implementation, what it must not say."""

import json

import numpy as np
import pandas as pd
import pytest
from facts import Facts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prelabel import api
from prelabel.alternatives import alt_test, alt_test_of, alt_test_votes, alt_tests, epsilon_of
from prelabel.errors import InputError
from prelabel.estimate import wilson
from prelabel.human_ceiling import equal


def table(rows):
    """Return votes of (item, annotator, value)."""
    return pd.DataFrame(
        [(item, name, "", value) for item, name, value in rows],
        columns=["item", "annotator", "unit", "value"],
    )


def crowd(seed, n=40, people=3, noise=0.2, llm_noise=0.2, width=4, missing=0.0):
    """Return people's labels and an LLM's, right but for noise."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(width, size=n)

    def label(share):
        wrong = rng.random(n) < share
        given_ = (truth + wrong * rng.integers(1, width, size=n)) % width
        return {f"i{at}": "abcdefg"[v] for at, v in enumerate(given_) if rng.random() >= missing}

    return {f"h{j}": label(noise) for j in range(people)}, label(llm_noise)


# Published values


@pytest.mark.parametrize(
    "dataset", ["wax", "mtbench", "framing", "summeval", "10k_prompts", "lesion"]
)
def test_published(shared_data, dataset):
    folder = shared_data / "llm_vs_human" / "alttest"
    votes = pd.read_csv(folder / f"{dataset}.csv.gz", dtype=str).assign(unit="")
    people = sorted(votes.loc[votes["kind"] == "human", "annotator"].unique())
    published = pd.read_csv(folder / "published.csv")
    rows = published[published["dataset"] == dataset]
    assert len(rows)
    for row in rows.itertuples():
        numeric = row.scoring == "neg_rmse"
        votes["value"] = votes["label"].astype(float) if numeric else votes["label"]
        found = alt_test_votes(
            votes,
            row.llm,
            people,
            epsilon=row.epsilon,
            similarity="neg_rmse" if numeric else "equal",
        )
        # two printed decimals; .005 itself may have been rounded either way
        assert found.winning_rate.value == pytest.approx(row.winning_rate, abs=0.00501), row
        assert found.advantage.value == pytest.approx(row.advantage_prob, abs=0.00501), row
        assert found.passed == row.passed
        assert found.advantage.low < found.advantage.value < found.advantage.high


# A second implementation


def naive(people, llm, epsilon):
    """Return the winning rate, the advantage and the p-values of all people, step by step."""
    p_values, advantages = [], []
    for j, own in people.items():
        differences, wins = [], []
        for item in own:
            rest = [other[item] for k, other in people.items() if k != j and item in other]
            if item not in llm or not rest:
                continue
            person = sum(own[item] == r for r in rest) / len(rest)
            machine = sum(llm[item] == r for r in rest) / len(rest)
            wins.append(machine >= person)
            differences.append(int(person >= machine) - int(machine >= person))
        advantages.append(np.mean(wins))
        p_values.append(stats.ttest_1samp(differences, epsilon, alternative="less").pvalue)
    m = len(p_values)
    harmonic = sum(1 / k for k in range(1, m + 1))
    order = np.argsort(p_values)
    passing = [k for k, at in enumerate(order, 1) if p_values[at] <= k * 0.05 / (m * harmonic)]
    return max(passing, default=0) / m, np.mean(advantages), p_values


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.2])
def test_second_implementation(seed, epsilon):
    people, llm = crowd(seed, n=120, people=5, missing=0.3, llm_noise=0.1 + 0.03 * seed)
    rate, advantage, p_values = naive(people, llm, epsilon)
    found = alt_test_of(people, "m", llm, epsilon)
    assert found.winning_rate.value == pytest.approx(rate)
    assert found.advantage.value == pytest.approx(advantage)
    assert [one.p_value for one in found.people] == pytest.approx(p_values)
    expected = stats.false_discovery_control(p_values, method="by")
    assert [one.p_adjusted for one in found.people] == pytest.approx(expected)
    assert sum(one.replaced for one in found.people) / 5 == pytest.approx(rate)


def test_the_interval_of_the_advantage_covers():
    """Of 100 draws of 200 items about 95 intervals hold the value of a very long run."""
    truth = alt_test_of(*with_name(crowd(1, n=30_000)), 0.2).advantage.value
    held = 0
    for seed in range(100):
        found = alt_test_of(*with_name(crowd(seed + 10, n=200)), 0.2).advantage
        held += found.low <= truth <= found.high
    assert 88 <= held <= 100


def with_name(both):
    return both[0], "m", both[1]


def test_power_and_size():
    """An LLM as good as the people passes; one that loses by more than epsilon does not."""

    def passes(**more):
        return np.mean(
            [alt_test_of(*with_name(crowd(seed, **more)), 0.2).passed for seed in range(40)]
        )

    assert passes(n=100) > 0.85
    assert passes(n=200, llm_noise=0.7) < 0.05
    same = [alt_test_of(*with_name(crowd(seed, n=100)), 0.0).passed for seed in range(40)]
    assert np.mean(same) < 0.2  # with epsilon 0 it would have to be better


# What it says, and does not


def test_worked_example():
    people = {"a": {}, "b": {}, "c": {}}
    llm = {}
    for at in range(40):
        item = f"i{at}"
        people["a"][item] = people["b"][item] = llm[item] = "x"
        people["c"][item] = "x" if at < 20 else "y"
    found = alt_test_of(people, "m", llm, 0.1)
    a, b, c = found.people
    # the LLM is always as near to the rest as a and b, and nearer than c in half of the items
    assert [a.difference, b.difference, c.difference] == [0.0, 0.0, -0.5]
    assert (a.p_value, b.p_value) == (0.0, 0.0)
    assert found.winning_rate.value == 1.0
    assert found.passed is True
    assert found.advantage == wilson(40, 40)
    assert a.advantage == wilson(40, 40)
    assert found.n_items == 40
    assert found.beside.score.value == pytest.approx((20 * 1 + 20 * 2 / 3) / 40)
    assert found.beside.people.value == pytest.approx((20 * 1 + 20 * 1 / 3) / 40)
    assert json.loads(json.dumps(found.to_dict()))["people"][2]["replaced"] is True


def test_unanimity_passes_with_any_epsilon_but_zero():
    people = {name: {f"i{n}": "x" for n in range(30)} for name in "abc"}
    llm = {f"i{n}": "x" for n in range(30)}
    assert alt_test_of(people, "m", llm, 0.01).passed is True
    found = alt_test_of(people, "m", llm, 0.0)
    assert found.passed is False
    assert {one.p_value for one in found.people} == {1.0}


def test_fewer_than_thirty_items_is_not_defined():
    people, llm = crowd(1, n=29)
    found = alt_test_of(people, "m", llm, 0.2)
    assert found.passed is None
    assert found.winning_rate.value is None
    assert "30 items" in found.winning_rate.why
    assert "the most is 29" in found.winning_rate.why
    assert [one.why for one in found.people] == ["29 items, fewer than 30"] * 3
    assert found.beside.score.value is not None
    people, llm = crowd(1, n=30)
    assert alt_test_of(people, "m", llm, 0.2).passed is not None


def test_a_person_with_few_items_is_left_out_and_said_so():
    people, llm = crowd(1, n=60, people=4)
    people["h3"] = dict(list(people["h3"].items())[:10])
    found = alt_test_of(people, "m", llm, 0.2)
    assert [one.replaced is None for one in found.people] == [False, False, False, True]
    assert "1 of 4 people were not tested" in found.notes[0]
    assert found.winning_rate.value in (0, 1 / 3, 2 / 3, 1)


@pytest.mark.parametrize("people", [{}, {"h": {f"i{n}": "x" for n in range(50)}}])
def test_too_few_people(people):
    found = alt_test_of(people, "m", {f"i{n}": "x" for n in range(50)}, 0.2)
    assert found.passed is None
    assert "two or more" in found.winning_rate.why


def test_nothing_in_common():
    people, _ = crowd(1)
    found = alt_test_of(people, "m", {}, 0.2)
    assert found.passed is None
    assert found.n_items == 0
    assert found.beside.gap.value is None


def test_cautions():
    people, llm = crowd(3, n=40, people=2, llm_noise=0.6)
    del llm["i0"]
    notes = " ".join(alt_test_of(people, "m", llm, 0.2).notes)
    assert "no label for 1 items" in notes
    assert "2 tested people; 3 or more" in notes
    assert "clearly worse" in notes
    assert "shows little" in notes
    people, llm = crowd(3, n=200)
    assert alt_test_of(people, "m", llm, 0.1).notes == ()


@pytest.mark.parametrize(
    ("wanted", "value"), [("expert", 0.2), ("skilled", 0.15), ("crowd", 0.1), (0, 0.0), (0.3, 0.3)]
)
def test_epsilon(wanted, value):
    assert epsilon_of(wanted) == value


@pytest.mark.parametrize("wanted", ["boss", -0.1, 1.0, float("nan")])
def test_epsilon_is_declared_in_range(wanted):
    with pytest.raises(InputError, match=r"epsilon: .*; name whom the LLM replaces, expert"):
        epsilon_of(wanted)


# Invariances


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(40)), st.permutations("abcd"))
def test_order_and_names_do_not_matter(seed, order, renamed):
    people, llm = crowd(seed, missing=0.05)
    first = alt_test_of(people, "m", llm, 0.15)
    names = dict(zip("abcd", renamed, strict=True))

    def mixed(own):
        return {f"i{n}": names[own[f"i{n}"]] for n in order if f"i{n}" in own}

    again = alt_test_of(
        {name: mixed(people[name]) for name in reversed(people)}, "m", mixed(llm), 0.15
    )
    assert again.winning_rate == first.winning_rate
    assert again.advantage == first.advantage
    assert again.people == first.people


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_rmse_is_what_the_paper_says(seed):
    rng = np.random.default_rng(seed)
    rows = [(f"i{n}", name, int(rng.integers(1, 6))) for n in range(40) for name in "abcm"]
    found = alt_test_votes(table(rows), "m", ["a", "b", "c"], epsilon=0.2, similarity="neg_rmse")
    wide = table(rows).set_index(["item", "annotator"])["value"].unstack()  # noqa: PD010
    rest = wide[["b", "c"]].to_numpy()

    def score(own):
        return -np.sqrt(((rest - own.to_numpy()[:, None]) ** 2).mean(axis=1))

    wins = (score(wide["m"]) >= score(wide["a"]) - 1e-12).mean()
    assert found.people[0].advantage.value == pytest.approx(wins)
    assert found.beside.score.value < 0


def test_label_sets_are_near_or_far():
    """A set that shares a label with the others is nearer to them than one that shares none."""
    rows = []
    for n in range(40):
        for name, labels in {"a": "xy", "b": "xy", "c": "z", "m": "x"}.items():
            rows += [(f"i{n}", name, unit, unit in labels) for unit in "xyz"]
    votes = pd.DataFrame(rows, columns=["item", "annotator", "unit", "value"])
    found = alt_test_votes(votes, "m", list("abc"), epsilon=0.2, similarity="jaccard")
    assert [one.replaced for one in found.people] == [False, False, True]


def test_bad_tables():
    rows = [(f"i{n}", name, "x") for n in range(40) for name in "abm"]
    with pytest.raises(InputError, match="no annotator 'z'; there are: a, b, m"):
        alt_test_votes(table(rows), "z", ["a", "b"], epsilon=0.2)
    with pytest.raises(InputError, match="similarity 'cosine' is unknown; use one of: equal"):
        alt_test_votes(table(rows), "m", ["a", "b"], epsilon=0.2, similarity="cosine")
    with pytest.raises(InputError, match="item 'i3' has two votes of 'a'"):
        alt_test_votes(table([*rows, ("i3", "a", "y")]), "m", ["a", "b"], epsilon=0.2)


# Of a project


def project_of(tmp_path, said, people, task="classification", **guideline):
    """Make a project with annotations by annotator; those in ``people`` are imported as such."""
    facts = Facts(tmp_path, task, items=40, **guideline)
    for kind, names in (("person", people), ("import", [n for n in said if n not in people])):
        rows = [
            {"id": item, "annotator": name, "label": label}
            for name in names
            for item, label in said[name].items()
        ]
        if rows:
            path = tmp_path / f"{kind}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            api.import_annotations(facts.project, path, kind=kind, layout="long")
    return facts


def test_a_project(tmp_path):
    people, llm = crowd(5, n=40, width=3)
    worse = dict.fromkeys(llm, "a")
    facts = project_of(tmp_path, {**people, "good": llm, "worse": worse}, list(people))
    found = alt_tests(facts.project, epsilon="expert")
    assert [one.llm for one in found] == ["good", "worse"]
    assert found[0].epsilon == 0.2
    assert found[0].similarity == "equal"
    assert found[0].people == alt_test_of(people, "good", llm, 0.2).people
    assert alt_test(facts.project, "worse", epsilon=0.2) == found[1]
    two = alt_test(facts.project, "good", ["h0", "h1"], epsilon=0.2)
    assert [one.name for one in two.people] == ["h0", "h1"]
    with pytest.raises(InputError, match="'h0' is no annotator other than a person"):
        alt_test(facts.project, "h0", epsilon=0.2)
    with pytest.raises(InputError, match="'good' is no person with annotations; there are: h0"):
        alt_test(facts.project, "worse", ["good"], epsilon=0.2)


def test_an_item_that_was_an_example_does_not_count(tmp_path):
    people, llm = crowd(5, n=40, width=3)
    facts = project_of(tmp_path, {**people, "other": llm}, list(people))
    for item, label in llm.items():
        if item in ("i0", "i1", "i2"):
            facts.say(item, "gpt", label, shown=("i1",))
    found = {one.llm: one for one in alt_tests(facts.project, epsilon=0.2)}
    assert found["gpt"].n_items == 2
    assert found["other"].n_items == 40


def test_without_people_or_without_an_llm(tmp_path):
    people, llm = crowd(5, n=40, width=3)
    facts = project_of(tmp_path, {"m": llm}, [])
    with pytest.raises(InputError, match=r"no labels of people; import them with `prelabel import"):
        alt_test(facts.project, "m", epsilon=0.2)
    only = tmp_path / "only"
    only.mkdir()
    with pytest.raises(InputError, match="no annotator beside the people; run `prelabel label`"):
        alt_tests(project_of(only, people, list(people)).project, epsilon=0.2)


TASKS = {
    "multi-label": ({}, [["a"], ["a", "b"], []], "jaccard"),
    "rating": ({"scale": {"min": 1, "max": 5}, "labels": []}, [1, 2, 5], "neg_rmse"),
    "text": ({"labels": [], "normalize": ["case"]}, ["the red dog", "The Red", "a cat"], "overlap"),
    "pairwise": ({"labels": [], "tie": "equal"}, ["A", "B", "tie"], "equal"),
    "spans": (
        {},
        [[{"start": 0, "end": 4, "text": "text", "label": "a"}], [], []],
        "overlap",
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_label(tmp_path, task):
    guideline, labels, similarity = TASKS[task]
    near, nearly, far = labels
    said = {
        "a": {f"i{n}": near for n in range(40)},
        "b": {f"i{n}": near if n % 4 else nearly for n in range(40)},
        "c": {f"i{n}": near if n % 5 else far for n in range(40)},
        "m": {f"i{n}": near for n in range(40)},
    }
    found = alt_test(
        project_of(tmp_path, said, list("abc"), task, **guideline).project, "m", epsilon=0.2
    )
    assert found.similarity == similarity
    assert found.passed is True
    assert found.advantage.value > 0.95


def test_a_given_similarity(tmp_path):
    said = {name: {f"i{n}": f"{name} {n}" for n in range(40)} for name in "abcm"}
    facts = project_of(tmp_path, said, list("abc"), "text", labels=[], normalize=["case"])

    def same_number(a, b):
        return float(a.split()[1] == b.split()[1])

    found = alt_test(facts.project, "m", epsilon=0.2, similarity=same_number)
    assert found.similarity == "same_number"
    assert found.beside.score.value == 1.0
    with pytest.raises(InputError, match="similarity 'neg_mae' is not for text; use one of: equal"):
        alt_test(facts.project, "m", epsilon=0.2, similarity="neg_mae")
    assert alt_test(facts.project, "m", epsilon=0.2, similarity="equal").beside.score.value == 0.0


def test_equality_is_the_usual_similarity():
    people, llm = crowd(2)
    assert alt_test_of(people, "m", llm, 0.2) == alt_test_of(people, "m", llm, 0.2, equal)
