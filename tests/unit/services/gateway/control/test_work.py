"""What a task works for."""

from __future__ import annotations

import asyncio

from services.gateway.control.work import NOBODY, Request, Work, begin, current, current_request, work_for
from services.telemetry.access_log import AccessLine


def line(route: str) -> AccessLine:
    return AccessLine(1.5, "id-1", "POST", route, 200, 0.25)


async def test_each_task_works_for_its_own_request() -> None:
    async def one(name: str) -> tuple[str, str]:
        work_for(Request(line(name), Work(caller=name)))
        await asyncio.sleep(0)
        return current_request().line.route, current().caller

    tasks = [asyncio.create_task(one(name)) for name in ("/a", "/b")]
    assert await asyncio.gather(*tasks) == [("/a", "/a"), ("/b", "/b")]
    assert current_request().line.route == ""


async def test_tasks_begun_for_a_request_work_for_it() -> None:
    async def below() -> str:
        return current_request().line.route

    work_for(Request(line("/a"), NOBODY))
    assert await asyncio.create_task(below()) == "/a"


async def test_work_begun_later_is_for_the_same_request_and_ends_with_it() -> None:
    work_for(Request(line("/a"), NOBODY))
    assert current() is NOBODY
    work = Work(caller="ann")
    begin(work)
    assert (current(), current_request().line.route) == (work, "/a")
    work_for(Request(line("/b"), NOBODY))
    assert (current(), current_request().line.route) == (NOBODY, "/b")
