"""Measure the language model on the held-out cases through a running Tandem: ``python -m scripts.eval_llm``.

Needs a server (``make serve``). Writes docs/llm/evaluation.md when all cases are asked, and fails below the targets.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.llm.evaluation.scoring import UNSCHEMATIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openai import AsyncOpenAI

    from models.llm.evaluation.cases import Case, Task

TABLE = Path(__file__).parent.parent / "docs" / "llm" / "evaluation.md"


@dataclass(frozen=True, slots=True)
class Wrong:
    """A case that was not answered right."""

    case: Case
    answer: str
    fault: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one task came to."""

    task: Task
    asked: int
    wrong: tuple[Wrong, ...]
    floor: float

    @property
    def share(self) -> float:
        """Share of right answers."""
        return 1 - len(self.wrong) / self.asked

    @property
    def passed(self) -> bool:
        """Whether enough are right."""
        return self.share >= self.floor


async def main() -> int:
    """Ask, judge, print and write; 1 when a task is below its floor."""
    from openai import APIError, AsyncOpenAI

    from models.llm.evaluation.cases import TASKS

    options = _options()
    began = time.monotonic()
    async with AsyncOpenAI(base_url=f"{options.base_url}/v1", api_key=options.api_key, max_retries=2) as client:
        try:
            served = await client.models.list()
        except APIError as error:
            sys.exit(
                f"No models are told at {options.base_url} ({error}). `make serve` serves them; `--api-key` is for a key."
            )
        model = options.model or served.data[0].id
        results = [await _evaluate(client, model, task, options) for task in TASKS]
        alone = await _alone_and_together(client, model, min(options.sample or 16, 16))
    for result in results:
        _print(result, options.examples)
    print(*schema_lines(results), sep="")
    print(f"The same {alone[1]} prompts one by one and at once: {alone[0]} of {alone[1]} answers the same")
    if options.sample is None and options.model is None:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(table(results, alone))
        print(f"Wrote {TABLE}")
    print(f"{sum(result.asked for result in results)} cases in {time.monotonic() - began:.0f} s")
    return 0 if all(result.passed for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", default="http://127.0.0.1:3000", help="address of Tandem")
    parser.add_argument("--api-key", default="none", help="a Tandem key, where the server asks for one")
    parser.add_argument("--model", help="the model to measure; default: the first that the server lists")
    parser.add_argument("--sample", type=int, help="most cases of each task; default: all")
    parser.add_argument("--floor", type=float, help="least share of right answers; default: each task's target")
    parser.add_argument("--concurrency", type=int, default=16, help="requests at once")
    parser.add_argument("--examples", type=int, default=5, help="wrong answers to show for each task")
    return parser.parse_args()


async def _evaluate(client: AsyncOpenAI, model: str, task: Task, options: argparse.Namespace) -> Result:
    from models.llm.evaluation.cases import sample

    cases = sample(list(task.draw()), options.sample)
    answers = await _ask_all(client, model, cases, options.concurrency)
    faults = [(case, answer, case.judge.fault(answer)) for case, answer in zip(cases, answers, strict=True)]
    wrong = tuple(Wrong(case, answer, fault) for case, answer, fault in faults if fault is not None)
    return Result(task, len(cases), wrong, task.target if options.floor is None else options.floor)


async def _ask_all(client: AsyncOpenAI, model: str, cases: Sequence[Case], concurrency: int) -> list[str]:
    free = asyncio.Semaphore(concurrency)

    async def ask(case: Case) -> str:
        format_: dict[str, Any] = {}
        if case.schema is not None:
            schema = {"name": "features", "schema": case.schema, "strict": True}
            format_ = {"response_format": {"type": "json_schema", "json_schema": schema}}
        async with free:
            messages: Any = case.messages
            answer = await client.chat.completions.create(model=model, messages=messages, **case.decoding, **format_)
        return answer.choices[0].message.content or ""

    return list(await asyncio.gather(*map(ask, cases)))


async def _alone_and_together(client: AsyncOpenAI, model: str, each: int) -> tuple[int, int]:
    """How many prompts, `each` of four tasks, get the same text alone as all at once; and how many they are."""
    from models.llm.evaluation.cases import TASKS, sample

    cases = [case for task in TASKS[:4] for case in sample(list(task.draw()), each)]
    alone = await _ask_all(client, model, cases, 1)
    together = await _ask_all(client, model, cases, len(cases))
    return sum(one == other for one, other in zip(alone, together, strict=True)), len(cases)


def _print(result: Result, examples: int) -> None:
    verdict = "ok" if result.passed else "BELOW"
    right = result.asked - len(result.wrong)
    print(f"{result.task.name}: {right} of {result.asked} right ({result.share:.1%}, {verdict} {result.floor:.0%})")
    for fault, count in Counter(wrong.fault for wrong in result.wrong).most_common():
        print(f"    {count} x {fault}")
    for wrong in result.wrong[:examples]:
        print(f"  - {wrong.fault}\n    asked: {wrong.case.messages[-1]['content']!r}\n    said:  {wrong.answer!r}")


def table(results: Sequence[Result], alone: tuple[int, int]) -> str:
    """The page docs/llm/evaluation.md."""
    lines = [
        "# The embedded model, measured",
        "",
        "Written by `make eval-llm`, through the running server, with greedy decoding. Cases come from templates and",
        "questions that no training generator draws, with figures from another seed; only the second row asks in the",
        "words of training, which are those of `/explain`. What fails here was looked at while the training data",
        "grew, so these figures are those of a validation set.",
        "",
        "| task | cases | right | share | target |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        right = result.asked - len(result.wrong)
        lines.append(
            f"| {result.task.name} | {result.asked} | {right} | {result.share:.1%} | {result.task.target:.0%} |"
        )
    lines += ["", *schema_lines(results), f"The same text alone and in a batch of 64: {alone[0]} of {alone[1]}."]
    lines += ["", "## What it gets wrong", ""]
    for result in results:
        faults = Counter(wrong.fault.split(" of ")[0] for wrong in result.wrong)
        counted = ", ".join(f"{count} x {fault}" for fault, count in faults.most_common()) or "nothing"
        lines.append(f"- **{result.task.name}**: {counted}")
        for wrong in result.wrong[:3]:
            asked = " / ".join(wrong.case.messages[-1]["content"].split("\n"))
            lines.append(f"    - {wrong.fault}: “{asked}” was answered “{' '.join(wrong.answer.split())}”")
    return "\n".join(lines) + "\n"


def schema_lines(results: Sequence[Result]) -> list[str]:
    """How many answers that a JSON schema was asked for follow it."""
    lines = []
    for result in results:
        if "schema" in result.task.name:
            broken = sum(wrong.fault in UNSCHEMATIC for wrong in result.wrong)
            lines += [f"Valid under the schema, right or not: {result.asked - broken} of {result.asked}.", ""]
    return lines


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
