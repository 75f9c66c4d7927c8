"""The part of a Cytomine server's API that jobs use, on this machine.

Resources, forms of answers and signatures are those of Cytomine-core 3 and of the metrics that BIAFLOWS adds to it.
"""

import base64
import hashlib
import hmac
import json
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PROJECT, SOFTWARE, JOB, DISCIPLINE = 7, 8, 9, 10
TERMINATED, FAILED = 3, 4
HUMAN, JOB_USER = ("human-public", "human-private"), ("job-public", "job-private")
CLASSES = {"track": "be.cytomine.image.multidim.Track"}


class CytomineServer:
    """A server with one project.

    Attributes
    ----------
    images : list of dict
        Image instances, each with its `content`.
    saved : dict of str to list of dict
        What was posted, by resource.
    job : dict
        The job as it is now.
    history : list of dict
        Every state that it was put into.
    refused : set of str
        Resources that it takes none of.
    """

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.saved: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.job: dict[str, Any] = {"id": JOB, "status": 0, "progress": 0, "project": PROJECT, "software": SOFTWARE}
        self.history: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self._lock, self._number = threading.Lock(), 1000
        handler = type("Handler", (_Handler,), {"state": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def add_image(self, number: int, name: str, content: bytes, depth: int, channels: int = 1) -> None:
        self.images.append(
            {"id": number, "originalFilename": name, "depth": depth, "channels": channels, "content": content}
        )

    def slices(self, number: int) -> list[dict[str, Any]]:
        """The slices of an image; their numbers tell where they are."""
        image = next(image for image in self.images if image["id"] == number)
        return [
            {"id": number * 10_000 + channel * 1000 + z, "zStack": z, "channel": channel, "time": 0, "image": number}
            for channel in range(image["channels"])
            for z in range(image["depth"])
        ]

    def get(self, path: str, user: tuple[str, str]) -> Any:
        images = [{key: value for key, value in image.items() if key != "content"} for image in self.images]
        metrics = [{"id": 50, "shortName": "DC"}, {"id": 51, "shortName": "mAP"}, {"id": 52, "shortName": "unknown"}]
        answers: dict[str, Any] = {
            "user/current": {"id": 3, "algo": user == JOB_USER, "job": JOB},
            "user/3": {"id": 3, "publicKey": JOB_USER[0], "privateKey": JOB_USER[1]},
            f"project/{PROJECT}": {"id": PROJECT, "discipline": DISCIPLINE},
            f"software/{SOFTWARE}": {
                "id": SOFTWARE,
                "parameters": [
                    {"id": 60, "name": "sigma", "defaultParamValue": "0"},
                    {"id": 61, "name": "cytomine_host", "defaultParamValue": None},
                ],
            },
            f"job/{JOB}": self.job,
            f"project/{PROJECT}/imageinstance": _collection(images),
            f"discipline/{DISCIPLINE}/metric": _collection(metrics),
        }
        if slices := re.fullmatch(r"imageinstance/(\d+)/sliceinstance", path):
            return _collection(self.slices(int(slices[1])))
        return answers.get(path)

    def post(self, resource: str, content: Any) -> Any:
        with self._lock:
            if isinstance(content, list):
                self.saved[resource] += content
                return {"message": f"{len(content)} added"}
            if resource == "job":
                self.job |= content | {"userJob": 3}
                return {"job": self.job}
            self._number += 1
            added = {**content, "id": self._number, "class": CLASSES.get(resource, resource)}
            self.saved[resource].append(added)
            return {resource: added, "message": "added"}

    def put_job(self, content: dict[str, Any]) -> Any:
        self.job |= content
        self.history.append(dict(self.job))
        return {"job": self.job}


def _collection(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"collection": entries, "size": len(entries), "offset": 0, "perPage": 0, "totalPages": 1}


class _Handler(BaseHTTPRequestHandler):
    state: CytomineServer

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/server/ping":
            self._answer(200, {"alive": True})
        elif (user := self._user()) is None:
            self._answer(401, {"errors": "Unauthorized"})
        elif download := re.fullmatch(r"/api/imageinstance/(\d+)/download", path):
            image = next(image for image in self.state.images if image["id"] == int(download[1]))
            self._send(200, image["content"], "application/octet-stream")
        else:
            found = self.state.get(path.removeprefix("/api/").removesuffix(".json"), user)
            self._answer(200, found) if found is not None else self._answer(404, {"errors": "not found"})

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = urlsplit(self.path).path.removeprefix("/api/").removesuffix(".json")
        resource = path.rsplit("/", 1)[-1]
        if self._user() is None:
            self._answer(401, {"errors": "Unauthorized"})
        elif resource in self.state.refused:
            self._answer(400, {"errors": f"no {resource} today"})
        else:
            self._answer(200, self.state.post(resource, content))

    def do_PUT(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self._user() is None or urlsplit(self.path).path != f"/api/job/{JOB}.json":
            self._answer(403, {"errors": "Forbidden"})
        else:
            self._answer(200, self.state.put_job(content))

    def _user(self) -> tuple[str, str] | None:
        """Whose key the request is signed with."""
        signed = f"{self.command}\n\n{self.headers.get('content-type', '')}\n{self.headers['date']}\n{self.path}"
        for public, private in (HUMAN, JOB_USER):
            digest = hmac.new(private.encode(), signed.encode(), hashlib.sha1).digest()
            if self.headers["authorization"] == f"CYTOMINE {public}:{base64.b64encode(digest).decode()}":
                return public, private
        return None

    def _answer(self, code: int, content: Any) -> None:
        self._send(code, json.dumps(content).encode(), "application/json")

    def _send(self, code: int, content: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
