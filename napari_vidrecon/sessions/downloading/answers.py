"""Asking a server, and what it answers: addresses checked, redirects followed with care, two kinds of failures."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests import exceptions as told
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ReadTimeoutError

from napari_vidrecon.errors import StorageError, VidreconError, one_line

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

    def __exit__(self, *_: object) -> None:
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
            if self._came != before:
                before = self._came
                continue
            # Whatever is opened from now on is too late as well.
            self.lost = True
            with self._lock:
                for each in self._sockets:
                    with contextlib.suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)


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


CONNECT_TIMEOUT_S = 15.0
MOST_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_LENGTH_DIGITS = 18
NO_ENCODING = ("", "identity")

BREAKS = (told.ConnectionError, told.Timeout, told.ChunkedEncodingError)
REFUSALS = (requests.RequestException, HTTPError, HTTPException, OSError, ValueError)


class BrokenConnection(Exception):
    """A connection that ended before its time; to be tried again.

    Parameters
    ----------
    reason
        What happened.
    lost
        The server was silent for so long that it was given up.
    """

    def __init__(self, reason: str, lost: bool = False) -> None:
        super().__init__(reason)
        self.lost = lost


class Answer:
    """The head of an answer, and its bytes as they come.

    Parameters
    ----------
    url
        The address that was asked for, for messages.
    response
        What requests has of it.
    patience
        What watches over its connection.
    """

    def __init__(self, url: str, response: requests.Response, patience: Patience) -> None:
        self.url, self._response, self._patience = url, response, patience
        self.status = response.status_code
        self.reason = one_line(response.reason, 80) if response.reason else ""

    def header(self, name: str) -> str:
        """A field of the head, as one line; empty where there is none."""
        found = self._response.headers.get(name, "")
        return one_line(found, 1000) if found else ""

    @property
    def encoded(self) -> bool:
        """The bytes come in an encoding that nobody asked for, so their places in the file are not known."""
        return self.header("Content-Encoding").lower() not in NO_ENCODING

    @property
    def length(self) -> int:
        """Bytes of the body that the server announces; 0 where it does not, or not soundly."""
        if self.encoded or self.header("Transfer-Encoding"):
            return 0
        return whole_number(self.header("Content-Length")) or 0

    def blocks(self, block_bytes: int) -> Iterator[bytes]:
        """The body, block by block.

        Parameters
        ----------
        block_bytes
            Most bytes of one block.

        Yields
        ------
        bytes
            At most so many, in order.

        Raises
        ------
        BrokenConnection
            It ends too early, or drips.
        StorageError
            Its encoding is broken.
        """
        stream = self._response.iter_content(block_bytes)
        while True:
            with _failures(self.url, self._patience):
                block = next(stream, b"")
            self._require_alive()
            if not block:
                return
            self._patience.came()
            yield block

    def _require_alive(self) -> None:
        # What was shut down looks like the end of a body that has no length.
        if self._patience.lost:
            raise BrokenConnection(f"less than a block in {self._patience.window_s:g} s", lost=True)


def whole_number(text: str) -> int | None:
    """A header's number; None for anything but digits, or for more of them than a file can have."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_LENGTH_DIGITS else None


@contextlib.contextmanager
def asked(url: str, headers: Mapping[str, str] | None = None) -> Iterator[Answer]:
    """Ask for an address, follow where it leads, and yield the answer.

    Parameters
    ----------
    url
        The address.
    headers
        Sent with it.

    Yields
    ------
    Answer
        Its body is read afterwards, and within the block.

    Raises
    ------
    BrokenConnection
        The server cannot be reached, or breaks off.
    StorageError
        It leads in circles or elsewhere than to a web server, or its answer makes no sense.
    """
    with Patience() as patience, requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, PatientAdapter(patience))
        response, here, been = None, url, {url}
        try:
            while response is None or response.status_code in REDIRECTS:
                if response is not None:
                    here = _next_place(url, here, response, been)
                    response.close()
                check_address(here)
                with _failures(url, patience):
                    response = session.get(
                        here,
                        headers=dict(headers or {}),
                        stream=True,
                        allow_redirects=False,
                        timeout=(CONNECT_TIMEOUT_S, patience.window_s),
                    )
                patience.came()
            yield Answer(url, response, patience)
        finally:
            if response is not None:
                response.close()


