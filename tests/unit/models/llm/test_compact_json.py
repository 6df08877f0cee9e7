"""That the grammar of a schema allows the tokens in which the embedded model was taught to write its answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from models.classifiers import fraud, iris
from models.llm import prompts
from models.llm.arguments import COMPACT_JSON
from models.llm.training.copying import json_number
from scripts.train_llm import EMBEDDED

if TYPE_CHECKING:
    from models.spec import Feature

llguidance = pytest.importorskip("llguidance", reason="vLLM's llguidance is not installed on this platform")


@pytest.mark.parametrize("features", [iris.FEATURES, fraud.FEATURES], ids=["iris", "fraud"])
def test_every_token_of_an_answer_is_allowed(features: tuple[Feature, ...]) -> None:
    import llguidance.hf
    from transformers import AutoTokenizer

    assert COMPACT_JSON["backend"] == "guidance"
    tokenizer = AutoTokenizer.from_pretrained(str(EMBEDDED))
    schema = json.dumps(prompts.extract_schema_of(features))
    grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
    matcher = llguidance.LLMatcher(llguidance.hf.from_tokenizer(tokenizer), grammar)
    values = [json_number("12.5"), "null", json_number("7")] * len(features)
    answer = ",".join(f'"{feature.name}":{value}' for feature, value in zip(features, values, strict=False))
    for token in tokenizer.encode(f"{{{answer}}}", add_special_tokens=False):
        mask = matcher.compute_bitmask()
        assert mask[token // 8] >> (token % 8) & 1, tokenizer.decode([token])
        assert matcher.consume_token(token)
    assert matcher.is_accepting()
