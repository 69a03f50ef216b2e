"""Secrets stay out of what a run prints and writes: `${oc.env:NAME}` stands there instead."""

import json
import logging
import os
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

SECRET = re.compile(r"TOKEN|SECRET|PASS|PWD|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
NO_SECRETS = ("PWD", "OLDPWD")  # shells keep the current folder there
SHORTEST = 4  # characters: a shorter value is a part of too many words

_secrets: dict[str, tuple[re.Pattern[str], str]] = {}  # how it may be written, and its variable


def sounds_secret(name: str) -> bool:
    return name not in NO_SECRETS and SECRET.search(name) is not None


def remember(names: Iterable[str]) -> None:
    """From here on keep the values of these environment variables out of texts."""
    for name in names:
        value = os.environ.get(name, "")
        for part in (value, unquote(value), *value.splitlines()):
            if len(part := part.strip()) >= SHORTEST:
                _secrets[part] = re.compile("".join(map(_written, part))), name


def remembered() -> list[str]:
    return sorted({name for _, name in _secrets.values()})


def redacted(text: str) -> str:
    for part in sorted(_secrets, key=len, reverse=True):  # one may be a part of another
        pattern, name = _secrets[part]
        text = pattern.sub(f"${{oc.env:{name}}}".replace("\\", r"\\"), text)
    return text


def redact_logs() -> None:
    logging.setLogRecordFactory(_Record)


class _Record(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802
        return redacted(super().getMessage())


def _written(character: str) -> str:
    """A pattern for it as it may stand in a text: in quotes within quotes, in a URL, on a line."""
    if character.isascii() and character.isalnum():
        return character
    if character.isspace():
        return r"(?:\s|\+|\\+[nrtvf]|%[0-9a-fA-F]{2})*"
    in_a_url = quote(os.fsencode(character), safe="")
    escapes = (ascii(character)[1:-1].lstrip("\\"), json.dumps(character)[1:-1].lstrip("\\"))
    escaped = "|".join(map(re.escape, filter(None, escapes)))
    return rf"(?:\\*{re.escape(character)}|(?i:{in_a_url})|\\+(?:{escaped}))"
