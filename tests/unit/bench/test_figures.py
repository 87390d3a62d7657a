from __future__ import annotations

from bench import report
from bench.contenders import OURS
from bench.questions import BEST_PEER, Question, Target
from bench.rounds import Contest, Outcome, Spread, Times
from bench.table import table
from bench.verdicts import lines_of, short

CONTEST = Contest("hit", ("async-cache", "async-lru", "cachebox"))


def _outcome() -> dict[str, Outcome]:
    times = {
        "async-cache": Times(own=[10.0, 12.0, 20.0], bare=[5.0, 6.0, 10.0]),
        "async-lru": Times(own=[40.0, 48.0, 80.0]),
        "cachebox": Times(own=[30.0, 36.0, 60.0]),
    }
    return {"3.11": Outcome(times, {}), "3.13": Outcome(times, {})}


def test_a_ratio_is_taken_within_each_round() -> None:
    slow_round = Times(own=[10.0, 100.0], bare=[5.0, 50.0])
    assert slow_round.over_bare() == Spread(2.0, 2.0, 2.0)


def test_one_value_has_no_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_each_target_is_judged_by_its_own_bound_on_each_version() -> None:
    targets = (Target(most=(1.9, 2.1)), Target(BEST_PEER, least=3.5), Target("async-lru", most=0.5))
    floor, peer, other = lines_of(Question("hit", CONTEST, targets), _outcome())
    assert {version: cell.met for version, cell in floor.cells.items()} == {"3.11": False, "3.13": True}
    assert floor.target == "≤ 1.9 / 2.1 x floor"
    assert "cachebox" in peer.cells["3.11"].text
    assert peer.cells["3.11"].met is False
    assert other.cells["3.11"].met is True


def test_where_nothing_is_promised_there_is_no_verdict() -> None:
    (line,) = lines_of(Question("hit", CONTEST), _outcome())
    assert line.cells["3.11"].met is None
    assert str(line.cells["3.11"]) == "2.00 (2.00-2.00)"


def test_who_did_not_take_part_is_not_measured() -> None:
    (line,) = lines_of(Question("hit", CONTEST, (Target("theine", most=1.0),)), _outcome())
    assert (line.cells["3.11"].text, line.cells["3.11"].met) == ("not measured", None)


def test_microseconds_are_judged_as_such_beside_the_ratio() -> None:
    kept, missed, ratio = lines_of(
        Question("hit", CONTEST, (Target(microseconds=0.012), Target(microseconds=0.011), Target())), _outcome()
    )
    assert (kept.target, str(kept.cells["3.11"])) == ("≤ 0.012 µs", "0.01 (0.01-0.02) ✓")
    assert missed.cells["3.11"].met is False
    assert (ratio.target, ratio.cells["3.11"].met) == ("x floor", None)


def test_a_figure_has_three_digits() -> None:
    assert [short(value) for value in (1.234, 12.34, 1234.0)] == ["1.23", "12.3", "1,234"]


def test_columns_are_aligned() -> None:
    assert table(["a", "long"], [["xyz", "1"]]).splitlines() == ["| a   | long |", "|-----|------|", "| xyz | 1    |"]


def test_a_ratio_to_another_of_which_nothing_is_promised_has_no_verdict() -> None:
    (line,) = lines_of(Question("hit", CONTEST, (Target("cachebox"),)), _outcome())
    assert line.target == "x cachebox"
    assert (line.cells["3.11"].text, line.cells["3.11"].met) == ("0.33 (0.33-0.33)", None)


def test_what_is_shared_is_compared_with_the_same_without_it_in_a_section_of_its_own() -> None:
    times = {"shared": Times(own=[16.0]), OURS: Times(own=[10.0])}
    by_hand = {"shared": Times(own=[3_000.0], bare=[1_500.0])}
    outcomes = {
        Question("on a bus", Contest("hit", ("shared", OURS)), (Target(OURS, most=1.5),)): {"3.11": Outcome(times, {})},
        Question("on a disk", Contest("disk hit", ("shared",)), bare="read"): {"3.11": Outcome(by_hand, {})},
    }
    lines = [line for question, found in outcomes.items() for line in lines_of(question, found)]
    section = report.sharing(lines, outcomes, ["3.11", "3.13"])
    assert "| ≤ 1.5 x without it | 1.60 (1.60-1.60) **✗** |" in section
    assert "| x a read by hand   | 2.00 (2.00-2.00)       |" in section
    assert "0 of 1 targets are met." in section
    assert "16.0 ns, 10.0 ns" in section
    assert "3.00 µs, 1.50 µs" in section


def test_what_is_at_a_server_is_compared_with_each_client() -> None:
    contest = Contest("remote hit", ("ours", "one", "other"))
    question = Question("hits", contest, (Target("one", least=5.0), Target("other", least=2.0)), bare="")
    times = {"ours": Times(own=[10e3]), "one": Times(own=[40e3]), "other": Times(own=[30e3])}
    outcomes = {question: {"3.11": Outcome(times, {})}}
    section = report.remote(lines_of(question, outcomes[question]), outcomes, ["3.11"])
    assert "| ≥ 5 times as fast as one   | 4.00 (4.00-4.00) **✗** |" in section
    assert "| ≥ 2 times as fast as other | 3.00 (3.00-3.00) ✓" in section
    assert "10.0 µs, 40.0 µs, 30.0 µs" in section
    assert "1 of 2 targets are met." in section


def test_what_is_shared_without_its_counterpart_says_why() -> None:
    question = Question("on a bus", Contest("hit", ("shared", OURS)), (Target(OURS, most=1.5),))
    outcomes = {question: {"3.11": Outcome({"shared": Times(own=[16.0])}, {OURS: "gives other answers"})}}
    section = report.sharing(lines_of(question, outcomes[question]), outcomes, ["3.11"])
    assert "| not measured |" in section
    assert "| 16.0 ns     |" in section
    assert f"- on a bus: {OURS} gives other answers (Python 3.11)" in section
