"""Secrets that stand in an address instead of the name of an environment variable."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

_SECRET_FIELD_PATTERN = re.compile(r"pass|pwd|token|secret|key|auth|sig|credential", re.IGNORECASE)
_PLAIN_SCHEMES = frozenset(
    ("dbus", "form", "forms", "http", "https", "json", "jsons", "mailto", "mailtos", "rsyslog",
     "syslog", "xml", "xmls")
)  # fmt: skip
"""Schemes whose address is no secret by itself. Those of chats consist of tokens."""
_TOKEN_PATTERN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_=.:-]{20,}")
"""Parts of a path that are drawn at random, as in the addresses of webhooks."""


def find_literal_secret(address: str) -> str | None:
    """Return what kind of secret an address holds, None if it holds none.

    >>> find_literal_secret("https://ann:hunter2@example.com")
    'a password'
    >>> find_literal_secret("https://ann:$PASSWORD@example.com") is None
    True
    >>> find_literal_secret("https://chat.example.com/services/B7Q2W9E4R6T1Y8U3I5O0")
    'a token'
    """
    parts = urlsplit(address)
    login, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if password and "$" not in password:
        return "a password"
    for key, value in parse_qsl(parts.query):
        if _SECRET_FIELD_PATTERN.search(key) and "$" not in value:
            return "a password"
    if parts.scheme not in _PLAIN_SCHEMES:
        return None if "$" in address else "a token"
    values = [login, *unquote(parts.path).split("/"), *(v for _, v in parse_qsl(parts.query))]
    return "a token" if any(map(_TOKEN_PATTERN.fullmatch, values)) else None
