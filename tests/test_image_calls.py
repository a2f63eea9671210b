"""Pictures in calls: the wire form, the cost, and that nobody here fetches a URL."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w
from pictures import URL, data_url, png

from prelabel.errors import InputError
from prelabel.images import (
    URL_PROVIDERS,
    content_block,
    find_image,
    need_sendable,
    tokens_bound,
    url_allowed,
    usual_tokens,
    without_images,
)
from prelabel.planning import plan
from prelabel.project import Project, load_project
from prelabel.provider import (
    call,
    capabilities,
    close_clients,
    load_litellm,
    prices,
    upper_bound,
)
from prelabel.records import Image, Item
from prelabel.run import label
from prelabel.settings import AnnotatorConfig

# What is sent


def blocks(*sources: str, folder: Path = Path()) -> list[dict[str, Any]]:
    found = [content_block(find_image("photo", source, folder)) for source in sources]
    text = {"type": "text", "text": "<item>\nWhat is on it?\n</item>"}
    return [{"role": "system", "content": "Label."}, {"role": "user", "content": [*found, text]}]


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that somebody here looked up; none is found."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def spy(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host in ("127.0.0.1", "localhost"):
            return real(host, *args, **kwargs)
        asked.append(str(host))
        raise socket.gaierror(f"tests look up no {host}")

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    return asked


def ask(model: str, base_url: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {"name": "a", "model": model, "base_url": base_url, "api_key": "k"}
    config = AnnotatorConfig.model_validate(settings)

    async def once() -> dict[str, Any]:
        try:
            return await call(config, messages, {"max_tokens": 9}, 20.0)
        finally:
            await close_clients()

    return asyncio.run(once())


@pytest.mark.parametrize("source", ["file", URL])
def test_the_wire_form(source: str, tmp_path: Path, lookups: list[str]) -> None:
    (tmp_path / "file").write_bytes(png())
    encoded = base64.b64encode(png()).decode()
    messages = blocks(source, folder=tmp_path)
    before = json.dumps(messages)
    with w.serving() as wire:
        assert ask("openai/gpt-4o-mini", f"{wire.url}/v1", messages)["raw"]["choices"]
        assert ask("anthropic/claude-sonnet-4-5", wire.url, messages)["raw"]["choices"]
        openai, anthropic = (request["body"]["messages"][-1] for request in wire.requests)
        assert sum(wire.answered.values()) == wire.answered["What is on it?"] == 2
    assert json.dumps(messages) == before  # litellm leaves what it is given as it is
    text = {"type": "text", "text": "<item>\nWhat is on it?\n</item>"}
    url = URL if source == URL else f"data:image/png;base64,{encoded}"
    assert openai["content"] == [{"type": "image_url", "image_url": {"url": url}}, text]
    sent = (
        {"type": "url", "url": URL}
        if source == URL
        else {"type": "base64", "media_type": "image/png", "data": encoded}
    )
    assert anthropic["content"] == [{"type": "image", "source": sent}, text]
    assert lookups == []


ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "service_tier": "default",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@pytest.fixture
def bodies() -> Iterator[tuple[str, list[Any]]]:
    """A server that answers every path as OpenAI would, and what it was sent."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


MODELS = {
    "azure": ("azure/gpt-4o", "azure/o3"),
    "deepinfra": ("deepinfra/meta-llama/Llama-3.2-11B-Vision-Instruct",),
    "fireworks_ai": ("fireworks_ai/accounts/fireworks/models/qwen2p5-vl-32b-instruct",),
    "groq": ("groq/meta-llama/llama-4-scout-17b-16e-instruct",),
    "hosted_vllm": ("hosted_vllm/Qwen/Qwen2-VL-7B-Instruct",),
    "mistral": ("mistral/pixtral-large-latest",),
    "openai": ("openai/gpt-5", "openai/o3", "openai/a/model-of-ones-own"),
    "openrouter": ("openrouter/openai/gpt-4o", "openrouter/anthropic/claude-3.5-sonnet"),
    "together_ai": ("together_ai/meta-llama/Llama-4-Scout-17B-16E-Instruct",),
    "xai": ("xai/grok-4",),
}


def test_each_provider_that_is_sent_urls_is_tried() -> None:
    assert {*MODELS, "anthropic"} == URL_PROVIDERS  # Anthropic's own form is tried above


@pytest.mark.parametrize("model", [model for models in MODELS.values() for model in models])
def test_a_url_is_passed_on_and_not_fetched(
    model: str, bodies: tuple[str, list[Any]], lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_API_VERSION", "2024-10-21")
    base, seen = bodies
    ask(model, base, blocks(URL))
    (body,) = seen
    found = {block["type"]: block for block in body["messages"][-1]["content"]}
    url = found["image_url"]["image_url"]
    assert (url["url"] if isinstance(url, dict) else url) == URL
    assert lookups == []


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gemini/gemini-2.5-flash", "gemini"),
        ("vertex_ai/gemini-2.5-flash", "vertex_ai"),
        ("bedrock/anthropic.claude-3-sonnet-20240229-v1:0", "bedrock"),
        ("ollama/llava", "ollama"),
        ("ollama_chat/llava", "ollama_chat"),
        ("local/smollm2-135m", "local"),
    ],
)
def test_a_url_is_refused_where_litellm_would_fetch_it(
    model: str, provider: str, tmp_path: Path, lookups: list[str]
) -> None:
    from prelabel.cache import ResponseCache

    cache = ResponseCache(tmp_path, "me")
    assert capabilities(model, cache)["provider"] == provider
    cache.close()
    assert not url_allowed(provider)
    with pytest.raises(
        InputError, match=r"^picture https://pictures\.invalid/cat\.png: "
    ) as caught:
        need_sendable([Image("photo", URL)], provider)
    assert "\n" not in str(caught.value)
    assert lookups == []


