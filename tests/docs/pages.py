"""Pages: the fenced blocks of a Markdown page, and what happens when its examples are run."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

TOP = Path(__file__).resolve().parents[2]

#: What is run, what it prints, what a reader types into a shell, and what other programs read.
LANGUAGES = ("python", "text", "console", "ini", "yaml")

#: A block that is a file of this project as a whole, put in when the site is built. It is a program of its own.
INCLUDED = re.compile(r'--8<-- "(?P<path>[^"]+)"\n')

FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is where its body begins in the page."""

    language: str
    body: str
    line: int

    @property
    def included(self) -> str | None:
        """The path of the file that it is, if it is one."""
        found = INCLUDED.fullmatch(self.body)
        return None if found is None else found["path"]


@dataclass(frozen=True)
class Example:
    """A block of Python, and what the page says it prints."""

    block: Block
    shown: str


def blocks_of(text: str) -> list[Block]:
    """Every fenced block of a page; refuse what would not be seen here, and so never be run."""
    blocks = [
        Block(found["language"], found["body"], text.count("\n", 0, found.start("body")) + 1)
        for found in FENCED.finditer(text)
    ]
    fences = sum("```" in line for line in text.splitlines())
    if fences != 2 * len(blocks):
        raise ValueError(f"{fences} lines with a fence make {len(blocks)} blocks: one is indented, or not closed")
    for block in blocks:
        if block.language not in LANGUAGES:
            raise ValueError(f"line {block.line}: {block.language!r} is none of {', '.join(LANGUAGES)}")
        if "--8<--" in block.body and block.included is None:
            raise ValueError(f"line {block.line}: a file is included as a block of its own")
    return blocks


def examples_of(text: str) -> Iterator[Example]:
    """The blocks of Python of a page, each with the output that follows it.

    A program that is included is one of them if it has an output: of others it is for their own tests to say more.
    """
    example: Block | None = None
    for block in blocks_of(text):
        if block.language == "text":
            if example is None:
                raise ValueError(f"line {block.line}: this output follows no example")
            yield Example(example, block.body)
            example = None
            continue
        if example is not None and example.included is None:
            yield Example(example, "")
        example = block if block.language == "python" else None
    if example is not None and example.included is None:
        yield Example(example, "")


def run(page: Path) -> None:
    """Run the examples of a page in order, in one module and on one event loop, where they may await at the top.

    What one prints must be what the page shows right after it, and nothing where it shows nothing. White space does
    not count, so that long messages may be wrapped, and ``...`` stands for anything, as in doctest.
    """
    with asyncio.Runner() as runner, _module_of(page) as module:
        for example in examples_of(page.read_text(encoding="utf-8")):
            place = f"{page}:{example.block.line}"
            program = example.block.included
            try:
                printed = (
                    _printed_by(example.block, page, vars(module), runner) if program is None else _printed_as(program)
                )
            except Exception as error:  # raised again: only its place is added
                error.add_note(f"in the example at {place}")
                raise
            _compare(place, example.shown, printed)


@contextlib.contextmanager
def _module_of(page: Path) -> Iterator[ModuleType]:
    """An imported module while the page runs: dataclasses and type hints look their names up there."""
    module = ModuleType(f"page {page.name}")
    sys.modules[module.__name__] = module
    try:
        yield module
    finally:
        del sys.modules[module.__name__]


def _printed_by(block: Block, page: Path, names: dict[str, Any], runner: asyncio.Runner) -> str:
    # Shifted to where it stands, so that a traceback shows the line of the page.
    source = "\n" * (block.line - 1) + block.body
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        pending = eval(code, names)  # noqa: S307 - the examples of this project are what is to be run
        if code.co_flags & inspect.CO_COROUTINE:
            runner.run(pending)
    return output.getvalue()


def _printed_as(program: str) -> str:
    # By its name as a module, so that it finds those beside it.
    command = (sys.executable, "-W", "error", "-m", ".".join(Path(program).with_suffix("").parts))
    ended = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)  # noqa: S603 - one of ours
    if ended.returncode:
        raise AssertionError(f"{program} has failed:\n{ended.stderr}")
    return ended.stdout


def _compare(place: str, shown: str, printed: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    checker = doctest.OutputChecker()
    if not checker.check_output(shown, printed, flags):
        difference = checker.output_difference(doctest.Example("", shown), printed, flags)
        raise AssertionError(f"the example at {place} does not print what the page shows\n{difference}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
