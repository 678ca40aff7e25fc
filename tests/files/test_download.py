"""Downloads against a local server that drops connections, sends wrong bytes and asks questions."""

from __future__ import annotations

import bz2
import errno
import hashlib
import http.server
import threading
import time
import urllib.parse
import urllib.request

import pytest
from micromotion.files import catalog, download

BODY = bytes(range(256)) * 4096  # 1 MiB
HASH = hashlib.sha256(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves ``body``; the fields say how badly."""

    body, drop_after, honors_range, status, etags = BODY, [], True, 200, ['"1"']
    chunked = page = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        if server.status != 200:
            return self.send_error(server.status)
        if server.page and "uuid=7" not in self.path:
            return self.answer_page()
        start = self.start()
        if start >= len(server.body) and start:
            return self.send_error(416)
        self.answer(start)

    def start(self):
        header = self.headers.get("Range")
        same = self.headers.get("If-Range") in (None, self.etag())
        return int(header.split("=")[1].rstrip("-")) if header and self.server.honors_range and same else 0

    def etag(self):
        return self.server.etags[0]

    def answer_page(self):
        text = b'<html><form id="f" action="/take" method="get"><input type="hidden" name="id" value="a&amp;b">'
        text += b'<input type="hidden" name="uuid" value="7"></form></html>' if self.server.page == "form" else b"</form>Quota exceeded"
        text = text.replace(b"<form", b"<p") if self.server.page != "form" else text
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def answer(self, start):
        body = self.server.body
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", self.etag())
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if not self.server.chunked:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + self.server.drop_after.pop(0) if self.server.drop_after else len(body)
        self.wfile.write(body[start:end])
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server, tmp_path, **kwargs):
    known = {"size": len(BODY), "sha256": HASH, **kwargs}
    return download.fetch(server.url, tmp_path / "models" / "a.pkl", **known)


def left(tmp_path):
    return sorted(p.name for p in (tmp_path / "models").iterdir())


def test_a_whole_file(server, tmp_path):
    seen = []
    path = get(server, tmp_path, progress=lambda done, total, preview: seen.append((done, total, preview)))
    assert path.read_bytes() == BODY and left(tmp_path) == ["a.pkl"]
    assert seen[-1] == (len(BODY), len(BODY), None) and len(seen) > 2


def test_dropped_connections_are_resumed(server, tmp_path):
    server.drop_after = [100_000, 200_000, 300_000]
    assert get(server, tmp_path).read_bytes() == BODY
    assert [r for _, r in server.requests] == [None, "bytes=100000-", "bytes=300000-", "bytes=600000-"]


def test_a_later_call_resumes_what_an_earlier_one_left(server, tmp_path):
    def stop(done, total, preview):
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path, progress=stop)
    assert left(tmp_path) == ["a.pkl.part"]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.requests[-1][1].startswith("bytes=524288")


def test_a_part_of_a_file_without_a_published_hash_is_not_trusted(server, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.pkl.part").write_bytes(b"other bytes")
    assert get(server, tmp_path, size=None, sha256=None).read_bytes() == BODY
    assert server.requests == [("/file", None)]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.honors_range, server.drop_after = False, [100_000]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_file_that_changes_between_connections_starts_again(server, tmp_path):
    server.drop_after, server.etags = [100_000], ['"1"']
    started = []

    def change(done, total, preview):
        if not started:
            started.append(done)
            server.etags = ['"2"']

    assert get(server, tmp_path, size=None, sha256=None, progress=change).read_bytes() == BODY


def test_no_length_at_all(server, tmp_path):
    server.chunked = True
    assert get(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("wrong", [BODY[:-1] + b"x", b"\0" * len(BODY)])
def test_wrong_bytes_are_refused_and_removed(wrong, server, tmp_path):
    server.body = wrong
    with pytest.raises(download.DownloadError, match="SHA-256"):
        get(server, tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("body", [BODY + b"x", BODY * 2, BODY[:-5]])
def test_too_many_or_too_few_bytes_are_refused(body, announced, server, tmp_path):
    server.body, server.chunked = body, not announced
    with pytest.raises(download.DownloadError):
        get(server, tmp_path)
    assert "a.pkl" not in left(tmp_path)
    assert len(server.requests) == 1 or len(body) < len(BODY)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_says_where_to_fetch_it_by_hand(status, server, tmp_path):
    server.status = status
    with pytest.raises(download.DownloadError, match=f"{status}.*by hand from https://example.com/page and put it at .*a.pkl"):
        get(server, tmp_path, page="https://example.com/page")
    assert len(server.requests) == 1


def test_a_full_disk_is_named_at_once_and_the_part_is_kept(server, tmp_path, monkeypatch):
    def full(done, total, preview):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(download.DownloadError, match=r"a\.pkl\.part cannot be written \(the disk is full; make room on it\)"):
        get(server, tmp_path, progress=full)
    assert left(tmp_path) == ["a.pkl.part"] and len(server.requests) == 1


@pytest.mark.parametrize("name", ["file/a.pkl", "folder"])
def test_a_place_that_cannot_be_written(name, server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(download.DownloadError, match="cannot be written"):
        download.fetch(server.url, tmp_path / name, size=len(BODY), sha256=HASH)


def test_nobody_there(tmp_path):
    with pytest.raises(download.DownloadError, match="could not be reached in 5 attempts"):
        download.fetch("http://127.0.0.1:9/file", tmp_path / "a.pkl")


def test_only_web_addresses_are_opened(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    with pytest.raises(download.DownloadError, match="not an encrypted address"):
        download.fetch(secret.as_uri(), tmp_path / "models" / "a.pkl")


def test_the_question_of_google_drive_is_answered(server, tmp_path):
    server.page = "form"
    assert get(server, tmp_path).read_bytes() == BODY
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(server.requests[-1][0]).query) == {"id": ["a&b"], "uuid": ["7"]}


def test_a_quota_page_is_not_a_model(server, tmp_path):
    server.page = "quota"
    with pytest.raises(download.DownloadError, match="web page.*by hand"):
        get(server, tmp_path)
    assert left(tmp_path) == []


def test_an_existing_file_is_verified_and_kept(server, tmp_path):
    path = get(server, tmp_path)
    get(server, tmp_path)
    assert len(server.requests) == 1
    path.write_bytes(b"mine")
    with pytest.raises(download.DownloadError, match="exists already"):
        get(server, tmp_path)
    assert path.read_bytes() == b"mine"


def test_packed_files_are_unpacked_and_checked_twice(server, tmp_path):
    server.body = bz2.compress(BODY)
    known = {"size": len(BODY), "sha256": HASH, "packed_sha256": hashlib.sha256(server.body).hexdigest()}
    path = download.fetch(server.url + ".bz2", tmp_path / "models" / "a.dat", **known)
    assert path.read_bytes() == BODY and left(tmp_path) == ["a.dat"]
    with pytest.raises(download.DownloadError, match="SHA-256"):
        download.fetch(server.url + ".bz2", tmp_path / "models" / "b.dat", **{**known, "sha256": "0" * 64})
    server.body = bz2.compress(BODY * 2)
    with pytest.raises(download.DownloadError):
        download.fetch(server.url + ".bz2", tmp_path / "models" / "c.dat", size=len(BODY))
    assert left(tmp_path) == ["a.dat"]


class CancelledError(Exception):
    pass


def cancel_after(share):
    def progress(done, total, preview):
        if done > share * len(BODY):
            raise CancelledError

    return progress


UNKNOWN = {"size": None, "sha256": None}  # nobody published them


def test_what_was_canceled_goes_on_in_another_run_where_the_server_knows_the_file(server, tmp_path):
    with pytest.raises(CancelledError):
        get(server, tmp_path, progress=cancel_after(0.5), **UNKNOWN)
    assert left(tmp_path) == ["a.pkl.part", "a.pkl.part.etag"]
    assert get(server, tmp_path, **UNKNOWN).read_bytes() == BODY
    start = int(server.requests[-1][1].removeprefix("bytes=").rstrip("-"))
    assert len(server.requests) == 2 and start >= len(BODY) // 2, "the first half was not fetched again"


def test_a_file_that_changed_in_between_is_fetched_anew(server, tmp_path):
    with pytest.raises(CancelledError):
        get(server, tmp_path, progress=cancel_after(0.5), **UNKNOWN)
    server.body, server.etags = BODY[::-1], ['"2"']
    assert get(server, tmp_path, **UNKNOWN).read_bytes() == BODY[::-1]


def test_a_mark_that_could_break_a_header_is_not_sent(server, tmp_path):
    with pytest.raises(CancelledError):
        get(server, tmp_path, progress=cancel_after(0.5), **UNKNOWN)
    (tmp_path / "models" / "a.pkl.part.etag").write_text('"1"\r\nCookie: x', encoding="ascii")
    assert get(server, tmp_path, **UNKNOWN).read_bytes() == BODY and server.requests[-1][1] is None


def test_an_unpublished_hash_is_remembered_and_compared(server, tmp_path):
    path = get(server, tmp_path, **UNKNOWN)
    assert left(tmp_path) == ["a.pkl", "a.pkl.sha256"] and download.remembered_hash(path) == HASH
    path.unlink()
    server.body = BODY[::-1]
    with pytest.raises(download.DownloadError, match=f"instead of {HASH}"):
        get(server, tmp_path, **UNKNOWN)
    assert left(tmp_path) == ["a.pkl.sha256"]


def test_the_catalog_is_grouped_and_every_choice_leads_to_files():
    choices = catalog.choices()
    assert choices[0] == catalog.EVERYTHING and len(choices) == len(set(choices)) == len(catalog.ENTRIES) + 1
    subjects = [choice.split(" / ")[0] for choice in choices[1:]]
    assert subjects == sorted(subjects, key=("photos of people", "paintings", "animals").index) and len(set(subjects)) == 3
    assert [catalog.wanted(choice) for choice in choices[1:]] == [(catalog.find(c.split(" / ")[2]),) for c in choices[1:]]
    assert not [e.name for e in catalog.ENTRIES if "cifar" in e.name or "brecahad" in e.name]


def test_everything_for_photos_is_a_whole_set():
    entries = catalog.wanted(catalog.EVERYTHING)
    assert entries == catalog.wanted("photos")
    kinds = [entry.kind for entry in entries]
    assert {"generator", "inverter", "motions", "scorer", "landmarks"} == set(kinds) and kinds.count("motions") == 7
    assert all(entry.sha256 for entry in entries), "every one of them has a published hash"
    terms = catalog.terms(entries)
    assert terms.count("\n") == len(entries) and "11 files" in terms and all(e.license in terms and e.target in terms for e in entries)


def test_the_catalog_fetches_by_name(server, tmp_path, monkeypatch):
    entry = catalog.Entry("toy", "toy.pkl", catalog.GENERATORS, server.url, "MIT", "a toy", len(BODY), HASH)
    monkeypatch.setattr(catalog, "ENTRIES", (entry,))
    assert catalog.download("toy", tmp_path) == tmp_path / "toy.pkl"
    assert catalog.by_hash(HASH) is entry
    with pytest.raises(download.DownloadError, match="Known: toy"):
        catalog.download("other", tmp_path)


@pytest.mark.parametrize(
    "leads_to", ["http://example.com/a", "file:///etc/passwd", "data:text/plain,x", "ftp://example.com/a", "http://example.com/a?https:"]
)
def test_no_hop_leaves_encryption(leads_to, tmp_path):
    """Redirects and forms of a page lead where its server says; a transfer follows to https alone."""
    transfer = download._Transfer("https://example.com/a", tmp_path / "a.part", None, "page", tmp_path / "a", None)
    assert transfer.allowed("https://other.example.com/b") and not transfer.allowed(leads_to)
    with pytest.raises(download.DownloadError, match="not an encrypted address"):
        transfer._open(leads_to)
    redirects = next(h for h in transfer.opener.handlers if isinstance(h, download._Redirects))
    with pytest.raises(download.DownloadError, match="not an encrypted address"):
        redirects.redirect_request(urllib.request.Request("https://example.com/a"), None, 302, "Found", {}, leads_to)


def test_the_door_knows_no_files_and_no_data(tmp_path):
    transfer = download._Transfer("https://example.com/a", tmp_path / "a.part", None, "page", tmp_path / "a", None)
    names = {type(h).__name__ for h in transfer.opener.handlers}
    assert not names & {"FileHandler", "DataHandler", "FTPHandler"}


def test_a_page_with_many_unfinished_forms_takes_no_time():
    """Matched by a pattern, such a page took time that grew with the square of its length."""
    start = time.process_time()
    assert download._form("<form " * 40_000 + '<form action="/a"' * 10, "https://example.com/") is None
    assert (
        download._form('<form action="/take?x"><input name=a value=1></form><form action="/no">', "https://e.com/p")
        == "https://e.com/take?x&a=1"
    )
    assert time.process_time() - start < 20


def test_a_file_without_a_published_size_is_bounded(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_SIZE", 500_000)
    with pytest.raises(download.DownloadError, match="far more than any known file"):
        get(server, tmp_path, size=None, sha256=None)
    server.chunked = True
    with pytest.raises(download.DownloadError, match="far more than any known file"):
        get(server, tmp_path, size=None, sha256=None)
    assert left(tmp_path) == []


def test_what_unpacks_without_end_is_stopped(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_UNPACKED", 300_000)
    server.body = bz2.compress(BODY)
    with pytest.raises(download.DownloadError, match="unpacks to more"):
        download.fetch(server.url + ".bz2", tmp_path / "models" / "a.dat", packed_sha256=hashlib.sha256(server.body).hexdigest())
    assert left(tmp_path) == []


def test_one_writer_per_target(server, tmp_path):
    def again(done, total, preview):
        with pytest.raises(download.DownloadError, match="being fetched by another"):
            get(server, tmp_path)

    assert get(server, tmp_path, progress=again).read_bytes() == BODY
    assert left(tmp_path) == ["a.pkl"]
