"""`src/serve.py` under load, with slow clients, with slips on its command line, and how it ends."""

import os
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from digits.serving.limits import Limits
from support import hostile_images
from support.commands import finish
from support.serving import (
    PATIENCE_S,
    Stub,
    ask,
    command,
    detail,
    drawn,
    ended,
    here,
    untrained,
    wait_for,
)


def together(stub: Stub, images: list[bytes]) -> list[httpx.Response]:
    """The answers to `images`, all of them read while the first is in the network."""
    stub.may_go.clear()
    with here(stub) as at, ThreadPoolExecutor(len(images)) as clients:
        answers = [clients.submit(ask, at.url, images[0])]
        wait_for(lambda: stub.batches)
        answers += [clients.submit(ask, at.url, image) for image in images[1:]]
        wait_for(lambda: at.readers.finished == len(images))
        at.settled()  # the last one's step ends in the queue for the network
        stub.may_go.set()
        return [answer.result() for answer in answers]


def test_what_waits_becomes_one_batch() -> None:
    stub = Stub()
    answers = together(stub, [drawn()] * 20)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert stub.batches == [1, 19]


def test_an_image_that_fails_leaves_the_others_alone(capfd: Any) -> None:
    class Fails(Stub):
        def predict(self, drawings: Any) -> Any:
            if any(drawing.whole is None for drawing in drawings):
                raise RuntimeError("secret")
            return super().predict(drawings)

    blank = hostile_images.page("PNG", size=(1, 1))
    answers = together(Fails(), [drawn() if i % 6 else blank for i in range(1, 13)])
    codes = [answer.status_code for answer in answers]
    assert codes == [200 if i % 6 else 500 for i in range(1, 13)]
    assert answers[5].json() == {"detail": "our fault, not the image's"}
    assert answers[5].headers["x-content-type-options"] == "nosniff"
    out, err = capfd.readouterr()
    assert re.fullmatch(r"(error: RuntimeError at test_limits_under_load\.py:\d+\n){2}", err)
    assert out == ""


def test_too_much_to_do_is_said(capfd: Any) -> None:
    stub = Stub()
    stub.may_go.clear()
    with here(stub, Limits(under_way=2, batch=1, answer_s=1, held_bytes=200_000)) as at:
        with ThreadPoolExecutor(40) as clients:
            answers = list(clients.map(lambda _: ask(at.url, drawn(side=1000)), range(40)))
        assert {detail(answer) for answer in answers} <= {
            "503 too much to do",
            "503 too many images at once",
        }
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        stub.may_go.set()
        wait_for(lambda: ask(at.url, drawn()).status_code == 200)
    assert capfd.readouterr() == ("", "")


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def test_slow_clients_are_let_go() -> None:
    with here(Stub(), Limits(headers_s=0.5, body_s=0.5)) as at, ExitStack() as stack:
        silent, slow, body = (stack.enter_context(at.connect()) for _ in range(3))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        body.sendall(HEAD + b"Content-Length: 999\r\n\r\nabc")
        answer = body.recv(9999)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body took over 0.5 s" in answer + body.recv(9999)
        for connection in (silent, slow):
            assert ended(connection)


def test_hundreds_of_slow_clients_keep_nobody_out() -> None:
    """Half never end their headers, half their body."""
    with here(Stub(), Limits(connections=50)) as at, ExitStack() as stack:
        for i in range(400):
            connection = stack.enter_context(closing(at.connect()))
            start = HEAD if i % 2 else HEAD + b"Content-Length: 99\r\n\r\n"
            connection.sendall(start)
            if i % 40 == 0:
                assert ask(at.url, drawn()).status_code == 200
        assert len(at.server.server_state.connections) <= 51
        with httpx.Client() as client:  # one that stays is not who has waited the longest
            for _ in range(3):
                assert client.get(f"{at.url}/healthz").status_code == 200


def test_what_is_under_way_is_finished_when_it_stops() -> None:
    stub = Stub()
    stub.may_go.clear()
    with here(stub, Limits(stop_s=2)) as at, ThreadPoolExecutor(1) as clients, at.connect() as slow:
        slow.sendall(HEAD + b"Content-Length: 99\r\n\r\n")
        asked = clients.submit(ask, at.url, drawn())
        wait_for(lambda: stub.batches)
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
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it(tmp_path: Path, number: int, code: int) -> None:
    with command("--ckpt", untrained(tmp_path)) as (run, url), httpx.Client() as client:
        client.get(url)  # and stays connected
        run.send_signal(number)
        assert run.wait(PATIENCE_S) == code
        assert (run.stdout.read(), run.stderr.read()) == ("", "")


def test_slips_are_one_line(tmp_path: Path) -> None:
    ckpt = ("--ckpt", untrained(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError(name='fastapi')")
        missing = os.environ | {"PYTHONPATH": str(tmp_path)}
        slips: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
            f"--host 127.0.0.1 --port {port}: address already in use": (("--port", port), {}),
            "argument --port: 65536: expected 0 (any free one) to 65535; --help shows all": (
                ("--port", "65536"),
                {},
            ),
            "--ckpt nowhere.ckpt: no such file; expected a .ckpt file, or latest": (
                ("--ckpt", "nowhere.ckpt"),
                {},
            ),
            "--host 192.0.2.1 --port 0: cannot assign requested address": (
                ("--host", "192.0.2.1", "--port", "0"),
                {},
            ),
            "serve: needs pip install -e '.[serve]'": (("--port", "0"), {"env": missing}),
        }
        with ThreadPoolExecutor(2) as both:
            runs = {
                said: both.submit(finish, "src/serve.py", *ckpt, *arguments, **options)
                for said, (arguments, options) in slips.items()
            }
            for said, run in runs.items():
                assert run.result() == (2, "", f"error: {said}\n")
