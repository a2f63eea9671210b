"""What a provider's error means: which kind of failure, and whether to try again."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from prelabel.records import FailureKind, Usage

NO_KEY = ("Missing credentials", "api_key client option must be set")
NO_MONEY = ("insufficient_quota", "exceeded your current quota", "credit balance is too low")
UNSUPPORTED = ("unsupported_parameter", "unsupported_value")
POLICY = ("content_policy", "content_filter", "ResponsibleAIPolicyViolation")

FINAL = ("inconsistent", "too_long")
"""Failures that asking again would not change."""


class CallError(Exception):
    """A call brought no answer.

    ``again`` says whether another try may help, ``wait`` for how many seconds the provider asked,
    ``fatal`` that every call will fail so, ``sent`` that it may have been billed all the same.
    ``waste`` is what it used up, once that is known.
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
        self.waste = Usage()


def call_error(litellm: Any, error: Exception, key: str) -> CallError:
    """Name what went wrong with a call made with ``key``.

    litellm gives some errors the class and status of others; what the provider's HTTP answer was
    stands in the error's context.
    """
    e, cause = litellm.exceptions, error.__context__
    headers = getattr(error, "litellm_response_headers", None) or {}
    codes = [getattr(one, "status_code", None) for one in (cause, error)]
    status = next((code for code in codes if isinstance(code, int)), 500)
    said = f"{error} {getattr(cause, 'body', None) or getattr(error, 'body', None) or ''}"
    text = without_secrets(message_of(error), key)
    if isinstance(error, e.Timeout):
        return CallError("timeout", text, again=True, sent=True)
    if isinstance(error, e.UnsupportedParamsError) or any(word in said for word in UNSUPPORTED):
        return CallError("bad_request", f"{text}; {remedy(said)}", fatal=True)
    if any(word in said for word in NO_KEY):
        return CallError(
            "bad_request", f"{text} (any word will do for a server without keys)", fatal=True
        )
    if any(word in said for word in NO_MONEY) or status == 402:
        return CallError("rate_limited", f"no quota left: {text}", fatal=True)
    if isinstance(error, e.RateLimitError) or status == 429:
        return CallError("rate_limited", text, again=True, wait=retry_after(headers))
    if isinstance(error, e.ContentPolicyViolationError) or any(word in said for word in POLICY):
        return CallError("refused", text)
    if status in (401, 403, 404):
        return CallError("bad_request", f"{status}: {text}", fatal=True)
    if 400 <= status < 500 and status not in (408, 409, 425):
        return CallError("bad_request", text)
    # without the headers of an error there was an answer that cannot be read, or none at all
    sent = not (headers and status >= 500) and not unreached(error)
    return CallError("outage", text, again=True, sent=sent, wait=retry_after(headers))


def message_of(error: Exception) -> str:
    """Return what a provider said, without litellm's names around it."""
    text = " ".join(str(error).split("\n")[0].split())
    if said := re.search(r'"message":\s*"((?:[^"\\]|\\.)*)"', text):
        text = said[1]
    pattern = r"^((litellm\.)?\w+(Error|Timeout): |\w+Exception - |\w+Error - )+"
    text = re.sub(pattern, "", text)
    text = re.sub(r"\.? (Handle with|To drop|Error_str:).*$", "", text)
    return text[:300] or type(error).__name__


def remedy(said: str) -> str:
    """Say which settings to change where a model does not take a parameter."""
    ways = {
        "temperature": "temperature: null",
        "top_p": "top_p: null",
        "seed": "seed: null",
        "logprobs": "logprobs: false",
        "response_format": "mode: json or mode: text",
    }
    named = [way for name, way in ways.items() if name in said]
    return f"set `{'`, `'.join(named)}`" if named else "change the annotator's settings"


def unreached(error: BaseException | None) -> bool:
    """Say whether no connection was made at all, so that nothing can have been billed."""
    seen = 0
    while error is not None and seen < 20:
        if type(error).__name__ in ("ConnectError", "ConnectTimeout", "ClientConnectorError"):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds a provider asked to wait, or 0."""
    said = headers.get("retry-after") or "0"
    try:
        return max(0.0, float(said))
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except ValueError:
            return 0.0


def without_secrets(text: str, key: str) -> str:
    """Blot out keys that a provider repeats in its message."""
    keys = [value for name, value in os.environ.items() if re.search(r"(KEY|TOKEN|SECRET)$", name)]
    for secret in (key, *keys):
        if len(secret) >= 6:
            text = text.replace(secret, "***")
    return re.sub(r"\b(sk|key)-[\w*-]{6,}", "***", text)
