"""ask(): one question to a language model, with its cost and an honest outcome.

The only importer of instructor. Layers, each adding one thing: ``ask`` reads the answer and
re-asks, ``_reply`` looks in the cache, ``_bought`` keeps to the budget and retries,
``provider.call`` makes one call.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from prelabel.budget import Budget
from prelabel.cache import ResponseCache, cache_key
from prelabel.errors import FatalModelError
from prelabel.provider import CallError, call, capabilities, endpoint_identity, upper_bound
from prelabel.records import FailureKind, Usage
from prelabel.tasks import AbstainedError, OffListError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.project import AnnotatorConfig, RunConfig

Message = dict[str, Any]

MODES = {"schema": "JSON_SCHEMA", "json": "JSON", "text": "MD_JSON"}
"""How structure is asked for -> Instructor's mode."""

TOP_LOGPROBS = 20
LONGEST_PAUSE = 120.0


@dataclass(frozen=True)
class Answer:
    """What came of a question: a value, or why there is none.

    ``value`` is what the reader returned; ``failure`` is None where there is a value or the
    annotator abstained. ``tokens`` are the answer's log-probabilities, empty where not given.
    ``replayed`` is true where nothing was paid now.
    """

    value: Any = None
    abstained: bool = False
    failure: FailureKind | None = None
    detail: str = ""
    rationale: str = ""
    tokens: tuple[Mapping[str, Any], ...] = ()
    usage: Usage = field(default_factory=Usage)
    replayed: bool = True
    latency: float = 0.0


