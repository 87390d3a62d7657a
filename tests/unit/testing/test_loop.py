"""What of asyncio works in a race, in virtual time and without any thread."""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from cache.testing import Outcome, Race, explore, replay
from cache.testing._clock import FakeClock
from cache.testing._loop import RaceLoop


def alone(main: Callable[[Race], Awaitable[object]], **options: Any) -> Outcome:
    """Run one actor, which leaves nothing to choose."""

    def scenario(race: Race) -> None:
        race.actor(lambda: main(race), name="main", **options)

    return replay(scenario, "")


def test_sleeps_and_timeouts_take_virtual_time() -> None:
    async def main(race: Race) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await asyncio.sleep(7_200)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.5)
        assert asyncio.get_running_loop().time() == race.clock()
        return race.clock()

    assert alone(main).results["main"] == 3_600.5


def test_the_usual_tools_of_asyncio_work() -> None:
    async def main(race: Race) -> list[object]:
        lock, event, seen = asyncio.Lock(), asyncio.Event(), list[object]()

        async def worker(number: int) -> int:
            await event.wait()
            async with lock:
                seen.append(number)
            return number

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker(n), name=f"w{n}") for n in range(3)]
            event.set()
        seen.append(await asyncio.gather(*(asyncio.shield(worker(n)) for n in range(2))))
        done, pending = await asyncio.wait({asyncio.create_task(worker(7))})
        seen += [task.result() for task in done]
        assert not pending
        seen.append([task.get_name() for task in tasks])
        current = asyncio.current_task()
        assert current is not None
        seen.append(current.get_name())
        return seen

    outcome = alone(main)
    outcome.check()
    assert outcome.results["main"] == [0, 1, 2, 0, 1, [0, 1], 7, 7, ["w0", "w1", "w2"], "main"]


def test_callbacks_run_in_their_context_in_the_order_they_came() -> None:
    name = contextvars.ContextVar("name", default="outside")

    async def main(race: Race) -> list[str]:
        loop, seen = asyncio.get_running_loop(), list[str]()
        context = contextvars.copy_context()
        context.run(name.set, "inside")
        loop.call_soon(lambda: seen.append(name.get()), context=context)
        loop.call_soon_threadsafe(lambda: seen.append(name.get()))
        loop.call_later(2, seen.append, "second")
        loop.call_at(1, seen.append, "first")
        loop.call_later(1, seen.append, "as early")
        loop.call_later(1, seen.append, "never").cancel()
        loop.call_later(math.inf, seen.append, "not in this world")
        handle = loop.call_soon(seen.append, "cancelled")
        handle.cancel()
        await asyncio.sleep(3)
        return seen

    assert alone(main).results["main"] == ["inside", "outside", "first", "as early", "second"]


def test_jobs_of_executors_run_at_a_step_of_the_schedule_and_in_no_thread() -> None:
    name = contextvars.ContextVar("name", default="outside")

    def job(number: int) -> tuple[object, ...]:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return number, name.get(), threading.current_thread() is threading.main_thread()

    async def main() -> list[object]:
        name.set("inside")
        loop = asyncio.get_running_loop()
        return [await asyncio.to_thread(job, 1), await loop.run_in_executor(None, job, 2)]

    def scenario(race: Race) -> None:
        name.set("scenario")
        race.actor(main, name="main")

    outcome = replay(scenario, "")
    outcome.check()
    assert outcome.results["main"] == [(1, "inside", True), (2, "outside", True)]
    assert "  main: the executor runs job(1)" in outcome.trace


def test_an_error_in_a_job_is_raised_where_it_is_awaited() -> None:
    async def main(race: Race) -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)

    alone(main).check()


def test_a_job_runs_even_when_nobody_waits_for_it_any_more() -> None:
    def scenario(race: Race) -> None:
        done: list[str] = []

        def fail() -> None:
            done.append("fail")
            raise OSError

        async def main() -> None:
            for job in (lambda: done.append("work"), fail):
                task = asyncio.create_task(asyncio.to_thread(job))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])

        def check() -> None:
            assert sorted(done) == ["fail", "work"]

        race.actor(main)
        race.at_quiet(check)

    report = explore(scenario)
    report.check()
    assert report.schedules == 2


def test_tasks_may_be_made_by_a_factory() -> None:
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Future[Any]:
        made.append(coro.__name__)
        return asyncio.Task(coro, loop=loop, **options)

    def scenario(race: Race) -> None:
        race.loop().set_task_factory(factory)

        async def main() -> None:
            await asyncio.create_task(asyncio.sleep(1))

        race.actor(main)

    replay(scenario, "").check()
    assert made[-1] == "sleep"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly from Python 3.12 on")
