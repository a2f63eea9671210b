"""The embedded model: llama.cpp in this process, answering like a chat-completions server.

Where all that the answer leaves open are closed choices (a label, a list of labels), the
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
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from prelabel.errors import InputError, MissingExtraError

TOP = 64
"""Alternatives looked at for each choice; under the grammar few tokens have any mass."""

TOP_UNGUIDED = 5000
"""The like before any grammar: the labels' tokens may be far from the likeliest."""

NEGLIGIBLE = 1e-6

CHOSEN = ("string", "integer", "number")
LISTED = ("string",)
"""Types whose enums are closed choices: of one value, and of a list of them."""

Row = tuple[bytes, float]
"""A token's bytes and its probability."""


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
            return self.complete(body)

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Pass a request on to llama.cpp. Raises ``LocalModelError``."""
        result: dict[str, Any] = self.server.handle_chat_completions(body)
        if "error" in result:
            error = result["error"]
            raise LocalModelError(int(error.get("code", 500)), str(error.get("message", error)))
        return result

    def _choose(self, body: dict[str, Any], fields: dict[str, Field]) -> dict[str, Any]:
        """Decide one choice after the other; return the answer with a token a choice."""
        asked = Branches(self, body["messages"])
        text, start, last = "", "{", list(fields)[-1]
        tokens: list[dict[str, Any]] = []
        for key, field in fields.items():
            head = f"{start}{json.dumps(key, ensure_ascii=False)}:"
            choose = asked.choose_many if field.many else asked.choose_one
            chosen = choose(text + head, field.surfaces, "}" if key == last else ",")
            tokens += [token(head, 1.0), *chosen]
            text += head + "".join(part["token"] for part in chosen)
            start = " "
        message = {"role": "assistant", "content": text}
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": message,
            "logprobs": {"content": tokens},
        }
        return {
            "object": "chat.completion",
            "created": int(time.time()),
            "choices": [choice],
            "usage": asked.usage(),
        }


class Branches:
    """How probable each of several texts is to follow an answer's beginning.

    Sums over every first token that the grammar allows; goes on where a token is the start of
    several texts. What was asked once for an answer is remembered.
    """

    def __init__(self, model: LocalModel, messages: Sequence[dict[str, Any]]) -> None:
        self.model, self.messages = model, list(messages)
        self.known: dict[tuple[str, ...], list[float]] = {}
        self.prompt_tokens = self.calls = 0

    def usage(self) -> dict[str, int]:
        """Return the tokens used, in the shape of OpenAI's."""
        total = self.prompt_tokens + self.calls
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.calls,
            "total_tokens": total,
        }

    def choose_one(self, prefill: str, surfaces: Sequence[str], after: str) -> list[dict[str, Any]]:
        """Choose one value; return the answer's tokens with it and with what comes ``after`` it.

        What comes after ends a number or a truth value, as a quote ends a text: 1 is not 10.
        """
        if not surfaces[0].startswith('"'):
            return [self._likeliest(prefill, [f" {s}{after}" for s in surfaces])]
        lead = ' "'  # the tokens a model itself would write
        chosen = self._likeliest(prefill + lead, [s[1:] for s in surfaces])
        return [token(lead, 1.0), chosen, token(after, 1.0)]

    def choose_many(
        self, prefill: str, surfaces: Sequence[str], after: str
    ) -> list[dict[str, Any]]:
        """Choose values for a list until its end is likelier than any that is left."""
        tokens: list[dict[str, Any]] = []
        left, text = list(surfaces), ""
        while left:
            lead, end = (", ", "]") if tokens else (" [", " []")
            tokens.append(self._likeliest(prefill + text, [*(lead + s for s in left), end]))
            if tokens[-1]["token"] == end:
                return [*tokens, token(after, 1.0)]
            text += tokens[-1]["token"]
            left.remove(tokens[-1]["token"].removeprefix(lead))
        return [*tokens, token("]", 1.0), token(after, 1.0)]

    def _likeliest(self, prefill: str, rests: Sequence[str]) -> dict[str, Any]:
        """Return the likeliest continuation as a token whose alternatives are the others."""
        shares = self.shares(prefill, rests)
        best = max(range(len(rests)), key=shares.__getitem__)
        chosen: dict[str, Any] = token(rests[best], shares[best], rests, shares)
        return chosen

    def shares(self, prefill: str, rests: Sequence[str]) -> list[float]:
        """Return the probability of each of ``rests`` to follow ``prefill``; they sum to 1.

        No rest may be the start of another. Raises ``LocalModelError``.
        """
        if len(rests) == 1:
            return [1.0]
        key = (prefill, *rests)
        if key not in self.known:
            found = self._divide(self._first(prefill, rests), prefill, rests)
            if not sum(found):  # every likely token is something else
                found = self._divide(self._unguided(prefill), prefill, rests)
            if not (total := sum(found)):
                raise LocalModelError(400, "the model finds none of the labels likely at all")
            self.known[key] = [share / total for share in found]
        return self.known[key]

    def _deeper(self, prefill: str, rests: Sequence[str]) -> list[float]:
        """Divide among rests that begin alike, from where they part."""
        low, high = min(rests), max(rests)  # what these share, all between them share
        start = low[: next((i for i, c in enumerate(low) if high[i] != c), len(low))]
        return self.shares(prefill + start, [rest[len(start) :] for rest in rests])

    def _divide(
        self, rows: Iterable[Row], prefill: str, rests: Sequence[str], *, inside: bool = False
    ) -> list[float]:
        """Give each token's probability to the rests that begin with it."""
        shares = [0.0] * len(rests)
        for raw, p in rows:
            fits = [i for i, rest in enumerate(rests) if rest.encode().startswith(raw)]
            if not fits or not raw or p < NEGLIGIBLE:
                continue
            own = [rests[i] for i in fits]
            if len(fits) > 1 and is_text(raw):
                parts = self._deeper(prefill, own)
            elif len(fits) > 1 and not inside:
                parts = self._inside(prefill, own)
            else:
                parts = [1.0 / len(fits)] * len(fits)
            for i, part in zip(fits, parts, strict=True):
                shares[i] += p * part
        return shares

    def _first(self, prefill: str, rests: Sequence[str]) -> Iterable[Row]:
        """Return the first token's distribution under a grammar that allows ``rests`` only."""
        content = self._ask(prefill, rests, max_tokens=1)
        return rows_of(content[0]) if content else self._unguided(prefill)

    def _unguided(self, prefill: str) -> Iterable[Row]:
        """Return the first token's distribution before any grammar.

        llama.cpp reports no distribution where the token drawn ends inside a character. Here what
        is drawn is always the same letter, and what is read is how probable all others were.
        """
        content = self._ask(prefill, ["x"], max_tokens=1, post=False, top=TOP_UNGUIDED)
        for row in content[0]["top_logprobs"]:
            yield bytes(row["bytes"]), math.exp(row["logprob"])

    def _inside(self, prefill: str, rests: Sequence[str]) -> list[float]:
        """Divide among rests that begin with the same part of a character.

        A prompt cannot end inside a character, so the character is written whole: llama.cpp tells
        how probable its last token was. Rests for which that tells nothing get equal parts.
        """
        content = self._ask(prefill, rests, max_tokens=4)
        whole = bytes(content[0]["bytes"]) if content else b""
        rows = rows_of(content[0]) if content else []
        last = max((raw for raw, _ in rows if whole.endswith(raw)), key=len, default=whole)
        start = whole.removesuffix(last)
        shares = self._divide([(start + raw, p) for raw, p in rows], prefill, rests, inside=True)
        told = [rest.encode().startswith(start) for rest in rests]
        total = sum(shares)
        if not total:
            return [1.0 / len(rests)] * len(rests)
        of_told = sum(told) / len(rests)
        return [
            share / total * of_told if t else 1.0 / len(rests)
            for share, t in zip(shares, told, strict=True)
        ]

    def _ask(
        self,
        prefill: str,
        rests: Sequence[str],
        max_tokens: int,
        *,
        post: bool = True,
        top: int = TOP,
    ) -> list[dict[str, Any]]:
        result = self.model.complete(
            {
                "messages": [*self.messages, {"role": "assistant", "content": prefill}],
                "grammar": "root ::= " + " | ".join(literal(rest) for rest in rests),
                "max_tokens": max_tokens,
                "logprobs": True,
                "top_logprobs": top,
                "post_sampling_probs": post,
                "temperature": 1.0,
                "top_k": 0,
                "top_p": 1.0,
                "min_p": 0.0,
                "seed": 0,
            }
        )
        self.prompt_tokens = max(self.prompt_tokens, result["usage"]["prompt_tokens"])
        self.calls += 1
        return list((result["choices"][0].get("logprobs") or {}).get("content") or ())


def rows_of(entry: Mapping[str, Any]) -> list[Row]:
    """Return a token's alternatives with their probabilities."""
    return [(bytes(row["bytes"]), float(row["prob"])) for row in entry["top_probs"]]


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


class Field(NamedTuple):
    """A field of closed choices: the JSON texts of its values, and whether it is a list of them."""

    surfaces: list[str]
    many: bool = False


def closed_choices(schema: dict[str, Any]) -> dict[str, Field] | None:
    """Return the fields of an answer by key if it is nothing but closed choices, else None."""
    fields: dict[str, Field] = {}
    for key, part in (schema.get("properties") or {}).items():
        many = part.get("type") == "array"
        values = part.get("items", {}) if many else part
        if part.get("type") == "boolean":
            fields[key] = Field(["true", "false"])
        elif values.get("enum") and values.get("type") in (LISTED if many else CHOSEN):
            texts = [json.dumps(value, ensure_ascii=False) for value in values["enum"]]
            fields[key] = Field(texts, many=many)
        else:
            return None
    return fields or None


@lru_cache(maxsize=2)
def load_local(path: Path, threads: int | None, context: int) -> LocalModel:
    """Return the model at ``path``, loaded once."""
    return LocalModel(path, threads, context)
