"""The settings of the review: what of it is left to chance, so that it can be measured."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ReviewConfig(BaseModel):
    """How the review measures its people."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
