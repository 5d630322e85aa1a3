"""Secrets in addresses: pipeline/literal_secrets.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import read_general_settings
from pipeline.contracts import InputError
from pipeline.literal_secrets import find_literal_secret

SECRETS = [
    "mailto://ann:hunter2hunter2@example.com",
    "mailtos://example.com?user=ann&pass=hunter2hunter2",
    "slack://hunter2hunter2/B1H9RESGH/hunter2",
    "tgram://1234:hunter2hunter2/5",
    "discord://4174216298/hunter2hunter2",
    "https://hooks.example.com/services/T0/B0/hunter2hunter2hunter2",
    "https://hunter2hunter2hunter2@example.com/x",
    "https://example.com/x?api_key=hunter2hunter2",
    "https://example.com/x?id=hunter2hunter2hunter2",
    "jsons://example.com/?X-Signature=hunter2hunter2",
]
HARMLESS = [
    "mailto://ann:$PASSWORD@example.com",
    "mailtos://example.com?user=ann&pass=${MAIL_PASSWORD}&to=team@example.com",
    "slack://$SLACK",
    "https://hooks.example.com/services/$HOOK",
    "https://example.com:8443/a/long-path-of-words/without-numbers?team=gate",
    "jsons://alarm.example.com/nightshift/2026",
]


@pytest.mark.parametrize("address", SECRETS)
def test_a_secret_is_refused_and_not_repeated(address: str, tmp_path: Path) -> None:
    assert find_literal_secret(address)
    path = tmp_path / "c.yaml"
    keys = [f"notify: ['{address}']"]
    if address.startswith("http"):
        keys.append(f"reports_url: '{address}'")
    for key in keys:
        path.write_text(f"schedule: {{{key}}}\n")
        with pytest.raises(InputError, match="environment variable") as caught:
            read_general_settings(path, ["ingest"])
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("address", HARMLESS)
def test_names_of_variables_and_plain_addresses_are_accepted(address: str) -> None:
    assert find_literal_secret(address) is None
