"""The parts of ``prelabel.yaml``: items, gold, annotators, the run, deciding, the review."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class Settings(BaseModel):
    """A part of the document: unknown names are refused, and nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ItemsConfig(Settings):
    """Where the items are, and which columns mean what."""

    path: str
    id: str = Field("id", description="The column that identifies an item.")
    text: str | list[str] = Field("text", description="The column(s) that annotators see.")
    meta: list[str] | None = Field(
        None, description="Columns kept as metadata, never shown to an annotator; default: the rest"
    )
    tokens: str | None = Field(
        None, description="In place of text: the column with the text as a list of tokens."
    )
    images: list[str] = Field(
        default_factory=list, description="Columns that name pictures: files, URLs or data: URLs."
    )
    encoding: str | None = Field(None, description="If the file is not UTF-8, such as latin-1.")

    @field_validator("text", mode="before")
    @classmethod
    def _is_column(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else value
        if not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
            raise ValueError("must be the name of a column, or a list of names")
        return value

    @property
    def columns(self) -> list[str]:
        """The columns that annotators see."""
        return [self.text] if isinstance(self.text, str) else self.text


class GoldConfig(Settings):
    """Where expert labels are."""

    path: str
    id: str = "id"
    label: str = "label"
    split: str | None = Field("split", description="The column naming a part of the gold.")
    author: str | None = Field("author", description="The column naming who made the label.")
    separator: str | None = Field(
        None,
        min_length=1,
        description="What parts labels in one cell, such as ';'. An empty cell is no gold; write "
        "[] for none of the labels.",
    )
    encoding: str | None = None
    lure: str | None = Field(
        None, description="The column with the label that an attack in the item's text wants."
    )
    chance: str | None = Field(
        None, description="The column with each item's chance to have become gold, if these differ."
    )
    cluster: str | None = Field(
        None,
        description="The column with what was drawn where that was not items: such as documents, "
        "all of whose items are gold.",
    )
    drawn: str | None = Field(
        "drawn",
        description="The column saying how an item became gold: empty or `random`; gold drawn "
        "otherwise (`review`, `active`, …) is scored on, but no promise is tested on it.",
    )


class ShotsConfig(Settings):
    """Few-shot examples in the prompt."""

    choose: Literal["none", "fixed", "diverse", "similar"] = "none"
    k: int = Field(4, ge=0, le=64)
    source: Literal["guideline", "gold"] = "guideline"
    split: str | None = Field(
        None, description="With source gold: only this split; default: all but the split test."
    )
    seed: int = 0


class SplitConfig(Settings):
    """Long items are labeled in parts."""

    characters: int = Field(ge=100, description="The most characters of a part.")
    overlap: int = Field(
        -1,
        description="Characters that consecutive parts share; default: 200, a quarter at most.",
    )

    @model_validator(mode="after")
    def _overlap_is_small(self) -> Self:
        if self.overlap < 0:
            if "overlap" in self.model_fields_set:
                raise ValueError("overlap must be 0 or more")
            object.__setattr__(self, "overlap", min(200, self.characters // 4))
        if self.overlap * 2 > self.characters:
            raise ValueError("overlap must be half of characters at most")
        return self


class PriceConfig(Settings):
    """Dollars a million tokens, for models that LiteLLM has no price for."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class AnnotatorConfig(Settings):
    """An LLM with its settings."""

    name: str
    model: str = Field(min_length=1, description="Any LiteLLM model, or local/NAME-OR-PATH.gguf")
    base_url: str | None = None
    api_key: SecretStr | None = Field(None, description="Write ${NAME} to read the environment.")
    prompt: str = Field("full", description="full, brief, or the path of a .jinja file.")
    shots: ShotsConfig = ShotsConfig()
    rationale: bool = False
    confidence: bool = Field(
        False, description="Ask, after the answer, how probable it is that it is right."
    )
    samples: int = Field(
        1, ge=1, description="Ask so often about each item; what most answers say is the label."
    )
    temperature: float | None = 0.0
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int = Field(256, ge=1)
    logprobs: bool | None = Field(None, description="Default: where the provider gives them.")
    mode: Literal["schema", "json", "text"] | None = Field(
        None, description="How structure is asked for; default: the best the provider supports."
    )
    reasks: int = Field(1, ge=0, le=5, description="Questions more after an unusable answer.")
    candidates: int | None = Field(
        None,
        ge=2,
        description="Define only so many labels to each item, those most similar to it: for large "
        "label sets.",
    )
    split: SplitConfig | None = Field(
        None, description="Label longer items in parts; default: send them whole."
    )
    price: PriceConfig | None = None
    concurrency: int | None = Field(None, ge=1)
    threads: int | None = Field(
        None, ge=1, description="Of a local model; default: all cores but one."
    )
    context: int = Field(8192, ge=256, description="Tokens of context of a local model.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Passed on to the provider.")

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not re.fullmatch(r"[^\s@/][^@\n]*", value):
            raise ValueError(f"{value!r} is no name; begin with a letter, and leave out @")
        return value

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and (self.temperature or 0.0) <= 0:
            raise ValueError("samples need a temperature above 0, such as 0.7")
        return self

    @property
    def is_local(self) -> bool:
        """Whether the model runs in this process, on cores that annotators share."""
        return self.model.startswith("local/")

    def width(self, run: RunConfig) -> int:
        """Return how many calls may be in flight."""
        return self.concurrency or (1 if self.is_local else run.concurrency)


class RunConfig(Settings):
    """How a run behaves."""

    concurrency: int = Field(16, ge=1, description="Calls in flight for each annotator.")
    timeout: float = Field(60.0, gt=0, description="Seconds a call may take.")
    retries: int = Field(5, ge=0, description="Tries more after an outage, a timeout or a 429.")
    max_cost: float | None = Field(None, ge=0, description="Dollars this project may spend.")
    require_qualified: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The accuracy that annotators must have shown by `prelabel qualify` to label, "
        "and reviewers to be given items; default: none.",
    )


Aggregate = Literal[
    "majority",
    "distribution",
    "median",
    "overlap",
    "auto",
    "best",
    "weighted",
    "candidates",
    "naive-bayes",
    "stack-0.1",
    "stack-0.3",
    "stack-1",
    "dawid-skene",
]


class EscalateConfig(Settings):
    """A strong annotator for the items that the others are least sure of."""

    to: str = Field(min_length=1, description="The name of the strong annotator.")
    share: float = Field(
        ge=0, le=1, description="The share of items to ask it about, those least sure first."
    )


class DecideConfig(Settings):
    """How annotations become a consensus, and which items people see."""

    aggregate: Aggregate | None = Field(
        None,
        description="majority of labels; distribution: of label probabilities corrected for bias; "
        "median of ratings; overlap: majority of spans that overlap; auto: the best on gold of "
        "those that learn from it (best, weighted, candidates, naive-bayes, stack-…); dawid-skene. "
        "Default: median for ratings; auto where 50 gold items or more have votes and all labels "
        "are declared; else majority.",
    )
    ties: Literal["review", "priority", "probability"] = Field(
        "probability", description="What breaks a tie; a tied item goes to review in any case."
    )
    min_agreement: float = Field(0.66, ge=0, le=1, description="Share of votes needed to accept.")
    min_votes: int = Field(2, ge=1)
    split: str | None = Field(
        None,
        description="The split of the gold that a rule learns from; by default all gold. Gold that "
        "it learned from is scored by rules fitted without it.",
    )
    promise: Literal["selective", "dataset", "expected"] | None = Field(
        None,
        description="What is promised of accepted labels. selective: with probability 1 - delta at "
        "most `target` of them are wrong; dataset: with probability 1 - delta at most `target` of "
        "all items are accepted and wrong; expected: on average at most `target` of them are "
        "wrong. Default: no promise; min_agreement decides.",
    )
    target: float = Field(0.05, gt=0, lt=1, description="The share of wrong labels promised.")
    delta: float = Field(0.1, gt=0, lt=1, description="How often a promise may fail.")
    each: str | None = Field(
        None, description="Promise it of each `label`, or of each value of a metadata column."
    )
    strict: bool = Field(
        False,
        description="Test the promise on one half of the gold, learn from the other alone: exact, "
        "but half as much gold. Default: five-fold cross-fitting.",
    )
    audit: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="The share of what would be accepted that goes to people all the same, at "
        "random by the item's id, whatever its label and confidence.",
    )
    escalate: EscalateConfig | None = Field(
        None,
        description="A cascade: the others label everything, a strong annotator what they are "
        "least sure of; where it was asked its label counts. Who is asked is fixed without gold.",
    )
    costs: dict[str, float] = Field(
        default_factory=dict,
        description="What a wrong label costs, by label, in any unit; others cost 1. The review "
        "queue begins where a review saves most.",
    )

    @field_validator("costs")
    @classmethod
    def _costs_are_positive(cls, value: dict[str, float]) -> dict[str, float]:
        for label, cost in value.items():
            if not (cost >= 0 and isfinite(cost)):
                raise ValueError(f"the cost of {label!r} must be 0 or more, and finite")
        return value


class ReviewConfig(Settings):
    """How the review measures its people."""

    gold_rate: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the items given to a reviewer that are hidden gold: items that have "
        "an expert's label, shown like any other, to measure how often the reviewer is right.",
    )
    wrong_rate: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the items given that are hidden gold with a wrong label planted as "
        "the suggestion; a part of gold_rate. Measures how often a wrong suggestion is accepted.",
    )
    blind_rate: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the items shown without what annotators said, by lot: what wrong and "
        "right suggestions do is measured against them.",
    )
    floor: float = Field(
        0.85,
        ge=0.5,
        lt=1,
        description="The least accuracy on hidden gold: what people say who are shown to be below "
        "it does not count until somebody else confirms it.",
    )

    @model_validator(mode="after")
    def _planted_is_part_of_gold(self) -> Self:
        if self.wrong_rate > self.gold_rate:
            raise ValueError("wrong_rate must be gold_rate or less, of which it is a part")
        return self
