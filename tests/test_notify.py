import json
import logging
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from pipeline.config import general_of
from pipeline.contracts import InputError
from pipeline.notify import Note, late, send
from tests.conftest import Require
from tests.receivers import mailbox, webhook

SLICE = {"slice": "slice 1", "words": "Too dark: 6 of 7 failures were taken from 21:00 to 05:00", "state": "new"}
NOTE = Note("slice", "gate", "gate-1", "gate: a group fails", "https://r/gate-1", [SLICE], ["not promoted: too few"])


def test_each_kind_of_place_gets_the_whole_note(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with webhook() as (hook, posted), mailbox() as (server, mails):
        monkeypatch.setenv("GATE_HOOK", hook)
        monkeypatch.setenv("GATE_MAIL", server)
        places = ["log", "$GATE_HOOK", "mailto:night@gate.example"]
        assert send(NOTE, places, "$GATE_MAIL", "nightshift@gate.example") == {}
    assert posted == [
        {
            "event": "slice", "config": "gate", "run": "gate-1", "text": "gate: a group fails",
            "report": "https://r/gate-1", "slices": [SLICE], "also": ["not promoted: too few"],
        }
    ]  # fmt: skip
    (mail,) = mails
    assert (mail["To"], mail["From"]) == ("night@gate.example", "nightshift@gate.example")
    assert mail["Subject"] == "Nightshift, gate: gate: a group fails"
    for text in (mail.get_content(), caplog.text):
        assert all(part in text for part in ("new: Too dark: 6 of 7", "https://r/gate-1", "not promoted: too few"))


def test_a_place_that_cannot_be_told_is_a_warning_and_hinders_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("SECRET", "ftp://user:hush@x")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        gone = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        nobody = f"smtp://127.0.0.1:{closed.getsockname()[1]}"
        with webhook(500) as (broken, _), webhook() as (good, posted):
            caplog.set_level(logging.WARNING)
            failed = send(NOTE, [gone, broken, "$NOT_SET", "$SECRET", "mailto:a@b.example", good], nobody)
    assert set(failed) == {gone, broken, "$NOT_SET", "$SECRET", "mailto:a@b.example"}
    assert "500" in failed[broken]
    assert "NOT_SET is not set" in failed["$NOT_SET"]
    assert len(posted) == 1
    assert len(caplog.records) == len(failed), "one line each"
    assert "hush" not in caplog.text


def test_a_password_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a host that is not this machine by name (no name server is at hand, so it is resolved here)."""
    with mailbox() as (server, mails):
        port = server.rpartition(":")[2]
        told = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *a, **k: told("127.0.0.1" if "example" in str(host) else host, *a, **k)
        )
        failed = send(NOTE, ["mailto:a@b.example"], f"smtp://me:hush@mail.example:{port}")
        assert "offers no encryption" in failed["mailto:a@b.example"]
    assert mails == []


def test_where_encryption_is_offered_the_password_goes_through_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, require: Require
) -> None:
    require(shutil.which("openssl"), "openssl is absent: no certificate can be made")
    files = [str(tmp_path / name) for name in ("cert.pem", "key.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    seen = []

    def judge(server: object, session: object, envelope: object, how: str, data: LoginPassword) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"h@sh")

    with mailbox(tls_context=context, require_starttls=True, authenticator=judge) as (server, mails):
        address = server.replace("smtp://", "smtp://me:h%40sh@")
        failed = send(NOTE, ["mailto:a@b.example"], address)
        assert "CERTIFICATE_VERIFY_FAILED" in failed["mailto:a@b.example"], "nobody vouches for it yet"
        monkeypatch.setenv("SSL_CERT_FILE", files[0])
        assert send(NOTE, ["mailto:a@b.example"], address) == {}
    assert seen == [(b"me", b"h@sh")]
    assert [mail["To"] for mail in mails] == ["a@b.example"]


def test_a_late_run_is_told_as_airflow_tells_it() -> None:
    run = {"dag_id": "gate", "dag_run_id": "scheduled__2026-03-01T02:00:00+00:00", "state": "running"}
    with webhook() as (hook, posted):
        late(90, [hook], "smtp://localhost", "", {"dag_run": run})
        late(90, [hook], "smtp://localhost", "", {"dag_run": run | {"state": "failed"}})
    (note,) = posted
    assert note["event"] == "deadline"
    assert note["text"] == "gate: not done after 90 minutes"
    assert note["run"] == "gate-scheduled__2026-03-01T020000-0000"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("notify: [htp://x]", "schedule.notify.0: a place is log"),
        ("notify: ['mailto:nobody']", "schedule.notify.0: a place is log"),
        ("mail_server: mail.example", "schedule.mail_server: a mail server is smtp://host:port"),
        ("when: data, schedule: '@daily'", "take `schedule` out, or say when: time"),
    ],
)
def test_what_is_no_place_is_said_when_the_config_is_read(tmp_path: Path, section: str, words: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"schedule: {{{section}}}\n")
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        general_of(path, ["ingest"])


def test_it_needs_the_standard_library_alone() -> None:
    code = "import sys, json; import pipeline.notify; print(json.dumps([*sys.modules]))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    outside = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"pipeline", "__main__"}
    assert not {name for name in outside if not name.startswith("_")} - {"sitecustomize", "distutils-precedence"}
