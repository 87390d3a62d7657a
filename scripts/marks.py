"""Check that every exception to a rule says why, on its own line.

A mark that switches a tool off (`noqa`, `type: ignore`, `pyright: ignore`, `pragma`) and an `except` that
catches everything must carry a reason in the comment beside it. In the tests of types a mark is the
expectation itself, so those are left out.
"""

from __future__ import annotations

import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "tests", "examples", "scripts", "bench")
EXPECTATIONS = TOP / "tests" / "typing"

MARK = re.compile(r"noqa(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?|(type|pyright): ignore(\[[\w\-, ]*\])?|pragma: no \w+")
CATCH_ALL = re.compile(r"except\*? +(\(?(Base)?Exception\b|:)")
REASON = re.compile(r"[A-Za-z]{2,}\W+[A-Za-z]{2,}")


def unexplained(path: Path) -> Iterator[int]:
    """Yield the number of each line of a file that has a mark and no reason."""
    with tokenize.open(path) as file:
        tokens = tokenize.generate_tokens(file.readline)
        comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        comment = comments.get(number, "")
        is_marked = MARK.search(comment) or CATCH_ALL.match(line.strip())
        if is_marked and not REASON.search(MARK.sub("", comment)):
            yield number


def main() -> int:
    """Print each mark without a reason; return 1 if there is one."""
    paths = [path for folder in FOLDERS for path in sorted((TOP / folder).rglob("*.py"))]
    found = [
        f"{path.relative_to(TOP)}:{number}: say why, beside the mark"
        for path in paths
        if EXPECTATIONS not in path.parents
        for number in unexplained(path)
    ]
    print("\n".join(found) if found else f"{len(paths)} files, each exception with its reason")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
