"""The response cache: nothing is pickled, nothing is lost, money is counted exactly."""

from __future__ import annotations

import pickle
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.cache import PICO, ResponseCache, cache_key, picos
from prelabel.errors import InputError

REPLY = {"raw": {"choices": [{"message": {"content": "é \ud800 \x00"}}]}, "cost": 0.5}


def test_an_answer_comes_back(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "deep" / "cache", "me")
    assert cache.get("k") is None
    cache.put("k", {"raw": {"text": "é\x00"}}, 0.25)
    cache.put("half a character", REPLY, None)
    cache.put("long", {"text": "long " * 100_000}, None)
    cache.close()
    again = ResponseCache(tmp_path / "deep" / "cache", "me")
    assert again.get("k") == {"raw": {"text": "é\x00"}}
    assert again.get("half a character")
    assert again.get("long") == {"text": "long " * 100_000}
    assert len(again) == 3
    assert 0 < again.volume() < 100_000  # it is compressed
    assert again.spent == 0.25
    again.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o777)
    ResponseCache(folder, "me").close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


class Trap:
    """Would make a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_from_elsewhere_is_refused(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "cache", "me")
    cache.put("k", {"a": 1}, 0.0)
    cache.put("text", {"a": 1}, 0.0)
    cache.close()
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    with sqlite3.connect(tmp_path / "cache" / "cache.db") as db:
        db.execute("UPDATE Cache SET mode = 4, value = ? WHERE key = 'k'", (trap,))
        db.execute("UPDATE Cache SET mode = 3, value = 'no bytes' WHERE key = 'text'")
        db.execute("INSERT INTO Cache (key, raw, mode, value) VALUES (?, 0, 4, ?)", (trap, trap))
    db.close()
    cache = ResponseCache(tmp_path / "cache", "me")
    for key in ("k", "text"):
        with pytest.raises(InputError, match="the cache cannot be read"):
            cache.get(key)
    with pytest.raises(InputError, match="a pickled cache key was refused"):
        len(cache)
    assert not sprung.exists()
    cache.close()


@pytest.mark.parametrize("key", [b"bytes", ("a", 1), None])
def test_nothing_is_pickled_on_writing(tmp_path: Path, key: object) -> None:
    cache = ResponseCache(tmp_path, "me")
    with pytest.raises(TypeError, match="keys are text"):
        cache._cache.set(key, b"value")
    with pytest.raises(TypeError, match="values are bytes"):
        cache._cache.set("key", {"an": "object"})
    cache.close()


def test_a_file_that_is_no_cache_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"not a database, but a text\n" * 100)
    with pytest.raises(InputError, match="the cache cannot be opened") as caught:
        ResponseCache(folder, "me")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the connection that failed to open
def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="the cache cannot be opened"):
        ResponseCache(tmp_path / "cache", "me")


def test_what_is_held_is_unconfirmed_after_a_kill(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path, "me")
    for _ in range(4):
        cache.hold(1.0)
    cache.put("a", {}, 0.25, held=1.0)
    cache.release(1.0, lost=False)
    cache.release(1.0, lost=True)
    assert (cache.spent, cache.unconfirmed) == (0.25, 1.0)
    cache._cache.close()  # as after a kill
    cache = ResponseCache(tmp_path, "me")
    for _ in range(2):
        cache.give_up_held()
        assert (cache.spent, cache.unconfirmed) == (0.25, 5.0)  # up to four were in flight
    cache.hold(0.5)
    cache.put("b", {}, None, held=0.5)  # bought, but the cost is not known
    assert (cache.spent, cache.unconfirmed) == (0.25, 5.5)
    cache.close()
    cache = ResponseCache(tmp_path, "me")
    cache.give_up_held()
    assert (cache.spent, cache.unconfirmed) == (0.25, 5.5)  # the run before ended by itself
    other = ResponseCache(tmp_path, "someone else")
    assert (other.spent, other.unconfirmed) == (0.0, 0.0)
    other.close()
    cache.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20))
def test_sums_are_exact(tmp_path_factory: pytest.TempPathFactory, tokens: list[int]) -> None:
    cache = ResponseCache(tmp_path_factory.mktemp("cache"), "me")
    for n, count in enumerate(tokens):
        cache.put(str(n), {}, count * 1.5e-7)
    assert cache._counted("spent") == sum(tokens) * 150_000
    cache.close()


@given(st.floats(0, 1e5))
def test_fractions_are_rounded_up(dollars: float) -> None:
    assert picos(dollars) / PICO >= dollars * (1 - 1e-12) - 1e-15
    assert picos(dollars) - 1 <= dollars * PICO * (1 + 1e-12) + 1e-3


def test_keys_tell_requests_apart() -> None:
    base = {"a": [1, "x"], "b": {"c": None}}
    assert cache_key(base) == cache_key({"b": {"c": None}, "a": [1, "x"]})
    others = [{"a": [1, "y"], "b": {"c": None}}, {"a": ["x", 1], "b": {"c": None}}, {"a": [1, "x"]}]
    assert len({cache_key(other) for other in [base, *others]}) == 4
    assert cache_key({"half": "\ud800"}) != cache_key({"half": "\ud801"})
