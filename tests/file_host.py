"""Every host of the catalog on this machine: a proxy that answers https itself, with a certificate that only those trust who are told to.

Nothing of the pack changes for it: a program started with ``FileHost.env`` asks the catalog's own addresses, over https, and checks the
certificate; it meets this server instead, because the usual variables name it as the proxy and its certificate as one to trust.
"""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

PIECE = 1 << 16


def why_not() -> str | None:
    """Why there can be no such host, None when there can."""
    return None if shutil.which("openssl") else "no openssl, which makes the certificate"


def certificate(folder: Path, names: Iterable[str]) -> tuple[Path, Path, Path]:
    """An authority of two days, and a certificate of it for these host names: the authority, the certificate, its key."""
    root, own, key, asked, words = (folder / name for name in ("root.pem", "own.pem", "own.key", "own.csr", "own.ext"))
    words.write_text(f"subjectAltName={','.join(f'DNS:{n}' for n in sorted(names))}\nauthorityKeyIdentifier=keyid\n", "ascii")
    new = ["-newkey", "rsa:2048", "-nodes"]
    ask = ["req", *new, "-x509", "-days", "2", "-subj", "/CN=stand-in", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _openssl(*ask, "-keyout", str(folder / "root.key"), "-out", str(root))
    _openssl("req", *new, "-subj", "/CN=files", "-keyout", str(key), "-out", str(asked))
    sign = ["x509", "-req", "-in", str(asked), "-CA", str(root), "-CAkey", str(folder / "root.key"), "-CAcreateserial", "-days", "2"]
    _openssl(*sign, "-extfile", str(words), "-out", str(own))
    return root, own, key


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class FileHost(http.server.ThreadingHTTPServer):
    """Serves ``files`` (address -> path) at ``speed`` bytes a second; ``asked`` keeps address and Range of every request."""

    daemon_threads = True

    def __init__(self, folder: Path, files: dict[str, Path], speed: float | None = None):
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.files, self.speed = files, speed
        self.asked: list[tuple[str, str | None]] = []
        self.root, own, key = certificate(folder, {urllib.parse.urlsplit(url).hostname or "" for url in files})
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(own, key)

    def __enter__(self) -> FileHost:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()

    @property
    def env(self) -> dict[str, str]:
        """What a program is started with so that it meets this server in place of the catalog's hosts."""
        proxy = f"http://127.0.0.1:{self.server_port}"
        return {"https_proxy": proxy, "HTTPS_PROXY": proxy, "no_proxy": "127.0.0.1,localhost", "SSL_CERT_FILE": str(self.root)}


class _Proxy(http.server.BaseHTTPRequestHandler):
    server: FileHost

    def log_message(self, *args) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.send_response(200, "Connection established")
        self.end_headers()
        host = self.path.rpartition(":")[0]
        try:
            with self.server.tls.wrap_socket(self.connection, server_side=True) as secure:
                _Files(secure, host, self.server)
        except OSError:  # whoever asked has gone, or trusts nobody
            pass
        self.close_connection = True


class _Files(http.server.BaseHTTPRequestHandler):
    """Answers one connection inside the tunnel, as the usual hosts do: ranges, and a mark of the file."""

    protocol_version = "HTTP/1.1"
    server: FileHost

    def __init__(self, connection, host: str, server: FileHost):
        self.host = host
        super().__init__(connection, (host, 443), server)

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        url, wanted = f"https://{self.host}{self.path}", self.headers.get("Range")
        self.server.asked.append((url, wanted))
        path = self.server.files.get(url)
        if path is None:
            self.send_error(404)
            return
        size, mark = path.stat().st_size, f'"{path.stat().st_mtime_ns}"'
        same = self.headers.get("If-Range") in (None, mark)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and same else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size - start))
        self.send_header("ETag", mark)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        self._send(path, start)

    def _send(self, path: Path, start: int) -> None:
        with open(path, "rb") as file:
            file.seek(start)
            while piece := file.read(PIECE):
                self.wfile.write(piece)
                if self.server.speed:
                    time.sleep(len(piece) / self.server.speed)
