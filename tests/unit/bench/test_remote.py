from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from bench.contenders import CONTENDERS, ON_REDIS, OURS, PLAIN_REDIS_PY, REDIS_PY, Contender
from bench.disk import STORED
from bench.questions import AT_A_SERVER, Question
from bench.worker import CASES
from tests.redis_server import need_redis

need_redis()

Make = Callable[[str], Contender]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes contenders, and lets go of what they hold."""
    made: list[Contender] = []

    def make(name: str) -> Contender:
        made.append(CONTENDERS[name]())
        return made[-1]

    yield make
    for contender in made:
        if contender.end is not None:
            await contender.end()


@pytest.mark.parametrize("question", AT_A_SERVER, ids=lambda question: question.what)
async def test_all_who_use_a_server_give_the_same_answers_and_a_time(question: Question, make: Make) -> None:
    contest = question.contest
    found = []
    for name in contest.entrants:
        if name == PLAIN_REDIS_PY:  # a process has hiredis, or has not
            continue
        case: Any = CASES[contest.case](make(name), **contest.options)
        found.append(await case.answers())
        assert await case.run(3) > 0
    assert found[0]
    assert all(answers == found[0] for answers in found)


@pytest.mark.parametrize("question", AT_A_SERVER, ids=lambda question: question.what)
def test_a_brief_question_keeps_whom_a_server_is_compared_with(question: Question) -> None:
    assert question.brief() == question
    assert question.contest.entrants in ((ON_REDIS, OURS), (ON_REDIS, REDIS_PY), (ON_REDIS, REDIS_PY, PLAIN_REDIS_PY))


async def test_a_cache_before_a_server_is_before_it(make: Make) -> None:
    contender = make(ON_REDIS)
    assert contender.lru is not None
    assert contender.ttl is not None
    assert contender.core is not None
    caches = [contender.lru(10)(_load).cache, contender.ttl(10)(_load).cache, contender.core(maxsize=10)]
    assert all(cache._store.share.is_watched for cache in caches)


async def _load(uid: int) -> int:
    return uid


@pytest.mark.parametrize("batch", [False, True])
async def test_a_read_that_is_no_hit_of_the_server_is_no_result(make: Make, *, batch: bool) -> None:
    class CallsThrough:
        async def get(self, _: object, loader: Any) -> Any:
            return await loader()

    make(OURS)
    with pytest.raises(ValueError, match="to be loaded once"):
        await CASES["remote hit"](Contender(core=lambda **_: CallsThrough()), batch=batch).answers()


async def test_a_read_whose_value_is_still_in_memory_is_no_hit_of_the_server(make: Make) -> None:
    core = make(ON_REDIS).core
    assert core is not None
    large = partial(core, maxsize=2 * len(STORED))
    with pytest.raises(ValueError, match=r"400 were in memory"):
        await CASES["remote hit"](Contender(core=lambda **_: large())).answers()


async def test_a_run_asks_for_nothing_that_the_one_before_has_left_in_memory(make: Make) -> None:
    case = CASES["remote hit"](make(ON_REDIS))
    await case.answers()
    for _ in range(3):  # fails if it finds anything there
        await case.run(1)


def test_a_client_without_hiredis_has_none_and_its_server_ends_with_it() -> None:
    program = (
        "from bench.contenders import CONTENDERS, PLAIN_REDIS_PY; from bench.redis_server import server\n"
        "contender = CONTENDERS[PLAIN_REDIS_PY]()\n"
        "from redis.utils import HIREDIS_AVAILABLE\n"
        "print(HIREDIS_AVAILABLE, server().port)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - as written
    has_hiredis, port = done.stdout.split()
    assert has_hiredis == "False"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))
