"""The request and answer of `/classify`, as pydantic models: validation as FastAPI, BentoML and LitServe document it."""

from pydantic import BaseModel, ConfigDict, Field


class Row(BaseModel):
    """One flower, in centimetres."""

    model_config = ConfigDict(extra="forbid")

    sepal_length: float = Field(ge=0, le=30)
    sepal_width: float = Field(ge=0, le=30)
    petal_length: float = Field(ge=0, le=30)
    petal_width: float = Field(ge=0, le=30)

    def values(self) -> list[float]:
        """The features in the model's order."""
        return [self.sepal_length, self.sepal_width, self.petal_length, self.petal_width]


class ClassifyRequest(BaseModel):
    """Rows to classify."""

    model: str
    rows: list[Row] = Field(min_length=1, max_length=10_000)


class Prediction(BaseModel):
    """The winning class and the probability of each."""

    label: str
    probabilities: dict[str, float]


class ClassifyResponse(BaseModel):
    """One prediction a row."""

    model: str
    version: str
    predictions: list[Prediction]
