"""A server on a free port of this machine, from `with` to the end of the block."""

import socketserver
from threading import Thread
from typing import Self


class LoopbackServer(socketserver.ThreadingTCPServer):
    """Serves in a thread of its own, each connection in a further one."""

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
