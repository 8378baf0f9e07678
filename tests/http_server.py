"""A real HTTP server on this machine, with the faults that real ones have."""

import hashlib
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import unquote


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, path = self.server, unquote(self.path)
        faults = server.faults.get(path, [])
        fault = faults.pop(0) if faults else None
        asked = self.headers.get("Range")
        server.asked.append((path, asked))
        if isinstance(fault, int) or path not in server.files:
            return self.answer(fault or 404)
        if isinstance(fault, str) and fault.startswith("/"):
            return self.answer(302, {"Location": fault})
        content = server.files[path]
        headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'}
        status, start = 200, 0
        if asked and server.ranges and self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(content):
                return self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if fault == "wrong byte":
            body = bytes([body[0] ^ 1]) + body[1:]
        sent = body[: len(body) // 2] if fault in ("drop", "hang") else body
        self.answer(status, {**headers, "Content-Length": len(body)}, sent)
        if fault == "hang":
            server.closing.wait(20)
        if fault:
            self.close_connection = True

    def answer(self, status, headers=None, body=b""):
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.server.sent.append(len(body))  # before the last byte leaves: the test goes on as soon as it has it
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    """Serves the dict `files`; what it was asked for and how many bytes it sent stand in `asked` and `sent`.

    `faults[path]` is a list with one entry per coming request: a status code, "drop" (half of the
    bytes, then the connection closes), "hang" (half of them, then nothing), "wrong byte", the path
    that a redirection leads to, or None. `ranges = False` makes it ignore Range.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.asked, self.sent = {}, {}, [], []
        self.ranges, self.closing = True, Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.closing.set()
        self.shutdown()
        self.server_close()
