import json

from typer.testing import CliRunner

from pipeline import cli, plugins


def test_every_kind_is_listed_with_what_it_reads() -> None:
    rows = json.loads(CliRunner().invoke(cli.app, ["datasets", "list", "--json"]).stdout)
    assert [row["name"] for row in rows] == list(plugins.names("datasets"))
    assert all(row["reads"].endswith((".", ":")) for row in rows)
