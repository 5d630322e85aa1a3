import json
import logging
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import apprise
import pytest

from pipeline.config import read_general_settings, read_variable_names
from pipeline.contracts import InputError
from pipeline.integrations import notifications
from pipeline.integrations.notifications import INSTALL_COMMAND, Message, RunEvent, send_message
from tests.receivers import mailbox, webhook

MESSAGE = Message(
    RunEvent.SLICE,
    "gate",
    "gate-1",
    "gate: a group of images fails",
    ("- new: Too dark <b>", "not promoted"),
)
BODY = ["gate: a group of images fails", "- new: Too dark <b>", "not promoted", "Run: gate-1"]


def test_every_kind_of_destination_receives_the_whole_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with webhook() as (hook, posted), mailbox() as (server, mails):
        monkeypatch.setenv("GATE_HOOK", hook)
        monkeypatch.setenv("PORT", server.rpartition(":")[2])
        mail = "mailto://127.0.0.1:${PORT}?from=nightshift@gate.example&to=night@gate.example"
        destinations = ["log", "$GATE_HOOK", hook.replace("http", "json"), mail]
        assert send_message(MESSAGE, destinations, {"GATE_HOOK", "PORT"}) == {}
    assert len(posted) == 2
    for post in posted:
        assert post["title"] == "Nightshift, gate: slice"
        assert post["message"].splitlines() == BODY
    (received,) = mails
    assert (received["To"], received["From"]) == ("night@gate.example", "nightshift@gate.example")
    assert received["Subject"] == "Nightshift, gate: slice"
    assert received.get_content().splitlines() == BODY
    assert all(line in caplog.text for line in BODY)


def test_failed_destination_is_a_warning_without_its_password_and_the_others_still_receive(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("SECRET", "mailto:nobody:hush@x")
    monkeypatch.setenv("PASSWORD", "hush@x/y")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        refused = f"jsons://me:$PASSWORD@127.0.0.1:{closed.getsockname()[1]}/x"
        with webhook(500) as (broken, _), webhook() as (good, posted):
            caplog.set_level(logging.WARNING)
            names = {"NOT_SET", "SECRET", "PASSWORD"}
            failures = send_message(MESSAGE, [refused, broken, "$NOT_SET", "$SECRET", good], names)
    assert set(failures) == {refused, broken, "$NOT_SET", "$SECRET"}
    assert "status 500" in failures[broken]
    assert failures["$NOT_SET"] == "the environment variable NOT_SET is not set"
    assert len(posted) == 1
    assert len(caplog.records) == len(failures)
    assert "hush" not in caplog.text + "".join(capfd.readouterr())


def test_password_with_the_marks_of_an_address_is_kept_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PASSWORD", "h@sh/?#:%41")
    monkeypatch.setenv("HOST", "gate.example:8080/hook")
    url = notifications._expand_variables(
        "json://me:$PASSWORD@${HOST}?to=a@b.example", frozenset({"PASSWORD", "HOST"})
    )
    service = apprise.Apprise.instantiate(url)
    assert (service.user, service.password, service.host) == ("me", "h@sh/?#:%41", "gate.example")
    assert (service.port, service.fullpath) == (8080, "/hook")


def test_only_variables_that_the_config_names_are_expanded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("schedule: {notify: [log, $HOOK, '${PATH_OF_HOOK}/x']}\n")
    assert read_variable_names(tmp_path / "c.yaml") == {"HOOK", "PATH_OF_HOOK"}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with webhook() as (hook, posted):
        monkeypatch.setenv("NIGHTSHIFT_HOOK", hook)
        stolen = f"{hook}?key=$AWS_SECRET_ACCESS_KEY"
        failures = send_message(MESSAGE, [stolen, "$NIGHTSHIFT_HOOK"])
    assert list(failures) == [stolen]
    assert "is not expanded" in failures[stolen]
    assert len(posted) == 1


def test_a_redirect_is_a_failure_since_the_message_does_not_arrive() -> None:
    class Redirect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Redirect) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        hook = f"http://127.0.0.1:{server.server_port}/hook"
        assert send_message(MESSAGE, [hook]) == {hook: "it responded with status 302"}
        server.shutdown()


def test_a_place_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook = f"http://127.0.0.1:{silent.getsockname()[1]}/hook"
        failures = send_message(MESSAGE, [hook, "log"], max_seconds=0.4)
    assert failures == {hook: "no answer within 0 seconds"}


def test_webhook_keeps_its_query() -> None:
    url = notifications._convert_webhook("https://h:1/x?key=a+b&on=")
    assert url == "jsons://h:1/x?-key=a+b&-on="


def test_missing_apprise_is_a_warning_with_the_command_to_install_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    failures = send_message(MESSAGE, ["log", "https://gate.example/x"])
    assert list(failures) == ["https://gate.example/x"]
    assert INSTALL_COMMAND in failures["https://gate.example/x"]
    assert MESSAGE.text in caplog.text


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("notify: [night]", "schedule.notify.0"),
        ("notify: ['mailto:nobody@gate.example']", "schedule.notify.0"),
        ("mail_server: $X", "schedule.mail_server"),
        ("when: data, schedule: '@daily'", "schedule"),
    ],
)
def test_invalid_schedule_is_an_error_when_the_config_is_read(
    tmp_path: Path, section: str, key: str
) -> None:
    (tmp_path / "c.yaml").write_text(f"schedule: {{{section}}}\n")
    with pytest.raises(InputError) as refused:
        read_general_settings(tmp_path / "c.yaml", ["ingest"])
    assert key in str(refused.value)


@pytest.mark.parametrize(
    "destination",
    ["mailto://me:hush@gate.example", "https://h/x?token=hush", "mailtos://h?pass=hush"],
)
def test_password_in_a_config_is_refused_and_not_repeated(tmp_path: Path, destination: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"schedule: {{notify: ['{destination}']}}\n")
    with pytest.raises(InputError, match=r"schedule\.notify\.0: .*environment variable") as refused:
        read_general_settings(path, ["ingest"])
    assert "hush" not in str(refused.value)
    by_variable = destination.replace("hush", "${MINE}")
    path.write_text(f"schedule: {{notify: ['{by_variable}']}}\n")
    assert read_general_settings(path, ["ingest"]).schedule.notify == [by_variable]


def test_import_loads_no_client_of_a_service() -> None:
    code = "import sys, json, pipeline.config, pipeline.integrations.notifications\n"
    code += "print(json.dumps([*sys.modules]))"
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert not {"apprise", "requests", "smtplib"} & set(json.loads(output))
