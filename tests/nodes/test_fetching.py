"""Fetch Model in ComfyUI's own page: terms first, then the file, cancelled and gone on with, and listed when it is there.

The server asks the catalog's own addresses over https; tests/file_host.py answers in place of their hosts.
"""

from __future__ import annotations

import os

import pytest
from micromotion.files import catalog, download

pytestmark = pytest.mark.comfyui

SPEED = 2e6  # bytes a second: slow enough to be cancelled
SIZE = 12_000_000
FIRST, SECOND = catalog.find("ffhq-256-rosinality"), catalog.find("psp")  # of those whose size and hash nobody publishes
SEEN = "() => { window.seen = []; window.comfyAPI.api.api.addEventListener('progress', ({ detail }) => window.seen.push(detail.value)); }"
CHOICES = """() => {
  const loader = window.comfyAPI.app.app.graph._nodes.find((node) => node.type.startsWith('MicromotionLoad'));
  const { options } = loader.widgets[0];
  return typeof options.values === 'function' ? options.values() : options.values;
}"""


@pytest.fixture(scope="module")
def host(file_host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    files = {FIRST.url: folder / "first", SECOND.url: folder / "second"}
    for path in files.values():
        path.write_bytes(os.urandom(SIZE))
    with file_host.FileHost(folder, files, SPEED) as running:
        yield running


@pytest.fixture(scope="module")
def server(hosted, host, tmp_path_factory):
    with hosted.Server(tmp_path_factory.mktemp("fetching"), env=host.env) as running:
        yield running


@pytest.fixture(scope="module")
def page(server, browser):
    with browser.Page(server.url) as opened:
        yield opened


@pytest.mark.parametrize(("renderer", "entry", "loader"), [("canvas", FIRST, "Generator"), ("nodes 2.0", SECOND, "Inverter")])
def test_terms_then_the_file_cancelled_resumed_and_listed(server, host, browser, page, renderer, entry, loader):
    page.open(
        browser.graph(("MicromotionFetchModel", [entry.choice, False]), (f"MicromotionLoad{loader}", ["avatar (embedded)"])), renderer
    )
    page.page.evaluate(SEEN)
    page.press_run()
    said = page.said()["MicromotionFetchModel"]
    assert "Nothing was fetched" in said and entry.license in said and entry.page in said and not host.asked

    page.click_widget(1, "accept")
    page.press_run(wait=False)
    page.page.wait_for_function("() => window.seen.some((value) => value > 2e6)")
    page.press_cancel()
    folder = server.base / "models" / entry.folder
    part = folder / f"{entry.file}.part"
    had = part.stat().st_size
    assert 2e6 < had < SIZE and not (folder / entry.file).exists()
    assert entry.file not in page.page.evaluate(CHOICES)

    page.press_run()
    assert host.asked == [(entry.url, None), (entry.url, f"bytes={had}-")]
    assert (folder / entry.file).read_bytes() == host.files[entry.url].read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == sorted([entry.file, f"{entry.file}.sha256"])
    assert f"Fetched:\nmodels/{entry.target}" in page.said()["MicromotionFetchModel"]
    page.page.wait_for_function(f"(name) => ({CHOICES})().includes(name)", arg=entry.file)
    host.asked.clear()


def test_a_host_that_nobody_vouches_for_is_refused(host, monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", host.env["https_proxy"])
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(download.DownloadError, match=r"CERTIFICATE_VERIFY_FAILED.*Fetch it by hand"):
        catalog.download(FIRST.name, tmp_path)
    assert not host.asked and not list(tmp_path.iterdir())
