"""`train.weights: auto`, with a small server in the place of the hub, or none."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import build_network, create_timm_model
from pipeline.learning.models.hub_weights import (
    HUB_BACKBONE,
    InitialWeights,
    choose_initial_weights,
)
from pipeline.learning.training_settings import PACKAGED_BACKBONE

SMALL = "test_efficientnet"
CHOOSE = """
import json, sys
from safetensors.torch import save_file
from pipeline.learning.models.backbone import build_network
from pipeline.learning.models.hub_weights import choose_initial_weights
initial = choose_initial_weights(sys.argv[1])
if initial.source == "hub":
    network, _ = build_network(initial.backbone, "hub", ["a", "b"], 32, 0.0)
    save_file(network.state_dict(), sys.argv[2])
print(json.dumps(vars(initial)))
"""


@contextmanager
def _serve_weights(content: bytes) -> Iterator[str]:
    """Yield the address of a server that answers every request with a file, as the hub does."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _choose(backbone: str, folder: Path, **environment: str) -> tuple[InitialWeights, Path]:
    """Return what a process of its own chooses: the hub's address is read when it is imported."""
    file = folder / "loaded.safetensors"
    unset = {"HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", CHOOSE, backbone, str(file)],
        env=inherited | {"HF_HOME": str(folder / "hub"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return InitialWeights(**json.loads(done.stdout.splitlines()[-1])), file


def test_the_hub_gives_the_weights_once_and_then_its_cache(tmp_path: Path) -> None:
    stored = create_timm_model(SMALL, 1000, 32).state_dict()
    save_file(stored, tmp_path / "model.safetensors")
    with _serve_weights((tmp_path / "model.safetensors").read_bytes()) as address:
        initial, file = _choose(SMALL, tmp_path, HF_ENDPOINT=address)
    assert initial == InitialWeights(SMALL, "hub")
    loaded = load_file(file)
    assert loaded["conv_stem.weight"].equal(stored["conv_stem.weight"])
    file.unlink()
    again, file = _choose(SMALL, tmp_path, HF_HUB_OFFLINE="1")
    assert again == initial
    assert load_file(file)["conv_stem.weight"].equal(stored["conv_stem.weight"])


def test_the_packaged_network_gives_way_to_a_stronger_one(tmp_path: Path) -> None:
    stored = create_timm_model(HUB_BACKBONE, 1000, 32).state_dict()
    save_file(stored, tmp_path / "model.safetensors")
    with _serve_weights((tmp_path / "model.safetensors").read_bytes()) as address:
        initial, _ = _choose(PACKAGED_BACKBONE, tmp_path, HF_ENDPOINT=address)
    assert initial == InitialWeights(HUB_BACKBONE, "hub")


@pytest.mark.parametrize(
    "environment",
    [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}],
    ids=["closed port", "offline"],
)
def test_out_of_reach_the_packaged_network_is_taken(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    initial, _ = _choose(PACKAGED_BACKBONE, tmp_path, **environment)
    assert (initial.backbone, initial.source) == (PACKAGED_BACKBONE, "packaged")
    assert initial.obstacle
    build_network(initial.backbone, initial.source, ["a", "b"], 32, 0.0)


def test_a_backbone_without_weights_anywhere_is_one_line() -> None:
    with pytest.raises(InputError, match=r"train\.weights: auto.*train\.backbone") as caught:
        choose_initial_weights("test_byobnet_does_not_exist")
    assert "\n" not in str(caught.value)
