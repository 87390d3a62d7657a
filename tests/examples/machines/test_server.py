"""The server of the fourth act: it begins, is killed, and comes back empty."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from examples.machines import server as module
from examples.machines.server import RedisServer, ServerFailed
from tests.redis_server import need_redis

need_redis()


async def ask(server: RedisServer, request: str) -> str:
    reader, writer = await asyncio.open_connection(module.HOST, server._port)
    writer.write(f"{request}\r\n".encode())
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer.decode().strip()


async def test_it_comes_back_empty_at_the_same_place(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        url = server.url
        assert await ask(server, "SET key value") == "+OK"
        await server.kill()
        with pytest.raises(ConnectionRefusedError):
            await ask(server, "PING")
        await server.start()
        assert await ask(server, "DBSIZE") == ":0"
        assert server.url == url
    with pytest.raises(ConnectionRefusedError):
        await ask(server, "PING")


async def test_one_that_ends_at_once_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROGRAM", shutil.which("false"))
    with pytest.raises(ServerFailed, match="has ended with status 1"):
        await RedisServer(tmp_path).start()


async def test_one_that_never_answers_is_given_up_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = RedisServer(tmp_path)

    async def never() -> bool:
        return False

    monkeypatch.setattr(module, "PATIENCE", 0.001)
    monkeypatch.setattr(server, "_answers", never)
    with pytest.raises(ServerFailed, match=r"has not answered for 0\.001 seconds"):
        await server.start()
    assert server._process is not None
    assert server._process.returncode is not None
