"""The held-out cases: what is asked, and how the answer is judged. They are the same in every evaluation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from models.classifiers import fraud, iris
from models.llm import prompts
from models.llm.evaluation import held_out_explanations, held_out_questions, held_out_texts
from models.llm.evaluation.scoring import ExplanationJudge, ExtractionJudge, Judge, PhraseJudge
from models.llm.training import explaining
from models.llm.training.copying import json_number
from models.llm.training.facts import FACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from models.llm.prompts import Decoding, Messages
    from models.llm.training.reasons import Prediction
    from models.spec import Feature

SEED = 2026
"""No training run uses it: training seeds its draws with strings."""


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt of the evaluation."""

    task: str
    messages: Messages
    decoding: Decoding
    judge: Judge
    schema: dict[str, Any] | None = None
    """JSON schema that the server is made to follow."""


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the table: cases of one kind and the share of them that must be right."""

    name: str
    target: float
    draw: Callable[[], Iterator[Case]]


def _explanations() -> Iterator[Case]:
    rng = Random(SEED)  # noqa: S311 (no secret is drawn)
    for model in ("iris", "fraud", "digits") * 100:
        prediction = explaining.prediction_of(rng, model)
        asked = explaining.asked_freely(
            rng,
            prediction,
            held_out_explanations.FRAMES,
            held_out_explanations.DIRECTIONS,
            held_out_explanations.LISTS,
        )
        messages = [{"role": "system", "content": prompts.EXPLAIN_SYSTEM}, {"role": "user", "content": asked}]
        yield Case("explain", messages, prompts.EXPLAIN_DECODING, _judge(prediction, asked))


def _own_explanations() -> Iterator[Case]:
    rng = Random(SEED + 1)  # noqa: S311
    for model in ("iris", "fraud", "digits") * 100:
        prediction = explaining.prediction_of(rng, model)
        messages = explaining.tandem_messages(prediction)
        judge = _judge(prediction, messages[-1]["content"])
        yield Case("explain, as /explain asks", messages, prompts.EXPLAIN_DECODING, judge)


def _judge(prediction: Prediction, asked: str) -> ExplanationJudge:
    top = prediction.reasons[0]
    others = tuple(reason.name for reason in prediction.reasons[1:])
    return ExplanationJudge(prediction.label, prediction.probability, top.name, top.supports, others, asked)


def _extractions(*, constrained: bool) -> Iterator[Case]:
    rng = Random(SEED + 2)  # noqa: S311
    for index in range(300):
        if index % 2:
            template = held_out_texts.IRIS[index // 2 % len(held_out_texts.IRIS)]
            text, figures = held_out_texts.iris_text(rng, template)
            features: tuple[Feature, ...] = iris.FEATURES
        else:
            template = held_out_texts.FRAUD[index // 2 % len(held_out_texts.FRAUD)]
            text, figures = held_out_texts.fraud_text(rng, template)
            features = fraud.FEATURES
        expected = {
            feature.name: float(json_number(figures[feature.name])) if feature.name in figures else None
            for feature in features
        }
        yield Case(
            "extract, with json_schema" if constrained else "extract",
            prompts.extract_messages_of(features, text),
            prompts.EXTRACT_DECODING,
            ExtractionJudge(expected),
            prompts.extract_schema_of(features) if constrained else None,
        )


def _answers() -> Iterator[Case]:
    keys = {fact.name: fact.key for fact in FACTS}
    for question, fact in held_out_questions.ABOUT_TANDEM:
        yield Case("answer", prompts.answer_messages(question), prompts.ANSWER_DECODING, PhraseJudge(keys[fact]))


def _elsewhere() -> Iterator[Case]:
    judge = PhraseJudge("larger model with TANDEM_LLM__MODEL")
    for question in held_out_questions.ELSEWHERE:
        yield Case("out of scope", prompts.answer_messages(question), prompts.ANSWER_DECODING, judge)


TASKS: tuple[Task, ...] = (
    Task("explain", 0.97, _explanations),
    Task("explain, as /explain asks", 0.97, _own_explanations),
    Task("extract", 0.95, lambda: _extractions(constrained=False)),
    Task("extract, with json_schema", 0.95, lambda: _extractions(constrained=True)),
    Task("answer", 0.9, _answers),
    Task("out of scope", 0.9, _elsewhere),
)


def sample(cases: Sequence[Case], count: int | None) -> list[Case]:
    """At most `count` of the cases, spread evenly over them; None takes all."""
    if count is None or count >= len(cases):
        return list(cases)
    return [cases[index * len(cases) // count] for index in range(count)]


def skeleton(text: str) -> str:
    """A text with its figures and spacing taken out, by which templates are told apart."""
    return " ".join(re.sub(r"\d+(?:[.,]\d+)*", "#", text.lower()).split())
