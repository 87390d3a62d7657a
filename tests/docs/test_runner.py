"""The runner of the examples must be able to fail, or it would say nothing about them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.pages import blocks_of, run

Write = Callable[..., Path]


@pytest.fixture
def page(tmp_path: Path) -> Write:
    """A function that writes a page of blocks, each given as its language and its body."""

    def write(*blocks: tuple[str, str]) -> Path:
        path = tmp_path / "page.md"
        path.write_text("# A page\n\n" + "\n".join(f"```{language}\n{body}\n```\n" for language, body in blocks))
        return path

    return write


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the programs that pages include are."""
    monkeypatch.setattr(pages, "TOP", tmp_path)
    return tmp_path


def test_what_is_printed_as_shown_passes(page: Write) -> None:
    run(page(("python", "print(6 * 7)"), ("text", "42")))


def test_what_is_printed_otherwise_fails_with_the_line_of_the_example(page: Write) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:4 does not print") as failure:
        run(page(("python", "print(6 * 7)"), ("text", "41")))
    assert "41" in str(failure.value)
    assert "42" in str(failure.value)


def test_what_is_printed_and_not_shown_fails(page: Write) -> None:
    with pytest.raises(AssertionError):
        run(page(("python", "print(42)")))


def test_what_is_shown_and_not_printed_fails(page: Write) -> None:
    with pytest.raises(AssertionError):
        run(page(("python", "6 * 7"), ("text", "42")))


def test_only_the_example_right_before_an_output_is_held_to_it(page: Write) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:4 "):
        run(page(("python", "print(42)"), ("python", "pass"), ("text", "42")))


def test_white_space_does_not_count_and_three_dots_stand_for_anything(page: Write) -> None:
    run(page(("python", "print('one two', object())"), ("text", "one\n  two <object ...>")))


def test_an_example_that_raises_fails_with_the_line_of_the_page(page: Write) -> None:
    with pytest.raises(ZeroDivisionError) as failure:
        run(page(("python", "x = 0"), ("python", "\n1 / x")))
    assert any("page.md:8" in note for note in failure.value.__notes__)
    assert traceback.extract_tb(failure.value.__traceback__)[-1].lineno == 9


def test_examples_share_their_names_and_one_event_loop(page: Write) -> None:
    run(
        page(
            ("python", "import asyncio\n\nasync def running():\n    return asyncio.get_running_loop()"),
            ("python", "loop = await running()"),
            ("python", "assert await running() is loop"),
        )
    )


def test_an_example_without_await_runs_outside_any_event_loop(page: Write) -> None:
    run(page(("python", "import asyncio\n\nasyncio.run(asyncio.sleep(0, print('ran')))"), ("text", "ran")))


def test_an_unknown_language_is_refused(page: Write) -> None:
    with pytest.raises(ValueError, match="line 4: 'pyhton' is none of python, text, console, ini, yaml"):
        run(page(("pyhton", "print(42)")))


def test_a_file_that_is_included_without_an_output_is_not_run(page: Write) -> None:
    included = ("python", '--8<-- "examples/agents/shop.py"')
    assert [block.included for block in blocks_of(page(included).read_text())] == ["examples/agents/shop.py"]
    run(page(included, ("python", "print(42)"), ("text", "42")))


def test_a_file_that_is_included_with_an_output_is_run_as_a_program(page: Write, project: Path) -> None:
    (project / "program.py").write_text("if __name__ == '__main__':\n    print(42)\n")
    included = ("python", '--8<-- "program.py"')
    run(page(included, ("text", "42")))
    with pytest.raises(AssertionError, match=r"page\.md:4 does not print"):
        run(page(included, ("text", "41")))


def test_a_program_that_fails_fails_with_what_it_has_said(page: Write, project: Path) -> None:
    (project / "program.py").write_text("1 / 0\n")
    with pytest.raises(AssertionError, match=r"program\.py has failed") as failure:
        run(page(("python", '--8<-- "program.py"'), ("text", "42")))
    assert "ZeroDivisionError" in str(failure.value)


def test_a_file_that_is_included_among_other_lines_is_refused(page: Write) -> None:
    with pytest.raises(ValueError, match="line 4: a file is included as a block of its own"):
        run(page(("python", 'x = 1\n--8<-- "examples/agents/shop.py"')))


def test_an_output_without_an_example_is_refused(page: Write) -> None:
    with pytest.raises(ValueError, match="follows no example"):
        run(page(("console", "$ make test"), ("text", "42")))


@pytest.mark.parametrize("text", ["  ```python\n  1 / 0\n  ```\n", "```python\n1 / 0\n", "````python\n1 / 0\n````\n"])
def test_a_fence_that_would_not_be_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="indented, or not closed"):
        blocks_of(text)
