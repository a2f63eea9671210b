"""One call to a provider: its price and its abilities.

The only importer of litellm. litellm takes seconds to import, so nothing here is imported before a
call, or a question about a model that was never asked before, needs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from prelabel.cache import ResponseCache
from prelabel.errors import InputError, PrelabelError
from prelabel.failures import CallError, call_error
from prelabel.images import tokens_bound, without_images

if TYPE_CHECKING:
    from prelabel.settings import AnnotatorConfig

Message = dict[str, Any]

OVERHEAD = 512
"""Tokens that a provider may add to what we send (chat template, schema preamble)."""


def endpoint_identity(config: AnnotatorConfig, provider: str) -> str:
    """Return what stands behind a model's name: its URL, or the digest of a local file."""
    if config.is_local:
        from prelabel.models import CATALOGUE, file_digest, model_path

        name = config.model.removeprefix("local/")
        known = {model.name: model.sha256 for model in CATALOGUE}
        return known.get(name) or file_digest(model_path(name))
    if config.base_url:
        return config.base_url
    prefix = re.sub(r"\W", "_", provider).upper()
    names = (f"{prefix}_API_BASE", f"{prefix}_BASE_URL")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


@cache
def load_litellm() -> Any:
    """Import litellm, which takes seconds, with its network fetches and its chatter off."""
    import logging
    import warnings

    warnings.filterwarnings("ignore", message="Items? .* on TypedDict class")  # litellm's own
    for name in ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS"):
        os.environ.setdefault(f"LITELLM_LOCAL_{name}", "True")
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.drop_params = False  # a dropped seed or schema would change answers silently
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    class Local(litellm.CustomLLM):  # type: ignore[name-defined,misc]
        """The embedded model as a provider like any other."""

        async def acompletion(self, *args: Any, **kwargs: Any) -> Any:
            del args
            return await asyncio.to_thread(local_completion, kwargs)

    litellm.custom_provider_map = [{"provider": "local", "custom_handler": Local()}]
    litellm.utils.custom_llm_setup()  # type: ignore[no-untyped-call]
    return litellm


def local_completion(kwargs: Mapping[str, Any]) -> Any:
    """Answer a call to ``local/…``. Raises litellm's error with an HTTP status."""
    from litellm.llms.custom_llm import CustomLLMError

    from prelabel.local import LocalModelError, load_local
    from prelabel.models import model_path

    options = dict(kwargs["optional_params"])
    threads, context = options.pop("threads", None), options.pop("context")
    try:
        model = load_local(model_path(kwargs["model"]), threads, context)
        result = model.chat({"messages": kwargs["messages"], **options})
    except LocalModelError as error:
        raise CustomLLMError(error.code, str(error)) from None  # type: ignore[no-untyped-call]
    except PrelabelError as error:  # no such model: every call will fail so
        raise CustomLLMError(404, str(error)) from None  # type: ignore[no-untyped-call]
    return type(kwargs["model_response"])(**result)


def capabilities(model: str, cache: ResponseCache) -> dict[str, Any]:
    """Return ``provider``, ``mode``, ``logprobs`` and ``cache_control`` of a model.

    Kept with the answers, so that a run that only replays does not wait for litellm to load.
    """
    if model.startswith("local/"):
        return {"provider": "local", "mode": "schema", "logprobs": True, "cache_control": False}
    key = f"able:{model}:{version('litellm')}"  # the colon tells it from an answer
    kept = cache.get(key)
    if kept is None:
        kept = look_up(model)
        cache.put(key, kept, 0.0)
    return kept


def look_up(model: str) -> dict[str, Any]:
    """Ask litellm what a model can do. Raises ``InputError`` for an unknown provider."""
    litellm = load_litellm()
    try:
        name, provider, _, _ = litellm.get_llm_provider(model)
    except litellm.BadRequestError:
        raise InputError(
            f"model {model!r}: unknown provider; write PROVIDER/MODEL, such as openai/gpt-4o-mini, "
            "ollama/llama3.2, or openai/NAME with base_url for a server of your own"
        ) from None
    params = litellm.get_supported_openai_params(model=name, custom_llm_provider=provider) or []
    priced = name in litellm.model_cost or model in litellm.model_cost
    schema = litellm.supports_response_schema(model=name, custom_llm_provider=provider)
    if schema or (not priced and "response_format" in params):
        mode = "schema"
    else:
        mode = "json" if "response_format" in params else "text"
    return {
        "provider": provider,
        "mode": mode,
        "logprobs": "top_logprobs" in params,
        "cache_control": "claude" in name.casefold(),
    }


GRACE = 1.0
"""Seconds after litellm's own timeout, which ends a call more cleanly."""


class Price(NamedTuple):
    """Dollars a token: what is usual, and the most that the provider may take for it."""

    input: float
    output: float
    most_input: float
    most_output: float


TEXT_PRICE = re.compile(
    r"(input|cache_creation_input|cache_read_input|output)_"
    r"(cost_per_token|token_cost|cost_per_reasoning_token)(_above_\d+k_tokens)?(_priority)?"
)