def test_tasks_may_start_eagerly() -> None:
    async def child(seen: list[str]) -> str:
        seen.append("child")
        await asyncio.sleep(0)
        return "done"

    async def main() -> list[str]:
        seen: list[str] = []
        options: dict[str, Any] = {"eager_start": True}
        task = asyncio.Task(child(seen), loop=asyncio.get_running_loop(), **options)
        seen.append("main")
        return [*seen, await task]

    def scenario(race: Race) -> None:
        race.actor(main, name="main")

    def eager(race: Race) -> None:
        race.loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not in 3.11's types
        race.actor(main, name="main")

    for each in (scenario, eager):
        outcome = replay(each, "")
        outcome.check()
        assert outcome.results["main"] == ["child", "main", "done"]

    def several(race: Race) -> None:
        race.loop("b").set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not in 3.11
        race.actor(asyncio.sleep, 1, loop="a")
        race.actor(main, loop="b", cancel=True)

    explore(several, preemptions=1).check()


def test_async_generators_are_closed_by_the_loop() -> None:
    closed: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def main(race: Race) -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(1)
        kept = numbers()
        await anext(kept)
        await asyncio.get_running_loop().shutdown_asyncgens()

    alone(main).check()
    assert closed == ["closed", "closed"]


def test_a_set_of_tasks_is_walked_in_the_same_order_in_every_run() -> None:
    def scenario(race: Race) -> None:
        async def main() -> list[str]:
            tasks = {asyncio.create_task(asyncio.sleep(0), name=f"{n}") for n in range(20)}
            names = [task.get_name() for task in tasks]
            await asyncio.wait(tasks)
            return names

        race.actor(main, name="main")

    orders = {tuple(replay(scenario, "").results["main"]) for _ in range(5)}
    assert len(orders) == 1


def test_the_loop_cannot_be_run_by_others() -> None:
    async def main(race: Race) -> None:
        loop = asyncio.get_running_loop()
        assert loop.is_running()
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_until_complete(coroutine)
        coroutine.close()

    alone(main).check()


def test_a_handler_of_the_users_own_gets_what_the_loop_cannot_deliver() -> None:
    messages: list[str] = []

    async def main(race: Race) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: messages.append(context["message"]))
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(0)

    alone(main).check()
    assert len(messages) == 1


def test_an_error_of_the_loop_without_an_exception_is_told_by_its_message() -> None:
    async def main(race: Race) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "odd"})

    (violation,) = alone(main).violations
    assert (violation.kind, violation.text) == ("unhandled", "odd")


def test_a_loop_is_closed_when_its_race_is_over() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def main(race: Race) -> None:
        loops.append(asyncio.get_running_loop())

    alone(main)
    (loop,) = loops
    assert loop.is_closed()
    assert repr(loop) == "<RaceLoop 'main' closed>"
    for call in (loop.call_soon, lambda callback: loop.call_later(1, callback)):
        with pytest.raises(RuntimeError, match="'main' is closed: its race is over"):
            call(print)


def test_debug_mode_can_be_switched() -> None:
    def unused(*_: object) -> None:
        raise AssertionError

    loop = RaceLoop("lonely", FakeClock(), unused, unused)
    assert not loop.get_debug()
    loop.set_debug(True)
    assert loop.get_debug()
    assert not loop.is_running()
    loop.close()


def test_actors_on_several_loops_run_by_turns() -> None:
    """A callback handed from one loop to another comes in between, or after, as the schedule says."""
    orders: set[str] = set()

    def scenario(race: Race) -> None:
        order: list[str] = []

        async def hand_over() -> None:
            other = race.loop("b")
            other.call_soon_threadsafe(order.append, "b")
            asyncio.get_running_loop().call_soon(order.append, "a")

        async def elsewhere() -> None:
            assert asyncio.get_running_loop() is race.loop("b")
            assert asyncio.current_task() is not None

        race.actor(hand_over, loop="a")
        race.actor(elsewhere, loop="b")
        race.at_quiet(lambda: orders.add("".join(order)))

    explore(scenario).check()
    assert orders == {"ab"}
    explore(scenario, preemptions=1).check()
    assert orders == {"ab", "ba"}


def test_loops_whose_timers_are_due_at_once_take_turns_in_either_order() -> None:
    orders: set[str] = set()

    def scenario(race: Race) -> None:
        order: list[str] = []

        async def wake(name: str) -> None:
            await asyncio.sleep(1)
            order.append(name)

        race.actor(wake, "a", loop="a")
        race.actor(wake, "b", loop="b")
        race.at_quiet(lambda: orders.add("".join(order)))

    explore(scenario).check()
    assert orders == {"ab", "ba"}
    assert "  loop b goes on" in replay(scenario, "1.0.1").trace
