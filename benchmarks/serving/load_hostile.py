"""How soon `src/serve.py` answers a newcomer while four clients flood it with chunks of one byte,
and two hundred pipeline requests and read no answer, and how soon SIGTERM ends it then:
`python benchmarks/serving/load_hostile.py`, with a trained run. Half a minute on two cores, the
clients included.
"""

import argparse
import math
import multiprocessing
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from load import server
from load_client import drawings, requests

MOST_S = {"/healthz": 0.5, "/predict": 2, "SIGTERM": 5}
FLOODS, SILENT = 4, 200
LONGEST_S = 120  # a client left alone ends by itself
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 100_000
LAST = b"\r\nConnection: close\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PIPELINE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000


def flood(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(CHUNKS)


def never_read(port: int) -> None:
    """Keeps two hundred connections busy; one that the server ends is opened again."""
    with selectors.DefaultSelector() as writable:
        while True:
            for _ in range(SILENT - len(writable.get_map())):
                connection = socket.create_connection(("127.0.0.1", port))
                connection.setblocking(False)
                writable.register(connection, selectors.EVENT_WRITE)
            for key, _ in writable.select():
                assert isinstance(key.fileobj, socket.socket)
                try:
                    key.fileobj.send(PIPELINE)
                except OSError:
                    writable.unregister(key.fileobj)
                    key.fileobj.close()


def attack(client: Callable[[int], None], port: int) -> None:
    signal.alarm(LONGEST_S)
    while True:
        try:
            client(port)
        except ConnectionRefusedError:  # the server has ended, or does
            time.sleep(0.1)
        except OSError:
            pass


@contextmanager
def attacked(port: int) -> Iterator[None]:
    what = [never_read, *[flood] * FLOODS]
    fork = multiprocessing.get_context("fork")
    clients = [fork.Process(target=attack, args=(one, port), daemon=True) for one in what]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.kill()
            client.join()


def seconds(port: int, request: bytes) -> float:
    """Until the whole answer is there, on a connection of its own; for ever where there is none."""
    begin = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return math.inf
    return time.perf_counter() - begin if answer.startswith(b"HTTP/1.1 200 ") else math.inf


def measured(ckpt: str, number: int) -> dict[str, float]:
    """95th percentiles of `number` newcomers' seconds, and those until SIGTERM has ended it."""
    with server(ckpt) as (process, url, _):
        port = int(url.rpartition(":")[2])
        ((predict, _),) = requests(drawings(1), port)
        asked = {"/healthz": HEALTH, "/predict": predict.replace(b"\r\n", LAST, 1)}
        found = {}
        with attacked(port):
            time.sleep(2)
            for name, request in asked.items():
                taken = []
                for _ in range(number):
                    time.sleep(0.02)
                    taken.append(seconds(port, request))
                found[name] = sorted(taken)[math.ceil(0.95 * number) - 1]
            begin = time.perf_counter()
            process.terminate()
            process.wait(60)
            return found | {"SIGTERM": time.perf_counter() - begin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--ckpt", default="latest")
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    arguments = parser.parse_args()
    found = measured(arguments.ckpt, arguments.requests)
    for name, most in MOST_S.items():
        print(f"{name}: {found[name]:.3f} s, at most {most:g} s")
    raise SystemExit(any(found[name] > most for name, most in MOST_S.items()))


if __name__ == "__main__":
    main()
