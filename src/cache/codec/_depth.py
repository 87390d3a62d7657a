"""How deep values may be nested, and a look at how deep bytes are that nobody has decoded yet."""

from __future__ import annotations

import sys
from typing import NamedTuple

from cache.codec._errors import Refused

#: Levels of lists, dicts and whatever else contains something.
DEPTH = 100

#: The numbers of the extensions that contain msgpack themselves.
NESTING = range(16, 32)

# What decodes msgpack follows the nesting of the bytes, and stops at the interpreter's limit of recursion; which a
# program may raise to where the stack of a thread ends first. Up to this limit it does not, by a factor of two.
_SAFE_RECURSION = 5_000

# More levels of bytes than any value that may be encoded has.
_LEVELS = 4 * DEPTH


class _Token(NamedTuple):
    """What the first byte of an element says of what follows."""

    amount: int = 0  # of bytes, or of parts
    width: int = 0  # of the number that says the amount instead
    elements: int = 0  # in a part
    is_extension: bool = False


_TOKENS = {
    **dict.fromkeys([*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3], _Token()),
    **{0x80 + amount: _Token(amount, elements=2) for amount in range(16)},
    **{0x90 + amount: _Token(amount, elements=1) for amount in range(16)},
    **{0xA0 + amount: _Token(amount) for amount in range(32)},
    **{0xC4 + power: _Token(width=2**power) for power in range(3)},
    **{0xC7 + power: _Token(width=2**power, is_extension=True) for power in range(3)},
    **{0xCA + power: _Token(4 * 2**power) for power in range(2)},
    **{first + power: _Token(2**power) for first in (0xCC, 0xD0) for power in range(4)},
    **{0xD4 + power: _Token(2**power, is_extension=True) for power in range(5)},
    **{0xD9 + power: _Token(width=2**power) for power in range(3)},
    **{0xDC + power: _Token(width=2 * 2**power, elements=1) for power in range(2)},
    **{0xDE + power: _Token(width=2 * 2**power, elements=2) for power in range(2)},
}


def check_depth(payload: bytes) -> None:
    """Refuse what is nested so deep that to decode it could end the process.

    This takes longer than decoding, and is done only where the interpreter would no longer stop in time.
    """
    if sys.getrecursionlimit() > _SAFE_RECURSION:
        try:
            _walk(payload)
        except (IndexError, KeyError) as error:
            raise Refused("it is no msgpack, or not all of it") from error


def _walk(data: bytes) -> None:
    at = 0
    # For each level the elements still to come, and for what is in an extension, where that ends.
    levels: list[tuple[int, int | None]] = [(1, len(data))]
    while levels:
        left, end = levels.pop()
        if not left:
            if end is not None and at != end:
                raise Refused("what is in it is not of the length that it says")
            continue
        levels.append((left - 1, end))
        amount, width, elements, is_extension = _TOKENS[data[at]]
        at += 1
        if width:
            amount = int.from_bytes(data[at : at + width], "big")
            at += width
        if is_extension:
            at += 1
        if is_extension and data[at - 1] in NESTING:
            levels.append((1, at + amount))
        elif elements:
            levels.append((amount * elements, None))
        else:
            at += amount
        if len(levels) > _LEVELS:
            raise Refused(f"it is nested more than {_LEVELS} levels deep")