class LLM:
    """One annotator's model, its static prompt prepared once.

    ``read`` turns a parsed answer into a value, or raises ``OffListError`` or ``AbstainedError``.
    """

    def __init__(
        self,
        config: AnnotatorConfig,
        run: RunConfig,
        static: list[Message],
        response_model: type[BaseModel],
        read: Callable[[Any], Any],
        cache: ResponseCache,
        budget: Budget,
    ) -> None:
        self.config, self.run, self.cache, self.budget = config, run, cache, budget
        self.response_model, self.read = response_model, read
        self.able = capabilities(config.model, cache)
        self.mode = config.mode or self.able["mode"]
        self.static, self.params = self._prepare(static)
        self.endpoint = endpoint_identity(config)
        self.resume_at = 0.0  # after a 429 all of this annotator's calls wait

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
        params = asked | config.extra
        params["max_tokens"] = config.max_tokens
        for name in ("temperature", "top_p", "seed"):
            if getattr(config, name) is not None:
                params[name] = getattr(config, name)
        if self.able["logprobs"] if config.logprobs is None else config.logprobs:
            params |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return messages, params

    def key(self, messages: list[Message], sample: int) -> str:
        """Return the cache key of a request."""
        return cache_key(
            {
                "model": self.config.model,
                "endpoint": self.endpoint,
                "messages": messages,
                "params": self.params,
                "sample": sample,
            }
        )

    async def ask(self, messages: list[Message], sample: int = 0) -> Answer:
        """Ask, and re-ask where the answer cannot be used; count every call.

        ``messages`` follow the static prefix. Raises ``FatalModelError`` where no call can work.
        """
        messages = [*self.static, *messages]
        total, replayed, latency = Usage(), True, 0.0
        answer = Answer()
        for left in range(self.config.reasks, -1, -1):
            try:
                reply, hit, lost = await self._reply(messages, sample)
            except CallError as error:
                usage = total + Usage(unconfirmed=getattr(error, "lost", 0.0))
                return replace(
                    answer, failure=error.kind, detail=error.detail, usage=usage, replayed=replayed
                )
            total = total + usage_of(reply) + Usage(unconfirmed=lost)
            replayed, latency = replayed and hit, latency + reply["latency"]
            answer = self._understand(reply)
            answer = replace(answer, usage=total, replayed=replayed, latency=latency)
            if answer.failure not in ("off_list", "unparsable") or left == 0:
                break
            messages = self._reask(messages, reply, answer.detail)
        return answer

    async def _reply(self, messages: list[Message], sample: int) -> tuple[Any, bool, float]:
        """Return the answer, whether it was in the cache, and dollars that tries may have lost."""
        key = self.key(messages, sample)
        if (kept := self.cache.get(key)) is not None:
            return kept, True, 0.0
        reply, lost = await self._bought(messages)
        self.cache.put(key, reply, reply["cost"])
        return reply, False, lost

    async def _bought(self, messages: list[Message]) -> tuple[dict[str, Any], float]:
        """Buy an answer within the budget, trying again after what may pass."""
        bound = upper_bound(self.config, messages, self.params)
        lost = 0.0
        for attempt in range(self.run.retries + 1):
            await self._pause()
            if not await self.budget.reserve(bound or 0.0):
                error = CallError("budget", f"the next call may cost ${bound or 0:.6f}")
                break
            try:
                return await call(self.config, messages, self.params, self.run.timeout), lost
            except CallError as failed:
                error = failed
                if error.sent and bound:
                    lost += bound
                    self.cache.add_unconfirmed(bound)
            finally:
                await self.budget.settle(bound or 0.0)
            if error.fatal:
                raise FatalModelError(f"annotator {self.config.name!r}: {error.detail}")
            if not error.again or attempt == self.run.retries:
                break
            self._back_off(error, attempt)
        error.lost = lost  # type: ignore[attr-defined]
        raise error

    def _back_off(self, error: CallError, attempt: int) -> None:
        """Say when to go on: as long as the provider asked, else twice as long as last time."""
        wait = error.wait or min(30.0, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        self.resume_at = max(self.resume_at, time.monotonic() + min(wait, LONGEST_PAUSE))

    async def _pause(self) -> None:
        while (wait := self.resume_at - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    def _understand(self, reply: Mapping[str, Any]) -> Answer:
        """Read an answer. Nothing but the answer itself decides: same reply, same outcome."""
        from pydantic import ValidationError

        choice = reply["raw"]["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content = message.get("content") or ""
        refusal = (message.get("provider_specific_fields") or {}).get("refusal")
        if refusal or finish in ("content_filter", "refusal"):
            return Answer(failure="refused", detail=str(refusal or "stopped by a content filter"))
        if finish == "length":
            return Answer(failure="truncated", detail=f"cut at {self.config.max_tokens} tokens")
        try:
            parsed = self._parse(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return Answer(failure="unparsable", detail=f"{where} {first['msg']}".strip())
        rationale = str(getattr(parsed, "rationale", ""))
        tokens = tuple((choice.get("logprobs") or {}).get("content") or ())
        try:
            value = self.read(parsed)
        except AbstainedError:
            return Answer(abstained=True, rationale=rationale)
        except OffListError as error:
            return Answer(failure="off_list", detail=str(error), rationale=rationale)
        return Answer(value=value, rationale=rationale, tokens=tokens)

    def _parse(self, content: str) -> BaseModel:
        """Parse JSON; a code fence or words around one object are tolerated, nothing else."""
        from pydantic import ValidationError

        try:
            return self.response_model.model_validate_json(content)
        except ValidationError as error:
            if error.errors()[0]["type"] != "json_invalid":
                raise
            from instructor.utils import extract_json_from_codeblock

            found = extract_json_from_codeblock(content)
            if found.count("{") != content.count("{"):  # several objects: which one is meant?
                raise
            return self.response_model.model_validate_json(found)

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


def marked(messages: list[Message]) -> list[Message]:
    """Mark the end of the static prefix for providers that cache prompts only on request."""
    last = messages[-1]
    block = {"type": "text", "text": last["content"], "cache_control": {"type": "ephemeral"}}
    return [*messages[:-1], last | {"content": [block]}]


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
