"""A server on this machine that answers as the Hugging Face hub does, and may hang up half-way."""

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0" * 40


class SmallHub(ThreadingHTTPServer):
    """Serves one folder as every repository. With `hangs_up`, weights end after half of the bytes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.hangs_up = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SmallHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = urlsplit(self.path).path
        files = sorted(self.server.folder.iterdir())
        if path.startswith("/api/models/") and "/revision/" in path:
            names = [{"rfilename": file.name} for file in files]
            about = {"id": "a/b", "sha": COMMIT, "private": False, "tags": [], "downloads": 0}
            self._send(json.dumps({**about, "likes": 0, "siblings": names}).encode())
        elif path.startswith("/api/models/") and "/tree/" in path:
            entries = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _digest(f)[:40]}
                for f in files
            ]
            self._send(json.dumps(entries).encode())
        elif "/resolve/" in path and (file := self.server.folder / Path(path).name).is_file():
            cut = self.server.hangs_up and file.suffix == ".safetensors"
            self._send(file.read_bytes(), with_body=with_body, cut=cut, ETag=f'"{_digest(file)}"')
        else:
            self._send(b"", status=404)

    def _send(
        self,
        body: bytes,
        *,
        status: int = 200,
        with_body: bool = True,
        cut: bool = False,
        **headers: str,
    ) -> None:
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = cut


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
