from __future__ import annotations

from typing import Any

import pytest

from bench.contenders import CONTENDERS, OURS, S3FIFO, UNTRACKED, Contender, imports_of
from bench.hits import KEYS
from bench.questions import HITS, LOADS, Question
from bench.worker import CASES

QUESTIONS = {question.what: question for question in (*HITS, *LOADS)}


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


def test_what_a_library_does_not_have_is_said() -> None:
    with pytest.raises(LookupError, match="nothing of the kind"):
        CASES["hit"](Contender(), shape="core", keep="lru")


def test_only_this_library_and_its_former_version_see_a_package_called_cache() -> None:
    seen = {name: imports_of(name) for name in CONTENDERS}
    assert {name for name, what in seen.items() if what == "ours"} == {OURS, UNTRACKED, S3FIFO}
    assert [name for name, what in seen.items() if what == "former"] == ["async-cache 2.0.3"]


def test_a_brief_question_keeps_those_of_whom_something_is_promised() -> None:
    miss = QUESTIONS["miss whose load suspends once"]
    assert miss.brief().contest.entrants == (OURS, "async-lru")
