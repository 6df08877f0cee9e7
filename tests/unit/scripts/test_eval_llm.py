"""The evaluation: what it asks of a server, and what it makes of the answers."""

from __future__ import annotations

import argparse
import socket
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from models.llm.evaluation.cases import TASKS, Task
from scripts import eval_llm

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeClient:
    """Answers chat completions as `answer` says, and keeps what was asked."""

    def __init__(self, answer: Callable[[dict[str, Any]], str]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer = answer
        self.chat = SimpleNamespace(completions=self)

    async def create(self, **request: Any) -> Any:
        self.asked.append(request)
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content=self.answer(request)))])


def fake(answer: Callable[[dict[str, Any]], str]) -> Any:
    return FakeClient(answer)


def options(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"sample": None, "floor": None, "concurrency": 4, **given})


def task(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


async def test_a_refusal_is_right_out_of_scope_and_wrong_elsewhere() -> None:
    client = fake(lambda _: "Point Tandem at a larger model with TANDEM_LLM__MODEL.")
    stranger = await eval_llm._evaluate(client, "tandem-mini", task("out of scope"), options())
    assert (stranger.asked, stranger.wrong, stranger.passed) == (50, (), True)
    about = await eval_llm._evaluate(client, "tandem-mini", task("answer"), options(sample=10))
    assert about.asked == 10
    assert about.share < 0.2
    assert not about.passed


async def test_the_floor_replaces_the_target() -> None:
    client = fake(lambda _: "")
    assert (await eval_llm._evaluate(client, "m", task("answer"), options(sample=4, floor=0.0))).passed


async def test_every_case_is_asked_greedily_and_the_schema_only_where_it_belongs() -> None:
    client = fake(lambda _: "{}")
    for name in ("extract", "extract, with json_schema"):
        await eval_llm._evaluate(client, "tandem-mini", task(name), options(sample=3))
    assert [request["temperature"] for request in client.asked] == [0.0] * 6
    assert ["response_format" in request for request in client.asked] == [False] * 3 + [True] * 3
    schema = client.asked[-1]["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["additionalProperties"] is False


async def test_alone_and_together_are_compared() -> None:
    steady = fake(lambda request: request["messages"][-1]["content"])
    assert await eval_llm._alone_and_together(steady, "m", 16) == (64, 64)
    moody = fake(lambda _: str(len(moody.asked)))
    assert await eval_llm._alone_and_together(moody, "m", 16) == (0, 64)


async def test_the_page_holds_shares_targets_and_what_went_wrong() -> None:
    client = fake(lambda _: "no")
    results = [await eval_llm._evaluate(client, "m", one, options(sample=2)) for one in TASKS]
    page = eval_llm.table(results, (64, 64))
    assert "| explain | 2 | 0 | 0.0% | 97% |" in page
    assert "Valid under the schema, right or not: 0 of 2." in page
    assert "alone and in a batch of 64: 64 of 64." in page
    assert "2 x probability" in page


@pytest.mark.parametrize("answer", ['{"a": 1}', "[]"])
async def test_schema_faults_are_counted(answer: str) -> None:
    result = await eval_llm._evaluate(fake(lambda _: answer), "m", task("extract, with json_schema"), options(sample=2))
    assert eval_llm.schema_lines([result])[0].endswith("0 of 2.")


async def test_without_a_server_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setattr(sys, "argv", ["eval_llm", "--base-url", url])
        with pytest.raises(SystemExit, match=f"at {url} .*`make serve`"):
            await eval_llm.main()
