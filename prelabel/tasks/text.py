"""Text: a short free answer to a question about the item."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from prelabel.guideline import ABSTAIN
from prelabel.normalize import normalize
from prelabel.records import Item, Label, Value, Votes
from prelabel.tasks import Level, OffListError, Reading, Task, shorten
from prelabel.tasks.answers import answer_model, refuse_unwritable, stay

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.guideline import Guideline
    from prelabel.guideline_fields import Finding, Line
    from prelabel.measures import Measures


class Text(Task):
    """A text; one unit, named ``""``, whose values are open.

    Gold may be a list of several accepted answers. An annotator is right with any of them; where
    one is needed, as a vote or in an example, the first is taken.
    """

    name = "text"
    level: Level = "nominal"

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with ``answer``, after a short ``rationale`` where asked for."""
        return answer_model(
            {"answer": (str, ...)}, rationale=rationale, abstain=bool(self.guideline.abstain)
        )

    def read(self, answer: BaseModel, item: Item) -> Reading:  # noqa: ARG002
        """Return the answer, trimmed and in Unicode NFC."""
        stay(answer, self.guideline)
        return Reading(_clean(answer.answer))  # type: ignore[attr-defined]

    def match(self, raw: Any, item: Item | None = None) -> Label:  # noqa: ARG002
        """Return a recorded answer, or the list of several accepted ones, each once."""
        if not isinstance(raw, (list, tuple)):
            return _clean(raw)
        answers = list(dict.fromkeys(_clean(answer) for answer in raw))
        if not answers:
            raise OffListError("an empty list of answers")
        return answers if len(answers) > 1 else answers[0]

    def answer(self, label: Label) -> dict[str, Any]:
        """Return ``{"answer": text}``."""
        head: dict[str, Any] = {ABSTAIN: False} if self.guideline.abstain else {}
        return head | {"answer": accepted(label)[0]}

    def votes(self, label: Label) -> Votes:
        """Return ``{"": text}``."""
        return {"": accepted(label)[0]}

    def from_votes(self, votes: Votes) -> Label:
        """Return the vote of the one unit."""
        return votes.get("")

    def values(self, unit: str = "") -> tuple[Value, ...] | None:  # noqa: ARG002
        """Return None: any text may occur."""
        return None

    def normal(self, text: str) -> str:
        """Return the form in which answers are compared."""
        return normalize(text, self.guideline.normalize)

    def align(self, votes: Mapping[str, Votes]) -> Mapping[str, Votes]:
        """Give answers that are equal when normalised one spelling.

        It is the one that most annotators gave, of several such the smallest.
        """
        counts = Counter(str(vote[""]) for vote in votes.values() if "" in vote)
        spelling: dict[str, str] = {}
        for text in sorted(counts, key=lambda text: (-counts[text], text)):
            spelling.setdefault(self.normal(text), text)
        return {
            name: vote | {"": spelling[self.normal(str(vote[""]))]} if "" in vote else vote
            for name, vote in votes.items()
        }

    def right(self, gold: Label, given: Label) -> bool:
        """Say whether an answer is one of those accepted, after normalisation."""
        return self.normal(accepted(given)[0]) in map(self.normal, accepted(gold))

    def measure(self, gold: Sequence[Label], given: Sequence[Label], seed: int = 0) -> Measures:
        """Return the shares of equal answers, normalised and exact, and the mean token F1.

        Of several accepted answers the best counts. An item is right if equal when normalised.
        """
        from prelabel.measures import Measures, mean, share_right

        pairs = [(accepted(a), accepted(b)[0]) for a, b in zip(gold, given, strict=True)]
        exact = [text in answers for answers, text in pairs]
        right = [self.right(a, b) for a, b in zip(gold, given, strict=True)]
        shared = [max(self.token_f1(answer, text) for answer in answers) for answers, text in pairs]
        metrics = {
            "normalised": share_right(right),
            "exact": share_right(exact),
            "token_f1": mean(shared, seed),
        }
        return Measures(right, metrics)

    def token_f1(self, a: str, b: str) -> float:
        """Return the F1 of two answers' words after normalisation, as SQuAD's script does.

        Words are what stands between blanks, so in scripts without blanks it is all or nothing.
        Source: Rajpurkar et al. 2016 (arXiv 1606.05250).
        """
        words_a, words_b = self.normal(a).split(), self.normal(b).split()
        if not words_a or not words_b:
            return float(words_a == words_b)
        both = (Counter(words_a) & Counter(words_b)).total()
        return 2 * both / (len(words_a) + len(words_b))

    def overlap(self, a: Label, b: Label) -> tuple[float, float]:
        """Return the token F1 of two answers, of 1."""
        return self.token_f1(accepted(a)[0], accepted(b)[0]), 1.0

    def units(self) -> tuple[str, ...]:
        """Return none: alpha of open texts says little."""
        return ()


def accepted(label: Label) -> list[str]:
    """Return the answers that a label accepts, the first one first."""
    return list(label) if isinstance(label, (list, tuple)) else [label]


def _clean(raw: Any) -> str:
    if isinstance(raw, Real) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str):
        raise OffListError(f"{shorten(raw)} is not a text")
    text = unicodedata.normalize("NFC", raw).strip()
    if not text:
        raise OffListError("the answer is empty; write one")
    refuse_unwritable(text)
    return text


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Yield a warning where small differences of spelling would count."""
    from prelabel.guideline_fields import Finding

    if not guideline.normalize:
        message = (
            "answers that differ in a capital or a full stop count as different; "
            "declare 'normalize: [case, space, punctuation]'"
        )
        yield Finding(line("normalize"), "warning", message)
