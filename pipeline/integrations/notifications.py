"""Notifications through the log and Apprise.

A place is one line of `schedule.notify`: `log`, an Apprise URL, or an http(s):// address, to which
the message is posted as JSON. `$NAME` in it is replaced by that environment variable when a message
is sent, so that no secret lies in a config, a run or a report. A place that cannot be reached is a
warning, never an error.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

INSTALL_COMMAND = "pip install 'nightshift[notify]'"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_STATUS = re.compile(r"error=(\d{3})\b")
_log = logging.getLogger("nightshift")


class Event(StrEnum):
    """What a message is about."""

    FAILURE = "failure"
    DEADLINE = "deadline"
    SLICE = "slice"


@dataclass(frozen=True)
class Message:
    """A message about a run: plain sentences, and further lines of detail."""

    event: Event
    config: str
    run: str
    text: str
    details: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The subject of a mail."""
        return f"Nightshift, {self.config}: {self.event}"

    @property
    def body(self) -> str:
        """The message as lines of plain text."""
        return "\n".join([self.text, *self.details, f"Run: {self.run}"])


def send_message(message: Message, places: Iterable[str]) -> dict[str, str]:
    """Send a message to each place, and return why it failed, by place; each is also a warning."""
    failures = {}
    for place in places:
        try:
            if place == "log":
                _log.warning("%s: %s", message.title, " | ".join(message.body.splitlines()))
            else:
                _send_by_apprise(message, _expand_variables(place))
        except (
            Exception
        ) as error:  # whatever a service raises is no reason to fail; its words may hold a password
            known = isinstance(error, (_NotSentError, ImportError))
            failures[place] = str(error) if known else type(error).__name__
            _log.warning("notify: %s could not be reached: %s", place, failures[place])
    return failures


class _NotSentError(Exception):
    """Why a message was not sent, in words that hold no secret."""


def _replace_variables(text: str, encode: Callable[[str], str] = str) -> str:
    def read_variable(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise _NotSentError(f"the environment variable {name} is not set")
        return encode(os.environ[name])

    return _VARIABLE.sub(read_variable, text)


def _expand_variables(place: str) -> str:
    """Return the place with the values of its variables; user and password are percent-encoded."""
    scheme, separator, rest = place.partition("://")
    if not separator:
        return _replace_variables(place)
    network = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(network) :]
    login, at, host = network.rpartition("@")
    login = _replace_variables(login, lambda value: quote(value, safe=""))
    return f"{scheme}://{login}{at}{_replace_variables(host + path)}"


def _convert_webhook(url: str) -> str:
    """Return the Apprise URL that posts JSON to an http(s):// address; its query goes along."""
    parts = urlsplit(url)
    query = urlencode(
        [(f"-{key}", value) for key, value in parse_qsl(parts.query, keep_blank_values=True)]
    )
    return parts._replace(scheme=parts.scheme.replace("http", "json"), query=query).geturl()


@contextmanager
def _capture_apprise_log() -> Iterator[StringIO]:
    """Keep Apprise's own log lines, which may hold a password, from every other handler."""
    logger, text = logging.getLogger("apprise"), StringIO()
    handler, propagates = logging.StreamHandler(text), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield text
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)


def _send_by_apprise(message: Message, url: str) -> None:
    try:
        import apprise
    except ImportError as error:
        raise _NotSentError(f"apprise is not installed: {INSTALL_COMMAND}") from error
    with _capture_apprise_log() as captured:
        service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if service is None and url.startswith(("http://", "https://")):
            service = apprise.Apprise.instantiate(_convert_webhook(url), suppress_exceptions=True)
        if service is None:
            raise _NotSentError(
                "it is no URL that Apprise knows; see https://github.com/caronc/apprise/wiki"
            )
        sender = apprise.Apprise()
        sender.add(service)
        is_sent = sender.notify(
            title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT
        )
    if not is_sent:
        status = _STATUS.search(captured.getvalue())
        raise _NotSentError(
            f"it answered with status {status[1]}" if status else "it did not take the message"
        )
