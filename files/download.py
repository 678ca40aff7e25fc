"""Fetch one file: resumable, verified, renamed into place only when it is right."""

from __future__ import annotations

import bz2
import contextlib
import errno
import hashlib
import html.parser
import http.client
import logging
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import MicromotionError
from .limits import counted
from .writing import lock, refused, writable

log = logging.getLogger(__name__)

ATTEMPTS = 5
TIMEOUT = 30
CHUNK = 1 << 18
MAX_PAGE = 1 << 18
MAX_FIELDS = 100
MAX_MARK = 200  # letters of an ETag
MAX_SIZE = 1 << 34  # bytes of a file whose size nobody published; the largest known ones have a tenth of it
MAX_UNPACKED = 1 << 32
USER_AGENT = "micromotion"
LOCAL = ("127.0.0.1", "localhost", "::1")
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EFBIG}
Progress = Callable[[int, int, Any], None]


class DownloadError(MicromotionError):
    """A file that could not be fetched, or is not the one that was asked for."""


def fetch(
    url: str,
    target: str | Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    packed_sha256: str | None = None,
    page: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch ``url`` to ``target`` and return it.

    ``size`` and ``sha256`` are those of the final file. A ``.bz2`` is unpacked, ``packed_sha256`` is then the download's own. ``page``
    is named where the file must be fetched by hand. Raises DownloadError; whatever ``progress`` raises passes through, and the part
    fetched so far is kept for the next attempt.

    Where nobody publishes a hash, that of the first complete download is written beside the file (``NAME.sha256``, as sha256sum does), and
    a later copy is compared with it; a part is gone on with where the server's own mark (a strong ETag) says that the file is the same.
    """
    target = Path(target)
    sha256 = sha256 or remembered_hash(target)
    if target.is_file():
        _verify(target, size, sha256, f"{target} exists already, but")
        return target
    with writable(target, DownloadError):
        target.parent.mkdir(parents=True, exist_ok=True)
    packed = url.endswith(".bz2")
    part = target.with_name(target.name + (".bz2.part" if packed else ".part"))
    with _alone(target):
        transfer = _Transfer(url, part, None if packed else size, page or url, target, progress)
        transfer.run(resume=bool(packed_sha256 if packed else sha256))
        _verify_part(part, None if packed else size, packed_sha256 if packed else sha256, url)
        if packed:
            part = _unpack(part, target, size)
            _verify_part(part, size, sha256, url)
        with writable(target, DownloadError):
            if sha256 is None:
                _remember(target, hash_file(part))
            part.replace(target)
    return target


def remembered_hash(target: Path) -> str | None:
    """The SHA-256 that was written beside a file when it was first fetched."""
    try:
        with open(_beside(target), encoding="ascii") as file:
            digest = file.read(64)
    except (OSError, ValueError):
        return None
    return digest if re.fullmatch("[0-9a-f]{64}", digest) else None


def _remember(target: Path, digest: str) -> None:
    _beside(target).write_text(f"{digest}  {target.name}\n", encoding="utf-8")


def _beside(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One writer per target: a second one is refused, since both would write into one part. The lock's file goes with the last of them."""
    gate = target.with_name(f".{target.name}.lock")
    with writable(target, DownloadError):
        handle = lock(gate)
    if handle is None:
        raise DownloadError(f"{target} is being fetched by another program; wait for it.")
    try:
        yield
    finally:
        if sys.platform == "win32":  # which removes no open file
            os.close(handle)
        with contextlib.suppress(OSError):
            gate.unlink()
        if sys.platform != "win32":
            os.close(handle)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only where the transfer may go: every hop is looked at, not the last alone."""

    def __init__(self, transfer: _Transfer):
        self.transfer = transfer

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        self.transfer.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Transfer:
    """One file on its way into ``part``, over as many connections as it takes."""

    def __init__(self, url: str, part: Path, size: int | None, page: str, target: Path, progress: Progress | None):
        self.url, self.part, self.size, self.page, self.target, self.progress = url, part, size, page, target, progress
        self.total = size
        self.validator: str | None = None
        self.needs_mark = False
        first = urllib.parse.urlsplit(url)
        self.is_local = first.scheme == "http" and first.hostname in LOCAL
        # Built of what https needs, and nothing that opens files, data or other protocols.
        self.opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(self),
        ):
            self.opener.add_handler(handler)

    def run(self, resume: bool) -> None:
        """Fetch until complete. A part of an earlier call is used where a hash will tell whether it fits, or the server's mark of it."""
        self.needs_mark = not resume
        if not resume:
            self.validator = self._kept_mark()
            if self.validator is None:
                self._discard()
        failures, best = 0, self._have()
        while not self._complete():
            try:
                self._connect()
            except (OSError, http.client.HTTPException) as e:
                failures = 1 if self._have() > best else failures + 1
                best = max(best, self._have())
                self._give_up_if(e, failures)
                log.info("The connection to %s broke after %d bytes (%s); trying again.", self.url, self._have(), e)

    @property
    def mark(self) -> Path:
        """Where the server's mark of the file lies beside its part."""
        return self.part.with_name(self.part.name + ".etag")

    def _kept_mark(self) -> str | None:
        try:
            with open(self.mark, encoding="ascii") as file:
                mark = file.read(MAX_MARK)
        except (OSError, ValueError):
            return None
        return mark if re.fullmatch(r'"[!#-~]*"', mark) else None

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)

    def _keep_mark(self) -> None:
        if self.validator and self.needs_mark:
            self.mark.write_text(self.validator, encoding="ascii")
        else:
            self.mark.unlink(missing_ok=True)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _complete(self) -> bool:
        return self.total is not None and self.part.exists() and self._have() >= self.total

    def _give_up_if(self, error: Exception, failures: int) -> None:
        code = getattr(error, "code", None)
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise DownloadError(f"{self.part} cannot be written ({refused(error)}). What was fetched so far is kept.") from error
        if code == 416:
            self._discard()
        elif code is not None and 400 <= code < 500 and code not in (408, 429):
            raise DownloadError(f"{self.url} answers {code} {getattr(error, 'reason', '')}. {self._by_hand()}") from error
        if failures >= ATTEMPTS:
            raise DownloadError(f"{self.url} could not be reached in {ATTEMPTS} attempts ({error}). {self._by_hand()}") from error

    def _by_hand(self) -> str:
        return f"Fetch it by hand from {self.page} and put it at {self.target}."

    def _connect(self) -> None:
        with self._open(self.url) as response:
            if _is_page(response):
                response = self._confirm(response)
            self._receive(response)

    def _open(self, url: str) -> Any:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if self._have():
            headers["Range"] = f"bytes={self._have()}-"
            if self.validator:
                headers["If-Range"] = self.validator
        self.check(url)
        return self.opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)

    def check(self, url: str) -> None:
        """Raise DownloadError for an address that may not be opened."""
        if not self.allowed(url):
            raise DownloadError(f"{self.url} leads to {url[:80]!r}, which is not an encrypted address; it is refused. {self._by_hand()}")

    def allowed(self, url: str) -> bool:
        """Whether an address may be opened: https all the way; plain http on this machine alone, where the first address was there too."""
        where = urllib.parse.urlsplit(url)
        return where.scheme == "https" or (self.is_local and where.scheme == "http" and where.hostname in LOCAL)

    def _confirm(self, response: Any) -> Any:
        """Answer Google Drive's question whether to fetch a file that it did not scan; refuse any other page."""
        form = _form(response.read(MAX_PAGE).decode("utf-8", "replace"), response.geturl())
        answer = self._open(form) if form else response
        if form is None or _is_page(answer):
            raise DownloadError(f"{self.url} answers with a web page instead of the file (a quota, a login?). {self._by_hand()}")
        return answer

    def _receive(self, response: Any) -> None:
        start = self._start(response)
        self._expect(start, response.headers.get("Content-Length") or "")
        etag = response.headers.get("ETag") or ""
        # RFC 9110 13.1.5: a weak one says nothing about the bytes
        self.validator = etag if re.fullmatch(r'"[!#-~]*"', etag) and len(etag) < MAX_MARK else None
        self._keep_mark()
        with open(self.part, "r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            while chunk := response.read(CHUNK):
                file.write(chunk)
                self._report(file.tell())
        if self.total is None:
            self.total = self._have()
        if not self._complete():
            raise ConnectionError("the connection closed early")
        self.mark.unlink(missing_ok=True)

    def _expect(self, start: int, length: str) -> None:
        """Take the total from the server where nobody published it; refuse a file that is announced too long or too short."""
        announced = start + counted(length) if counted(length) >= 0 else None
        if self.size is None and announced is not None and announced > MAX_SIZE:
            raise DownloadError(f"{self.url} offers {announced:,} bytes, far more than any known file; it is refused. {self._by_hand()}")
        if None not in (announced, self.size) and announced != self.size:
            self._discard()
            raise DownloadError(
                f"{self.url} offers {announced:,} bytes instead of {self.size:,}; it is not the file asked for. {self._by_hand()}"
            )
        self.total = announced if self.size is None else self.size

    def _start(self, response: Any) -> int:
        """Where the answer continues: at what we have if the server says so, else at the beginning."""
        if response.status != 206:
            return 0
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != self._have():
            self._discard()
            raise ConnectionError("the server continued at the wrong place")
        return int(match[1])

    def _report(self, done: int) -> None:
        if self.size is None and done > MAX_SIZE:
            self._discard()
            raise DownloadError(f"{self.url} sends more than {MAX_SIZE >> 30} GB, far more than any known file; it was stopped.")
        if self.size is not None and done > self.size:
            self._discard()
            raise DownloadError(f"{self.url} sends more than the {self.size:,} bytes it should have; it is not the file asked for.")
        if self.progress:
            self.progress(done, self.total or 0, None)


def _is_page(response: Any) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/html")


class _Form(html.parser.HTMLParser):
    """The first form of a page: where it leads, and its fields."""

    def __init__(self):
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.is_open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None and "action" in found:
            self.action, self.is_open = found["action"], True
        elif tag == "input" and self.is_open and "name" in found and len(self.fields) < MAX_FIELDS:
            self.fields[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self.is_open = self.is_open and tag != "form"


def _form(page: str, address: str) -> str | None:
    """The address that the first form of ``page`` leads to, its hidden fields filled in."""
    form = _Form()
    form.feed(page)
    if form.action is None:
        return None
    action = urllib.parse.urljoin(address, form.action)
    return action + ("&" if "?" in action else "?") + urllib.parse.urlencode(form.fields)


def _unpack(part: Path, target: Path, size: int | None) -> Path:
    """Unpack bzip2, stopping at more than the declared size."""
    unpacked = target.with_name(target.name + ".part")
    try:
        with bz2.open(part) as source, open(unpacked, "wb") as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
                if file.tell() > (MAX_UNPACKED if size is None else size):
                    raise DownloadError(f"{part.name} unpacks to more than it should; it was removed.")
    except (OSError, EOFError, DownloadError) as e:
        with contextlib.suppress(OSError):
            unpacked.unlink(missing_ok=True)
        if isinstance(e, DownloadError):
            raise
        if isinstance(e, OSError) and e.errno in DISK_ERRORS:
            raise DownloadError(f"{unpacked} cannot be written ({refused(e)}).") from e
        raise DownloadError(f"{part.name} is not a sound bzip2 archive; it was removed. Try again.") from e
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return unpacked


def _verify_part(part: Path, size: int | None, sha256: str | None, url: str) -> None:
    try:
        _verify(part, size, sha256, f"What {url} sent was removed:")
    except DownloadError:
        part.unlink(missing_ok=True)
        raise
    if sha256 is None:
        log.warning("%s has no published hash; only its completeness was checked, and its hash is remembered.", url)


def _verify(path: Path, size: int | None, sha256: str | None, subject: str) -> None:
    found = path.stat().st_size
    if size is not None and found != size:
        raise DownloadError(f"{subject} it has {found:,} bytes instead of {size:,}.")
    if sha256 is not None and (digest := hash_file(path)) != sha256:
        raise DownloadError(f"{subject} its SHA-256 is {digest} instead of {sha256}.")


def hash_file(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
