"""The prompts that serving, training and evaluation share."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from models.attribution import RankedAttribution
from models.classifiers import digits, fraud, iris
from models.llm import prompts
from models.spec import Feature, ModelSpec


def spec(name: str, features: tuple[Feature, ...], labels: tuple[str, ...]) -> ModelSpec:
    return ModelSpec(
        name=name,
        version="1",
        framework="scikit-learn",
        description="A model.",
        features=features,
        labels=labels,
        inputs=(),
        outputs=(),
        trained_at=datetime(2026, 1, 1, tzinfo=UTC),
        data_source="none",
    )


IRIS = spec("iris", iris.FEATURES, iris.LABELS)
FRAUD = spec("fraud", fraud.FEATURES, fraud.LABELS)


def test_an_explanation_is_asked_for_with_the_facts_and_nothing_else() -> None:
    ranked = (
        RankedAttribution("petal_length", 1.399999976158142, "cm", 3.2),
        RankedAttribution("sepal_width", 3.5, "cm", -0.4),
    )
    system, user = prompts.explain_messages(IRIS, "setosa", 0.9734, ranked)
    assert system == {"role": "system", "content": prompts.EXPLAIN_SYSTEM}
    assert user["role"] == "user"
    assert user["content"].splitlines() == [
        "Model: iris",
        "Label: setosa",
        "Probability: 97.3 %",
        "Features, strongest first:",
        "- petal length (1.4 cm) speaks for it",
        "- sepal width (3.5 cm) speaks against it",
    ]


def test_a_region_has_no_value_and_only_the_strongest_are_told() -> None:
    ranked = [RankedAttribution(f"place {index}", None, None, 1.0 - index) for index in range(9)]
    digit = spec("digits", digits.FEATURES, digits.LABELS)
    lines = prompts.explain_messages(digit, "7", 0.5, ranked)[1]["content"].splitlines()
    assert lines[4:] == [
        "- the place 0 region speaks for it",
        "- the place 1 region speaks for it",
        "- the place 2 region speaks against it",
        "- the place 3 region speaks against it",
    ]


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (1.399999976158142, "1.4"),
        (0.0, "0"),
        (100000.0, "100000"),
        (36600.0, "36600"),
        (-0.25, "-0.25"),
        (1e7, "10000000"),
    ],
)
def test_numbers_are_printed_plainly(value: float, printed: str) -> None:
    assert prompts.number(value) == printed


@pytest.mark.parametrize(("probability", "printed"), [(0.97349, "97.3 %"), (1.0, "100.0 %"), (0.333, "33.3 %")])
def test_probabilities_are_printed_to_a_tenth_of_a_percent(probability: float, printed: str) -> None:
    assert prompts.percent(probability) == printed


def test_a_unit_at_the_end_of_a_name_is_not_said_twice() -> None:
    assert prompts.feature_words("distance_from_home_km", 12.5, "km") == ("distance from home", "12.5 km")
    assert prompts.feature_words("merchant_risk", 0.25, None) == ("merchant risk", "0.25")


def test_extraction_names_every_key_and_leaves_the_text_alone() -> None:
    text = "petals {1.4} by 0.2"
    system, user = prompts.extract_messages(FRAUD, text)
    assert user == {"role": "user", "content": text}
    places = [system["content"].index(feature.name) for feature in fraud.FEATURES]
    assert places == sorted(places)


def test_the_schema_wants_every_feature_as_a_number_or_null() -> None:
    schema = prompts.extract_schema(IRIS)
    assert schema["required"] == [feature.name for feature in iris.FEATURES]
    assert list(schema["properties"]) == schema["required"]
    assert schema["properties"]["petal_width"] == {"type": ["number", "null"]}
    assert schema["additionalProperties"] is False


def test_decoding_is_greedy() -> None:
    for decoding in (prompts.EXPLAIN_DECODING, prompts.EXTRACT_DECODING, prompts.ANSWER_DECODING):
        assert decoding["temperature"] == 0.0


def test_the_prompts_load_no_heavy_library() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, models.llm.prompts; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"torch", "vllm", "transformers", "sklearn", "xgboost", "tokenizers"} & set(loaded)
