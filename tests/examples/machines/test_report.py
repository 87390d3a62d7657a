"""The fourth act's verdict: what it takes to have shown something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from examples.machines.figures import Figures
from examples.machines.report import Verdict, show

SOUND = Figures(
    seconds=2.0,
    reads=1_000,
    hits=600,
    misses=400,
    from_redis=200,
    trips=500,
    mutations=10,
    refused=0,
    behind=0,
    worst=0.0,
    late=0,
    dirty=0,
    stuck=0,
)
ALONE = replace(SOUND, from_redis=0, trips=0, behind=5, worst=2.5, late=3, stuck=2)
AWAY = replace(SOUND, hits=0, from_redis=0, mutations=0, refused=7)
COLUMNS = ("no Redis", "Redis", "Redis killed", "Redis back")


def test_it_has_shown_something_if_only_the_machines_without_a_server_were_late() -> None:
    verdict = Verdict.on(ALONE, SOUND, AWAY, SOUND)
    assert verdict.passed
    assert "3 reads of 1,000 showed what had been changed more than 1.0 s before, up to 2.5 s" in verdict.sentence
    assert "2 reads showed it when everything had been over" in verdict.sentence
    assert "of 3,000 reads none was behind at all" in verdict.sentence
    assert "7 mutations" in verdict.sentence
    assert "80% of the calls" in verdict.sentence


def test_reads_that_are_behind_by_less_than_the_bound_are_told_of_and_are_no_failure() -> None:
    verdict = Verdict.on(ALONE, SOUND, AWAY, replace(SOUND, behind=1, worst=0.75))
    assert verdict.passed
    assert "the worst was 750.0 ms behind, where up to 1.0 s is allowed" in verdict.sentence


@pytest.mark.parametrize("wrong", [{"late": 1}, {"dirty": 1}, {"stuck": 1}])
@pytest.mark.parametrize("phase", [1, 2, 3])
def test_one_wrong_read_with_a_server_is_a_failure_whatever_has_become_of_it(wrong: dict[str, int], phase: int) -> None:
    phases = [ALONE, SOUND, AWAY, SOUND]
    phases[phase] = replace(phases[phase], **wrong)
    verdict = Verdict.on(*phases)
    assert not verdict.passed
    assert f"async-cache has failed w{('ith', 'hen', 'hen')[phase - 1]} Redis" in verdict.sentence
    assert "1 read " in verdict.sentence


def test_a_read_of_what_never_was_is_a_failure_also_without_a_server() -> None:
    verdict = Verdict.on(replace(ALONE, dirty=1), SOUND, AWAY, SOUND)
    assert not verdict.passed
    assert "async-cache has failed without Redis" in verdict.sentence


def test_a_run_in_which_nothing_was_late_without_a_server_has_shown_nothing() -> None:
    verdict = Verdict.on(SOUND, SOUND, AWAY, SOUND)
    assert not verdict.passed
    assert "proves nothing" in verdict.sentence


def test_readers_that_are_not_answered_while_the_server_is_away_are_a_failure() -> None:
    verdict = Verdict.on(ALONE, SOUND, replace(AWAY, reads=0), SOUND)
    assert not verdict.passed
    assert "nobody was answered" in verdict.sentence


def test_a_server_in_which_nothing_was_found_is_a_failure() -> None:
    verdict = Verdict.on(ALONE, replace(SOUND, from_redis=0), AWAY, SOUND)
    assert not verdict.passed
    assert "nothing was found there" in verdict.sentence


def test_a_cache_that_does_not_recover_is_a_failure() -> None:
    verdict = Verdict.on(ALONE, SOUND, AWAY, replace(SOUND, hits=25, misses=975, from_redis=25))
    assert not verdict.passed
    assert "5% of the calls were answered without a load, and 80% before" in verdict.sentence


def test_the_table_has_a_column_for_each_phase(capsys: pytest.CaptureFixture[str]) -> None:
    phases = (ALONE, SOUND, AWAY, SOUND)
    verdict = Verdict.on(*phases)
    show(dict(zip(COLUMNS, phases, strict=True)), verdict)
    out = capsys.readouterr().out
    rows = {line[:37].strip(): line[37:].split() for line in out.splitlines()}
    assert rows["reads per second, of all four"] == ["500", "500", "500", "500"]
    assert rows["answered from memory"] == ["60.0%", "60.0%", "0.0%", "60.0%"]
    assert rows["from Redis"] == ["-", "20.0%", "0.0%", "20.0%"]
    assert rows["by the loader"] == ["40.0%", "20.0%", "100.0%", "20.0%"]
    assert rows["round trips to Redis for each read"] == ["-", "0.50", "0.50", "0.50"]
    assert rows["reads behind by more than 1.0 s"] == ["3", "0", "0", "0"]
    assert verdict.sentence in out
