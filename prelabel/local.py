"""The embedded model: llama.cpp in this process, answering like a chat-completions server.

Where all that the answer leaves open are closed choices (a label, a yes or no for each label), the
wrapper is not generated token by token: at each choice the model is asked once for its
distribution over the values, under a grammar that allows nothing else. That is several times
faster, and gives the whole label distribution instead of one sample.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from prelabel.errors import InputError, MissingExtraError

TOP = 64
"""Alternatives looked at for each choice; under the grammar few tokens have any mass."""

NEGLIGIBLE = 1e-6


class LocalModelError(Exception):
    """llama.cpp refused a request; ``code`` is an HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class LocalModel:
    """One model file loaded once, used by one call at a time so that its prefix cache holds."""

    def __init__(self, path: Path, threads: int | None, context: int) -> None:
        try:
            import xllamacpp
        except ImportError:
            raise MissingExtraError(
                "local models need xllamacpp: pip install 'prelabel[local]'"
            ) from None
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context
        params.n_parallel = 1
        params.verbosity = -1
        params.ui = False
        params.api_keys = [secrets.token_hex(16)]  # its loopback port must not serve strangers
        threads = threads or spare_threads()
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        try:
            self.server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise InputError(f"{path}: not a model that llama.cpp can load ({error})") from None
        self.lock = threading.Lock()

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer an OpenAI-shaped chat completion request. Raises ``LocalModelError``."""
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        fields = closed_choices(schema) if schema else None
        with self.lock:
            if fields and not body.get("temperature"):
                return self._choose(body, fields)
            return self._complete(body)

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self.server.handle_chat_completions(body)
        if "error" in result:
            error = result["error"]
            raise LocalModelError(int(error.get("code", 500)), str(error.get("message", error)))
        return result

    def _choose(self, body: dict[str, Any], fields: dict[str, list[str]]) -> dict[str, Any]:
        """Decide one choice after the other; return the answer with a token a choice."""
        text, separator = "", "{"
        tokens: list[dict[str, Any]] = []
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        for key, surfaces in fields.items():
            head = f"{separator}{json.dumps(key, ensure_ascii=False)}:"
            quoted = surfaces[0].startswith('"')
            lead = ' "' if quoted else ""  # the tokens a model itself would write
            rests = [s[1:] if quoted else f" {s}" for s in surfaces]
            shares = self._branch(body["messages"], text + head + lead, rests, usage)
            best = max(range(len(rests)), key=shares.__getitem__)
            tokens += [token(head + lead, 1.0), token(rests[best], shares[best], rests, shares)]
            text += head + lead + rests[best]
            separator = ", "
        tokens.append(token("}", 1.0))
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        message = {"role": "assistant", "content": text + "}"}
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": message,
            "logprobs": {"content": tokens},
        }
        return {"object": "chat.completion", "created": int(time.time()), "choices": [choice]} | {
            "usage": usage
        }

    def _branch(
        self, messages: list[dict[str, Any]], prefill: str, rests: Sequence[str], usage: Any
    ) -> list[float]:
        """Return the probability of each of ``rests`` to follow ``prefill``; they sum to 1.

        Sums over every first token that the grammar allows; goes on where a token is the start
        of several.
        """
        result = self._complete(
            {
                "messages": [*messages, {"role": "assistant", "content": prefill}],
                "grammar": "root ::= " + " | ".join(literal(rest) for rest in rests),
                "max_tokens": 1,
                "logprobs": True,
                "top_logprobs": TOP,
                "post_sampling_probs": True,
                "temperature": 1.0,
                "top_k": 0,
                "top_p": 1.0,
                "min_p": 0.0,
                "seed": 0,
            }
        )
        usage["prompt_tokens"] = max(usage["prompt_tokens"], result["usage"]["prompt_tokens"])
        usage["completion_tokens"] += 1
        shares = [0.0] * len(rests)
        whole = [rest.encode() for rest in rests]
        for row in result["choices"][0]["logprobs"]["content"][0]["top_probs"]:
            raw, p = bytes(row["bytes"]), float(row["prob"])
            fits = [i for i, rest in enumerate(whole) if rest.startswith(raw)] if raw else []
            if not fits or p < NEGLIGIBLE:
                continue
            parts = [1.0 / len(fits)] * len(fits)
            if len(fits) > 1 and is_text(raw):
                deeper = [whole[i][len(raw) :].decode() for i in fits]
                parts = self._branch(messages, prefill + raw.decode(), deeper, usage)
            for i, part in zip(fits, parts, strict=True):
                shares[i] += p * part
        total = sum(shares)
        return [s / total for s in shares] if total else [1.0 / len(rests)] * len(rests)


def spare_threads() -> int:
    """Return a thread count that leaves one core to others.

    llama.cpp's threads spin while they wait for each other, so a single busy neighbour on a core
    that they count on makes them many times slower.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 2) - 1)


def is_text(raw: bytes) -> bool:
    """Tell whether bytes are whole characters; a token may end inside one."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def literal(text: str) -> str:
    """Write a text as a grammar literal."""
    return json.dumps(text, ensure_ascii=False)


def token(text: str, p: float, rests: Sequence[str] = (), shares: Sequence[float] = ()) -> Any:
    """Return a token of an answer, in the shape of OpenAI's logprobs."""

    def row(text: str, p: float) -> dict[str, Any]:
        return {"token": text, "bytes": list(text.encode()), "logprob": math.log(max(p, 1e-12))}

    return row(text, p) | {"top_logprobs": [row(r, s) for r, s in zip(rests, shares, strict=True)]}


def closed_choices(schema: dict[str, Any]) -> dict[str, list[str]] | None:
    """Return ``{key: [JSON text of each value]}`` if an answer is nothing but closed choices."""
    fields: dict[str, list[str]] = {}
    for key, part in (schema.get("properties") or {}).items():
        if part.get("type") == "boolean":
            fields[key] = ["true", "false"]
        elif part.get("type") == "string" and part.get("enum"):
            fields[key] = [json.dumps(value, ensure_ascii=False) for value in part["enum"]]
        else:
            return None
    return fields or None


@lru_cache(maxsize=2)
def load_local(path: Path, threads: int | None, context: int) -> LocalModel:
    """Return the model at ``path``, loaded once."""
    return LocalModel(path, threads, context)
