import http.server
import multiprocessing
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from digits.data import download, idx, mnist, sets
from digits.errors import InputError
from support.commands import EMBEDDED

NOBODY = "http://127.0.0.1:9"  # the discard port: refuses at once


@contextmanager
def served(handler: type[http.server.BaseHTTPRequestHandler] | partial) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # clients that hang up
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def answering(answer) -> type[http.server.BaseHTTPRequestHandler]:
    return type("Answering", (Quiet,), {"do_GET": answer})


def test_ensure_leaves_good_files_alone_and_asks_nobody(tmp_path: Path) -> None:
    raw = shutil.copytree(EMBEDDED, tmp_path / "raw")
    before = {path: path.stat().st_mtime_ns for path in raw.iterdir()}
    download.ensure(raw, [NOBODY])
    assert {path: path.stat().st_mtime_ns for path in raw.iterdir()} == before


@pytest.mark.parametrize("damage", ["truncated", "flipped", "swapped", "absent"])
def test_ensure_replaces_a_damaged_file(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    raw = shutil.copytree(EMBEDDED, tmp_path / "raw")
    path = raw / mnist.TEST[1]
    good = path.read_bytes()
    damages = {
        "truncated": good[:-1],
        "flipped": good[:999] + bytes([good[999] ^ 1]) + good[1000:],
        "swapped": (raw / mnist.TRAIN[1]).read_bytes(),
    }
    path.unlink() if damage == "absent" else path.write_bytes(damages[damage])
    with served(partial(Quiet, directory=EMBEDDED)) as mirror, caplog.at_level("INFO"):
        download.ensure(raw, [NOBODY, mirror])
    assert path.read_bytes() == good
    assert f"{path} is " in caplog.text
    assert sorted(p.name for p in raw.iterdir()) == sorted(mnist.MD5)


def send(self: Quiet, status: int, body: bytes, length: int | None = None) -> None:
    self.send_response(status)
    self.send_header("Content-Length", str(len(body) if length is None else length))
    self.end_headers()
    self.wfile.write(body)


def drip(self: Quiet) -> None:
    self.send_response(200)
    self.end_headers()
    for _ in range(20):
        self.wfile.write(b"x")
        time.sleep(0.02)


# What a mirror does, and the reason that is given for it
MIRRORS = {
    "dead": (None, "Connection refused"),
    "404": (lambda self: send(self, 404, b""), "HTTP 404"),
    "another page": (lambda self: send(self, 200, b"<html>log in"), "wrong content"),
    "cut": (lambda self: send(self, 200, b"\x1f\x8b\x08", length=9_912_422), "wrong content"),
    "endless": (lambda self: send(self, 200, bytes(5001)), "more than 5000 bytes"),
    "silent": (lambda self: time.sleep(1), "timed out"),
    "slow": (drip, "slower than 20000 bytes a second"),
    "gibberish": (lambda self: self.wfile.write(b"\x00\xff\r\n\r\n"), "\u00ff"),
}


@pytest.mark.parametrize("kind", MIRRORS)
def test_a_bad_mirror_leaves_nothing_and_says_what_to_put_where(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, reason = MIRRORS[kind]
    monkeypatch.setattr(download, "SILENCE_S", 0.2 if kind == "silent" else 10)
    monkeypatch.setattr(download, "PATIENCE_S", 0.05 if kind == "slow" else 10)
    small = replace(sets.MNIST, max_bytes=5000)
    with served(answering(answer)) as url, pytest.raises(InputError) as caught:
        download.ensure(tmp_path / "raw", [url if answer else NOBODY], small)
    line = str(caught.value)
    assert f"train-images-idx3-ubyte.gz: {reason}); put the files train-images" in line
    assert "\n" not in line
    assert all(name in line for name in (*mnist.MD5, str(tmp_path / "raw")))
    assert list((tmp_path / "raw").iterdir()) == []


def test_how_long_a_mirror_is_waited_for() -> None:
    assert (download.SILENCE_S, download.PATIENCE_S) == (10, 20)
    assert (download.MIN_BYTES_PER_S, mnist.MAX_BYTES) == (20_000, 19_824_844)


def test_a_file_that_never_ends_is_not_read_whole(tmp_path: Path) -> None:
    name = "train-labels-idx1-ubyte.gz"
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 40)  # a sparse one: it takes no room
    with pytest.raises(InputError, match=r"labels-idx1-ubyte\.gz: damaged; expected the MD5 sum"):
        idx.read(tmp_path, (name, name))


def test_a_mirror_may_be_a_folder(tmp_path: Path) -> None:
    download.ensure(tmp_path / "raw", [EMBEDDED.as_uri()])
    assert sorted(p.name for p in (tmp_path / "raw").iterdir()) == sorted(mnist.MD5)


def test_without_mirrors_torchvisions_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(url: str, max_bytes: int) -> bytes:
        asked.append(url)
        return (EMBEDDED / url.rpartition("/")[2]).read_bytes()

    monkeypatch.setattr(download, "_fetch", fetch)
    download.ensure(tmp_path / "raw")
    assert len(asked) == 4
    assert all(url.startswith("https://") for url in asked)


@pytest.mark.slow
def test_processes_share_an_empty_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with served(partial(Quiet, directory=EMBEDDED)) as mirror, context.Pool(4) as pool:
        pool.starmap(download.ensure, [(tmp_path, [mirror])] * 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(mnist.MD5)
    download.ensure(tmp_path, [NOBODY])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"paths\.data_dir: cannot write .*raw"):
        download.ensure(tmp_path / "raw", [NOBODY])
