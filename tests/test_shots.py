"""Few-shot choice: which examples, in which order, never the item itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.errors import InputError
from prelabel.records import Item
from prelabel.settings import ShotsConfig
from prelabel.shots import Same, Shot, Similar, diverse, make_selector, plain


def shots(*pairs):
    return [Shot({"text": text}, label, item_id=f"g{n}") for n, (text, label) in enumerate(pairs)]


POOL = shots(
    ("my parcel is late", "delivery"),
    ("the driver was rude", "delivery"),
    ("charged twice for one parcel", "payment"),
    ("the bill is wrong", "payment"),
    ("the cup is broken", "product"),
)


def chosen(choose, k, item=None, pool=POOL, **more):
    return make_selector(ShotsConfig(choose=choose, k=k, **more), pool).choose(item)


def item(text, identifier="i"):
    return Item(identifier, {"text": text})


def test_none():
    assert chosen("none", 4) == []
    assert chosen("similar", 0, item("x"), pool=[]) == []
    assert make_selector(ShotsConfig(), []).static


def test_fixed_are_the_first_of_the_pool():
    assert chosen("fixed", 2) == POOL[:2]
    assert chosen("fixed", 5) == POOL


@pytest.mark.parametrize("choose", ["fixed", "diverse", "similar"])
def test_too_small_a_pool_is_one_line(choose):
    with pytest.raises(
        InputError,
        match=r"^shots: 6 examples wanted, but only 5 are there \(source: gold\); lower k or add",
    ):
        chosen(choose, 6, source="gold")


# Diverse


def test_diverse_takes_the_labels_in_turn():
    for seed in range(20):
        labels = [shot.label for shot in diverse(POOL, 3, seed)]
        assert sorted(labels) == ["delivery", "payment", "product"]
        assert sorted(shot.label for shot in diverse(POOL, 5, seed)) == sorted(
            s.label for s in POOL
        )
    assert {diverse(POOL, 1, seed)[0].label for seed in range(20)} == {
        "delivery",
        "payment",
        "product",
    }
    assert {diverse(POOL, 3, seed)[-1].label for seed in range(20)} == {
        "delivery",
        "payment",
        "product",
    }


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", ["a"], ["a", "b"], []]), max_size=12),
    st.integers(0, 12),
    st.integers(),
)
def test_diverse_is_balanced_and_the_same_every_time(labels, k, seed):
    pool = shots(*((f"t{n}", label) for n, label in enumerate(labels)))
    found = diverse(pool, k, seed)
    assert found == diverse(pool, k, seed)
    assert len(found) == min(k, len(pool))
    assert len({shot.item_id for shot in found}) == len(found)
    counts = {str(shot.label): 0 for shot in pool}
    for shot in found:
        counts[str(shot.label)] += 1
    for label, n in counts.items():  # nobody has two more than another that had more to give
        left = sum(str(shot.label) == label for shot in pool) - n
        assert not left or n >= max(counts.values()) - 1


# Similar


def test_similar_puts_the_nearest_last():
    found = chosen("similar", 2, item("is my parcel late again?"))
    assert [shot.item_id for shot in found][-1] == "g0"
    assert chosen("similar", 1, item("A broken CUP")) == [POOL[4]]


def test_similar_never_shows_the_item_itself():
    for n, shot in enumerate(POOL):
        found = chosen("similar", 4, item("something else", f"g{n}"))
        assert shot not in found
        assert len(found) == 4


@pytest.mark.parametrize("text", ["my parcel is late", "My  parcel is late\n", "MY PARCEL IS LATE"])
def test_similar_never_shows_the_same_text(text):
    found = chosen("similar", 5, item(text))
    assert len(found) == 4  # one fewer, where the pool has no other
    assert POOL[0] not in found


def test_similar_without_anything_in_common_is_the_order_of_the_pool():
    for text in ("?!", "", "zzz", "😀"):
        assert chosen("similar", 2, item(text)) == POOL[:2][::-1]


def test_a_pool_without_words_is_one_line():
    with pytest.raises(
        InputError,
        match=r"^shots: the examples have no words to compare by; use choose: diverse or fixed$",
    ):
        chosen("similar", 2, item("x"), pool=shots(("?!", "a"), ("...", "b")))


def test_a_pool_with_some_texts_without_words():
    pool = shots(("?!", "a"), ("word", "b"), ("", "a"))
    assert chosen("similar", 1, item("a word"), pool=pool) == [pool[1]]


def test_similar_over_two_fields():
    pool = [
        Shot({"title": t, "body": b}, "a", item_id=t)
        for t, b in (("x", "late parcel"), ("y", "bill"))
    ]
    found = Similar(pool, 1).choose(Item("i", {"title": "z", "body": "a parcel"}))
    assert [shot.item_id for shot in found] == ["x"]
    assert Similar(pool, 2).choose(Item("i", {"title": "x", "body": "late parcel"})) == [pool[1]]


def test_plain_texts():
    assert plain({"a": "Cafe\u0301 \n", "b": " B"}) == plain({"a": "CAFÉ", "b": "b"}) == "café b"


# Identity: another choice is another annotator


def test_identity():
    def identity(choose, k=2, pool=POOL, **more):
        return make_selector(ShotsConfig(choose=choose, k=k, **more), pool).identity()

    assert identity("similar") == identity("similar")
    assert identity("similar") != identity("similar", 3)
    assert identity("similar") != identity("similar", pool=POOL[:4])
    assert identity("fixed") != identity("fixed", pool=POOL[::-1])
    assert identity("diverse", seed=1) == identity("diverse", seed=1)
    assert Same(POOL).identity() != Same(shots(*((s.fields["text"], "x") for s in POOL))).identity()
