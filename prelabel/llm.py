"""ask(): one question to a language model, with its cost and an honest outcome.

The only importer of instructor. Layers, each adding one thing: ``ask`` reads the answer and
re-asks, ``_reply`` looks in the cache, ``_bought`` retries, ``_try`` keeps to
the budget, ``provider.call`` makes one call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from prelabel.budget import Budget
from prelabel.cache import ResponseCache, cache_key
from prelabel.errors import FatalModelError, InputError
from prelabel.failures import CallError
from prelabel.pace import Pace, StoppedError
from prelabel.provider import call, capabilities, endpoint_identity, upper_bound
from prelabel.records import FailureKind, Usage
from prelabel.tasks import AbstainedError, OffListError
from prelabel.tasks.answers import confidence_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.settings import AnnotatorConfig, RunConfig

Message = dict[str, Any]

MODES = {"schema": "JSON_SCHEMA", "json": "JSON", "text": "MD_JSON"}
"""How structure is asked for -> Instructor's mode."""

TOP_LOGPROBS = 20

Read = Callable[[Any], Any]

SETTINGS = {
    "model", "messages", "base_url", "api_base", "api_key", "timeout", "temperature", "top_p",
    "seed", "max_tokens", "max_completion_tokens", "n", "stream", "num_retries", "max_retries",
    "fallbacks", "mock_response", "drop_params", "tools", "functions", "web_search_options",
}  # fmt: skip
"""What ``extra`` may not hold: it is ours to set, or would break cost, cap or reading."""


@dataclass(frozen=True)
class Answer:
    """What came of a question: a value, or why there is none.

    ``value`` is what the reader returned; ``failure`` is None where there is a value or the
    annotator abstained. ``confidence`` (0 to 1) is what the annotator said of the value, if it did.
    ``tokens`` are the answer's log-probabilities, empty where not given.
    ``replayed`` is true where nothing was paid now.
    """

    value: Any = None
    abstained: bool = False
    failure: FailureKind | None = None
    detail: str = ""
    rationale: str = ""
    confidence: float | None = None
    tokens: tuple[Mapping[str, Any], ...] = ()
    usage: Usage = field(default_factory=Usage)
    replayed: bool = True
    latency: float = 0.0


