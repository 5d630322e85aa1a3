"""Says what happened: in the log, to a webhook, by e-mail. A place that cannot be told is a warning, never an error.

It needs the standard library alone: Airflow, in an environment without torch and pandas, says it in the same words.

A place is one line of `schedule.notify`: `log`; an address of http or https, to which the note is POSTed as JSON;
`mailto:somebody@example.org`, which goes through `schedule.mail_server`. `$NAME` in it stands for that environment
variable when the note is sent, so that what is secret lies in no config, run or report.
"""

from __future__ import annotations

import json
import logging
import os
import re
import smtplib
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT = 10.0  # seconds, of each step of a connection
LOCAL = "smtp://localhost"
_PLACE = re.compile(r"log|https?://\S+|mailto:[^\s@]+@[^\s@]+")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_log = logging.getLogger("nightshift")


@dataclass(frozen=True)
class Note:
    """What is said; as JSON it is what a webhook gets.

    event: failure | deadline | slice. config: its name. run: the run's name. text: one or more plain sentences. report:
    the page's address or path, empty where there is none. slices: those that are new or back, each with slice (its name
    in this run), words and state. also: what else there is to say: a refusal, failed conditions of `monitor`, a log.
    """

    event: str
    config: str
    run: str
    text: str
    report: str = ""
    slices: list[dict[str, Any]] = field(default_factory=list)
    also: list[str] = field(default_factory=list)

    def body(self) -> str:
        """The note as the lines of a mail."""
        found = [f"- {item['state']}: {item['words']}" for item in self.slices]
        report = [f"Report: {self.report}"] if self.report else []
        return "\n".join([self.text, "", *found, *self.also, *report, f"Run: {self.run}"]) + "\n"


def check_place(place: str) -> str:
    """The place, if it is one; what begins with `$` is looked at when it is used. Raises `ValueError` otherwise."""
    if not place.startswith("$") and not _PLACE.fullmatch(place):
        raise ValueError("a place is log, an http(s):// address, mailto:somebody@example.org, or $NAME of a variable")
    return place


def check_server(server: str) -> str:
    """The address of a mail server, if it is one. Raises `ValueError` otherwise."""
    parts = urlsplit(server)
    if not server.startswith("$") and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
        raise ValueError("a mail server is smtp://host:port or smtps://user:password@host:port, or $NAME of a variable")
    return server


def _expanded(text: str) -> str:
    """With environment variables in place of their names. Raises `ValueError` where one is not set."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ValueError(f"the environment variable {found[1]} is not set")
        return os.environ[found[1]]

    return _VARIABLE.sub(value, text)


def _write_log(place: str, note: Note, server: str, sender: str) -> None:
    _log.warning("%s: %s", note.event, " | ".join(line for line in note.body().splitlines() if line))


def _post(place: str, note: Note, server: str, sender: str) -> None:
    data = json.dumps(asdict(note)).encode()
    request = urllib.request.Request(place, data, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=TIMEOUT):
        pass


def _mail(place: str, note: Note, server: str, sender: str) -> None:
    message = EmailMessage()
    message["Subject"] = f"Nightshift, {note.config}: {note.text.splitlines()[0][:150]}"
    message["From"], message["To"] = sender or f"nightshift@{socket.gethostname()}", place.removeprefix("mailto:")
    message.set_content(note.body())
    parts = urlsplit(check_server(_expanded(server)))
    kind: Callable[..., smtplib.SMTP] = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
    with kind(parts.hostname, parts.port or 0, socket.gethostname(), timeout=TIMEOUT) as smtp:
        smtp.ehlo()
        if parts.scheme == "smtp" and smtp.has_extn("starttls"):
            smtp.starttls(context=ssl.create_default_context())
        if parts.username and parts.password:
            if not isinstance(smtp.sock, ssl.SSLSocket) and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
                raise ValueError("the mail server offers no encryption, so the password was not sent to it")
            smtp.login(unquote(parts.username), unquote(parts.password))
        smtp.send_message(message)


_SENDERS: Mapping[str, Callable[[str, Note, str, str], None]] = {
    "log": _write_log, "http": _post, "https": _post, "mailto": _mail,
}  # fmt: skip


def send(note: Note, places: Iterable[str], server: str = LOCAL, sender: str = "") -> dict[str, str]:
    """Tell each place; returns why, by place, where that failed, each of which is also a line of warning.

    server: through which mail goes, `smtp://` (encrypted where it offers that) or `smtps://`. sender: of mail; empty:
    nightshift at this host.
    """
    failed = {}
    for place in places:
        try:
            address = _expanded(place)
            if not _PLACE.fullmatch(address):
                raise ValueError("its value is neither log nor an address of http, https or mailto")
            _SENDERS[address.partition(":")[0]](address, note, server, sender)
        except Exception as error:  # whatever a stranger's server answers is no reason to fail
            failed[place] = f"{type(error).__name__}: {error}".splitlines()[0]
            _log.warning("notify: %s could not be told: %s", place, failed[place])
    return failed


def run_name(config: str, run_id: str) -> str:
    """The name of the run's folder that a scheduler's run has."""
    return f"{config}-{run_id.replace(':', '').replace('+', '-')}"


def late(minutes: float, places: list[str], server: str, sender: str, context: Mapping[str, Any]) -> None:
    """What Airflow calls when a deadline passed and the run was not done. context: as Airflow gives it.

    Airflow 3.3 calls it for a run that failed before its deadline too, which was told already: that is passed over.
    """
    run = context["dag_run"]
    if run["state"] == "failed":
        return
    name = run["dag_id"]
    note = Note("deadline", name, run_name(name, run["dag_run_id"]), f"{name}: not done after {minutes:g} minutes")
    send(note, places, server, sender)
