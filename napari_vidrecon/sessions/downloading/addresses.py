"""Addresses from outside: only http and https, with a host, and without passwords or characters that hide."""

from __future__ import annotations

from urllib.parse import urlsplit

from napari_vidrecon.errors import StorageError, VidreconError, one_line

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
