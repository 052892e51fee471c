"""The agent's door: HTTP on 127.0.0.1, for pages of the configured origins only.

``GET /certificate`` → ``{"certificate": base64 DER}``; ``POST /sign`` with ``pin``, ``pieces`` (base64) and ``hashes`` (hex) →
``{"signatures": [base64]}``. ``hashes`` are the SHA-256 that the page showed to the signer: a piece that differs is not
signed. ``Origin`` must be one of those configured (no other site), ``Host`` this address (no rebinding of names), the body
JSON of 5 MB at most.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benhan_agent.token import Token, TokenError

MOST_BODY, MOST_PIECES, PATIENCE_S = 5_000_000, 100, 15


class Agent(ThreadingHTTPServer):
    """One token, some origins; one signing at a time."""

    daemon_threads = True

    def __init__(self, port: int, token: Token, origins: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token, self.origins, self.turn = token, frozenset(origins), threading.Lock()


class _Refused(Exception):
    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class _Handler(BaseHTTPRequestHandler):
    server: Agent
    timeout = PATIENCE_S
    server_version, sys_version = "benhan-agent", ""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: a request may hold a PIN."""

    def do_OPTIONS(self) -> None:
        """The browser asks before it sends JSON across origins."""
        try:
            self._require_origin()
        except _Refused as no:
            self._say(no.status, {"code": no.code, "text": no.text})
            return
        self._say(204, None)

    def do_GET(self) -> None:
        """The certificate in the token."""
        self._attempt("/certificate", self._certificate)

    def do_POST(self) -> None:
        """Signatures."""
        self._attempt("/sign", self._sign)

    def _attempt(self, path: str, work: Any) -> None:
        try:
            self._require_origin()
            if self.path != path:
                raise _Refused(404, "no-such-door", "Không có cửa này.")
            self._say(200, work())
        except _Refused as no:
            self._say(no.status, {"code": no.code, "text": no.text})
        except TokenError as error:
            self._say(409, {"code": error.code, "text": error.text})

    def _require_origin(self) -> None:
        if self.headers.get("Host") != f"127.0.0.1:{self.server.server_port}":
            raise _Refused(421, "wrong-host", "Địa chỉ không đúng.")
        if self.headers.get_all("Origin", []) not in [[one] for one in self.server.origins]:
            raise _Refused(403, "wrong-origin", "Trang này không được phép dùng thiết bị ký.")

    def _certificate(self) -> dict[str, Any]:
        with self.server.turn:
            return {"certificate": base64.b64encode(self.server.token.certificate()).decode()}

    def _sign(self) -> dict[str, Any]:
        pin, pieces = self._asked()
        with self.server.turn:
            made = self.server.token.sign(pin, pieces)
        return {"signatures": [base64.b64encode(one).decode() for one in made]}

    def _asked(self) -> tuple[str, list[bytes]]:
        bad = _Refused(400, "bad-request", "Yêu cầu ký không đúng dạng.")
        if self.headers.get("Content-Type") != "application/json":
            raise bad
        try:
            size = int(self.headers.get("Content-Length", ""))
            if not 0 < size <= MOST_BODY:
                raise bad
            asked = json.loads(self.rfile.read(size))
            pin, shown = asked["pin"], asked["hashes"]
            pieces = [base64.b64decode(one, validate=True) for one in asked["pieces"]]
        except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
            raise bad from None
        if not isinstance(pin, str) or not pin or set(asked) != {"pin", "pieces", "hashes"}:
            raise bad
        if not 0 < len(pieces) <= MOST_PIECES or [hashlib.sha256(p).hexdigest() for p in pieces] != shown:
            raise _Refused(400, "not-what-was-shown", "Nội dung gửi ký khác với nội dung đã cho xem.")
        return pin, pieces

    def _say(self, status: int, body: dict[str, Any] | None) -> None:
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        origin = self.headers.get("Origin")
        if origin in self.server.origins:
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Allow-Methods", "GET, POST")
            self.send_header("Access-Control-Allow-Headers", "Content-Type")
            self.send_header("Access-Control-Allow-Private-Network", "true")
        self.send_header("Vary", "Origin")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent until it is ended; writes its address to standard output when it listens."""
    parser = argparse.ArgumentParser(prog="benhan-agent", description="Ký bằng thiết bị USB trên máy này.")
    parser.add_argument("--module", required=True, help="tệp trình điều khiển PKCS#11 của thiết bị")
    parser.add_argument("--token", required=True, help="nhãn của thiết bị")
    parser.add_argument("--key", required=True, help="nhãn của khóa và chứng thư trong thiết bị")
    parser.add_argument("--origin", required=True, action="append", help="trang được dùng, https://…")
    parser.add_argument("--port", type=int, default=8765, help="cổng trên 127.0.0.1")
    given = parser.parse_args(argv)
    agent = Agent(given.port, Token(given.module, given.token, given.key), given.origin)
    sys.stdout.write(f"http://127.0.0.1:{agent.server_port}\n")
    sys.stdout.flush()
    try:
        agent.serve_forever()
    except KeyboardInterrupt:
        agent.server_close()
    return 0
