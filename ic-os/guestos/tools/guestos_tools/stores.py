"""Where files are published: a folder, a bucket of S3, or a folder of a WebDAV server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from guestos_tools.webdav import WebDav, without_credentials
from tools.core.errors import UserError

if TYPE_CHECKING:
    from obstore.store import ClientConfig


class Store(Protocol):
    """Files by their paths below an address. All methods raise UserError where it cannot be used so."""

    def get(self, path: str) -> bytes | None:
        """Returns the content of a small file; None if there is none."""

    def put(self, path: str, file: Path) -> None:
        """Writes a file, in place of one that is there; who reads it meanwhile gets the old or the new content."""

    def delete(self, path: str) -> None:
        """Removes a file, if it is there."""


class Objects:
    """The files of a store of obstore, which sends large ones in parts."""

    def __init__(self, store: ObjectStore, address: str) -> None:
        """Opens nothing.

        Args:
            store: of obstore.
            address: of it, for messages.
        """
        self._store = store
        self._address = address

    def get(self, path: str) -> bytes | None:
        """See Store."""
        with self._told(path, "read"):
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError:
                return None

    def put(self, path: str, file: Path) -> None:
        """See Store."""
        with self._told(path, "written"):
            obstore.put(self._store, path, file)

    def delete(self, path: str) -> None:
        """See Store."""
        with self._told(path, "removed"), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    @contextlib.contextmanager
    def _told(self, path: str, done: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise UserError(f"{self._address}/{path}: cannot be {done}: {_first_line(error)}") from error


def is_url(address: str) -> bool:
    """Returns whether an address begins as a URL does, complete or not; others are folders."""
    return re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]*:/", address) is not None


def open_store(address: str, environment: Mapping[str, str], *, insecure: bool) -> Store:
    """Opens an address.

    Raises:
        UserError: it is none, or has no TLS and that isn't permitted.
    """
    if not address:
        raise UserError("--to: is empty; give a folder or a URL")
    if not is_url(address):
        try:
            return Objects(LocalStore(prefix=Path(address).absolute(), mkdir=True), address.rstrip("/"))
        except (BaseError, OSError) as error:
            raise UserError(f"--to: {address}: cannot be used as a folder: {_first_line(error)}") from error
    shown = without_credentials(address)
    scheme = re.match(r"(s3|https?)://[^/?#]", shown)
    if scheme is None:
        raise UserError(
            f"--to: {shown!r} is no folder, and no URL with s3://, https:// or http:// and a name; "
            "a folder of that name is given as ./NAME"
        )
    endpoint = environment.get("AWS_ENDPOINT_URL", "") if scheme[1] == "s3" else address
    if endpoint.startswith("http://") and not insecure:
        raise UserError(f"--to: {without_credentials(endpoint)!r} is not a URL with https://; --insecure permits it")
    if scheme[1] != "s3":
        if "?" in address or "#" in address:
            raise UserError(f"--to: {shown!r} must not have ? or #; in a name they are %3F and %23")
        try:
            return WebDav(address, environment.get("ICOS_WEBDAV_USER", ""), environment.get("ICOS_WEBDAV_PASSWORD", ""))
        except ValueError as error:
            raise UserError(f"--to: {shown!r} is no URL: {error}") from error
    options: ClientConfig = {"allow_http": insecure, "timeout": "1h"}
    try:
        return Objects(S3Store.from_url(address, client_options=options), address.rstrip("/"))
    except BaseError as error:
        raise UserError(f"--to: {shown!r} cannot be used: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
