from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheSession
from bench import timers
from bench.agents import CALLS
from bench.contenders import (
    AGENTS,
    CONTENDERS,
    ON_BUS,
    ON_DISK,
    ON_REDIS,
    OURS,
    S3FIFO,
    UNTRACKED,
    Contender,
    imports_of,
)
from bench.disk import STORED, DiskHit
from bench.hits import KEYS
from bench.questions import HITS, LOADS, SHARED, TOOLS, Question
from bench.worker import CASES

QUESTIONS = {question.what: question for question in (*HITS, *LOADS, *TOOLS, *SHARED)}


def _case(question: Question) -> Any:
    contest = question.contest
    options = dict(contest.options)
    if contest.case == "herd":
        options["size"] = 10
    return CASES[contest.case](CONTENDERS[contest.entrants[0]](), **options)


@pytest.mark.parametrize("what", QUESTIONS)
async def test_every_question_gets_an_answer_and_a_time_from_this_library(what: str) -> None:
    case = _case(QUESTIONS[what])
    answers = await case.answers()
    assert answers
    assert await case.run(3) > 0
    bare = await case.bare(3)
    assert (bare is None) == (QUESTIONS[what].bare == "")


async def test_the_answers_of_hits_tell_a_cache_from_none() -> None:
    calls_through = Contender(lru=lambda _: lambda function: function)
    options = {"shape": "one argument", "keep": "lru"}
    cached, bare = CASES["hit"](CONTENDERS[OURS](), **options), CASES["hit"](calls_through, **options)
    values, loads = await cached.answers()
    assert loads == list(KEYS)
    assert (await bare.answers())[0] == values
    assert await bare.answers() != await cached.answers()


async def test_a_herd_that_loads_more_than_once_is_no_result() -> None:
    calls_through = Contender(lru=lambda _: lambda function: function)
    herd = CASES["herd"](calls_through, size=3)
    with pytest.raises(AssertionError, match="3 callers of one key caused 3 loads"):
        await herd.run(1)


@pytest.mark.parametrize("kind", ["async", "plain", "personal"])
async def test_a_tool_that_is_executed_at_each_call_is_no_result(kind: str) -> None:
    calls_through = Contender(tool=lambda *_, **__: lambda function: function)
    with pytest.raises(ValueError, match="to be executed once"):
        await CASES["tool hit"](calls_through, kind=kind, watched=False).answers()


@pytest.mark.parametrize(("most", "found"), [(5, 0), (2, len(CALLS))])
async def test_every_call_of_a_watched_tool_is_watched_and_none_is_a_loop(most: int, found: int) -> None:
    sessions: list[AgentCacheSession] = []

    def session(**options: Any) -> AgentCacheSession:
        sessions.append(AgentCacheSession(**options, max_tool_repeats=most, on_loop="warn"))
        return sessions[-1]

    await CASES["tool hit"](Contender(tool=AgentCache, session=session), kind="async", watched=True).answers()
    assert [len(made.loops) for made in sessions] == [found]


async def test_a_watch_that_finds_nothing_is_no_result() -> None:
    blind = Contender(session=lambda **options: AgentCacheSession(**options, max_tool_repeats=6))
    with pytest.raises(ValueError, match="one repetition"):
        await CASES["watching"](blind).answers()


def test_what_a_library_does_not_have_is_said() -> None:
    with pytest.raises(LookupError, match="nothing of the kind"):
        CASES["hit"](Contender(), shape="core", keep="lru")


def test_only_this_library_and_its_former_version_see_a_package_called_cache() -> None:
    seen = {name: imports_of(name) for name in CONTENDERS}
    ours = {OURS, UNTRACKED, S3FIFO, ON_BUS, ON_DISK, ON_REDIS, AGENTS}
    assert {name for name, what in seen.items() if what == "ours"} == ours
    assert [name for name, what in seen.items() if what == "former"] == ["async-cache 2.0.3"]


def test_a_brief_question_keeps_those_of_whom_something_is_promised() -> None:
    miss = QUESTIONS["miss whose load suspends once"]
    assert miss.brief().contest.entrants == (OURS, "async-lru")


@pytest.mark.parametrize("question", SHARED, ids=lambda question: question.what)
def test_a_brief_question_keeps_what_is_shared_and_what_it_is_compared_with(question: Question) -> None:
    assert question.brief() == question