def test_what_need_sendable_lets_through() -> None:
    file, url = Image("photo", "a.png", "0" * 64), Image("photo", URL)
    need_sendable([file, url], "openai")
    need_sendable([file], "gemini")
    need_sendable([], "local")
    with pytest.raises(InputError, match="reads text only"):
        need_sendable([file], "local")


# What it costs


def test_pictures_are_counted_apart_from_text() -> None:
    messages = blocks(data_url(png(padding=5000)), URL)
    texts, count = without_images(messages)
    assert count == 2
    assert "base64" not in json.dumps(texts)
    assert texts[1]["content"] == [messages[1]["content"][-1]]
    assert texts[0] == messages[0]
    assert len(messages[1]["content"]) == 3  # what is sent is left as it was


def test_the_bound_is_above_what_litellm_counts() -> None:
    from litellm.litellm_core_utils.token_counter import high_detail_image_token_upper_bound

    load_litellm()
    assert tokens_bound("openai/gpt-4o-mini") == 2833 + 8 * 5667
    assert tokens_bound("openai/gpt-4o") >= high_detail_image_token_upper_bound()
    claude = tokens_bound("anthropic/claude-opus-4-8")
    assert claude >= 1568 / 28 * 1568 / 28
    assert claude < tokens_bound("gemini/gemini-2.5-flash")
    for model in ("openai/gpt-4o-mini", "openai/gpt-4o", "anthropic/claude-opus-4-8"):
        assert usual_tokens(model) < tokens_bound(model)


# Through a project


def picture_project(folder: Path, source: str, annotator: dict[str, Any], **run: Any) -> Project:
    project = p.make_project(folder, ["What is on it?"], [annotator], **run)
    row = {"id": "i0", "text": "What is on it?", "photo": source}
    (folder / "items.jsonl").write_text(json.dumps(row) + "\n")
    settings = json.loads((folder / "prelabel.yaml").read_text())
    settings["items"]["images"] = ["photo"]
    (folder / "prelabel.yaml").write_text(json.dumps(settings))
    return load_project(project.folder)


@pytest.mark.parametrize("speaker", [p.openai_like, p.anthropic_like])
@pytest.mark.parametrize("shots", ["none", "fixed"])
def test_a_project_with_pictures(tmp_path: Path, speaker: Any, shots: str) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with w.serving() as wire:
        project = picture_project(tmp_path, "a.png", speaker(wire, shots={"choose": shots, "k": 2}))
        assert label(project).outcomes == {"labeled": 1}
        sent = wire.requests[-1]["body"]["messages"][-1]["content"]
    assert sent[0]["type"] in ("image_url", "image")
    assert base64.b64encode(png()).decode() in json.dumps(sent[0])
    belongs = "The picture belongs to the item below."
    assert sent[1]["text"] == f"{belongs}\n\n<item>\nWhat is on it?\n</item>"
    annotation = p.annotations(project)["i0"]
    assert annotation.item_hash == next(project.items()).hash
    assert annotation.item_hash != Item("i0", {"text": "What is on it?"}).hash


def test_a_picture_that_is_not_there_is_named_with_its_line(tmp_path: Path) -> None:
    project = picture_project(tmp_path, "none.png", {"name": "a", "model": "openai/gpt-4o-mini"})
    with pytest.raises(InputError, match=r"items\.jsonl:1: .*none\.png: no picture there"):
        list(project.items())


@pytest.mark.parametrize("model", ["gemini/gemini-2.5-flash", "ollama/llava"])
def test_a_project_never_lets_litellm_fetch(tmp_path: Path, lookups: list[str], model: str) -> None:
    annotator = {"name": "a", "model": model, "base_url": "http://127.0.0.1:9", "api_key": "k"}
    project = picture_project(tmp_path, URL, annotator, retries=0)
    status = label(project)
    assert status.failures == {"bad_request": 1}
    assert "download it and give the file's path" in p.annotations(project)["i0"].detail
    assert lookups == []


def test_a_large_picture_does_not_blow_up_the_bound(tmp_path: Path) -> None:
    config = AnnotatorConfig.model_validate({"name": "a", "model": "openai/gpt-4o-mini"})
    small = upper_bound(config, blocks(data_url(png())), {})
    large = upper_bound(config, blocks(data_url(png(padding=1_000_000))), {})
    none = upper_bound(config, blocks(), {})
    assert small
    assert none
    assert small == large
    price = prices(config.model)
    assert price
    assert small - none == pytest.approx(tokens_bound(config.model) * price.most_input, rel=0.01)


def test_a_plan_with_pictures_looks_nothing_up(tmp_path: Path, lookups: list[str]) -> None:
    annotator = {"name": "a", "model": "openai/gpt-4o-mini", "api_key": "k"}
    for source in (URL, data_url(png(padding=500_000))):
        (one,) = plan(picture_project(tmp_path, source, annotator)).annotators
        assert usual_tokens(one.model) < one.input_tokens < 2 * tokens_bound(one.model)
        assert len(one.prompt) < 5000
        assert one.dollars
        assert one.at_most
        assert one.dollars[1] <= one.at_most
    assert lookups == []
