"""What happens to an answer on its way, below the level of HTTP.

An ASGI application cannot close a connection, since its `send` knows only whole answers. So the protocol class hands
the connection's transport to the application in the scope's `state`, which uvicorn copies into each request
(https://asgi.readthedocs.io/en/latest/specs/lifespan.html#lifespan-state). Whoever broke a connection, or wants
silence, waits until the client is gone: uvicorn then takes the request as abandoned and complains of nothing.
"""

import asyncio
import socket
import struct
from typing import Literal

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Protocol(H11Protocol):
    """HTTP/1.1 whose applications can reach the transport: `scope["state"]["transport"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the transport beside the rest of the application's state."""
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


async def gone(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def drop(scope: Scope, receive: Receive, how: Literal["close", "reset"]) -> None:
    """Close the connection, or break it with a reset."""
    transport: asyncio.Transport = scope["state"]["transport"]
    if how == "reset":
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()
    await gone(receive)
