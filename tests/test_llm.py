"""Asking: the cache key, what is read out of an answer, re-asks, and what is bought twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import create_model

from prelabel.annotate import LLMAnnotator
from prelabel.budget import Budget
from prelabel.cache import ResponseCache
from prelabel.errors import InputError
from prelabel.provider import cost_of, upper_bound
from prelabel.run import label
from prelabel.settings import AnnotatorConfig
from prelabel.tasks.classification import Classification


@pytest.fixture(scope="module")
def wire() -> Iterator[w.Wire]:
    with w.serving() as server:
        yield server


def key_of(folder: Path, cache: ResponseCache, settings: dict[str, Any], **project: Any) -> str:
    """Return the cache key of one item's first question."""
    text = project.pop("text", "hello")
    sample = project.pop("sample", 0)
    made = p.make_project(folder, [text], [settings], **project)
    one = LLMAnnotator(made, made.config.annotators[0], cache, Budget(None, lambda: 0.0))
    (item,) = made.items()
    messages = [*one.llm.static, *one.compiler.compile(item).messages]
    return one.llm.key(messages, sample)


CHANGES: dict[str, dict[str, Any]] = {
    "model": {"model": "openai/gpt-4o"},
    "provider": {"model": "anthropic/claude-sonnet-4-5", "mode": "schema", "logprobs": False},
    "base_url": {"base_url": "http://127.0.0.1:1/v1"},
    "temperature": {"temperature": 0.5},
    "no temperature": {"temperature": None},
    "top_p": {"top_p": 0.9},
    "seed": {"seed": 1},
    "max_tokens": {"max_tokens": 99},
    "logprobs": {"logprobs": False},
    "mode json": {"mode": "json"},
    "mode text": {"mode": "text"},
    "extra": {"extra": {"presence_penalty": 1}},
    "prompt": {"prompt": "brief"},
    "shots": {"shots": {"choose": "fixed", "k": 2}},
    "rationale": {"rationale": True},
}
NO_CHANGES: dict[str, dict[str, Any]] = {
    "api_key": {"api_key": "another"},
    "concurrency": {"concurrency": 3},
    "name": {"name": "another"},
    "price": {"price": {"input": 1, "output": 1}},
    "reasks": {"reasks": 4},
}


def test_the_key_holds_what_changes_the_answer_and_nothing_else(
    tmp_path: Path, wire: w.Wire
) -> None:
    cache = ResponseCache(tmp_path / "cache", "me")
    base = p.openai_like(wire)
    key = key_of(tmp_path / "p", cache, base)
    keys = {name: key_of(tmp_path / "p", cache, base | new) for name, new in CHANGES.items()}
    keys["text"] = key_of(tmp_path / "p", cache, base, text="hello ")
    keys["labels"] = key_of(tmp_path / "p", cache, base, labels=("toxic", "fine"))
    keys["task"] = key_of(tmp_path / "p", cache, base, task="multi-label")
    keys["sample"] = key_of(tmp_path / "p", cache, base, sample=1)
    assert len({key, *keys.values()}) == 1 + len(keys)
    for name, new in NO_CHANGES.items():
        assert key_of(tmp_path / "p", cache, base | new) == key, name
    assert key_of(tmp_path / "p", cache, base, timeout=9.0, retries=3, concurrency=2) == key
    cache.close()


