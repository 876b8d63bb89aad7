"""As much of the API of Kubernetes as Helm asks when it looks things up: which kinds there are, and single objects.

It is no cluster: what is made there is not looked at.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.hosts import LOOPBACK

_KINDS: Final = {"configmaps": "ConfigMap", "secrets": "Secret"}
_DISCOVERY: Final[Mapping[str, Any]] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
            for name, kind in _KINDS.items()
        ],
    },
}


@contextmanager
def cluster_api(namespace: str, secrets: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The address of an API whose namespace holds these Secrets, by name, and what every namespace holds."""
    base = f"/api/v1/namespaces/{namespace}"
    objects = {f"{base}/configmaps/kube-root-ca.crt": _object("ConfigMap", "kube-root-ca.crt", {"ca.crt": "…"})}
    for name, data in secrets.items():
        objects[f"{base}/secrets/{name}"] = _object("Secret", name, data)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = _DISCOVERY.get(self.path.partition("?")[0]) or objects.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Says nothing on standard error."""

    with ThreadingHTTPServer((LOOPBACK, 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _object(kind: str, name: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name}, "data": dict(data)}
