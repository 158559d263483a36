"""A stand-in for the server of Rust toolchains, on loopback.

Its rustup-init installs a cargo that writes down its calls.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RUSTUP_INIT = """#!/bin/sh
PATH=/usr/bin:/bin
mkdir -p "$CARGO_HOME/bin"
cat > "$CARGO_HOME/bin/cargo" <<'END'
#!/bin/sh
if [ "$1" = --version ]; then echo "cargo {version} (stand-in)"; exit 0; fi
echo "$@" >> "{calls}"
echo "the stand-in cargo builds nothing" >&2
exit 7
END
cat > "$CARGO_HOME/bin/rustc" <<'END'
#!/bin/sh
echo "rustc {version} (stand-in)"
END
chmod +x "$CARGO_HOME/bin/cargo" "$CARGO_HOME/bin/rustc"
"""


class ToolchainServer:
    """Serves one rustup-init. `requests` holds what was asked for; cargo writes its calls into the file `calls`."""

    def __init__(self, folder: Path, *, version: str = "1.90.0", status: int = 200) -> None:
        self.calls = folder / "cargo-calls"
        self.requests: list[str] = []
        self.body = RUSTUP_INIT.format(version=version, calls=self.calls).encode()
        self.status = status
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[ToolchainServer]:
        """Serve until the block ends."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{server.server_address[1]}/rustup"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                outer.requests.append(f"HEAD {self.path}")
                self._head()

            def do_GET(self) -> None:
                outer.requests.append(f"GET {self.path}")
                self._head()
                self.wfile.write(outer.body)

            def _head(self) -> None:
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing: standard error is the test's."""

        return Handler
