"""The species of an iris flower from four lengths: what the model sees and says. No framework is imported."""

from __future__ import annotations

from models.spec import Feature

LABELS = ("setosa", "versicolor", "virginica")

FEATURES = (
    Feature(name="sepal_length", description="Length of a sepal", unit="cm", low=0.0, high=20.0),
    Feature(name="sepal_width", description="Width of a sepal", unit="cm", low=0.0, high=20.0),
    Feature(name="petal_length", description="Length of a petal", unit="cm", low=0.0, high=20.0),
    Feature(name="petal_width", description="Width of a petal", unit="cm", low=0.0, high=20.0),
)
