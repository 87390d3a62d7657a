"""Envelopes made to do harm, each opened in little memory: `python -m tests.unit.bombs` says what became of them."""

from __future__ import annotations

import resource
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cache.codec import LIMIT, Envelope, MsgspecCodec, Refused
from cache.codec._envelope import Checksum
from tests.unit.recorded import Any_of_them

ROOM = 512 * 1024 * 1024
MANY = b"\xff\xff\xff\xff"
DEEP = 100_000


def holding(envelope: Envelope, payload: bytes, *, flags: int = 0, length: int | None = None) -> bytes:
    """An envelope with any payload, and a seal that holds."""
    size = len(payload) if length is None else length
    body = struct.pack(">4sBBH16sI", b"\xacACE", 1, 1, flags, envelope.shape, size) + payload
    return body + Checksum().of(body)


def zeros(size: int) -> bytes:
    stream = zlib.compressobj()
    return b"".join([*(stream.compress(bytes(2**20)) for _ in range(size // 2**20)), stream.flush()])


def extensions(code: int, levels: int) -> bytes:
    payload = b"\xc0"
    for _ in range(levels):
        payload = b"\x91" + payload
        payload = b"\xc9" + len(payload).to_bytes(4, "big") + bytes([code]) + payload
    return payload


def payloads() -> Iterator[tuple[str, bytes]]:
    yield "a list of 2**32-1", b"\xdd" + MANY
    yield "a list of 2**32-1, almost empty", b"\xdd" + MANY + bytes(1_000)
    yield "lists of 2**32-1 in each other", (b"\xdd" + MANY) * 500
    yield "lists of 65535 in each other", b"\xdc\xff\xff" * 900
    nested = (b"\xdd" + (LIMIT // 2).to_bytes(4, "big")) * 500
    yield "lists in each other, each as long as all that follows", nested + bytes(LIMIT // 2)
    for code in (16, 17, 20):
        inner = nested + bytes(LIMIT // 2)
        yield f"the same in extension {code}", b"\xc9" + len(inner).to_bytes(4, "big") + bytes([code]) + inner
    yield "a dict of 2**32-1", b"\xdf" + MANY + bytes(1_000)
    yield "dicts of 65535 in each other", b"\xde\xff\xff\xc0" * 900
    yield "a text of 2**32-1", b"\xdb" + MANY + b"a"
    yield "bytes of 2**32-1", b"\xc6" + MANY + b"a"
    yield "an extension of 2**32-1", b"\xc9" + MANY + b"\x10\x90"
    for code in (16, 17, 20):
        yield f"a list of 2**32-1 in extension {code}", b"\xc7\x05" + bytes([code]) + b"\xdd" + MANY
        yield f"extensions {code} in each other", extensions(code, 1_500)
    yield "deep lists", b"\x91" * DEEP + b"\xc0"
    yield "deep lists without an end", b"\x91" * DEEP
    yield "deep dicts", b"\x81\xc0" * DEEP + b"\xc0"
    yield "deep keys", b"\x81" * DEEP
    yield "deep lists after much else", b"\x92" + b"\xdb\x00\x0f\x00\x00" + bytes(0xF0000) + b"\x91" * DEEP
    yield "deep lists behind an extension that lies", b"\x92\xc7\x03\x10\xc0\xd9\xff" + b"\x91" * DEEP


def bombs(envelope: Envelope) -> Iterator[tuple[str, bytes]]:
    for name, payload in payloads():
        yield name, holding(envelope, payload)
        yield f"{name}, compressed", holding(envelope, zlib.compress(payload), flags=1, length=len(payload))
    bomb = zeros(8 * LIMIT)
    for length in (0, 1, 1_000, LIMIT, LIMIT + 1, 8 * LIMIT, 2**32 - 1):
        yield f"zeros that say {length}", holding(envelope, bomb, flags=1, length=length)
    yield "zeros up to the limit", holding(envelope, zeros(LIMIT), flags=1, length=LIMIT)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def open_each(envelope: Envelope, data: list[tuple[str, bytes]]) -> None:
    for name, bomb in data:
        try:
            value: Any = envelope.decode(bomb)
        except Refused as refused:
            say(f"refused {name}: {str(refused)[:80]}")
        else:
            say(f"decoded {name}: {type(value)}")


def main() -> None:
    envelope = Envelope(MsgspecCodec(Any_of_them), "f")
    data = list(bombs(envelope))
    count = LIMIT - 5
    crowd = holding(envelope, b"\xdd" + count.to_bytes(4, "big") + b"\x90" * count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    open_each(envelope, data)
    # Beyond this, the interpreter no longer stops at a depth that the stack can bear.
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    open_each(envelope, data)
    sys.setrecursionlimit(usual)
    say(f"grown by {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024} MiB")
    open_each(envelope, [("more lists than memory", crowd)])


if __name__ == "__main__":
    main()
