"""Download those of MNIST's four files that are missing or damaged."""

import logging
import time
from collections.abc import Sequence
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from digits.data import unpacking
from digits.data.mnist import MAX_BYTES, MD5
from digits.data.unpacking import DamagedError, is_intact
from digits.errors import InputError
from digits.files import write_atomically
from digits.text import flat, redacted

log = logging.getLogger(__name__)

SILENCE_S = 10.0  # give up a mirror that sends nothing for this long
PATIENCE_S = 20.0  # and one that after this long is slower than MIN_BYTES_PER_S
MIN_BYTES_PER_S = 20_000


def ensure(raw_dir: Path, mirrors: Sequence[str] | None = None) -> None:
    """Make sure that the four files are in `raw_dir`: download those that are missing or damaged.

    `mirrors` are URL prefixes, tried in order; None means torchvision's list. Raises InputError,
    which names files and folder, if no mirror has a good copy or the folder cannot be written.
    """
    for name in MD5:
        path = raw_dir / name
        if path.is_file():
            try:
                unpacking.check(path)
                continue
            except DamagedError:
                log.warning("%s is damaged (its MD5 sum is wrong): downloading it again", path)
        else:
            log.info("%s is missing: downloading it", path)
        try:
            raw_dir.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _download(name, raw_dir, mirrors))
        except OSError as error:
            raise InputError(
                f"paths.data_dir: cannot write {path} ({error.strerror}); expected a folder that "
                f"can be written, or one that has MNIST/raw/{name}"
            ) from error


def _download(name: str, raw_dir: Path, mirrors: Sequence[str] | None) -> bytes:
    if mirrors is None:
        from torchvision.datasets import MNIST  # takes 1 s, and only a download needs it

        mirrors = MNIST.mirrors
    failures = []
    for mirror in mirrors:
        url, shown = (f"{text.rstrip('/')}/{name}" for text in (mirror, redacted(mirror)))
        try:
            packed = _fetch(url)
            if is_intact(name, packed):
                return packed
            failures.append(f"{shown}: wrong content")
        except (OSError, HTTPException, ValueError) as error:  # time-outs are OSErrors
            failures.append(f"{shown}: {_reason(error)}")
    raise InputError(
        f"cannot download {name} ({'; '.join(failures) or 'no mirrors given'}); "
        f"put the files {', '.join(MD5)} into {raw_dir}"
    )


def _fetch(url: str) -> bytes:
    begin, data = time.monotonic(), bytearray()
    request = Request(url, headers={"User-Agent": "lightning-digits"})
    with (
        urlopen(request, timeout=SILENCE_S) as response,
        tqdm(
            total=getattr(response, "length", None), unit="B", unit_scale=True, disable=None
        ) as bar,
    ):
        while chunk := response.read1(1 << 16):
            data += chunk
            bar.update(len(chunk))
            seconds = time.monotonic() - begin
            if seconds > PATIENCE_S and len(data) < seconds * MIN_BYTES_PER_S:
                raise TimeoutError(f"slower than {MIN_BYTES_PER_S} bytes a second")
            if len(data) > MAX_BYTES:
                raise HTTPException(f"more than {MAX_BYTES} bytes")
    return bytes(data)


def _reason(error: Exception) -> str:
    """Return the reason without the URL, which may hold a password: libraries quote parts of it."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, URLError | InvalidURL | ValueError):
        return "not a URL that can be fetched"
    return flat(getattr(error, "strerror", None) or str(error)) or type(error).__name__