class LLM:
    """One annotator's model, its static prompt prepared once.

    ``reads_tokens`` says whether anybody will read the answers' log-probabilities.
    """

    def __init__(
        self,
        config: AnnotatorConfig,
        run: RunConfig,
        static: list[Message],
        response_model: type[BaseModel],
        cache: ResponseCache,
        budget: Budget,
        *,
        reads_tokens: bool = True,
    ) -> None:
        self.reads_tokens = reads_tokens
        self.config, self.run, self.cache, self.budget = config, run, cache, budget
        self.response_model = response_model
        if taken := sorted(SETTINGS & set(config.extra)):
            raise InputError(
                f"annotator {config.name!r}: extra may not hold {taken[0]!r}; "
                "use the annotator's setting of that name if there is one, else take it out"
            )
        self.able = capabilities(config.model, cache)
        self.mode = config.mode or self.able["mode"]
        self.static, self.params = self._prepare(static)
        endpoint = endpoint_identity(config, self.able["provider"])
        self.fixed = cache_key(  # what all requests have in common, hashed once
            {
                "model": config.model,
                "endpoint": endpoint,
                "params": self.params,
                "static": self.static,
            }
        )
        self.pace = Pace()
        self.asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _prepare(self, static: list[Message]) -> tuple[list[Message], dict[str, Any]]:
        """Return the static messages and the parameters that every call shares."""
        from instructor import Mode
        from instructor.processing.response import handle_response_model

        config = self.config
        _, asked = handle_response_model(
            self.response_model, mode=Mode[MODES[self.mode]], messages=list(static)
        )
        messages = asked.pop("messages")
        if self.mode == "schema":
            asked["response_format"]["json_schema"]["strict"] = True
        if self.able["cache_control"]:
            messages = marked(messages)
        params = asked | {"max_tokens": config.max_tokens}
        for name in ("temperature", "top_p", "seed"):
            if getattr(config, name) is not None:
                params[name] = getattr(config, name)
        usual = self.able["logprobs"] and self.reads_tokens
        if usual if config.logprobs is None else config.logprobs:
            params |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return messages, params | config.extra

    def key(self, messages: list[Message], sample: int) -> str:
        """Return the cache key of a request; ``messages`` begin with the static prefix.

        ``sample`` tells answers to the same question apart, and their seeds, if they have any.
        """
        assert messages[: len(self.static)] == self.static
        rest = messages[len(self.static) :]
        return cache_key({"fixed": self.fixed, "messages": rest, "sample": sample})

    def params_of(self, sample: int) -> dict[str, Any]:
        """Return the parameters of a request: of several samples each has a seed of its own.

        With the same one all would be the same answer.
        """
        own = {"seed": self.params["seed"] + sample} if "seed" in self.params else {}
        return self.params | own

    async def ask(
        self, messages: list[Message], read: Read, sample: int = 0, counted: set[str] | None = None
    ) -> Answer:
        """Ask, and re-ask where the answer cannot be used; count every call.

        ``messages`` follow the static prefix. ``counted`` are the keys of answers that the caller
        has counted already; those of this question are added. ``read`` turns a parsed answer into a
        value, or raises ``OffListError`` or ``AbstainedError``. Raises ``FatalModelError`` where no
        call can work, and ``StoppedError`` where the run ends before there is an answer.
        """
        messages = [*self.static, *messages]
        total, replayed, latency = Usage(), True, 0.0
        answer, counted = Answer(), set() if counted is None else counted
        for left in range(self.config.reasks, -1, -1):
            try:
                key = self.key(messages, sample)
                reply, hit, waste = await self._reply(key, messages, self.params_of(sample))
            except CallError as error:
                total += error.waste
                answer = replace(answer, failure=error.kind, detail=error.detail)
                return replace(answer, usage=total, replayed=False, latency=latency)
            if key not in counted:
                total += usage_of(reply) + waste
                replayed, latency = replayed and hit, latency + reply["latency"]
            counted.add(key)
            answer = self._understand(reply, read)
            if answer.failure not in ("off_list", "unparsable") or left == 0:
                break
            messages = self._reask(messages, reply, answer.detail)
        return replace(answer, usage=total, replayed=replayed, latency=latency)

    async def _reply(
        self, key: str, messages: list[Message], params: dict[str, Any]
    ) -> tuple[Any, bool, Usage]:
        """Return the answer, whether it was in the cache, and what tries without one used up."""
        if (kept := self.cache.get(key)) is not None:
            return kept, True, Usage()
        lock = self.asking.setdefault(key, asyncio.Lock())
        asked = lock.locked()
        async with lock:  # two items of the same text: one call, the other waits for its answer
            if asked and (kept := self.cache.get(key)) is not None:
                return kept, True, Usage()
            return await self._bought(key, messages, params)

    async def _bought(
        self, key: str, messages: list[Message], params: dict[str, Any]
    ) -> tuple[Any, bool, Usage]:
        """Buy an answer within the budget, trying again after what may pass."""
        bound = upper_bound(self.config, messages, params) or 0.0
        waste, wait_until = Usage(), 0.0
        for attempt in range(self.run.retries + 1):
            await self.pace.enter(wait_until)
            try:
                reply, lost = await self._try(key, messages, params, bound)
            except CallError as error:
                waste += error.waste
                error.waste = waste
                if error.fatal:
                    raise FatalModelError(error.detail) from None
                if not error.again or attempt == self.run.retries:
                    raise
                wait_until = self.pace.failed(error, attempt)
            else:
                self.pace.answered()
                return reply, False, waste + Usage(unconfirmed=lost)
            finally:
                self.pace.leave()
        raise AssertionError("the last attempt returns or raises")

    async def _try(
        self, key: str, messages: list[Message], params: dict[str, Any], bound: float
    ) -> tuple[Any, float]:
        """Make one call and keep its answer; return it, and the dollars that may be lost.

        What the call may cost is set aside until what it did cost is counted.
        """
        if not await self.budget.reserve(bound):
            raise CallError(
                "budget",
                f"the next call may cost up to ${bound:.6f}, and ${self.budget.spent():.6f} "
                f"of ${self.budget.limit:g} is gone",
            )
        try:
            if self.pace.stopping.is_set():
                raise StoppedError
            self.cache.hold(bound)
            try:
                reply = await call(self.config, messages, params, self.run.timeout)
            except CallError as error:
                self.cache.release(bound, lost=error.sent)
                error.waste = Usage(calls=1, unconfirmed=bound if error.sent else 0.0)
                raise
            except BaseException:  # cut off in mid-call
                self.cache.release(bound, lost=True)
                raise
            self.cache.put(key, reply, reply["cost"], held=bound)
            return reply, bound if reply["cost"] is None else 0.0
        finally:
            await self.budget.settle(bound)

    def _understand(self, reply: Mapping[str, Any], read: Read) -> Answer:
        """Read an answer. Nothing but the answer itself decides: same reply, same outcome."""
        choice = reply["raw"]["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content = message.get("content") or ""
        refusal = (message.get("provider_specific_fields") or {}).get("refusal")
        if refusal or finish in ("content_filter", "refusal"):
            return Answer(failure="refused", detail=str(refusal or "stopped by a content filter"))
        if finish == "length":
            return Answer(
                failure="truncated",
                detail=f"cut at {self.config.max_tokens} tokens; raise max_tokens",
            )
        try:
            parsed = self._parse(content)
        except (ValueError, RecursionError) as error:
            return Answer(failure="unparsable", detail=first_line(error))
        rationale = str(getattr(parsed, "rationale", ""))
        tokens = tuple((choice.get("logprobs") or {}).get("content") or ())
        try:
            value = read(parsed)
        except AbstainedError:
            return Answer(abstained=True, rationale=rationale)
        except OffListError as error:
            return Answer(failure="off_list", detail=str(error), rationale=rationale)
        said = confidence_of(parsed)
        return Answer(value=value, rationale=rationale, confidence=said, tokens=tokens)

    def _parse(self, content: str) -> BaseModel:
        """Parse JSON; a code fence or words around one object are tolerated, nothing else."""
        try:
            data = json.loads(content, object_pairs_hook=each_key_once)
        except json.JSONDecodeError:
            from instructor.utils import extract_json_from_codeblock

            found = extract_json_from_codeblock(content)
            if found.count("{") != content.count("{"):
                raise ValueError("several JSON objects: which one is meant?") from None
            data = json.loads(found, object_pairs_hook=each_key_once)
        return self.response_model.model_validate(data)

    def _reask(
        self, messages: list[Message], reply: Mapping[str, Any], detail: str
    ) -> list[Message]:
        """Return the messages of the next question, in the form Instructor gives them."""
        from instructor import Mode
        from instructor.processing.response import handle_reask_kwargs

        content = reply["raw"]["choices"][0]["message"].get("content")
        message = SimpleNamespace(role="assistant", content=content)
        asked = handle_reask_kwargs(
            {"messages": list(messages)},
            mode=Mode[MODES[self.mode]],
            response=SimpleNamespace(choices=[SimpleNamespace(message=message)]),
            exception=ValueError(detail),
        )
        return list(asked["messages"])


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON; one that names a key twice does not say what it means."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def first_line(error: Exception) -> str:
    """Return what is wrong with an answer, in one line."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])} {first['msg']}".strip()


def marked(messages: list[Message]) -> list[Message]:
    """Mark the end of the static prefix for providers that cache prompts only on request."""
    last = messages[-1]
    content = last["content"]
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    blocks = [*blocks[:-1], blocks[-1] | {"cache_control": {"type": "ephemeral"}}]
    return [*messages[:-1], last | {"content": blocks}]


def usage_of(reply: Mapping[str, Any]) -> Usage:
    """Return what one answer used."""
    usage = reply["raw"].get("usage") or {}
    return Usage(
        calls=1,
        input_tokens=usage.get("prompt_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        cost=reply["cost"],
    )
