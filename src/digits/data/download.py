"""Download those files of a data set that are missing or damaged."""

import logging
import time
from collections.abc import Sequence
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from digits.data import unpacking
from digits.data.sets import MNIST, ImageSet
from digits.data.unpacking import DamagedError, is_intact
from digits.errors import InputError
from digits.files import write_atomically
from digits.text import flat, redacted

log = logging.getLogger(__name__)

SILENCE_S = 10.0  # give up a mirror that sends nothing for this long
PATIENCE_S = 20.0  # and one that after this long is slower than MIN_BYTES_PER_S
MIN_BYTES_PER_S = 20_000


def ensure(raw_dir: Path, mirrors: Sequence[str] | None = None, known: ImageSet = MNIST) -> None:
    """Make sure that the files are in `raw_dir`: download those that are missing or damaged.

    `mirrors` are URL prefixes, tried in order; None means torchvision's list. Raises InputError,
    which names files and folder, if no mirror has a good copy or the folder cannot be written.
    """
    for name in known.sums:
        path = raw_dir / name
        if path.is_file():
            try:
                unpacking.check(path, known)
                continue
            except DamagedError:
                log.warning("%s is damaged (its MD5 sum is wrong): downloading it again", path)
        else:
            log.info("%s is missing: downloading it", path)
        try:
            raw_dir.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _download(name, raw_dir, mirrors, known))
        except OSError as error:
            raise InputError(
                f"paths.data_dir: cannot write {path} ({error.strerror}); expected a folder that "
                f"can be written, or one that has {known.folder}/raw/{name}"
            ) from error


def _download(name: str, raw_dir: Path, mirrors: Sequence[str] | None, known: ImageSet) -> bytes:
    failures = []
    for mirror in known.mirrors if mirrors is None else mirrors:
        url, shown = (f"{text.rstrip('/')}/{name}" for text in (mirror, redacted(mirror)))
        try:
            packed = _fetch(url, known.max_bytes)
            if is_intact(name, packed, known):
                return packed
            failures.append(f"{shown}: wrong content")
        except (OSError, HTTPException, ValueError) as error:  # time-outs are OSErrors
            failures.append(f"{shown}: {_reason(error)}")
    raise InputError(
        f"cannot download {name} ({'; '.join(failures) or 'no mirrors given'}); "
        f"put the files {', '.join(known.sums)} into {raw_dir}"
        + (f", or install Debian's dataset-{known.debian.name}" if known.debian else "")
    )


def _fetch(url: str, max_bytes: int) -> bytes:
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
            if len(data) > max_bytes:
                raise HTTPException(f"more than {max_bytes} bytes")
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