@pytest.mark.parametrize("question", SHARED, ids=lambda question: question.what)
async def test_what_is_shared_gives_the_answers_of_what_is_not(question: Question) -> None:
    contest = question.contest
    found = [await CASES[contest.case](CONTENDERS[name](), **contest.options).answers() for name in contest.entrants]
    assert all(answers == found[0] for answers in found)


@pytest.mark.skipif(sys.platform != "linux", reason="a bus in shared memory is of Linux")
async def test_a_cache_on_a_bus_is_on_it() -> None:
    contender = CONTENDERS[ON_BUS]()
    for decorate in (contender.lru, contender.ttl):
        assert decorate is not None
        assert decorate(10)(_load).cache._store.share.is_watched


async def _load(uid: int) -> int:
    return uid


def _keeping() -> Contender:
    made = CONTENDERS[OURS]()
    return Contender(lru=made.lru, mutation=lambda _: lambda write: write, settle=lambda: asyncio.sleep(0))


async def test_a_mutation_that_ends_nothing_is_no_result() -> None:
    with pytest.raises(ValueError, match="were to be kept and then to change"):
        await CASES["mutation"](_keeping()).answers()


async def test_a_mutation_where_nothing_is_kept_is_no_result() -> None:
    calls_through = Contender(lru=lambda _: lambda function: function, mutation=lambda _: lambda write: write)
    with pytest.raises(ValueError, match="were to be kept and then to change"):
        await CASES["mutation"](calls_through).answers()


@pytest.mark.parametrize("at_once", [1, 100])
async def test_a_read_that_is_no_hit_of_the_disk_is_no_result(at_once: int) -> None:
    with pytest.raises(ValueError, match="to be loaded once"):
        await CASES["disk hit"](_keeping(), at_once=at_once).answers()


async def test_a_read_whose_value_is_still_in_memory_is_no_result() -> None:
    made = CONTENDERS[ON_DISK]()
    assert made.lru is not None
    decorate = made.lru(2 * len(STORED))
    with pytest.raises(ValueError, match="and 0 were"):
        await CASES["disk hit"](Contender(lru=lambda _: decorate, settle=made.settle), at_once=1).answers()


@pytest.mark.parametrize(("at_once", "turns"), [(1, len(STORED)), (100, len(STORED) // 100)])
async def test_every_key_is_asked_for_once_before_any_is_again(at_once: int, turns: int) -> None:
    asked = DiskHit(CONTENDERS[ON_DISK](), at_once=at_once)._asked(turns)
    assert [key for turn in asked for key in (turn if at_once > 1 else [turn])] == list(STORED)


async def test_a_turn_asks_for_what_the_one_before_has_not_left_in_memory() -> None:
    hit = DiskHit(CONTENDERS[ON_DISK](), at_once=100)
    assert [hit._asked(1), hit._asked(1)] == [[STORED[:100]], [STORED[100:200]]]


async def test_records_that_are_not_kept_are_no_result() -> None:
    async def keep(_: object) -> Any:
        return lambda _: asyncio.sleep(0, [None])

    with pytest.raises(ValueError, match="as it was written"):
        await CASES["disk save"](Contender(keep=keep)).answers()


async def test_a_preload_that_finds_less_than_all_is_no_result() -> None:
    made = CONTENDERS[ON_DISK]()
    assert made.lru is not None
    decorate = made.lru(10)
    with pytest.raises(ValueError, match="and 10 were"):
        await CASES["disk preload"](Contender(lru=lambda _: decorate, settle=made.settle)).answers()


@pytest.mark.parametrize("clock", timers.CLOCKS)
async def test_a_timer_goes_by_the_clock_it_is_given(clock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100, 107])
    monkeypatch.setitem(timers.CLOCKS, clock, lambda: next(times))
    assert await timers.fresh(timers.one_argument, clock)(_load, [1]) == 7


async def test_what_is_written_behind_is_in_the_file_when_its_time_is_taken() -> None:
    settled: list[bool] = []

    async def settle() -> None:
        settled.append(True)

    contender = Contender(lru=lambda _: lambda function: function, settle=settle)
    await CASES["written behind"](contender).run(3)
    assert settled == [True]
