"""Few-shot examples: which ones an annotator sees."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, Protocol

from prelabel.errors import InputError
from prelabel.records import Image, Item, Label, content_hash

if TYPE_CHECKING:
    from prelabel.settings import ShotsConfig


@dataclass(frozen=True)
class Shot:
    """An example with its label; ``item_id`` where it is a gold item, which then is not scored."""

    fields: Mapping[str, str]
    label: Label
    why: str = ""
    item_id: str = ""
    images: tuple[Image, ...] = ()


class Selector(Protocol):
    """Chooses shots; ``static`` where the choice is the same for every item."""

    static: bool

    def choose(self, item: Item | None) -> list[Shot]:
        """Return the shots for an item, the most telling last."""

    def identity(self) -> Any:
        """Return what tells this selector from another that would choose differently."""


class Same:
    """The same shots for every item."""

    static = True

    def __init__(self, shots: Sequence[Shot]) -> None:
        self.shots = list(shots)

    def choose(self, item: Item | None) -> list[Shot]:  # noqa: ARG002
        """Return the shots."""
        return self.shots

    def identity(self) -> Any:
        """Return the shots."""
        return [[dict(shot.fields), shot.label] for shot in self.shots]


class Similar:
    """The k most similar to the item by TF-IDF cosine, never the item itself or its very text."""

    static = False

    def __init__(self, shots: Sequence[Shot], k: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.shots, self.k = list(shots), k
        self.texts = [plain(shot.fields) for shot in shots]
        self.vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")  # noqa: S106
        try:
            self.matrix = self.vectorizer.fit_transform(self.texts)
        except ValueError:  # the vocabulary is empty
            raise InputError(
                "shots: the examples have no words to compare by; use choose: diverse or fixed"
            ) from None

    def choose(self, item: Item | None) -> list[Shot]:
        """Return the k nearest shots, the nearest last; k - 1 where the item is one of just k."""
        assert item is not None
        text = plain(item.fields)
        near = (self.matrix @ self.vectorizer.transform([text]).T).toarray().ravel()
        order = (-near).argsort(kind="stable").tolist()
        others = (
            self.shots[i]
            for i in order
            if self.shots[i].item_id != item.id and self.texts[i] != text
        )
        return list(islice(others, self.k))[::-1]

    def identity(self) -> Any:
        """Return what tells this pool from another."""
        return [self.k, [[dict(shot.fields), shot.label] for shot in self.shots]]


def plain(fields: Mapping[str, str]) -> str:
    """Return an item's fields as one text, so that texts which say the same are the same."""
    text = unicodedata.normalize("NFC", "\n".join(fields.values()))
    return " ".join(text.casefold().split())


def make_selector(config: ShotsConfig, pool: Sequence[Shot]) -> Selector:
    """Return the selector a configuration asks for. Raises ``InputError`` for too small a pool."""
    if config.choose == "none" or config.k == 0:
        return Same([])
    if len(pool) < config.k:
        raise InputError(
            f"shots: {config.k} examples wanted, but only {len(pool)} are there (source: "
            f"{config.source}); lower k or add examples"
        )
    match config.choose:
        case "fixed":
            return Same(pool[: config.k])
        case "diverse":
            return Same(diverse(pool, config.k, config.seed))
        case _:
            return Similar(pool, config.k)


def diverse(pool: Sequence[Shot], k: int, seed: int) -> list[Shot]:
    """Return k shots that take the labels in turn, shuffled so that no label is always last."""
    rng = random.Random(seed)  # noqa: S311
    groups: dict[str, list[Shot]] = {}
    for shot in pool:
        groups.setdefault(content_hash(shot.label), []).append(shot)
    turns = list(groups.values())
    rng.shuffle(turns)  # with fewer shots than labels, not always the first labels
    for group in turns:
        rng.shuffle(group)
    rounds = zip_longest(*turns)
    chosen = [shot for each in rounds for shot in each if shot is not None][:k]
    rng.shuffle(chosen)
    return chosen
