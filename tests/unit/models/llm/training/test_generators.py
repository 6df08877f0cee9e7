"""What the training generators promise: right answers, seeded draws, nothing that the evaluation holds out."""

from __future__ import annotations

import json
import re
from random import Random

import pytest

from models.llm.evaluation import held_out_explanations, held_out_questions, held_out_texts
from models.llm.evaluation.cases import TASKS, skeleton
from models.llm.evaluation.scoring import ExplanationJudge
from models.llm.training import (
    answering,
    any_texts,
    explaining,
    explaining_frames,
    explaining_grammar,
    facts,
    iris_phrases,
    iris_texts,
    payment_phrases,
    reasons,
    strangers,
)
from models.llm.training.copying import copying
from models.llm.training.dialogue import Dialogue, typos
from models.llm.training.extracting import extracting
from models.llm.training.mixture import COPY_FIRST, COPY_LAST, copy_share, dialogues
from models.llm.training.strange_subjects import strange

FIGURE = re.compile(r"\d+(?:\.\d+)?")


def prompt(dialogue: Dialogue) -> str:
    return "\n".join(message["content"] for message in dialogue.messages)


def test_a_place_in_a_run_always_holds_the_same_dialogue() -> None:
    whole = list(dialogues(4, 0, 300, fade=200))
    assert whole[100:200] == list(dialogues(4, 100, 100, fade=200))
    assert whole != list(dialogues(5, 0, 300, fade=200))


def test_every_task_is_drawn() -> None:
    assert {dialogue.task for dialogue in dialogues(4, 0, 500, fade=0)} == {
        "copy",
        "explain",
        "extract",
        "answer",
        "elsewhere",
    }


def test_copy_tasks_fade() -> None:
    shares = [copy_share(index, 900) for index in (0, 300, 600, 900, 5000)]
    assert shares == pytest.approx([COPY_FIRST, COPY_FIRST, (COPY_FIRST + COPY_LAST) / 2, COPY_LAST, COPY_LAST])


@pytest.mark.parametrize("seed", range(300))
def test_a_copy_says_only_what_was_given(seed: int) -> None:
    dialogue = copying(Random(seed))
    assert set(FIGURE.findall(dialogue.answer)) <= set(FIGURE.findall(prompt(dialogue)))


@pytest.mark.parametrize("seed", range(300))
def test_an_explanation_is_right_by_its_own_judge(seed: int) -> None:
    prediction = explaining.predictions(Random(seed))
    top = prediction.reasons[0]
    others = tuple(reason.name for reason in prediction.reasons[1:])
    asked = explaining.tandem_messages(prediction)[-1]["content"]
    judge = ExplanationJudge(prediction.label, prediction.probability, top.name, top.supports, others, asked)
    answer = explaining.explanation(prediction)
    assert judge.fault(answer) is None
    assert 1 <= len(re.findall(r"[.](?: |$)", answer)) <= 3


def test_an_explanation_reads_like_this() -> None:
    prediction = reasons.Prediction(
        "iris",
        "setosa",
        "97.3 %",
        (
            reasons.Reason("petal length", "1.4 cm", supports=True),
            reasons.Reason("sepal width", "3.5 cm", supports=False),
            reasons.Reason("the top left region", None, supports=True),
        ),
    )
    assert explaining.explanation(prediction) == (
        "The iris model predicts setosa with a probability of 97.3 %, so it is very sure. "
        "Most of all, petal length (1.4 cm) speaks for it. "
        "Then sepal width (3.5 cm) speaks against it and the top left region speaks for it."
    )


@pytest.mark.parametrize("seed", range(300))
def test_a_composed_prompt_states_every_fact(seed: int) -> None:
    rng = Random(seed)
    prediction = explaining.predictions(rng)
    asked = explaining.asked_anew(rng, prediction)
    assert prediction.model in asked
    assert prediction.label in asked
    assert prediction.probability.replace(" ", "") in asked.replace(" ", "")
    for reason in prediction.reasons:
        assert reason.name in asked
        assert reason.value is None or reason.value in asked


def test_directions_are_many_and_none_means_both() -> None:
    pairs = {*explaining_grammar.SIGNS, *explaining_grammar.WORDS, *explaining_grammar.VERBS}
    supports, opposes = ({pair[side].lower() for pair in pairs} for side in (0, 1))
    assert min(len(supports), len(opposes)) >= 25
    assert not supports & opposes


