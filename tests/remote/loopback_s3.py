"""A small imitation of an S3-compatible store on 127.0.0.1, for tests: objects are read, whole or by ranges.

It shows what the client requests, and can be told to fail on the way; signatures are not checked, only who signs.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

KEY, SECRET = "AKIALOOPBACK", "not-to-be-told"


@dataclass
class LoopbackS3:
    """The server, its objects by bucket and key, and what it was asked for and served."""

    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, range
    served: int = 0  # bytes of bodies
    cuts: int = 0  # how many of the next answers with a body break off in the middle
    status: int = 0  # that everything is answered with, if not 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def settings(self) -> dict[str, str]:
        """Return the environment that sends a client here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "eu-loopback-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self) -> LoopbackS3:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                store.answer(self)

            def do_GET(self) -> None:
                store.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer HEAD or GET of an object, whole or a range of it."""
        path = unquote(urlsplit(request.path).path)
        asked = request.headers.get("Range", "")
        with self._lock:
            self.requests.append((request.command, path, asked))
        bucket, _, key = path[1:].partition("/")
        if self.status:
            return self._refuse(request, self.status, "SlowDown" if self.status == 503 else "Other")
        if f"Credential={KEY}/" not in request.headers.get("Authorization", ""):
            return self._refuse(request, 403, "AccessDenied")
        if bucket not in self.buckets:
            return self._refuse(request, 404, "NoSuchBucket")
        if key not in self.buckets[bucket]:
            return self._refuse(request, 404, "NoSuchKey")
        return self._send(request, self.buckets[bucket][key], asked)

    @staticmethod
    def _refuse(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        said = f"<Error><Code>{code}</Code><Message>loopback</Message><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>"
        body = said.encode() if request.command == "GET" else b""
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", "application/xml")
        request.end_headers()
        request.wfile.write(body)

    def _send(self, request: BaseHTTPRequestHandler, content: bytes, asked: str) -> None:
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        start, stop = (int(span[1]), int(span[2] or len(content) - 1) + 1) if span else (0, len(content))
        body = content[start:stop]
        request.send_response(206 if span else 200)
        if span:
            request.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        request.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        request.end_headers()
        if request.command == "HEAD":
            return
        with self._lock:
            is_cut, self.cuts = self.cuts > 0, max(self.cuts - 1, 0)
            self.served += len(body) // 2 if is_cut else len(body)
        request.wfile.write(body[: len(body) // 2] if is_cut else body)
        if is_cut:  # reset, as where a line breaks
            request.wfile.flush()
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close_connection = True
            request.connection.close()
