"""A folder in any file system of fsspec: errors in one line, and a conditional put on S3."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.contracts import InputError, RunBusyError

_LOCAL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of a full or read-only disk of this machine: no fault of the store."""
_SWAP_PROTOCOLS = {"s3", "s3a"}
"""Protocols with a conditional put in fsspec (If-Match, If-None-Match)."""


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in a file system of fsspec.

    Attributes:
        files: the file system.
        address: the folder as the user wrote it.
        root: the folder as the file system names it.
    """

    files: Any
    address: str
    root: str

    @classmethod
    def open(cls, address: str) -> RemoteFolder:
        """Return the folder at an address.

        Raises:
            InputError: its protocol is unknown, or the package for it is missing.
        """
        import fsspec

        address = address.rstrip("/")
        protocol = fsspec.core.split_protocol(address)[0]
        is_local = protocol in (None, "file", "local")
        options = {"auto_mkdir": True} if is_local else {"use_listings_cache": False}
        try:
            files, root = fsspec.core.url_to_fs(address, **options)
        except ImportError as error:
            is_s3 = protocol in _SWAP_PROTOCOLS
            fix = "pip install 'nightshift[s3]'" if is_s3 else str(error)
            raise InputError(
                f"{address}: the package for {protocol}:// is not installed: {fix}"
            ) from error
        except ValueError as error:
            raise InputError(f"{address}: {error}") from error
        return cls(files, address, str(root).rstrip("/"))

    @property
    def _protocols(self) -> set[str]:
        protocol = self.files.protocol
        return {protocol} if isinstance(protocol, str) else set(protocol)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, mounted ones included."""
        return "file" in self._protocols

    @property
    def can_swap(self) -> bool:
        """Whether the store has a conditional put."""
        return bool(self._protocols & _SWAP_PROTOCOLS)

    @contextmanager
    def translate_errors(self, name: str) -> Iterator[str]:
        """Yield the path of an object; an error of the file system inside becomes one line.

        Raises:
            InputError: the object or its bucket is absent, or access is denied.
            ConnectionError: the store does not respond; a second try may help.
        """
        location = f"{self.address}/{name}"
        try:
            yield f"{self.root}/{name}"
        except InputError:
            raise
        except FileNotFoundError as error:
            raise InputError(f"{location}: not found ({error})") from error
        except PermissionError as error:
            raise InputError(
                f"{location}: access is denied ({error}); check the credentials"
            ) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _LOCAL_ERRNOS:
                raise
            raise ConnectionError(f"{location}: the store does not respond ({error})") from error

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and its tag, None if it is absent.

        The tag is read first, so that it is never newer than the bytes. It is "" without a
        conditional put.
        """
        with self.translate_errors(name) as path:
            try:
                tag = ""
                if self.can_swap:
                    tag = str(self.files.info(path, refresh=True).get("ETag", ""))
                return bytes(self.files.cat_file(path)), tag
            except FileNotFoundError:
                return None

    def swap(self, name: str, value: bytes, tag: str | None) -> None:
        """Write an object unless another process changed it meanwhile.

        Args:
            name: name of the object.
            value: its new content.
            tag: its tag when it was read; None if it was absent.

        Raises:
            RunBusyError: another process wrote it meanwhile; that content stays.
        """
        condition = {"IfMatch": tag} if tag else {"mode": "create"}
        with self.translate_errors(name) as path:
            try:
                self.files.pipe_file(path, value, **condition)
                return
            except OSError as error:
                is_removed = tag is not None and isinstance(error, FileNotFoundError)
                # s3fs raises a plain OSError with the words of the server for a failed condition.
                is_refused = "condition" in str(error).lower()
                if not (is_removed or is_refused or isinstance(error, FileExistsError)):
                    raise
        stored = self.read(name)
        # Equal content: the first try was written, but its response was lost.
        if stored is None or stored[0] != value:
            raise RunBusyError(
                f"{self.address}/{name}: another machine moved it at this moment; call again"
            )
