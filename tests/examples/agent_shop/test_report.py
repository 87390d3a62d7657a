"""The second act's verdict and figures: what it takes to have shown something, and what it would have cost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from examples.agent_shop import report
from examples.agent_shop.figures import Circles, Figures, Run
from examples.agent_shop.naive import Placement
from examples.agent_shop.report import Verdict

SOUND = Figures(
    seconds=1.0,
    conversations=10,
    stopped=0,
    turns=90,
    calls=400,
    reads=350,
    executions=150,
    loads=100,
    p50=1e-4,
    orders=9,
    refused=1,
    changes=20,
    stale=0,
    dirty=0,
    oldest=0.0,
)
STALE = replace(SOUND, stale=3, oldest=0.25)
WITHOUT = replace(SOUND, executions=400, loads=350)
STOPPED = Circles(
    unwatched=Run(50, 50, "UsageLimitExceeded", "the limit"),
    watched=Run(5, 1, "AgentLoopDetectedError", "search was called 5 times"),
)


def test_it_has_shown_something_if_only_the_handmade_cache_was_wrong_and_the_loop_was_stopped() -> None:
    verdict = Verdict.on(STALE, "before", SOUND, STOPPED)
    assert verdict.passed
    assert "before each write: 3 answers of 350" in verdict.sentence
    assert "250.0 ms after the commit" in verdict.sentence


@pytest.mark.parametrize("wrong", [{"stale": 1}, {"dirty": 1}, {"stopped": 1}])
def test_one_wrong_answer_or_stopped_conversation_of_ours_is_a_failure(wrong: dict[str, int]) -> None:
    ours = replace(SOUND, **wrong)
    verdict = Verdict.on(STALE, "before", ours, STOPPED)
    assert not verdict.passed
    assert "agent_cache has failed: 1 " in verdict.sentence


@pytest.mark.parametrize(
    "watched",
    [
        Run(50, 1, "UsageLimitExceeded", "the limit"),
        Run(3, 1, "finished", ""),
        Run(50, 1, "AgentLoopDetectedError", "too late"),
    ],
)
def test_a_loop_that_is_not_stopped_is_a_failure(watched: Run) -> None:
    circles = replace(STOPPED, watched=watched)
    verdict = Verdict.on(STALE, "before", SOUND, circles)
    assert not verdict.passed
    assert "was not stopped" in verdict.sentence
    assert watched.ended in verdict.sentence


@pytest.mark.parametrize("placement", ["before", "after", "around", "ttl"])
def test_a_run_in_which_nothing_was_stale_has_shown_nothing(placement: Placement) -> None:
    verdict = Verdict.on(SOUND, placement, SOUND, STOPPED)
    assert not verdict.passed
    assert "proves nothing" in verdict.sentence


def test_what_is_saved_is_the_price_of_the_executions_that_were_spared() -> None:
    passes = {"no cache": WITHOUT, "handmade cache": STALE, "agent_cache": SOUND}
    verdict = Verdict.on(STALE, "before", SOUND, STOPPED)
    document = json.loads(report.as_json({"config": {"price": 0.01}}, passes, STOPPED, verdict, price=0.01))
    assert document["config"]["price"] == 0.01
    without, ours = document["passes"]["no cache"], document["passes"]["agent_cache"]
    assert (without["cost"], without["saved"]) == (pytest.approx(4.0), 0)
    assert (ours["cost"], ours["saved"]) == (pytest.approx(1.5), pytest.approx(2.5))
    assert (without["hit_rate"], ours["hit_rate"]) == (0, pytest.approx(1 - 100 / 350))
    assert document["circles"]["is_stopped"]


def test_the_table_has_a_column_for_each_pass_and_says_what_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict.on(STALE, "before", SOUND, STOPPED)
    report.show({"no cache": WITHOUT, "handmade cache": STALE, "agent_cache": SOUND}, STOPPED, verdict, price=0.01)
    out = capsys.readouterr().out
    rows = {line[:28].strip(): line[28:].split() for line in out.splitlines()}
    assert rows["stale answers"] == ["0", "3", "0"]
    assert rows["tool executions"] == ["400", "150", "150"]
    assert rows["cost at 0.01 USD each"] == ["4.00", "USD", "1.50", "USD", "1.50", "USD"]
    assert "Simulated: the model" in out
    assert "5 calls and 1 execution until AgentLoopDetectedError: search was called 5 times" in out
    assert verdict.sentence in out
