"""A peer behind HTTP, for `python -m bench.gate --peer PYTHON`: run by that interpreter, without weir.

It is LLM Guard or Gorget, which continues it, with the one scanner of theirs that judges and needs no model
from a hub: for secrets. Requests and answers are those of LLM Guard's own server, which is in no package.
"""

import importlib
import json
import logging
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PEERS = ("gorget", "llm_guard")


def load() -> Any:
    """Return the scanner of the peer that is installed."""
    for name in PEERS:
        try:
            return importlib.import_module(f"{name}.input_scanners.secrets").Secrets()
        except ModuleNotFoundError:
            continue
    sys.exit(f"{sys.executable} has none of {', '.join(PEERS)}: install one into an environment of its own")


SCANNER = load() if __name__ == "__main__" else None


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other on a connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """Scan a prompt."""
        assert SCANNER is not None
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text, valid, risk = SCANNER.scan(asked["prompt"])
        answer = {"is_valid": valid, "scanners": {"Secrets": risk}, "sanitized_prompt": text}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    logging.disable()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.request_queue_size = 1_024
    print("ready", flush=True)
    server.serve_forever()
