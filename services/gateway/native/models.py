"""Bodies of Tandem's own API as pydantic models: what BentoML publishes in its schema and OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Prediction(_Answer):
    """What a model says of one row."""

    label: str = Field(description="The class with the highest probability.")
    probabilities: dict[str, float] = Field(description="Probability of every class; they add up to 1.")


class ClassifyAnswer(_Answer):
    """Answer of `POST /classify`."""

    model: str
    version: str
    predictions: list[Prediction] = Field(description="One for each row, in order.")


class FeatureAttribution(_Answer):
    """How far one feature, or one region of an image, pushed the output."""

    feature: str
    value: float | None = Field(description="The row's value; null for a region.")
    unit: str | None
    contribution: float = Field(description="In the units of `space`; negative is away from the predicted label.")


class ExplainAnswer(_Answer):
    """Answer of `POST /explain`. `baseline` plus all contributions is `output`."""

    model: str
    version: str
    prediction: Prediction
    attributions: list[FeatureAttribution] = Field(description="Strongest first.")
    method: str = Field(description="`linear`, `treeshap`, `integrated-gradients` or `sampled-shapley`.")
    space: str = Field(description="Units of the figures: `log-odds`, `logit` or `probability`.")
    baseline: float
    output: float
    explanation: str | None = Field(description="The language model's words; null when it could not be asked.")
    reason: str | None = Field(description="Why `explanation` is null.")
