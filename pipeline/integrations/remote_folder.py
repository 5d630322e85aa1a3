"""A folder in any file system of fsspec: errors in one line, and a conditional put on S3."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.contracts import InputError, RunBusyError

_LOCAL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What a full or read-only disk of this machine raises: no fault of the store."""
_CAN_SWAP = {"s3", "s3a"}
"""Protocols whose file system in fsspec puts on a condition (If-Match, If-None-Match)."""


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in a file system of fsspec.

    Attributes:
        files: The file system.
        address: The folder as the user wrote it.
        root: The folder as the file system names it.
    """

    files: Any
    address: str
    root: str

    @classmethod
    def open(cls, address: str) -> RemoteFolder:
        """Open the folder at an address.

        Raises:
            InputError: Its protocol is unknown, or the package for it is absent.
        """
        import fsspec

        address = address.rstrip("/")
        protocol = fsspec.core.split_protocol(address)[0]
        local = (
            {"auto_mkdir": True}
            if protocol in (None, "file", "local")
            else {"use_listings_cache": False}
        )
        try:
            files, root = fsspec.core.url_to_fs(address, **local)
        except ImportError as error:
            extra = "pip install 'nightshift[s3]'" if protocol in _CAN_SWAP else str(error)
            raise InputError(
                f"{address}: the package for {protocol}:// is not installed: {extra}"
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
        """Whether an object can be put only if it is still the one that was read."""
        return bool(self._protocols & _CAN_SWAP)

    @contextmanager
    def translate_errors(self, name: str) -> Iterator[str]:
        """Yield the path of an object; inside, an error of the file system becomes one line.

        Raises:
            InputError: The object or its bucket is absent, or access is denied.
            ConnectionError: The store does not answer; trying again may help.
        """
        where = f"{self.address}/{name}"
        try:
            yield f"{self.root}/{name}"
        except FileNotFoundError as error:
            raise InputError(f"{where}: not found ({error})") from error
        except PermissionError as error:
            raise InputError(
                f"{where}: access is denied ({error}); check the credentials"
            ) from error
        except Exception as error:
            if isinstance(error, InputError) or (
                isinstance(error, OSError) and error.errno in _LOCAL_ERRNOS
            ):
                raise
            raise ConnectionError(f"{where}: the store does not answer ({error})") from error

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and its tag, or None where it is absent.

        The tag is read first, so that it is never newer than the bytes; "" where `can_swap` is not.
        """
        with self.translate_errors(name) as path:
            try:
                tag = (
                    str(self.files.info(path, refresh=True).get("ETag", ""))
                    if self.can_swap
                    else ""
                )
                return bytes(self.files.cat_file(path)), tag
            except FileNotFoundError:
                return None

    def swap(self, name: str, value: bytes, tag: str | None) -> None:
        """Put an object only if `tag` is still its tag; None: only if it is still absent.

        Raises:
            Busy: Another process put one meanwhile, and it stays.
        """
        condition = {"IfMatch": tag} if tag else {"mode": "create"}
        with self.translate_errors(name) as path:
            try:
                self.files.pipe_file(path, value, **condition)
                return
            except OSError as error:
                is_gone = tag is not None and isinstance(error, FileNotFoundError)
                if not (
                    is_gone
                    or isinstance(error, FileExistsError)
                    or "condition" in str(error).lower()
                ):
                    raise
        known = self.read(name)
        if (
            known is None or known[0] != value
        ):  # equal: an answer was lost, and the retry found it in place
            raise RunBusyError(
                f"{self.address}/{name}: another machine moved it at this moment; call again"
            )