@pytest.mark.parametrize("seed", range(300))
def test_an_extraction_is_json_with_every_key(seed: int) -> None:
    dialogue = extracting(Random(seed))
    answer = json.loads(dialogue.answer)
    asked = re.search(r"Keys, in this order: (.+?)[.] ", dialogue.messages[0]["content"])
    assert asked
    assert list(answer) == [key.split(" ")[0] for key in asked[1].split(", ")]


def test_millimetres_become_centimetres() -> None:
    rng = Random(1)
    for _ in range(100):
        printed, centimetres = iris_texts.measure(rng, " mm")
        assert float(centimetres) == pytest.approx(int(printed) / 10)


def test_a_text_without_figures_gives_nulls() -> None:
    dialogues_ = [extracting(Random(seed)) for seed in range(2000)]
    empty = [dialogue for dialogue in dialogues_ if set(json.loads(dialogue.answer).values()) == {None}]
    assert empty


def test_typos_leave_figures_and_keys_alone() -> None:
    text = "petal_length=1.4 cm and 0.2 by itself"
    assert FIGURE.findall(typos(Random(2), text, 1.0)) == FIGURE.findall(text)
    assert "petal_length=1.4" in typos(Random(2), text, 1.0)


def test_facts_have_their_key_in_their_answer_and_unique_names() -> None:
    assert all(fact.key in fact.answer for fact in facts.FACTS)
    assert len({fact.name for fact in facts.FACTS}) == len(facts.FACTS)
    assert all(fact.tasks or fact.things or fact.questions for fact in facts.FACTS)


def test_held_out_templates_are_none_of_the_training_ones() -> None:
    assert not set(held_out_explanations.FRAMES) & set(explaining_frames.FRAMES)
    assert not set(held_out_explanations.LISTS) & set(explaining_frames.LISTS)
    composed = {
        (item.replace("{named}", named), joint)
        for item in (
            *explaining_grammar.AFTER,
            *explaining_grammar.BEFORE,
            *explaining_grammar.SENTENCES,
            *explaining_grammar.SIGNED,
        )
        for named in explaining_grammar.NAMED
        for joint in (*explaining_grammar.INLINE, "\n", " ")
    }
    composed |= {
        (mark + item, joint) for item, joint in composed for mark in explaining_grammar.MARKS if "{n}" not in mark
    }
    assert composed.isdisjoint(held_out_explanations.LISTS)
    pieces = {
        *any_texts.FRAMES,
        *any_texts.PAIRS,
        *any_texts.ABSENT,
        *iris_phrases.SINGLES,
        *iris_phrases.PAIRS,
        *iris_phrases.ABSENT,
    }
    assert not set(held_out_texts.IRIS) & pieces
    assert not set(held_out_texts.FRAUD) & {
        phrase for phrases in payment_phrases.PHRASES.values() for phrase in phrases
    }
    asked = {skeleton(question) for question, _ in held_out_questions.ABOUT_TANDEM}
    asked |= {skeleton(question) for question in held_out_questions.ELSEWHERE}
    known = {skeleton(question) for fact in facts.FACTS for question in fact.questions}
    known |= {
        skeleton(frame.format(x=x)) for fact in facts.FACTS for x in fact.tasks for frame in answering.TASK_FRAMES
    }
    known |= {
        skeleton(frame.format(x=x)) for fact in facts.FACTS for x in fact.things for frame in answering.THING_FRAMES
    }
    assert not asked & (known | {skeleton(frame) for frame in (*strangers.FRAMES, *strangers.QUESTIONS)})


def test_no_drawn_prompt_is_a_held_out_one_with_other_figures() -> None:
    held_out = {
        skeleton(case.messages[-1]["content"])
        for task in TASKS
        if "as /explain asks" not in task.name
        for case in task.draw()
    }
    drawn = {skeleton(dialogue.messages[-1]["content"]) for dialogue in dialogues(4, 0, 20_000, fade=0)}
    assert not held_out & drawn


def test_no_training_question_is_nearly_a_held_out_one() -> None:
    def words(text: str) -> frozenset[str]:
        return frozenset(re.findall(r"[a-z0-9/_.]+", text.lower()))

    held_out = [words(question) for question, _ in held_out_questions.ABOUT_TANDEM]
    held_out += [words(question) for question in held_out_questions.ELSEWHERE]
    asked = [question for fact in facts.FACTS for question in fact.questions]
    asked += [*strangers.FRAMES, *strangers.QUESTIONS]
    asked += [strange(Random(seed)) for seed in range(20_000)]
    for question in asked:
        mine = words(question)
        assert all(len(mine & other) < 0.75 * len(mine | other) for other in held_out), question
