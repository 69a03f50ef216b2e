"""What `src/serve.py` lets clients use, slips on its command line, and how it ends."""

import os
import re
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from digits.serving.limits import IMAGE, LIMITS, Limits
from support.commands import ROOT, tool
from support.serving import (
    PATIENCE_S,
    Reading,
    Stub,
    ask,
    command,
    detail,
    drawn,
    ended,
    exchange,
    here,
    untrained,
    wait_for,
)

PROMISED = {
    "body_bytes": (10_485_760, "413 (over 10 MiB)"),
    "head_bytes": (8_192, "over 8 KiB of headers"),
    "connections": (200, "200 connections"),
    "under_way": (64, "64 images may be under way"),
    "body_s": (15, "at most 10 MiB has 15 s"),
    "answer_s": (8, "an answer 8 s"),
    "idle_s": (5, "idle for 5 s"),
    "stop_s": (4, "in at most 5 s"),  # and its end takes a moment
    "pixels": (16_000_000, "over 16 megapixels"),
    "seconds": (5, "over 5 s"),
    "memory": (3_221_225_472, "over 3 GiB"),
}


def test_the_limits_are_what_the_documentation_says() -> None:
    text = " ".join((ROOT / "docs" / "serve.md").read_text().split())
    for name, (value, said) in PROMISED.items():
        assert (vars(LIMITS) | vars(IMAGE))[name] == value
        assert said in text


def test_too_much_to_do_is_said() -> None:
    stub = Stub()
    stub.may_go.clear()
    with here(stub, Limits(under_way=2, answer_s=0.3)) as at:
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(lambda _: ask(at.url, drawn()), range(6)))
        assert {detail(answer) for answer in answers} == {"503 too much to do"}
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        assert stub.asked <= 2
        stub.may_go.set()
        wait_for(lambda: ask(at.url, drawn()).status_code == 200)


def test_a_fault_is_said_without_the_image(capfd: pytest.CaptureFixture[str]) -> None:
    class Fails(Stub):
        def predict(self, drawings: Any) -> Any:
            raise RuntimeError("secret")

    with here(Fails()) as at:
        answer = ask(at.url, drawn())
    assert detail(answer) == "500 our fault, not the image's"
    assert answer.headers["x-content-type-options"] == "nosniff"
    out, err = capfd.readouterr()
    assert re.fullmatch(r"error: RuntimeError at test_limits\.py:\d+\n", err)
    assert out == ""


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def test_slow_bodies_and_idle_connections_end() -> None:
    with here(Stub(), Limits(body_s=0.2, idle_s=1)) as at, ExitStack() as stack:
        idle, body = (stack.enter_context(at.connect()) for _ in range(2))
        body.sendall(HEAD + b"Content-Length: 999\r\n\r\nabc")
        answer = body.recv(9999)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body took over 0.2 s" in answer + body.recv(9999)
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(9999).startswith(b"HTTP/1.1 200 ")
        assert ended(idle)


def test_connections_and_headers_have_a_limit() -> None:
    with here(Stub(), Limits(connections=2)) as at, ExitStack() as stack:
        long = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9_000
        assert exchange(at, long).startswith("HTTP/1.1 400 ")
        first = stack.enter_context(httpx.Client())
        for connections in (1, 2):
            client = first if connections == 1 else stack.enter_context(httpx.Client())
            assert client.get(f"{at.url}/healthz").status_code == 200
        assert httpx.get(f"{at.url}/healthz").status_code == 503
        assert first.get(f"{at.url}/healthz").status_code == 200


def test_what_is_under_way_is_finished_when_it_stops() -> None:
    stub = Stub()
    stub.may_go.clear()
    with here(stub, Limits(stop_s=1)) as at, ThreadPoolExecutor(1) as clients, at.connect() as slow:
        slow.sendall(HEAD + b"Content-Length: 99\r\n\r\n")
        asked = clients.submit(ask, at.url, drawn())
        wait_for(lambda: stub.asked)
        at.server.should_exit = True
        wait_for(lambda: is_gone(at.url))
        stub.may_go.set()
        assert asked.result().json()["digit"] == 7
        assert ended(slow)


def is_gone(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.ConnectError:
        return True
    except httpx.ReadError:  # the socket is closed at this moment: ask again
        return False
    return False


def test_signals_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.Readers", lambda _: Reading())
    environment = dict(os.environ)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]

        def stop(number: int = number, port: int = port) -> None:
            wait_for(lambda: not is_gone(f"http://127.0.0.1:{port}"))
            os.kill(os.getpid(), number)

        with ThreadPoolExecutor(1) as other:
            other.submit(stop)
            ended = tool("serve", "--ckpt", untrained(tmp_path), "--port", str(port))
        assert ended == (code, f"http://127.0.0.1:{port}  (model: a.ckpt; Ctrl+C stops)\n", "")
    assert dict(os.environ) == environment


@pytest.mark.slow
def test_ctrl_c_ends_the_process(tmp_path: Path) -> None:
    with command("--ckpt", untrained(tmp_path)) as (run, url), httpx.Client() as client:
        client.get(url)  # and stays connected
        run.send_signal(signal.SIGINT)
        assert run.wait(PATIENCE_S) == 130
        assert (run.stdout.read(), run.stderr.read()) == ("", "")


NO_CKPT = "--ckpt nowhere.ckpt: no such file; expected a .ckpt file, or latest"
PORTS = "expected 0 (any free one) to 65535; --help shows all"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--port TAKEN", "--host 127.0.0.1 --port TAKEN: address already in use"),
        ("--port 65536", f"argument --port: 65536: {PORTS}"),
        ("--port 0 --ckpt nowhere.ckpt", NO_CKPT),  # 0 and 65535 are taken
        (
            "--host 192.0.2.1 --port 0",
            "--host 192.0.2.1 --port 0: cannot assign requested address",
        ),
        ("--port 0", "serve: needs pip install -e '.[serve]'"),
    ],
)
def test_a_slip_is_one_line(
    arguments: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.Readers", lambda _: Reading())
    monkeypatch.delattr("digits.serving.app")
    monkeypatch.delitem(sys.modules, "digits.serving.app")
    monkeypatch.setitem(sys.modules, "fastapi", None)  # not installed
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = arguments.replace("TAKEN", port).split()
        if "--ckpt" not in words:
            words += ["--ckpt", untrained(tmp_path)]
        ended = tool("serve", *words)
    assert ended == (2, "", f"error: {said.replace('TAKEN', port)}\n")


def test_a_damaged_safetensors_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.Readers", lambda _: Reading())
    path = tmp_path / "x.safetensors"
    path.write_bytes(bytes(40))
    code, out, err = tool("serve", "--port", "0", "--ckpt", str(path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: --ckpt {path}: expected one of digits that export.py wrote")
