"""One call to a provider: its price, its abilities, and what its errors mean.

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
from typing import TYPE_CHECKING, Any

from prelabel.cache import ResponseCache, cache_key
from prelabel.errors import InputError, PrelabelError
from prelabel.records import FailureKind

if TYPE_CHECKING:
    from prelabel.project import AnnotatorConfig

Message = dict[str, Any]

OVERHEAD = 512
"""Tokens that a provider may add to what we send (chat template, schema preamble)."""


class CallError(Exception):
    """A call brought no answer.

    ``again`` says whether another try may help, ``wait`` for how many seconds the provider asked,
    ``fatal`` that every call will fail so, ``sent`` that it may have been billed all the same.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        *,
        again: bool = False,
        wait: float = 0.0,
        fatal: bool = False,
        sent: bool = False,
    ) -> None:
        super().__init__(detail)
        self.kind: FailureKind = kind
        self.detail = detail
        self.again, self.wait, self.fatal, self.sent = again, wait, fatal, sent


def endpoint_identity(config: AnnotatorConfig) -> str:
    """Return what stands behind a model's name: its URL, or the digest of a local file."""
    if config.model.startswith("local/"):
        from prelabel.models import CATALOGUE, file_digest, model_path

        name = config.model.removeprefix("local/")
        known = {model.name: model.sha256 for model in CATALOGUE}
        return known.get(name) or file_digest(model_path(name))
    if config.base_url:
        return config.base_url
    provider = re.sub(r"\W", "_", config.model.split("/")[0]).upper()
    names = (f"{provider}_API_BASE", f"{provider}_BASE_URL")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


@cache
def load_litellm() -> Any:
    """Import litellm, which takes seconds, with its network fetches and its chatter off."""
    import logging

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
    """Return ``mode``, ``logprobs`` and ``cache_control`` of a model.

    Kept with the answers, so that a run that only replays does not wait for litellm to load.
    """
    if model.startswith("local/"):
        return {"mode": "schema", "logprobs": True, "cache_control": False}
    key = cache_key({"capabilities": model, "litellm": version("litellm")})
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
        "mode": mode,
        "logprobs": "top_logprobs" in params,
        "cache_control": "claude" in name.casefold(),
    }


@cache
def prices(model: str) -> tuple[float, float] | None:
    """Return the highest dollars a token of input and output, or None where unknown."""
    if model.startswith("local/"):
        return 0.0, 0.0
    try:
        info = load_litellm().get_model_info(model)
    except Exception:  # noqa: BLE001  litellm raises a bare Exception for an unmapped model
        return None
    known = [(key, value) for key, value in info.items() if isinstance(value, (int, float))]
    read = [
        v for k, v in known if re.match(r"(input|cache_creation_input).*_cost.*token|input_cost", k)
    ]
    write = [v for k, v in known if re.match(r"output_cost_per.*token", k)]
    return (float(max(read)), float(max(write))) if read and write else None


def price_of(config: AnnotatorConfig) -> tuple[float, float] | None:
    """Return dollars a token of input and output for an annotator, or None where unknown."""
    if config.price:
        return config.price.input / 1e6, config.price.output / 1e6
    return prices(config.model)


def upper_bound(
    config: AnnotatorConfig, messages: list[Message], params: Mapping[str, Any]
) -> float | None:
    """Return the most one call can cost in dollars, or None where the price is unknown.

    A token is at least one byte of what is sent, so bytes bound tokens from above.
    """
    price = price_of(config)
    if price is None:
        return None
    sent = json.dumps([messages, params.get("response_format")], ensure_ascii=False)
    tokens = len(sent.encode("utf-8", "surrogatepass")) + OVERHEAD
    return tokens * price[0] + config.max_tokens * price[1]


def api_key(config: AnnotatorConfig) -> str | None:
    """Return the key to send, read from the environment at the last moment."""
    if config.api_key is None:
        return None
    from prelabel.project import expand

    return str(expand(config.api_key.get_secret_value(), f"annotator {config.name!r}: api_key"))


async def call(
    config: AnnotatorConfig, messages: list[Message], params: Mapping[str, Any], timeout: float
) -> dict[str, Any]:
    """Make one call; return the raw answer with its cost and latency. Raises ``CallError``."""
    litellm = load_litellm()
    started = time.monotonic()
    extra: dict[str, Any] = {}
    if config.model.startswith("local/"):
        extra = {"threads": config.threads, "context": config.context}
    if config.price:
        price = price_of(config)
        assert price
        extra |= {"input_cost_per_token": price[0], "output_cost_per_token": price[1]}
    try:
        response = await litellm.acompletion(
            model=config.model,
            messages=messages,
            base_url=config.base_url,
            api_key=api_key(config),
            timeout=timeout,
            num_retries=0,
            max_retries=0,
            **params,
            **extra,
        )
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  whatever a provider does is an outcome
        raise call_error(litellm, error) from None
    raw = response.model_dump(exclude_none=True)
    if not raw.get("choices"):
        raise CallError("outage", "an answer without choices", again=True, sent=True)
    cost = 0.0 if config.model.startswith("local/") else response._hidden_params["response_cost"]  # noqa: SLF001
    return {"raw": raw, "cost": cost, "latency": time.monotonic() - started, "at": time.time()}


def call_error(litellm: Any, error: Exception) -> CallError:
    """Name what went wrong with a call."""
    text = " ".join(str(error).split("\n")[0].split())
    text = re.sub(r"^(litellm\.)?(\w+Error|Timeout): (\w+: )?(\w+Exception - )?", "", text)[:300]
    status = getattr(error, "status_code", None)
    e = litellm.exceptions
    if isinstance(error, e.Timeout):
        return CallError("timeout", text, again=True, sent=True)
    if isinstance(error, e.RateLimitError):
        if "insufficient_quota" in str(error) or "exceeded your current quota" in str(error):
            return CallError("rate_limited", f"no quota left: {text}", fatal=True)
        return CallError("rate_limited", text, again=True, wait=retry_after(error))
    if isinstance(error, e.ContentPolicyViolationError) or "content_policy" in str(error):
        return CallError("refused", text)
    if isinstance(error, (e.AuthenticationError, e.PermissionDeniedError, e.NotFoundError)):
        return CallError("bad_request", f"{status}: {text}", fatal=True)
    if isinstance(error, (e.BadRequestError, e.UnprocessableEntityError)):
        return CallError("bad_request", text)
    return CallError(
        "outage", text, again=True, sent="Connection error" in text, wait=retry_after(error)
    )


def retry_after(error: Exception) -> float:
    """Return the seconds a provider asked to wait, or 0."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after") or 0))
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
        except ValueError:
            return 0.0
