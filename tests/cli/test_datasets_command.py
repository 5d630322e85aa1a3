import json

from typer.testing import CliRunner

from pipeline import plugins
from pipeline.cli.app import app


def test_every_kind_is_listed_with_what_it_reads() -> None:
    rows = json.loads(CliRunner().invoke(app.app, ["datasets", "list", "--json"]).stdout)
    assert [row["name"] for row in rows] == list(plugins.list_plugins("adapters"))
    assert all(row["reads"].endswith((".", ":")) for row in rows)
