"""An engine that answers, but with an error: no real one does so when it is asked to."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

IMAGE = {"Id": "sha256:0", "RepoTags": [], "RepoDigests": [], "Config": {"Labels": {}}, "Size": 1}
ANSWERS = {
    "/_ping": "OK",
    "/version": {"Version": "29.0.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24"},
    "/info": {"ServerVersion": "29.0.0", "MemTotal": 2**34, "Runtimes": {}},
    "/images/": IMAGE,
    "/containers/json": [],
}


class Failing(BaseHTTPRequestHandler):
    """Says what it has been told to say, and of `broken` that something has failed."""

    broken = ""

    def do_GET(self) -> None:
        path = next((path for path in ANSWERS if path in self.path and path != self.broken), None)
        body = json.dumps(ANSWERS[path] if path else {"message": "the disk has burnt"}).encode()
        self.send_response(200 if path else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """It has no log."""


@pytest.fixture
def failing(request: pytest.FixtureRequest, nucseg) -> Iterator:
    """The launcher with an engine that fails at one request."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Broken", (Failing,), {"broken": request.param}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield type(nucseg)(nucseg.root, {"DOCKER_HOST": f"tcp://127.0.0.1:{server.server_port}"})
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("failing", ["/info", "/images/", "/containers/json", "/containers/create"], indirect=True)
def test_a_run_tells_what_the_engine_says(failing, two_images, tmp_path):
    done = failing("run", "threshold", two_images, tmp_path / "out", "--engine", "docker")
    assert done.returncode == 3, done.stderr
    assert "the container engine says: the disk has burnt" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("failing", ["/info", "/images/"], indirect=True)
def test_the_doctor_finds_it(failing):
    # Without Podman and Apptainer, which would do instead.
    done = replace(failing, variables={**failing.variables, "PATH": "/nonexistent"})("doctor")
    assert done.returncode == 3, done.stderr
    assert "the container engine says: the disk has burnt" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("failing", ["/images/"], indirect=True)
def test_a_download_that_fails_is_told_with_the_image(failing):
    done = failing("pull", "threshold")
    assert done.returncode == 3
    assert "was not downloaded: the container engine says: the disk has burnt" in done.stderr