def _next_place(url: str, here: str, response: requests.Response, been: set[str]) -> str:
    """Where a redirect leads; raises for circles, and for leaving encryption behind."""
    # Servers send what is not ASCII as bytes; requests reads them as Latin-1, one character a byte.
    said = "".join(
        each if each.isascii() else quote(each.encode("latin-1", "replace"))
        for each in response.headers.get("Location", "")
    )
    try:
        leads = urljoin(here, said)
    except ValueError:
        leads = said
    check_address(leads)
    if leads in been:
        raise StorageError(f"{url}: expected a file, found a server that sends in circles; try again later")
    if len(been) > MOST_REDIRECTS:
        raise StorageError(f"{url}: expected a file, found more than {MOST_REDIRECTS} redirects; try again later")
    if urlsplit(here).scheme == "https" and urlsplit(leads).scheme != "https":
        raise StorageError(
            f"{url}: expected a file, found a redirect to an address without encryption ({one_line(leads, 100)})"
        )
    been.add(leads)
    return leads


@contextlib.contextmanager
def _failures(url: str, patience: Patience) -> Iterator[None]:
    """Sort what a server can make requests and urllib3 raise into what may pass and what will not."""
    try:
        yield
    except (told.SSLError, told.ProxyError) as error:
        raise StorageError(
            f"{url}: expected a safe connection, found none ({one_line(_innermost(error), 200)}); "
            "check the address and the connection"
        ) from None
    except BREAKS as error:
        inner = _innermost(error)
        lost = patience.lost or isinstance(error, told.Timeout) or isinstance(inner, TimeoutError | ReadTimeoutError)
        reason = f"nothing came in {patience.window_s:g} s" if lost else one_line(inner, 200)
        raise BrokenConnection(reason, lost) from None
    except REFUSALS as error:
        if patience.lost:
            raise BrokenConnection(f"nothing came in {patience.window_s:g} s", lost=True) from None
        raise StorageError(
            f"{url}: expected a file, found an answer that cannot be read ({one_line(_innermost(error), 200)}); "
            "try again later, or fetch it with a browser"
        ) from None


def _innermost(error: Exception) -> Exception:
    """What lies at the bottom of an error that libraries have wrapped."""
    while True:
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        if not isinstance(inner, Exception) or inner is error:
            return error
        error = inner


SCHEMES = ("http", "https")
LONGEST_ADDRESS = 4000
HIGHEST_PRINTABLE_ASCII = "~"


def check_address(url: str, error: type[VidreconError] = StorageError) -> None:
    """Refuse an address that is not one of a web server.

    Parameters
    ----------
    url
        The address.
    error
        The kind of error to raise.

    Raises
    ------
    VidreconError
        Of the kind asked for: another scheme, no host, a password, odd characters, or longer than any real one.
    """
    reason = _reason(url)
    if reason:
        # A password that somebody put there must not end up in a log.
        before, at, after = url.rpartition("@")
        shown = one_line(f"{before.partition('//')[0]}//...@{after}" if at and before else url, 200)
        raise error(f"{shown}: expected an address that starts with http:// or https:// and a host, found {reason}")


def _reason(url: str) -> str:
    if len(url) > LONGEST_ADDRESS:
        return f"one of {len(url)} characters"
    if any(not " " < each <= HIGHEST_PRINTABLE_ASCII or each == "\\" for each in url):
        return "characters that no address has"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "one that cannot be read"
    if parts.scheme.lower() not in SCHEMES:
        return f"{parts.scheme}:" if parts.scheme else "none of them"
    if "@" in parts.netloc:
        return "a name or password in it, which would end up in records; leave it out"
    if not host or port == 0:
        return "no host"
    labels = host.rstrip(".").split(".")
    return "" if ":" in host or all(0 < len(each) < 64 for each in labels) else "a host that no server has"
