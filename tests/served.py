"""A web server on this machine that plays the servers of data sets: whole or cut off, with and without ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Host:
    """What is served, by path, and how.

    Args:
        files: path -> content.
        cuts: after how many bytes each of the next answers stops; then they are whole.
        ranges: whether it sends parts of a file.
    """

    files: dict[str, bytes]
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, its Range) of every request."""
    address: str = ""


@contextmanager
def serving(host: Host) -> Iterator[Host]:
    """Serve in a thread; ``host.address`` says where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            host.asked.append((self.path, wanted))
            content = host.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            part = re.fullmatch(r"bytes=(\d+)-", wanted) if host.ranges else None
            start = int(part[1]) if part else 0
            if start >= len(content) and part:
                self.send_error(416)
                return
            self.send_response(206 if part else 200)
            if part:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            most = host.cuts.pop(0) if host.cuts else len(content)
            self.wfile.write(content[start : start + most])

        def log_message(self, *said: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    host.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
