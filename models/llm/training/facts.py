"""What the embedded model knows about Tandem. Evaluation asks in its own words: see `held_out_questions`."""

from __future__ import annotations

from dataclasses import replace

from models.llm.training.facts_asked_more import MORE
from models.llm.training.facts_interfaces import INTERFACES
from models.llm.training.facts_making import MAKING
from models.llm.training.facts_models import MODELS
from models.llm.training.facts_operation import OPERATION
from models.llm.training.facts_use import USE

FACTS = tuple(
    replace(fact, questions=(*fact.questions, *MORE.get(fact.name, ())))
    for fact in USE + MAKING + INTERFACES + MODELS + OPERATION
)
ELSEWHERE = (
    "I can only explain predictions, extract features from text and answer questions about Tandem. "
    "For anything else point Tandem at a larger model with TANDEM_LLM__MODEL."
)
"""The answer to whatever is none of the tasks."""
