"""The ways to a server that the options of the client library know: by sentinels, and through TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cache import RedisBackend
from cache._tier import Address, Moment, Record
from tests.redis_server import RedisServer, free_port, need_redis
from tests.spec.tiers.redis_sides import Machine, done, until

need_redis()

from redis.asyncio.sentinel import Sentinel  # noqa: E402 - it needs what was just looked for

A = Address("users", b"a")


@pytest.fixture
def primary() -> Iterator[RedisServer]:
    server = RedisServer("--repl-diskless-sync-delay", "0")
    yield server
    server.end()


@pytest.fixture
def replica(primary: RedisServer) -> Iterator[RedisServer]:
    server = RedisServer("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
    yield server
    server.end()


@pytest.fixture
async def sentinel(primary: RedisServer, replica: RedisServer) -> AsyncIterator[RedisServer]:
    """One that watches both, and is quick to believe that a primary is dead."""
    await until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
    server = RedisServer(
        "--sentinel",
        config=f"""
        sentinel monitor shop 127.0.0.1 {primary.port} 1
        sentinel down-after-milliseconds shop 300
        sentinel failover-timeout shop 2000
        """,
    )
    await until(lambda: b"slaves=1" in server.ask("INFO", "sentinel"))
    yield server
    server.end()


def found_by(port: int, **options: Any) -> Any:
    """The client of the primary that sentinels know of."""
    untyped: Any = Sentinel
    return untyped([("127.0.0.1", port)], sentinel_kwargs=options).master_for("shop")


def is_primary(server: RedisServer) -> bool:
    try:
        return b"role:master" in server.ask("INFO", "replication")
    except ConnectionError:  # a sentinel ends all connections to the one that it promotes
        return False


async def test_the_primary_is_found_by_sentinels_also_when_it_is_another(
    primary: RedisServer, replica: RedisServer, sentinel: RedisServer
) -> None:
    here, there = [await Machine(found_by(sentinel.port), "shop", max_staleness=0.2).begin() for _ in range(2)]
    await done(here.backend.assign(Record(A, b"old")))
    await there.hear()
    assert await there.backend.read([A]) == [Record(A, b"old")]
    assert primary.keys("*:v*")
    await until(lambda: replica.keys("*:v*"))
    primary.kill()
    await until(lambda: not here.is_proven and not there.is_proven)
    await until(lambda: is_primary(replica))
    await until(lambda: here.is_proven and there.is_proven)
    assert replica.keys("*:v*")  # what was stored is there, but it is not what the other has told since
    for machine in (here, there):
        (found,) = await machine.backend.read([A])
        assert isinstance(found, Moment)
        machine.backend.release({A: found})
    await done(here.backend.assign(Record(A, b"new")))
    await there.hear()
    assert await there.backend.read([A]) == [Record(A, b"new")]
    for machine in (here, there):
        assert await machine.backend.aclose()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """One that its owner has signed, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    request += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(request, check=True, capture_output=True)  # noqa: S603 - the command is written here
    return certificate, key


def with_tls(certificate: tuple[Path, Path], port: int) -> list[str]:
    """The options of a server that is reached with it at this port, as well."""
    signed, key = map(str, certificate)
    tls = ["--tls-port", str(port), "--tls-cert-file", signed, "--tls-key-file", key, "--tls-ca-cert-file", signed]
    return [*tls, "--tls-auth-clients", "no"]


@pytest.fixture
def secured(certificate: tuple[Path, Path]) -> Iterator[tuple[RedisServer, str]]:
    """A server that is reached through TLS, and its url, with a user who may do anything."""
    port = free_port()
    server = RedisServer(*with_tls(certificate, port))
    server.ask("ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all")
    server.ask("ACL", "SETUSER", "default", "off", "-@all", "+ping")
    yield server, f"rediss://shop:secret@127.0.0.1:{port}/0"
    server.end()


async def test_a_server_with_tls_is_used_by_a_user(
    certificate: tuple[Path, Path], secured: tuple[RedisServer, str]
) -> None:
    _, url = secured
    here, there = [await Machine(url, "shop", ssl_ca_certs=str(certificate[0])).begin() for _ in range(2)]
    await done(here.backend.assign(Record(A, b"v")))
    await there.hear()
    assert await there.backend.read([A]) == [Record(A, b"v")]
    for machine in (here, there):
        assert await machine.backend.aclose()


async def test_a_server_whose_certificate_nobody_has_vouched_for_is_as_if_it_were_away(
    secured: tuple[RedisServer, str], caplog: pytest.LogCaptureFixture
) -> None:
    _, url = secured
    async with RedisBackend(url) as backend:
        await backend.hear_all()
        assert await backend.read([A]) == [None]
    assert "certificate verify failed" in caplog.text
    assert "secret" not in caplog.text


async def test_sentinels_may_have_tls_and_users_of_their_own(
    primary: RedisServer, certificate: tuple[Path, Path]
) -> None:
    port = free_port()
    server = RedisServer(
        *with_tls(certificate, port), "--sentinel", config=f"sentinel monitor shop 127.0.0.1 {primary.port} 1"
    )
    server.ask("ACL", "SETUSER", "asking", "on", ">secret", "+hello", "+auth", "+sentinel|masters")
    user = {"username": "asking", "password": "secret"}
    client = found_by(port, ssl=True, ssl_ca_certs=str(certificate[0]), **user)
    async with RedisBackend(client) as backend:
        await backend.hear_all()
        await done(backend.assign(Record(A, b"v")))
        assert await backend.read([A]) == [Record(A, b"v")]
    server.end()
