"""Damaged data files, mirrors that misbehave, many runs at once, a clock that jumps back."""

import http.server
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.common import ROOT, Row, call, finish, has_traceback, only_folder, start
from faults.disks import OVERRIDES
from faults.kills import uninterrupted

RAW = ROOT / "data" / "MNIST" / "raw"
SHORT = ["trainer.max_epochs=1", "trainer.limit_train_batches=5", "callbacks=none", "logger=none"]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


class Mirror(http.server.BaseHTTPRequestHandler):
    """/<behaviour>/<name>"""

    def do_GET(self) -> None:
        _, behaviour, name = self.path.split("/")
        data = (RAW / name).read_bytes()
        {
            "good": lambda: self._give(data),
            "wrong": lambda: self._give(data[::-1]),
            "cut": lambda: self._give(data, data[: len(data) // 2]),
            "slow": lambda: self._drip(data),
            "silent": lambda: time.sleep(60),
            "redirect": lambda: self._redirect(f"/good/{name}"),
            "loop": lambda: self._redirect(self.path),
            "elsewhere": lambda: self._redirect("file:///etc/passwd"),
            "endless": lambda: self._endless(),
        }.get(behaviour, lambda: self.send_error(int(behaviour)))()

    def _give(self, data: bytes, sent: bytes | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if sent is None else sent)

    def _drip(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for i in range(0, len(data), 1000):
            self.wfile.write(data[i : i + 1000])
            time.sleep(0.5)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(1 << 16))

    def _redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that has gone is what is tried here."""


@contextmanager
def mirror() -> Iterator[str]:
    """The URL of a server on this machine."""
    server = _Server(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def damaged_data(folder: Path) -> Row:
    """Truncated, flipped, swapped, empty or gone: mended from a mirror, or named in one line."""
    row = Row("data files damaged")
    names = sorted(path.name for path in RAW.glob("*.gz"))

    def swap(raw: Path, name: str) -> None:
        other = names[(names.index(name) + 1) % 4]
        (raw / name).rename(raw / "x")
        (raw / other).rename(raw / name)
        (raw / "x").rename(raw / other)

    def flip(raw: Path, name: str) -> None:
        data = bytearray((raw / name).read_bytes())
        data[random.Random(0).randrange(len(data))] ^= 1
        (raw / name).write_bytes(data)

    damages: dict[str, Callable[[Path, str], object]] = {
        "truncated": lambda raw, name: os.truncate(raw / name, (raw / name).stat().st_size // 2),
        "empty": lambda raw, name: os.truncate(raw / name, 0),
        "gone": lambda raw, name: (raw / name).unlink(),
        "flipped": flip,
        "swapped": swap,
    }
    with mirror() as url:
        for i, (kind, damage) in enumerate(damages.items()):
            for source in ("good", "404"):
                data = folder / f"{kind}-{source}"
                shutil.copytree(RAW, data / "MNIST" / "raw", ignore=shutil.ignore_patterns("*.md"))
                damage(data / "MNIST" / "raw", names[i % 4])
                _try(row, f"{kind}, mirror {source}", [f"{url}/{source}"], data, source == "good")
    return row


def mirrors(folder: Path) -> Row:
    """Mirrors that misbehave, alone (one line) and before a good one (which is then taken)."""
    row = Row("mirrors: dead, slow, cut, wrong, 403, ...")
    with mirror() as url, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        bad = [
            "slow",
            "silent",
            "cut",
            "wrong",
            "loop",
            "elsewhere",
            "endless",
            "403",
            "404",
            "503",
        ]
        sources = {name: f"{url}/{name}" for name in bad} | {"dead": dead}
        for name, source in sources.items():
            _try(row, name, [source], folder / f"{name}-alone", False)
            if name not in ("slow", "silent"):  # 10 s and 20 s for each of the four files
                _try(row, f"{name}, good", [source, f"{url}/good"], folder / name, True)
        _try(row, "redirect", [f"{url}/redirect"], folder / "redirect", True)
    return row


def _try(row: Row, name: str, urls: list[str], data: Path, trains: bool) -> None:
    arguments = [
        *SHORT,
        "test=false",
        f"paths.data_dir={data}",
        f"paths.outputs_dir={data}/outputs",
    ]
    code, _, err = call(*arguments, f"data.mirrors=[{','.join(urls)}]")
    good = sum(
        (data / "MNIST" / "raw" / path.name).is_file()
        and (data / "MNIST" / "raw" / path.name).read_bytes() == path.read_bytes()
        for path in RAW.glob("*.gz")
    )
    if trains:
        row.check(code == 0 and good == 4, f"{name}: exit code {code}: {err}")
    else:
        one_line = err.startswith("error: cannot download ") and err.count("\n") == 1
        row.check(code == 2 and one_line, f"{name}: exit code {code}: {err}")


def at_once(folder: Path, runs: int = 8, same_instant: int = 20) -> list[Row]:
    """Runs on one empty data folder; runs that begin at the same instant, in as many folders."""
    crowd, instant = (
        Row(f"{runs} runs at once, no data yet"),
        Row(f"{same_instant} runs at the same instant"),
    )
    with mirror() as url:
        arguments = [
            *SHORT,
            "test=false",
            f"data.mirrors=[{url}/good]",
            f"paths.data_dir={folder}/data",
        ]
        started = [start(*arguments, f"paths.outputs_dir={folder}/crowd") for _ in range(runs)]
        for code, _, err in map(finish, started):
            crowd.check(code == 0 and not has_traceback(err), f"exit code {code}: {err}")
    left = {path.name for path in (folder / "data" / "MNIST" / "raw").iterdir()}
    if left != {path.name for path in RAW.glob("*.gz")}:
        crowd.problems.append(f"left in the data folder: {left}")
    started = [
        start(*SHORT, "test=false", f"paths.outputs_dir={folder}/instant")
        for _ in range(same_instant)
    ]
    for code, _, err in map(finish, started):
        instant.check(code == 0 and not has_traceback(err), f"exit code {code}: {err}")
    folders = len(list((folder / "instant").glob("train/*")))
    if folders != same_instant:
        instant.problems.append(f"{folders} folders")
    return [crowd, instant]


def clock(folder: Path) -> Row:
    """A day back while a run trains, and between a stop and going on (libfaketime)."""
    row = Row("clock jumps back a day")
    if not FAKETIME.is_file():
        row.problems.append("skipped: no libfaketime here (apt-get install faketime)")
        return row
    whole, _ = uninterrupted(folder / "whole", OVERRIDES)
    offset = folder / "offset"
    env = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    for name, stops in (("while training", False), ("between", True)):
        outputs = folder / name.replace(" ", "-")
        offset.write_text("+0d")
        run = start(*OVERRIDES, f"paths.outputs_dir={outputs}", env=env)
        assert run.stdout
        next(line for line in run.stdout if line.startswith("Epoch 2/"))
        if stops:
            run.terminate()
            code, _, err = finish(run)
        offset.write_text("-1d")
        if stops:
            code, _, err = call(
                f"resume={only_folder(outputs)}", f"paths.outputs_dir={outputs}", env=env
            )
        else:
            code, _, err = finish(run)
        row.check(code == 0 and not err, f"{name}: exit code {code}: {err}")
        row.compare(outputs, whole)
    return row
