import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import read_general_settings
from pipeline.contracts import InputError
from pipeline.integrations import notifications
from pipeline.integrations.notifications import Event, Message, send_message
from tests.receivers import mailbox, webhook

MESSAGE = Message(
    Event.SLICE,
    "gate",
    "gate-1",
    "gate: a group of images fails",
    ("- new: Too dark <b>", "not promoted"),
)
BODY = ["gate: a group of images fails", "- new: Too dark <b>", "not promoted", "Run: gate-1"]


def test_each_kind_of_place_gets_the_whole_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with webhook() as (hook, posted), mailbox() as (server, mails):
        monkeypatch.setenv("GATE_HOOK", hook)
        monkeypatch.setenv("PORT", server.rpartition(":")[2])
        mail = "mailto://127.0.0.1:${PORT}?from=nightshift@gate.example&to=night@gate.example"
        assert (
            send_message(MESSAGE, ["log", "$GATE_HOOK", hook.replace("http", "json"), mail]) == {}
        )
    assert [(post["title"], post["message"].splitlines()) for post in posted] == [
        ("Nightshift, gate: slice", BODY)
    ] * 2
    (received,) = mails
    assert (received["To"], received["From"]) == ("night@gate.example", "nightshift@gate.example")
    assert received["Subject"] == "Nightshift, gate: slice"
    assert received.get_content().splitlines() == BODY
    assert all(line in caplog.text for line in BODY)


def test_a_place_that_cannot_be_reached_is_a_warning_without_a_password_and_hinders_no_other(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("SECRET", "mailto:nobody:hush@x")
    monkeypatch.setenv("PASSWORD", "hush@x/y")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        gone = f"jsons://me:$PASSWORD@127.0.0.1:{closed.getsockname()[1]}/x"
        with webhook(500) as (broken, _), webhook() as (good, posted):
            caplog.set_level(logging.WARNING)
            failed = send_message(MESSAGE, [gone, broken, "$NOT_SET", "$SECRET", good])
    assert set(failed) == {gone, broken, "$NOT_SET", "$SECRET"}
    assert failed[broken] == "it answered with status 500"
    assert failed["$NOT_SET"] == "the environment variable NOT_SET is not set"
    assert len(posted) == 1
    assert len(caplog.records) == len(failed), "one line each"
    assert "hush" not in caplog.text + "".join(capfd.readouterr())


def test_a_password_with_marks_of_an_address_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "h@sh/?#:%41")
    monkeypatch.setenv("HOST", "gate.example:8080/hook")
    expanded = notifications._expand_variables("json://me:$PASSWORD@${HOST}?to=a@b.example")
    import apprise

    service = apprise.Apprise.instantiate(expanded)
    assert (service.user, service.password, service.host) == ("me", "h@sh/?#:%41", "gate.example")
    assert (service.port, service.fullpath) == (8080, "/hook")


def test_the_query_of_a_webhook_goes_along() -> None:
    assert (
        notifications._convert_webhook("https://h:1/x?key=a+b&on=") == "jsons://h:1/x?-key=a+b&-on="
    )


def test_without_apprise_one_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert send_message(MESSAGE, ["log", "https://gate.example/x"]) == {
        "https://gate.example/x": "apprise is not installed: pip install 'nightshift[notify]'"
    }
    assert "gate: a group of images fails" in caplog.text


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("notify: [night]", "schedule.notify.0: a place is log"),
        ("notify: ['mailto:nobody@gate.example']", "schedule.notify.0: a place is log"),
        ("mail_server: $X", "unknown key schedule.mail_server"),
        ("when: data, schedule: '@daily'", "take `schedule` out, or say when: time"),
    ],
)
def test_what_is_no_place_is_said_when_the_config_is_read(
    tmp_path: Path, section: str, words: str
) -> None:
    (tmp_path / "c.yaml").write_text(f"schedule: {{{section}}}\n")
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        read_general_settings(tmp_path / "c.yaml", ["ingest"])


@pytest.mark.parametrize(
    "place", ["mailto://me:hush@gate.example", "https://h/x?token=hush", "mailtos://h?pass=hush"]
)
def test_a_password_in_a_config_is_refused_unread(tmp_path: Path, place: str) -> None:
    (tmp_path / "c.yaml").write_text(f"schedule: {{notify: ['{place}']}}\n")
    with pytest.raises(
        InputError, match=r"schedule\.notify\.0: a password must not .* name an environment"
    ) as refused:
        read_general_settings(tmp_path / "c.yaml", ["ingest"])
    assert "hush" not in str(refused.value)
    (tmp_path / "c.yaml").write_text(
        f"schedule: {{notify: ['{place.replace('hush', '${MINE}')}']}}\n"
    )
    assert "${MINE}" in read_general_settings(tmp_path / "c.yaml", ["ingest"]).schedule.notify[0]


def test_a_config_is_read_without_a_sender() -> None:
    code = "import sys, json, pipeline.config, pipeline.integrations.notifications; print(json.dumps([*sys.modules]))"
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", code], text=True)))
    assert not {"apprise", "requests", "smtplib"} & loaded
