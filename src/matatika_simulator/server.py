"""The simulator as a server on a thread of its own."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import uvicorn

from matatika_simulator import scenario as scenarios
from matatika_simulator.api import application
from matatika_simulator.clock import Clock, Held
from matatika_simulator.jobs import JobState, state_of
from matatika_simulator.journal import Entry, Journal
from matatika_simulator.platform import Platform
from matatika_simulator.wire import Protocol

# Turns of the event loop in which a connection that was accepted becomes one that the server knows. One that did not
# before the server is closed would never be closed itself (https://github.com/python/cpython/issues/109564).
_TURNS_TO_ACCEPT = 5


class _Server(uvicorn.Server):
    """A server that is told to end rather than looking ten times a second, and that then ends at once.

    Whoever still holds a stream open loses its connection: that is what a platform that goes away looks like.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self._ready.set()

    def wait_until_ready(self) -> None:
        """Block until requests are answered; raise `RuntimeError` if they never will be."""
        self._ready.wait()
        if self._loop is None:
            raise RuntimeError("the simulator could not start")

    def tell_to_end(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 (uvicorn's signature)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        while self.server_state.connections:  # until the requests know that their clients are gone
            await asyncio.sleep(0)
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        for server in self.servers:
            await server.wait_closed()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the business of whoever runs the thread


class Simulator:
    """The platform on a free port of this machine, from `with` to the end of the block."""

    def __init__(
        self,
        scenario: "str | Path | Mapping[str, Any]" = "success",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[Path, Path] | None = None,
        clock: Callable[[], float] | None = None,
        held: Held | None = None,
    ) -> None:
        """Read the scenario: a name, a file, or the content of one.

        `host` is an IPv4 address. `tls` is a certificate and its key, as PEM files. `clock` gives seconds since 1970;
        without it, time is the real one. `held(until)` surrounds each wait of a request. Raises `ScenarioError`.
        """
        self.scenario = scenarios.load(scenario)
        self._address = (host, port)
        self._journal = Journal()
        self._tls = tls
        self._platform = Platform(self.scenario, Clock(clock, held))
        self._gateway = application(self._platform, self._journal)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Begin to answer. Raises `OSError` if the port cannot be taken or a certificate cannot be used."""
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(self._address))
            # Connections inherit it. asyncio would set it, but not for sockets that were made without a protocol's
            # number; without it each answer on a kept connection waits 40 ms for an acknowledgement.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = _Server(self._config())
            server.config.load()  # here, where a certificate that cannot be used is an error that someone sees
            thread = threading.Thread(target=server.run, args=([listener],), name="simulator")
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.tell_to_end)
            server.wait_until_ready()
            host, port = listener.getsockname()
            self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Break off whatever is under way, and end."""
        self._open.close()

    @property
    def api_url(self) -> str:
        """The API's root."""
        return f"{self.url}/api"

    @property
    def auth_url(self) -> str:
        """The token endpoint."""
        return f"{self.url}/oauth/token"

    @property
    def journal(self) -> list[Entry]:
        """Every request so far."""
        return self._journal.entries()

    @property
    def jobs(self) -> list[JobState]:
        """The true state of every job so far, deleted ones included."""
        now = self._platform.clock.now()
        return [state_of(job, now) for job in self._platform.jobs_so_far()]

    @property
    def issued_tokens(self) -> list[str]:
        """Every access token that was issued for the API key."""
        return list(self._platform.tokens.issued)

    def call_of(self, method: str, path: str) -> str:
        """The name of a call, as in the journal; "" if there is no such call."""
        return self._gateway.call_of(method, path) or ""

    def calls(self, name: str) -> list[Entry]:
        """The requests of one call, such as `trigger`."""
        return [entry for entry in self.journal if entry.call == name]

    def wait_for(self, call: str, count: int = 1, timeout: float = 10.0) -> Entry:
        """The `count`th request of a call; raises `TimeoutError` if it has not come in so many real seconds."""
        if not self._journal.wait_for(lambda seen: sum(e.call == call for e in seen) >= count, timeout):
            raise TimeoutError(f"{call}: {len(self.calls(call))} requests instead of {count} in {timeout:g} s")
        return self.calls(call)[count - 1]

    def _config(self) -> uvicorn.Config:
        certificate, key = self._tls or (None, None)
        return uvicorn.Config(
            self._gateway,
            http=Protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=60,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
