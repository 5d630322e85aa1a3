"""Notifications through the log and Apprise.

A destination is one line of `schedule.notify`: `log`, an Apprise URL, or an http(s):// address, to
which the message is posted as JSON. `$NAME` in it is replaced by that environment variable when a
message is sent, so that no secret is in a config, a run or a report. Only the variables that the
config's own file names are expanded, and those that begin with NIGHTSHIFT_. A destination that
cannot be reached, or that redirects, is a warning, never an error.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pipeline.config import VARIABLE_PATTERN

INSTALL_COMMAND = "pip install 'nightshift[notify]'"
LOG_DESTINATION = "log"
VARIABLE_PREFIX = "NIGHTSHIFT_"
"""Beginning of the variables that a place may name wherever it comes from."""
MAX_SENDING_SECONDS = 60.0
"""Bound on a message's sending to all places; Airflow's call of `notify` is ended after 120 s."""
# Status of an HTTP response, as Apprise logs it.
_STATUS_PATTERN = re.compile(r"error=(\d{3})\b")
_log = logging.getLogger("nightshift")


class RunEvent(StrEnum):
    """Subject of a message."""

    FAILURE = "failure"
    DEADLINE = "deadline"
    SLICE = "slice"


@dataclass(frozen=True)
class Message:
    """A message about a run.

    Attributes:
        event: its subject.
        config: name of the config.
        run: the run's id.
        text: its first line, in plain words.
        details: further lines.
    """

    event: RunEvent
    config: str
    run: str
    text: str
    details: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return the subject line of a mail."""
        return f"Nightshift, {self.config}: {self.event}"

    @property
    def body(self) -> str:
        """Return the message as lines of plain text."""
        return "\n".join([self.text, *self.details, f"Run: {self.run}"])


class _NotSentError(Exception):
    """Why a message was not sent, in words without a secret."""


def send_message(
    message: Message,
    destinations: Sequence[str],
    variables: Collection[str] = (),
    max_seconds: float = MAX_SENDING_SECONDS,
) -> dict[str, str]:
    """Send a message to each destination and return why it failed, by destination.

    Each failure is also logged as a warning.

    Args:
        message: the message.
        destinations: the places; those that wait too long are given up.
        variables: environment variables that may be expanded besides `NIGHTSHIFT_*`.
        max_seconds: bound on the whole sending, shared equally.
    """
    failures = {}
    for destination in destinations:
        if destination == LOG_DESTINATION:
            _log.warning("%s: %s", message.title, " | ".join(message.body.splitlines()))
            continue
        reason = _send_within(
            max_seconds / len(destinations), message, destination, frozenset(variables)
        )
        if reason:
            failures[destination] = reason
            _log.warning("notify: %s could not be reached: %s", destination, reason)
    return failures


def _send_within(
    seconds: float, message: Message, destination: str, variables: frozenset[str]
) -> str:
    """Send a message in a thread, and return why it failed; empty if it was sent.

    A service may answer a byte a minute, which no timeout of a socket ends.
    """
    reasons: list[str] = []

    def send() -> None:
        try:
            _send_by_apprise(message, _expand_variables(destination, variables))
            reasons.append("")
        except Exception as error:  # no error of a service may stop the run
            # The text of an unknown error may hold a password.
            is_known = isinstance(error, _NotSentError | ImportError)
            reasons.append(str(error) if is_known else type(error).__name__)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(seconds)
    return reasons[0] if reasons else f"no answer within {seconds:.0f} seconds"


def _replace_variables(
    text: str, variables: frozenset[str], encode: Callable[[str], str] = str
) -> str:
    """Return the text with the encoded values of its variables.

    Raises:
        _NotSentError: a variable is not set, or may not be expanded.
    """

    def read_variable(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables and not name.startswith(VARIABLE_PREFIX):
            raise _NotSentError(
                f"the environment variable {name} is not expanded: "
                f"the config's own file must name it, or it must begin with {VARIABLE_PREFIX}"
            )
        if name not in os.environ:
            raise _NotSentError(f"the environment variable {name} is not set")
        return encode(os.environ[name])

    return VARIABLE_PATTERN.sub(read_variable, text)


def _expand_variables(destination: str, variables: frozenset[str]) -> str:
    """Return a destination with the values of its variables; user and password are encoded."""
    scheme, separator, rest = destination.partition("://")
    if not separator:
        return _replace_variables(destination, variables)
    network = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(network) :]
    login, at_sign, host = network.rpartition("@")
    login = _replace_variables(login, variables, lambda value: quote(value, safe=""))
    return f"{scheme}://{login}{at_sign}{_replace_variables(host + path, variables)}"


def _convert_webhook(url: str) -> str:
    """Return the Apprise URL that posts JSON to an http(s):// address and keeps its query."""
    parts = urlsplit(url)
    # Apprise passes on the parameters with a leading minus sign.
    pairs = [(f"-{key}", value) for key, value in parse_qsl(parts.query, keep_blank_values=True)]
    scheme = parts.scheme.replace("http", "json")
    return parts._replace(scheme=scheme, query=urlencode(pairs)).geturl()


@contextmanager
def _capture_apprise_log() -> Iterator[StringIO]:
    """Yield Apprise's own log, which may hold a password, and keep it from other handlers."""
    logger, text = logging.getLogger("apprise"), StringIO()
    handler, propagates = logging.StreamHandler(text), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield text
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)


@contextmanager
def _refuse_redirects() -> Iterator[None]:
    """Make requests return a redirect as the response: a POST does not arrive behind one."""
    import requests

    session: Any = requests.Session
    follow = session.resolve_redirects
    session.resolve_redirects = lambda *_, **__: iter(())
    try:
        yield
    finally:
        session.resolve_redirects = follow


def _send_by_apprise(message: Message, url: str) -> None:
    """Send a message.

    Raises:
        _NotSentError: Apprise is not installed, does not know the URL, or could not send it.
    """
    try:
        import apprise
    except ImportError as error:
        raise _NotSentError(f"apprise is not installed: {INSTALL_COMMAND}") from error
    with _capture_apprise_log() as captured, _refuse_redirects():
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
        status = _STATUS_PATTERN.search(captured.getvalue())
        raise _NotSentError(
            f"it responded with status {status[1]}" if status else "it refused the message"
        )
