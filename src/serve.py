"""A page to draw digits on, and an API for images: `python src/serve.py`. See docs/serve.md."""

import argparse
import ipaddress
import logging
import os
import socket
import sys
import warnings
from contextlib import closing
from functools import partial
from pathlib import Path

from digits.commands import argparse_app
from digits.errors import InputError
from digits.imports import importing
from digits.prediction.readers import Readers
from digits.serving.limits import IMAGE

EXTRA = {"fastapi", "h11", "prometheus_client", "pydantic", "starlette", "uvicorn"}


def listen(host: str, port: int) -> socket.socket:
    """Raises InputError if the address is unknown, in use or not allowed."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address, family=family, backlog=512)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0  # it is below 0 if the name can't be looked up
        reason = os.strerror(number) if number > 0 else "no such name"
        raise InputError(f"--host {host} --port {port}: {reason.lower()}") from error
    # connections inherit this; without it a body waits 40 ms until the headers are acknowledged
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(arguments: argparse.Namespace) -> None:
    path = argparse_app.checkpoint_path(arguments.ckpt)
    readers = Readers(IMAGE)
    with listen(arguments.host, arguments.port) as listener, closing(readers):
        readers.start(1)  # it starts while this process imports
        try:
            with importing():
                from digits.prediction import loading
                from digits.serving import app
        except ModuleNotFoundError as error:
            if error.name not in EXTRA:
                raise
            raise InputError("serve: needs pip install -e '.[serve]'") from error
        logging.disable()  # libraries would log what clients send
        warnings.simplefilter("ignore")
        host, port = listener.getsockname()[:2]
        predictor = loading.from_file(path, arguments.config_dir)
        if torch := sys.modules.get("torch"):  # the model is one of the user's own
            torch.set_num_threads(1)  # the processes that read images use the other cores
        is_local = ipaddress.ip_address(host).is_loopback
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        model = loading.described(str(Path(path).resolve())).for_others()
        ready = partial(print, f"{url}  (model: {model}; Ctrl+C stops)", flush=True)
        served = app.application(predictor, model, readers, is_local, ready=ready)
        app.server(served).run([listener])


def main() -> None:
    parser = argparse_app.Parser(description=__doc__)
    argparse_app.add_ckpt(parser, default="robust")
    argparse_app.add_config_dir(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 listens to the network, too (no TLS)"
    )
    port = argparse_app.whole_number(0, 65535, "0 (any free one) to 65535")
    parser.add_argument("--port", type=port, default=8000, help="8000; 0 picks a free one")
    argparse_app.run(parser, serve)


if __name__ == "__main__":
    main()
