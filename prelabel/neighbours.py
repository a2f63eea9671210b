"""How similar an item's text is to gold items' texts, and what the similar ones got.

Words, pairs of words and pieces of four characters are counted in buckets (hashing), weighted by
how rare they are on gold (TF-IDF) and compared by cosine. Only the heaviest buckets of a gold item
are kept, so that a few hundred gold items fit into a rule file, and their texts do not stand there.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np

from prelabel.voting import Params, short_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.estimate import FloatArray

BUCKETS = 2**16
KEPT = 96
"""Buckets of a gold text that are kept, the heaviest."""

PIECE = 4
"""Characters in a piece."""

NEAREST = 10
"""Gold items that speak for an item."""

CAUTION = 0.5
"""Added to their similarity in all: what is like no gold item gets gold's mean."""

FEW_TEXTS = 20
FAR = 0.99
"""An item is unlike any gold where it is farther from it than this share of gold is."""

_WORD = re.compile(r"\w+")
_AT_ONCE = 2000


class _Gold(NamedTuple):
    """Gold texts: ``columns`` is sparse, buckets x texts, of length 1; ``rarity`` by bucket."""

    columns: Any
    rarity: FloatArray


def fit_texts(texts: Sequence[str]) -> Params:
    """Return gold texts as plain JSON: the buckets' rarity, and each text's heaviest buckets.

    The numbers are packed: little-endian uint16 buckets and float32 weights, in base64. ``far`` is
    the distance to the nearest other text that only 1 in 100 texts exceeds; None of fewer than 20.
    """
    counted = [Counter(_pieces(text)) for text in texts]
    seen = Counter(bucket for row in counted for bucket in row)
    common = sorted(bucket for bucket, n in seen.items() if n > 1)
    alone = short_float(_rarity(1, len(texts)))
    rarity = {bucket: _rarity(seen[bucket], len(texts)) for bucket in common}
    kept = [_heaviest(row, rarity, alone) for row in counted]
    params: Params = {
        "texts": len(texts),
        "alone": alone,
        "buckets": _pack(common, "<u2"),
        "rarity": _pack([rarity[bucket] for bucket in common], "<f4"),
        "sizes": [len(row) for row in kept],
        "kept": _pack([bucket for row in kept for bucket, _ in row], "<u2"),
        "weights": _pack([weight for row in kept for _, weight in row], "<f4"),
    }
    return params | {"far": _far(params, texts, np.array(params["sizes"]) > 0)}


def similarities(params: Params, texts: Sequence[str]) -> FloatArray:
    """Return the cosine, from 0 to 1, of each text with each gold text: texts x gold."""
    packed = (params[key] for key in ("buckets", "rarity", "kept", "weights"))
    gold = _unpacked(*packed, params["alone"], tuple(params["sizes"]))
    found = np.empty((len(texts), params["texts"]))
    for start in range(0, len(texts), _AT_ONCE):
        part = [Counter(_pieces(text)) for text in texts[start : start + _AT_ONCE]]
        found[start : start + len(part)] = (_matrix(part, gold.rarity) @ gold.columns).toarray()
    return np.clip(found, 0.0, 1.0)


def distances(params: Params, texts: Sequence[str]) -> FloatArray:
    """Return how far each text is from the nearest gold text, 0 to 1; nan of one without words."""
    found = np.full(len(texts), np.nan)
    says = [at for at, text in enumerate(texts) if _WORD.search(text)]
    if params["texts"]:
        found[says] = 1 - similarities(params, [texts[at] for at in says]).max(axis=1)
    return found


def of_the_nearest(similar: FloatArray, right: FloatArray) -> FloatArray:
    """Return the weighted share of right consensus among the nearest gold items, less the mean.

    ``similar`` is items x gold, 0 or less where a gold item must not count, as for itself; each
    row weighs the `NEAREST` by their similarity.
    """
    k = min(NEAREST, similar.shape[1])
    order = np.argsort(-similar.round(9), axis=1, kind="stable")[:, :k]
    weight = np.maximum(np.take_along_axis(similar, order, axis=1), 0.0)
    off = (right - right.mean())[order]
    found: FloatArray = (weight * off).sum(axis=1) / (weight.sum(axis=1) + CAUTION)
    return found


def _far(params: Params, texts: Sequence[str], says: NDArray[np.bool_]) -> float | None:
    """Return the distance to the nearest other text that few of those with any word exceed."""
    if says.sum() < FEW_TEXTS:
        return None
    near = similarities(params, texts)
    np.fill_diagonal(near, 0.0)
    return short_float(float(np.quantile(1 - near[says].max(axis=1), FAR)))


def _pieces(text: str) -> Iterator[int]:
    words = _WORD.findall(text.casefold())
    for word in words:
        yield crc32(_bytes(word)) % BUCKETS
    for pair in pairwise(words):
        yield crc32(_bytes(" ".join(pair))) % BUCKETS
    whole = _bytes(" ".join(words))
    for at in range(0, len(whole) - 2 * PIECE + 1, 2):
        yield crc32(whole[at : at + 2 * PIECE], 1) % BUCKETS


def _bytes(text: str) -> bytes:
    """Return two bytes a character, so that pieces are as long in any script."""
    return text.encode("utf-16-le", "surrogatepass")


def _rarity(seen: int, texts: int) -> float:
    return log((1 + texts) / (1 + seen)) + 1


def _heaviest(
    row: Mapping[int, int], rarity: Mapping[int, float], alone: float
) -> list[tuple[int, float]]:
    """Return a text's heaviest buckets in order, the squares of their weights summing to 1."""
    weighted = [(bucket, (1 + log(n)) * rarity.get(bucket, alone)) for bucket, n in row.items()]
    weighted.sort(key=lambda pair: (-round(pair[1], 9), pair[0]))
    kept = sorted(weighted[:KEPT])
    length = sum(weight**2 for _, weight in kept) ** 0.5
    return [(bucket, weight / length) for bucket, weight in kept]


def _pack(numbers: Sequence[float], kind: str) -> str:
    return base64.b64encode(np.array(numbers, dtype=kind).tobytes()).decode("ascii")


def _read(packed: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(packed), dtype=kind)


@lru_cache(maxsize=8)
def _unpacked(
    buckets: str, rarity: str, kept: str, weights: str, alone: float, sizes: tuple[int, ...]
) -> _Gold:
    from scipy.sparse import csr_array

    by_bucket = np.full(BUCKETS, alone)
    by_bucket[_read(buckets, "<u2")] = _read(rarity, "<f4")
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    data = _read(weights, "<f4").astype(np.float64)
    columns = _read(kept, "<u2").astype(np.int64)
    rows = csr_array((data, columns, starts), shape=(len(sizes), BUCKETS))
    return _Gold(rows.T.tocsr(), by_bucket)


def _matrix(counted: Sequence[Mapping[int, int]], rarity: FloatArray) -> Any:
    """Return the texts' weights as sparse rows of length 1."""
    from scipy.sparse import csr_array

    sizes = np.array([len(row) for row in counted], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    columns = np.array([bucket for row in counted for bucket in sorted(row)], dtype=np.int64)
    times = np.array([row[bucket] for row in counted for bucket in sorted(row)], dtype=np.float64)
    data = (1 + np.log(times)) * rarity[columns]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    lengths = np.sqrt(np.bincount(owner, weights=data**2, minlength=len(sizes)))
    return csr_array((data / lengths[owner], columns, starts), shape=(len(sizes), BUCKETS))