@cache
def prices(model: str) -> Price | None:
    """Return what litellm knows of a model's prices, or None where it has none.

    Prices for long prompts, for writing a prompt cache and for priority count as the most.
    """
    if model.startswith("local/"):
        return Price(0.0, 0.0, 0.0, 0.0)
    litellm = load_litellm()
    if model.startswith(("ollama/", "ollama_chat/")):  # litellm would ask the server
        return None if model.endswith("-cloud") else Price(0.0, 0.0, 0.0, 0.0)
    try:
        entry = litellm.model_cost[litellm.get_model_info(model)["key"]]
    except Exception:  # noqa: BLE001  litellm raises a bare Exception for an unmapped model
        return None
    rows = [entry, *(entry.get("tiered_pricing") or ())]
    costs: dict[str, list[float]] = {"input": [], "output": []}
    for key, cost in (pair for row in rows for pair in row.items()):
        if cost is not None and TEXT_PRICE.fullmatch(key):
            costs["output" if key.startswith("output") else "input"].append(float(cost))
    usual: dict[str, Any] = next((row for row in rows if "input_cost_per_token" in row), {})
    if usual.get("output_cost_per_token") is None:
        return None
    read, write = float(usual["input_cost_per_token"]), float(usual["output_cost_per_token"])
    return Price(read, write, max(costs["input"]), max(costs["output"]))


def full_price(config: AnnotatorConfig) -> Price | None:
    """Return an annotator's prices, its own settings first."""
    if config.price:
        read, write = config.price.input / 1e6, config.price.output / 1e6
        return Price(read, write, read, write)
    return prices(config.model)


def price_of(config: AnnotatorConfig) -> tuple[float, float] | None:
    """Return dollars a token of input and output for an annotator, or None where unknown."""
    price = full_price(config)
    return price and (price.input, price.output)


def upper_bound(
    config: AnnotatorConfig, messages: list[Message], params: Mapping[str, Any]
) -> float | None:
    """Return the most one call can cost in dollars, or None where the price is unknown.

    A token is at least one byte of what is sent, so bytes bound tokens from above.
    """
    price = full_price(config)
    if price is None:
        return None
    texts, pictures = without_images(messages)
    sent = json.dumps([texts, params.get("response_format")], ensure_ascii=False)
    tokens = len(sent.encode("utf-8", "surrogatepass")) + OVERHEAD
    tokens += pictures * tokens_bound(config.model)
    return tokens * price.most_input + config.max_tokens * price.most_output


def cost_of(config: AnnotatorConfig, response: Any) -> float | None:
    """Return what an answer cost in dollars; None where the price or the usage is not known."""
    price = full_price(config)
    usage = getattr(response, "usage", None)
    if price is None:
        return None
    if not price.most_input and not price.most_output:
        return 0.0
    if not usage or not usage.prompt_tokens:
        return None  # a server that does not say what it used
    if config.price:
        return float(usage.prompt_tokens * price.input + usage.completion_tokens * price.output)
    try:  # not litellm's completion_cost: it takes the price of whatever model the answer names
        parts = load_litellm().cost_per_token(
            model=config.model,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            usage_object=usage,
            service_tier=getattr(response, "service_tier", None),
        )
    except Exception:  # noqa: BLE001  a paid answer is kept, whatever litellm thinks of its price
        return None
    return float(sum(parts))


def api_key(config: AnnotatorConfig) -> str | None:
    """Return the key to send, read from the environment at the last moment."""
    if config.api_key is None:
        return None
    from prelabel.config import expand

    return str(expand(config.api_key.get_secret_value(), "api_key"))


async def call(
    config: AnnotatorConfig, messages: list[Message], params: Mapping[str, Any], timeout: float
) -> dict[str, Any]:
    """Make one call; return the raw answer with its cost and latency.

    Raises ``CallError``.
    """
    litellm = load_litellm()
    try:
        key = api_key(config)
    except InputError as error:
        raise CallError("bad_request", str(error), fatal=True) from None
    started = time.monotonic()
    local = config.is_local
    extra = {"threads": config.threads, "context": config.context} if local else {}
    try:
        # a server that sends a byte now and then never meets litellm's own timeout
        async with asyncio.timeout(None if local else timeout + GRACE):
            response = await litellm.acompletion(
                model=config.model,
                messages=messages,
                base_url=config.base_url,
                api_key=key,
                timeout=timeout,
                num_retries=0,
                max_retries=0,
                **params,
                **extra,
            )
    except TimeoutError:
        detail = f"no whole answer within {timeout:g} s"
        raise CallError("timeout", detail, again=True, sent=True) from None
    except Exception as error:  # noqa: BLE001  whatever a provider does is an outcome
        raise call_error(litellm, error, key or "") from None
    raw = response.model_dump(exclude_none=True)
    if not raw.get("choices"):
        raise CallError("outage", "an answer without choices", again=True, sent=True)
    latency = time.monotonic() - started
    return {"raw": raw, "cost": cost_of(config, response), "latency": latency, "at": time.time()}


async def close_clients() -> None:
    """Close litellm's connections, which belong to the running event loop."""
    if load_litellm.cache_info().currsize:
        litellm = load_litellm()
        await litellm.close_litellm_async_clients()
        litellm.in_memory_llm_clients_cache.flush_cache()
