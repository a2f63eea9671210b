"""The final rows: each item with its label, how it came about, and what each annotator said."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from prelabel.records import Adjudication, Annotation, Consensus, Item, Routed

_BY_UNIT = "agreement_by_unit"
_SETTLED = ("cause", "adjudicated_by")
_RESULT = (
    "label",
    "status",
    "reasons",
    "suggestion",
    "agreement",
    _BY_UNIT,
    "confidence",
    "votes",
    *_SETTLED,
)
_PROVENANCE = ("guideline_hash", "rule_hash", "exported_by")
_SAID_OF_ITSELF = ("confidence", "consistency")
_OWN = {"id", *_RESULT, *_PROVENANCE}


def export_rows(
    items: Iterable[Item],
    routed: Mapping[str, Routed],
    annotations: Mapping[str, Sequence[Annotation]],
    names: Mapping[str, str],
    provenance: Mapping[str, str],
    settled: Mapping[str, Adjudication] = MappingProxyType({}),
) -> Iterator[dict[str, Any]]:
    """Yield one flat row an item, for `tables.write_rows` with `export_columns`.

    ``label`` is filled only where ``status`` is ``accepted``; elsewhere the consensus, if there is
    one, is the ``suggestion``. The other states are ``review``, with ``reasons``, and
    ``unlabeled``: nobody has annotated the item; and ``adjudicated``: ``label`` is what people
    settled, with their ``cause``. A label has the shape that its task gives it.
    ``agreement`` is a share from 0 to 1, the least of those in ``agreement_by_unit``, which is null
    where a label is one unit; ``votes`` is a count. ``annotator.<name>.outcome`` is ``labeled``,
    ``abstained`` or ``failed``, and null, like the label, where that annotator has not seen the
    item. ``annotator.<name>.confidence`` and ``annotator.<name>.consistency`` are shares from 0 to
    1, on the rows where the annotator gave one.

    Args:
        items: what to export.
        routed: by item id.
        annotations: by item id; of one annotator the last counts.
        names: display names, by annotator fingerprint; each gets its columns.
        provenance: ``guideline_hash`` and ``rule_hash``.
        settled: people's decisions, by item id.

    Raises:
        InputError: two annotators have one name, or an annotation is of none of them.

    """
    _check_names(names)
    origin = {"exported_by": _exported_by(), **provenance}
    for item in items:
        said = annotations.get(item.id, ())
        row: dict[str, Any] = {"id": item.id}
        row |= {_field_column(name): text for name, text in item.fields.items()}
        row |= {f"meta.{name}": value for name, value in item.meta.items()}
        row |= _result(routed.get(item.id), annotated=bool(said))
        if one := settled.get(item.id):
            row |= {"label": one.label, "status": "adjudicated", "cause": one.cause}
            row |= {"adjudicated_by": one.author}
        row |= _said(item.id, said, names)
        yield row | {name: origin.get(name) for name in _PROVENANCE}


def export_columns(
    fields: Sequence[str],
    names: Mapping[str, str],
    meta: Sequence[str] = (),
    *,
    by_unit: bool = False,
    of_itself: Collection[str] = (),
) -> list[str]:
    """Return the columns of `export_rows` in order.

    A field keeps its name, or is ``field.<name>`` where the name is one of the export's own;
    metadata is ``meta.<name>``. ``by_unit`` includes ``agreement_by_unit``: see `several_units`.
    ``of_itself`` are more columns of annotators: see `said_of_itself`.

    Raises:
        InputError: two annotators have one name.

    """
    _check_names(names)
    shown = [_field_column(name) for name in fields] + [f"meta.{name}" for name in meta]
    annotators = [
        f"annotator.{name}.{part}"
        for name in names.values()
        for part in ("label", "outcome", *_SAID_OF_ITSELF)
        if part not in _SAID_OF_ITSELF or f"annotator.{name}.{part}" in of_itself
    ]
    result = [name for name in _RESULT if by_unit or name != _BY_UNIT]
    return ["id", *shown, *result, *annotators, *_PROVENANCE]


def several_units(routed: Iterable[Routed]) -> bool:
    """Return whether some label is of several units, as a list of labels is, or of named ones."""
    return any(_shares(one.consensus) for one in routed)


def said_of_itself(
    annotations: Mapping[str, Sequence[Annotation]], names: Mapping[str, str]
) -> set[str]:
    """Return the columns for what annotators said of themselves, where any of their labels has it.

    ``annotations`` are by item id, ``names`` by annotator fingerprint.
    """
    return {
        f"annotator.{names[one.annotator]}.{part}"
        for given in annotations.values()
        for one in given
        for part in _SAID_OF_ITSELF
        if part in one.extras
    }


def _check_names(names: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for name in names.values():
        if name in seen:
            raise InputError(f"export: two annotators are named {name!r}; rename one")
        seen.add(name)


def _field_column(name: str) -> str:
    taken = name in _OWN or name.startswith(("annotator.", "meta.", "field."))
    return f"field.{name}" if taken else name


def _exported_by() -> str:
    try:
        return f"prelabel {version('prelabel')}"
    except PackageNotFoundError:  # run from its source folder
        return "prelabel"


def _result(routed: Routed | None, *, annotated: bool) -> dict[str, Any]:
    if routed is None or not (annotated or routed.consensus.votes):
        return dict.fromkeys(_RESULT) | {"status": "unlabeled", "reasons": [], "votes": 0}
    consensus = routed.consensus
    return {
        "label": consensus.label if routed.accepted else None,
        "status": "accepted" if routed.accepted else "review",
        "reasons": list(routed.reasons),
        "suggestion": None if routed.accepted else consensus.label,
        "agreement": consensus.agreement,
        _BY_UNIT: _shares(consensus),
        "confidence": consensus.confidence,
        "votes": consensus.votes,
        **dict.fromkeys(_SETTLED),
    }


def _shares(consensus: Consensus) -> dict[str, float] | None:
    """Return the agreement by unit; None where the one unit has no name, or there is none."""
    return None if set(consensus.shares) <= {""} else dict(consensus.shares)


def _said(
    item_id: str, annotations: Sequence[Annotation], names: Mapping[str, str]
) -> dict[str, Any]:
    latest = {one.annotator: one for one in sorted(annotations, key=lambda one: one.created)}
    if unknown := latest.keys() - names.keys():
        raise InputError(
            f"export: item {item_id!r} has an annotation of unknown annotator {min(unknown)!r}; "
            "name it, or leave its annotations out"
        )
    row: dict[str, Any] = {}
    for fingerprint, name in names.items():
        one = latest.get(fingerprint)
        row[f"annotator.{name}.label"] = one.label if one else None
        row[f"annotator.{name}.outcome"] = one.outcome if one else None
        kept = one.extras if one else {}
        row |= {f"annotator.{name}.{k}": kept[k] for k in _SAID_OF_ITSELF if k in kept}
    return row
