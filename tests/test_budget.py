"""The budget is a cap on what the server could bill, whatever happens."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prelabel.budget import Budget
from prelabel.errors import InputError
from prelabel.run import TOO_DEAR, label, opened


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    p.warm_up(tmp_path_factory.mktemp("warm"))


class Till:
    """Counts true costs."""

    def __init__(self) -> None:
        self.spent = 0.0


async def buy(budget: Budget, till: Till, bound: float, cost: float) -> bool:
    if not await budget.reserve(bound):
        return False
    await asyncio.sleep(random.random() / 1000)
    till.spent += cost
    await budget.settle(bound)
    return True


def test_no_limit_is_no_limit() -> None:
    async def go() -> bool:
        budget, till = Budget(None, lambda: till.spent), Till()
        return all([await buy(budget, till, 1e9, 1e9) for _ in range(3)])

    assert asyncio.run(go())


def test_it_waits_for_calls_that_may_turn_out_cheap() -> None:
    async def go() -> list[bool]:
        till = Till()
        budget = Budget(1.0, lambda: till.spent)
        return await asyncio.gather(*(buy(budget, till, 0.9, 0.01) for _ in range(8)))

    assert all(asyncio.run(go()))


def test_one_item_too_dear_does_not_end_the_run() -> None:
    async def go() -> None:
        till = Till()
        budget = Budget(1.0, lambda: till.spent)
        assert not await buy(budget, till, 2.0, 2.0)
        assert await buy(budget, till, 0.5, 0.1)
        assert till.spent == 0.1

    asyncio.run(go())


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 2),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 1)), min_size=1, max_size=40),
)
def test_the_limit_is_never_passed(limit: float, calls: list[tuple[float, float]]) -> None:
    till = Till()

    async def go() -> None:
        budget = Budget(limit, lambda: till.spent)
        await asyncio.gather(*(buy(budget, till, b, b * share) for b, share in calls))
        assert budget.reserved == pytest.approx(0, abs=1e-9)

    asyncio.run(go())
    assert till.spent <= limit + 1e-9


def text_of(rng: random.Random, n: int) -> str:
    mark = rng.choice(
        ["", "", "", "[[off_list,valid]]", "[[hang]]", "[[reset,valid]]", "[[down,valid]]",
         "[[html]]", "[[truncated]]", "[[rate_limited,valid]]"]
    )  # fmt: skip
    return f"{mark} {n} " + "word " * rng.randint(0, 300)


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32),
    share=st.floats(0.02, 1.2),
    prices=st.tuples(st.floats(0.01, 50), st.floats(0.01, 100)),
    concurrency=st.integers(1, 12),
)
def test_a_run_never_costs_more_than_its_budget(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    share: float,
    prices: tuple[float, float],
    concurrency: int,
) -> None:
    rng = random.Random(seed)
    texts = [text_of(rng, n) for n in range(15)]
    read, write = prices[0] / 1e6, prices[1] / 1e6
    limit = share * (15 * 3000 * read + 15 * 64 * write)
    with w.serving(delay=0.002) as wire:
        annotator = p.openai_like(
            wire, price={"input": prices[0], "output": prices[1]}, max_tokens=64
        )
        project = p.make_project(
            tmp_path_factory.mktemp("run"), texts, [annotator],
            concurrency=concurrency, timeout=0.5, retries=1,
        )  # fmt: skip
        for _ in range(2):  # the cap is on the project, so a second run has only what is left
            status = label(project, max_cost=limit)
    billed = wire.tokens["in"] * read + wire.tokens["out"] * write
    with opened(project) as (_, cache):
        assert cache.spent + cache.unconfirmed <= limit + 1e-9
        assert billed <= cache.spent + cache.unconfirmed + 1e-9
        assert cache._counted("held") == 0
    assert billed <= limit + 1e-9
    done = w_outcomes(project)
    assert status.done == 15 or done["budget"] or status.stopped


def w_outcomes(project: Any) -> Counter[str]:
    return Counter(a.failure or a.outcome for a in p.annotations(project).values())


def test_a_full_budget_is_said_and_the_rest_is_left(tmp_path: Path) -> None:
    with w.serving() as wire:
        annotator = p.openai_like(wire, price={"input": 1, "output": 1})
        project = p.make_project(tmp_path, [f"text {n}" for n in range(50)], [annotator])
        status = label(project, max_cost=0.005)
        (line,) = status.stopped
        assert line.startswith("annotator 'gpt': the next call may cost up to $")
        assert "of $0.005 is gone; raise --max-cost" in line
        assert not status.fatal
        assert 0 < status.outcomes["labeled"] < 50
        assert TOO_DEAR <= status.failures["budget"] < 50 - status.outcomes["labeled"]
        calls = sum(wire.calls.values())
        assert calls == status.outcomes["labeled"]
        again = label(project, max_cost=1.0)
    assert again.outcomes == {"labeled": 50 - calls}
    assert max(wire.calls.values()) == 1


def test_zero_dollars_buy_nothing_but_replay_is_free(tmp_path: Path) -> None:
    with w.serving() as wire:
        project = p.make_project(tmp_path, ["a", "b"], [p.openai_like(wire)])
        assert label(project, max_cost=0).outcomes == {"failed": 2}
        assert not wire.calls
        first = label(project)
        (tmp_path / ".prelabel" / "ledger.sqlite").rename(tmp_path / "old")
        again = label(project, max_cost=0)
    assert again.outcomes == {"labeled": 2}
    assert (again.replayed, again.spent) == (2, 0.0)
    paid = sum(a.usage.cost or 0 for a in p.annotations(project).values())
    assert paid == pytest.approx(first.spent, abs=1e-12)
    assert sum(wire.calls.values()) == 2


def test_a_cap_needs_a_price(tmp_path: Path) -> None:
    with w.serving() as wire:
        unpriced = p.openai_like(wire, "own", model="openai/my-model")
        project = p.make_project(tmp_path, ["a"], [p.openai_like(wire), unpriced])
        with pytest.raises(InputError, match="'own': openai/my-model has no known price") as caught:
            label(project, max_cost=1.0)
        assert "\n" not in str(caught.value)
        assert not wire.calls
        status = label(project, ["own"])
    assert status.unpriced == 1
    assert p.annotations(project)["i0"].usage.cost is None