def test_the_schema_is_in_the_key(
    tmp_path: Path, wire: w.Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ResponseCache(tmp_path / "cache", "me")
    key = key_of(tmp_path / "p", cache, p.openai_like(wire))
    real = Classification.response_model

    def other(self: Classification, *, rationale: bool) -> Any:
        model = real(self, rationale=rationale)
        return create_model("Answer", __base__=model, sure=(bool, False))

    monkeypatch.setattr(Classification, "response_model", other)  # the prompt stays as it was
    assert key_of(tmp_path / "p", cache, p.openai_like(wire)) != key
    cache.close()


def test_an_endpoint_named_by_the_environment_is_in_the_key(
    tmp_path: Path, wire: w.Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ResponseCache(tmp_path / "cache", "me")
    for model in ("openai/gpt-4o-mini", "gpt-4o-mini"):  # litellm knows whose the second is
        base = p.openai_like(wire, model=model, base_url=None)
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        key = key_of(tmp_path / "p", cache, base)
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        assert key_of(tmp_path / "p", cache, base) != key
    cache.close()


@pytest.mark.parametrize("name", ["max_tokens", "n", "stream", "api_key", "num_retries", "model"])
def test_extra_may_not_undo_settings(tmp_path: Path, wire: w.Wire, name: str) -> None:
    project = p.make_project(tmp_path, ["x"], [p.openai_like(wire, extra={name: 5})])
    with pytest.raises(InputError, match=f"'gpt': extra may not hold '{name}'"):
        label(project)


def test_extra_goes_to_the_provider_and_may_limit_logprobs(tmp_path: Path, wire: w.Wire) -> None:
    extra = {"top_logprobs": 5, "user": "me"}
    label(p.make_project(tmp_path, ["x"], [p.openai_like(wire, extra=extra)]))
    body = wire.requests[-1]["body"]
    assert (body["top_logprobs"], body["user"]) == (5, "me")


@pytest.mark.parametrize("mode", ["schema", "json", "text"])
@pytest.mark.parametrize("speak", [p.openai_like, p.anthropic_like])
def test_every_mode_gets_its_answer(tmp_path: Path, wire: w.Wire, mode: str, speak: Any) -> None:
    texts = [f"{mode} {speak.__name__} {n}" for n in range(3)]
    project = p.make_project(tmp_path, texts, [speak(wire, mode=mode)])
    if speak is p.anthropic_like and mode == "json":
        return  # Anthropic has no JSON mode without a schema; litellm refuses or emulates it
    assert label(project).outcomes == {"labeled": 3}
    schema = wire.schema({})
    for n, text in enumerate(texts):
        found = p.annotations(project)[f"i{n}"]
        assert found.label == w.chosen(text, schema)["label"]


def test_multi_label_reads_every_label(tmp_path: Path, wire: w.Wire) -> None:
    labels = ("threat", "insult", 'say "x"')
    project = p.make_project(
        tmp_path, ["a", "b", "c"], [p.openai_like(wire)], labels=labels, task="multi-label"
    )
    label(project)
    schema = {"properties": {"labels": {"type": "array", "items": {"enum": list(labels)}}}}
    for n, text in enumerate("abc"):
        found = p.annotations(project)[f"i{n}"]
        assert found.label == w.chosen(text, schema)["labels"]
        assert found.distribution
        assert set(found.distribution) == set(labels)


def test_the_distribution_of_an_answer_is_kept(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(tmp_path, ["x"], [p.openai_like(wire)])
    label(project)
    found = p.annotations(project)["i0"]
    other = {"toxic": "not_toxic", "not_toxic": "toxic"}[found.label]
    assert found.distribution == {"": {found.label: 0.8, other: 0.2}}


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        ('{"label": "toxic"}', "toxic"),
        ('{"label": " TOXIC\\n"}', "toxic"),
        ('Here it is: {"label": "toxic"} as asked', "toxic"),
        ('```\n{"label": "toxic"}\n```', "toxic"),
        ('{"label": "toxic", "sure": true}', "toxic"),
        ('{"label": "Not toxic."}', "off_list"),
        ('{"label": "not toxic"}', "off_list"),
        ('{"label": "toxic or not_toxic"}', "off_list"),
        ('{"label": ""}', "off_list"),
        ('{"label": "abstain"}', "off_list"),  # the guideline offers no such way out
        ('{"label": null}', "unparsable"),
        ('{"label": ["toxic"]}', "unparsable"),
        ('{"label": true}', "unparsable"),
        ('["toxic"]', "unparsable"),
        ('"toxic"', "unparsable"),
        ("toxic", "unparsable"),
        ("Not toxic.", "unparsable"),
        ("{}", "unparsable"),
        ('{"label": "toxic"} or {"label": "not_toxic"}', "unparsable"),
        ('Hm: {"label": "toxic"}. No: {"label": "not_toxic"}', "unparsable"),
        (
            '<think>{"label": "toxic"}?</think>{"label": "not_toxic"}',
            "not_toxic",
        ),  # litellm parts it
        ('{"label": "not_toxic", "label": "toxic"}', "unparsable"),
        ("[" * 100_000, "unparsable"),
        ('{"label": "\\ud800"}', "off_list"),
    ],
)
def test_an_answer_is_matched_whole_or_not_at_all(
    tmp_path: Path, wire: w.Wire, content: str, outcome: str
) -> None:
    wire.script = lambda text, n: w.Reply(content)
    try:
        project = p.make_project(tmp_path, ["x"], [p.openai_like(wire, reasks=0)])
        label(project)
    finally:
        wire.script = w.by_mark
    found = p.annotations(project)["i0"]
    assert (found.failure or found.label) == outcome
    assert "\n" not in found.detail


@pytest.mark.parametrize("reasks", [0, 1, 3])
def test_reasks_are_bounded_and_all_paid_for(tmp_path: Path, wire: w.Wire, reasks: int) -> None:
    text = f"[[off_list]] reasks {reasks}"
    project = p.make_project(tmp_path, [text], [p.openai_like(wire, reasks=reasks)])
    before = wire.tokens.copy()
    status = label(project)
    found = p.annotations(project)["i0"]
    tokens = wire.tokens - before
    assert wire.calls[text] == found.usage.calls == 1 + reasks
    assert (found.usage.input_tokens, found.usage.output_tokens) == (tokens["in"], tokens["out"])
    cost = tokens["in"] * 1.5e-7 + tokens["out"] * 6e-7
    assert found.usage.cost == pytest.approx(cost, abs=1e-12)
    assert status.spent == pytest.approx(cost, abs=1e-12)
    assert found.failure == "off_list"


def test_a_reask_says_what_was_wrong(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(tmp_path, ["[[off_list,valid]] why"], [p.openai_like(wire)])
    label(project)
    messages = wire.requests[-1]["body"]["messages"]
    assert messages[-2] == {"role": "assistant", "content": '{"label": "Not toxic."}'}
    assert "'Not toxic.' is not one of: toxic, not_toxic" in messages[-1]["content"]
    assert p.annotations(project)["i0"].outcome == "labeled"


def test_a_text_that_is_there_twice_is_paid_once(tmp_path: Path, wire: w.Wire) -> None:
    text = "[[delay=0.05]] the same"
    project = p.make_project(tmp_path, [text] * 6, [p.openai_like(wire)])
    status = label(project)
    assert status.outcomes == {"labeled": 6}
    assert wire.calls[text] == 1
    assert status.replayed == 5


def test_a_rationale_is_kept(tmp_path: Path, wire: w.Wire) -> None:
    project = p.make_project(tmp_path, ["x"], [p.openai_like(wire, rationale=True)])
    label(project)
    found = p.annotations(project)["i0"]
    assert found.rationale == 'so says the "label": it fits'
    assert found.distribution  # read off the label, not off the word in the rationale


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(max_size=300),
    tokens=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    model=st.sampled_from(["gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"]),
)
def test_the_upper_bound_is_never_below_the_cost(
    text: str, tokens: tuple[float, float], shares: tuple[float, float], model: str
) -> None:
    from litellm import ModelResponse, Usage

    config = AnnotatorConfig.model_validate({"name": "a", "model": model})
    messages = [{"role": "user", "content": text}]
    most = len(json.dumps(messages, ensure_ascii=False).encode("utf-8", "surrogatepass")) + 512
    read, out = 1 + int(tokens[0] * (most - 1)), int(tokens[1] * config.max_tokens)
    written = int(read * shares[0])
    cached = int((read - written) * shares[1])
    usage = Usage(
        prompt_tokens=read, completion_tokens=out, total_tokens=read + out,
        cache_creation_input_tokens=written, cache_read_input_tokens=cached,
    )  # fmt: skip
    cost = cost_of(config, ModelResponse(usage=usage))
    bound = upper_bound(config, messages, {})
    assert cost is not None
    assert bound is not None
    assert 0 < cost <= bound
