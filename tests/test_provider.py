"""What providers do -> one kind of outcome, the right number of calls, and true costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w

from prelabel.project import Project
from prelabel.provider import capabilities, price_of, prices, upper_bound
from prelabel.run import label
from prelabel.settings import AnnotatorConfig

RETRIES = 1
ONCE, AGAIN = 1, 1 + RETRIES

OUTCOMES: dict[str, tuple[str | None, int]] = {  # the failure, and the calls made
    "valid": (None, ONCE),
    "fenced": (None, ONCE),
    "off_list": ("off_list", 2),  # asked once more
    "malformed": ("unparsable", 2),
    "prose": ("unparsable", 2),
    "two": ("unparsable", 2),
    "twice": ("unparsable", 2),
    "null": ("unparsable", 2),
    "mute": ("refused", ONCE),
    "filtered": ("refused", ONCE),
    "policy": ("refused", ONCE),
    "truncated": ("truncated", ONCE),
    "bad": ("bad_request", ONCE),
    "too_large": ("bad_request", ONCE),
    "too_long": ("bad_request", ONCE),
    "empty": ("outage", AGAIN),
    "nothing": ("outage", AGAIN),
    "html": ("outage", AGAIN),
    "error_200": ("outage", AGAIN),
    "down": ("outage", AGAIN),
    "unavailable": ("outage", AGAIN),
    "overloaded": ("outage", AGAIN),
    "reset": ("outage", AGAIN),
    "half": ("outage", AGAIN),
    "hang": ("timeout", AGAIN),
    "rate_limited": ("rate_limited", AGAIN),
    "wait": ("rate_limited", AGAIN),
}
BILLED = {"empty", "nothing", "html", "error_200", "reset", "half", "hang"}
"""What may have been billed though no answer came."""

SPEAKERS = {"openai": p.openai_like, "anthropic": p.anthropic_like}


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    p.warm_up(tmp_path_factory.mktemp("warm"))


@pytest.fixture(params=SPEAKERS)
def speaker(request: pytest.FixtureRequest) -> Any:
    return SPEAKERS[request.param]


@pytest.fixture
def wire() -> Iterator[w.Wire]:
    with w.serving() as server:
        yield server


def test_each_behaviour_is_one_outcome(tmp_path: Path, wire: w.Wire, speaker: Any) -> None:
    texts = {name: f"[[{name}]] {name}" for name in OUTCOMES}
    project = p.make_project(
        tmp_path, list(texts.values()), [speaker(wire)], timeout=1.0, concurrency=8
    )
    status = label(project)
    assert not status.stopped
    found = p.annotations(project)
    by_name = {name: found[f"i{n}"] for n, name in enumerate(OUTCOMES)}
    assert {name: a.failure for name, a in by_name.items()} == {
        name: failure for name, (failure, _) in OUTCOMES.items()
    }
    calls = {name: wire.calls[text] for name, text in texts.items()}
    assert calls == {name: calls for name, (_, calls) in OUTCOMES.items()}
    assert {name: a.usage.calls for name, a in by_name.items()} == calls
    assert {name for name, a in by_name.items() if a.usage.unconfirmed} == BILLED
    for name, annotation in by_name.items():
        assert (annotation.label is None) == (annotation.failure is not None)
        assert "\n" not in annotation.detail
        assert bool(annotation.detail) == (annotation.failure is not None), name
    assert status.unconfirmed == pytest.approx(sum(a.usage.unconfirmed for a in by_name.values()))


def test_errors_are_asked_again_and_answers_are_not(
    tmp_path: Path, wire: w.Wire, speaker: Any
) -> None:
    names = ["off_list", "malformed", "mute", "truncated", "down,down,valid", "bad,valid"]
    texts = [f"[[{name}]]" for name in names]
    project = p.make_project(tmp_path, texts, [speaker(wire)])
    label(project)
    first, spent = dict(wire.calls), label_spent(project)
    label(project)
    again = {text: wire.calls[text] - first[text] for text in texts}
    assert again == dict(zip(texts, [0, 0, 0, 0, 1, 1], strict=True))
    found = p.annotations(project)
    assert [found[f"i{n}"].failure for n in range(6)] == [
        "off_list", "unparsable", "refused", "truncated", None, None,
    ]  # fmt: skip
    replayed = found["i0"]
    assert replayed.replayed
    assert replayed.usage.calls == 2  # what was bought is still shown
    assert replayed.usage.cost
    assert label_spent(project) > spent


def label_spent(project: Project) -> float:
    from prelabel.run import opened

    with opened(project) as (_, cache):
        return cache.spent


@pytest.mark.parametrize("name", ["unknown_key", "forbidden", "no_model", "quota"])
def test_what_fails_every_call_stops_that_annotator_only(
    tmp_path: Path, wire: w.Wire, speaker: Any, name: str
) -> None:
    broken = speaker(wire, "broken", model=speaker(wire)["model"], concurrency=1)
    other = p.openai_like(wire, "other", concurrency=1, seed=1)

    def script(text: str, n: int) -> w.Reply:
        last = wire.requests[-1]["body"]
        return w.Reply() if last.get("seed") == 1 else w.BEHAVIOURS[name]()

    wire.script = script
    project = p.make_project(tmp_path, [f"text {n}" for n in range(10)], [broken, other])
    status = label(project)
    assert status.fatal
    assert len(status.stopped) == 1
    assert status.stopped[0].startswith("annotator 'broken': ")
    assert status.outcomes == {"labeled": 10}
    assert len(wire.requests) == 11


def test_a_missing_key_names_the_variable(
    tmp_path: Path, wire: w.Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    one = p.openai_like(wire, "one", api_key="${NOT_SET_ANYWHERE}")
    two = p.openai_like(wire, "two", api_key=None)
    status = label(p.make_project(tmp_path, ["a", "b"], [one, two]))
    assert status.fatal
    assert [line for line in sorted(status.stopped) if "\n" in line] == []
    assert "NOT_SET_ANYWHERE" in min(status.stopped)
    assert "OPENAI_API_KEY" in max(status.stopped)
    assert not wire.calls


@pytest.mark.parametrize("wait", ["wait", "wait_date"])
def test_retry_after_pauses_all_workers(
    tmp_path: Path, wire: w.Wire, speaker: Any, wait: str
) -> None:
    wire.delay = 0.05
    texts = [f"[[{wait},valid]] first", *(f"item {n}" for n in range(40))]
    project = p.make_project(tmp_path, texts, [speaker(wire)], concurrency=4)
    status = label(project)
    assert status.outcomes == {"labeled": 41}
    assert wire.calls[texts[0]] == 2
    refused = wire.times[0][0]
    early = [at for at, _ in wire.times if at - refused < 0.9]
    assert len(early) <= 8  # those in flight, and the ones begun before the refusal arrived


def test_an_outage_of_one_item_does_not_hold_up_the_others(tmp_path: Path, wire: w.Wire) -> None:
    texts = ["[[down,down,down,valid]]", *(f"item {n}" for n in range(30))]
    project = p.make_project(tmp_path, texts, [p.openai_like(wire)], concurrency=2, retries=3)
    label(project)
    order = [text for _, text in wire.times]
    assert order[-1] == texts[0]  # it waited longest, and all others were done meanwhile


@pytest.mark.parametrize("price", [None, {"input": 3.0, "output": 7.0}])
def test_costs_are_those_of_the_server(tmp_path: Path, wire: w.Wire, price: Any) -> None:
    texts = [f"text {n} " + "word " * n for n in range(20)] + ["[[off_list,valid]] x"]
    project = p.make_project(tmp_path, texts, [p.openai_like(wire, price=price)])
    status = label(project)
    read, write = (3e-6, 7e-6) if price else (1.5e-7, 6e-7)
    true = wire.tokens["in"] * read + wire.tokens["out"] * write
    found = p.annotations(project).values()
    assert status.spent == pytest.approx(true, abs=1e-12)
    assert sum(a.usage.cost or 0 for a in found) == pytest.approx(true, abs=1e-12)
    assert sum(a.usage.input_tokens for a in found) == wire.tokens["in"]
    assert sum(a.usage.output_tokens for a in found) == wire.tokens["out"]
    assert sum(a.usage.calls for a in found) == sum(wire.calls.values()) == 22
    assert status.unconfirmed == 0


def test_anthropic_prompt_caching_is_asked_for_and_paid_for(tmp_path: Path, wire: w.Wire) -> None:
    wire.cached, wire.written = 300, 70
    shots = {"choose": "fixed", "k": 2}
    annotators = [p.anthropic_like(wire), p.anthropic_like(wire, "shown", shots=shots)]
    project = p.make_project(tmp_path, ["one", "two"], annotators)
    status = label(project)
    for request in wire.requests:
        body = request["body"]
        blocks = [*body["system"], *(b for m in body["messages"] for b in m["content"])]
        marks = [n for n, block in enumerate(blocks) if block.get("cache_control")]
        static = len(blocks) - 2  # all but the item is static
        assert marks == [static]
    tokens = wire.tokens
    true = tokens["in"] * 3e-6 + tokens["cached"] * 3e-7 + tokens["written"] * 3.75e-6
    true += tokens["out"] * 1.5e-5
    assert status.spent == pytest.approx(true, abs=1e-12)
    found = p.annotations(project).values()
    assert sum(a.usage.cached_tokens for a in found) == 1200
    assert all(a.usage.input_tokens > 370 for a in found)


def test_an_answer_without_usage_has_unknown_cost(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(tmp_path, ["[[unmetered]]"], [p.openai_like(wire)])
    status = label(project, max_cost=1.0)
    annotation = p.annotations(project)["i0"]
    assert annotation.outcome == "labeled"
    assert annotation.usage.cost is None
    assert status.unpriced == 1
    assert status.unconfirmed == pytest.approx(annotation.usage.unconfirmed)
    assert annotation.usage.unconfirmed > 0


def test_the_price_is_that_of_the_model_asked_for(tmp_path: Path, wire: w.Wire) -> None:
    real = wire.answer

    def other(*args: Any) -> dict[str, Any]:
        return real(*args) | {"model": "gpt-4o"}  # dearer

    wire.answer = other  # type: ignore[method-assign]
    status = label(p.make_project(tmp_path, ["x"], [p.openai_like(wire)]))
    true = wire.tokens["in"] * 1.5e-7 + wire.tokens["out"] * 6e-7
    assert status.spent == pytest.approx(true, abs=1e-12)


def test_keys_are_nowhere_on_disk(tmp_path: Path, wire: w.Wire, speaker: Any) -> None:
    echo = w.error(f"Incorrect API key provided: {p.SECRET}", "invalid_api_key")
    wire.script = lambda text, n: (
        w.Reply(status=400, body=echo) if text == "x" else w.by_mark(text, n)
    )
    header = {"extra_headers": {"X-Other-Token": p.SECRET}}
    annotator = speaker(wire, extra=header)
    project = p.make_project(tmp_path, ["x", "fine"], [annotator], concurrency=1)
    (tmp_path / "prelabel.yaml").unlink()
    label(project)
    assert wire.requests[0]["headers"]["x-other-token"] == p.SECRET
    assert "***" in p.annotations(project)["i0"].detail
    wire.script = lambda text, n: w.Reply(status=401, body=echo)
    (tmp_path / "items.jsonl").write_text('{"id": "new", "text": "new"}\n')
    status = label(project)
    assert "***" in status.stopped[0]
    assert p.SECRET not in status.stopped[0]
    files = [path for path in (tmp_path / ".prelabel").rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert [path for path in files if p.SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("model", "settings", "advice"),
    [
        ("openai/o3-mini", {}, "temperature: null"),
        ("openai/gpt-5", {}, "temperature: null"),
        ("openai/gpt-5", {"temperature": None, "logprobs": True}, "logprobs: false"),
        ("anthropic/claude-sonnet-4-5", {"seed": 1}, "seed: null"),
    ],
)
def test_a_setting_that_a_model_refuses_is_one_line(
    tmp_path: Path, wire: w.Wire, model: str, settings: dict[str, Any], advice: str
) -> None:
    url = wire.url if "claude" in model else f"{wire.url}/v1"
    annotator = {"name": "a", "model": model, "base_url": url, "api_key": "k"} | settings
    status = label(p.make_project(tmp_path, ["x", "y"], [annotator]))
    assert status.fatal
    assert f"set `{advice}`" in status.stopped[0]
    assert not wire.calls


def test_reasoning_models_get_their_own_token_limit(tmp_path: Path, wire: w.Wire) -> None:
    annotators = [
        p.openai_like(wire, name.replace(".", ""), model=f"openai/{name}", temperature=None)
        for name in ("o3-mini", "gpt-5")
    ]
    assert label(p.make_project(tmp_path, ["x"], annotators)).outcomes == {"labeled": 2}
    for request in wire.requests:
        assert request["body"]["max_completion_tokens"] == 256
        assert "max_tokens" not in request["body"]


def test_a_server_of_ones_own(tmp_path: Path, wire: w.Wire) -> None:
    own = p.openai_like(wire, model="openai/meta-llama/Llama-3.2-1B", extra={"guided": [1]})
    status = label(p.make_project(tmp_path, ["x"], [own]))
    assert status.outcomes == {"labeled": 1}
    assert status.unpriced == 1
    body = wire.requests[0]["body"]
    assert body["model"] == "meta-llama/Llama-3.2-1B"
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["guided"] == [1]


def test_prices() -> None:
    assert prices("local/smollm2-135m") == (0, 0, 0, 0)
    assert prices("ollama/llama3.2") == (0, 0, 0, 0)
    assert prices("openai/no-such-model") is None
    sonnet = prices("anthropic/claude-sonnet-4-5")
    assert sonnet
    assert sonnet[:2] == (3e-6, 1.5e-5)
    assert sonnet.most_input >= 3.75e-6  # writing a prompt cache costs more than reading
    for model in ("openai/gpt-4o-mini", "gpt-4o-mini"):
        mini = prices(model)
        assert mini
        assert mini[:2] == (1.5e-7, 6e-7)
        assert mini.most_input < 1e-6  # not the price of an image or a search
    gemini = prices("gemini/gemini-2.5-flash")
    assert gemini
    assert gemini.most_input < 1e-6  # not the price of sound
    tiered = prices("dashscope/qwen-flash")
    assert tiered == (5e-8, 4e-7, 2.5e-7, 2e-6)
    own = AnnotatorConfig.model_validate(
        {"name": "a", "model": "openai/x", "price": {"input": 1, "output": 2}}
    )
    assert price_of(own) == (1e-6, 2e-6)


def test_upper_bound_is_unknown_without_a_price() -> None:
    config = AnnotatorConfig.model_validate({"name": "a", "model": "openai/no-such-model"})
    assert upper_bound(config, [{"role": "user", "content": "x"}], {}) is None


def test_capabilities_are_kept_and_not_counted_as_answers(tmp_path: Path) -> None:
    from prelabel.cache import ResponseCache

    cache = ResponseCache(tmp_path, "me")
    able = capabilities("openai/gpt-4o-mini", cache)
    assert able == {
        "provider": "openai", "mode": "schema", "logprobs": True, "cache_control": False,
    }  # fmt: skip
    assert capabilities("anthropic/claude-sonnet-4-5", cache)["cache_control"]
    assert capabilities("ollama/llama3.2", cache)["mode"] in ("schema", "json")
    assert len(cache) == 0
    cache.close()


def test_an_unknown_provider_is_one_line(tmp_path: Path, wire: w.Wire) -> None:
    from prelabel.errors import InputError

    project = p.make_project(tmp_path, ["x"], [p.openai_like(wire, model="no-such-model")])
    with pytest.raises(InputError, match="unknown provider; write PROVIDER/MODEL") as caught:
        label(project)
    assert not re.search(r"\n", str(caught.value))


def test_an_answer_that_trickles_is_a_timeout(
    tmp_path: Path, wire: w.Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prelabel.provider.GRACE", 0.1)
    project = p.make_project(
        tmp_path, ["[[trickle,valid]]"], [p.openai_like(wire)], timeout=0.5, retries=0
    )
    assert label(project).failures == {"timeout": 1}
    assert label(project).outcomes == {"labeled": 1}
