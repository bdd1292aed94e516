"""`Patience`: a connection that brings too little in too long is shut down, whatever the server is busy with."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

WINDOW_S = 20.0
"""A server that answers nothing, or not one block, for this long is given up."""


class Patience:
    """Watches over the connections of one request; timeouts of single reads do not see a server that drips.

    Parameters
    ----------
    window_s
        Time in which something must come, seconds.
    """

    def __init__(self, window_s: float | None = None) -> None:
        self.window_s = WINDOW_S if window_s is None else window_s
        self.lost = False
        self._came = 0
        self._sockets: list[socket.socket] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for each in self._sockets:
            each.close()

    def came(self) -> None:
        """A block, or the head of an answer, has come."""
        self._came += 1

    def hold(self, connection: socket.socket) -> None:
        """Keep a handle on a connection, so that it can be shut down from elsewhere; TLS takes its own one away."""
        with self._lock:
            self._sockets.append(connection.dup())

    def _watch(self) -> None:
        before = 0
        while not self._over.wait(self.window_s):
            if self._came == before:
                self.lost = True
                with self._lock:
                    for each in self._sockets:
                        with contextlib.suppress(OSError):
                            each.shutdown(socket.SHUT_RDWR)
                # Whatever is opened from now on is too late as well.
                continue
            before = self._came


class PatientAdapter(HTTPAdapter):
    """Connections that a `Patience` can shut down, from the first byte of TLS on.

    Parameters
    ----------
    patience
        What watches over them.
    """

    def __init__(self, patience: Patience) -> None:
        self._pools = _pools(patience)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*arguments, **settings)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *arguments: Any, **settings: Any) -> Any:
        """Make the pools of connections by a proxy."""
        manager = super().proxy_manager_for(*arguments, **settings)
        if not str(arguments[0]).lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(patience: Patience) -> dict[str, Any]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            patience.hold(made)
            return made

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            patience.hold(made)
            return made

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
