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

_secrets: dict[str, str] = {}  # each as it may be written, and its variable


def sounds_secret(name: str) -> bool:
    return name not in NO_SECRETS and SECRET.search(name) is not None


def remember(names: Iterable[str]) -> None:
    """From here on keep the values of these environment variables out of texts: as they are, line
    by line, in a URL, in quotes and in JSON.
    """
    for name in names:
        value = os.environ.get(name, "")
        for part in map(str.strip, (value, unquote(value), *value.splitlines())):
            in_quotes = repr(part)[1:-1], json.dumps(part)[1:-1]
            for text in (part, quote(part), quote(part, safe=""), *in_quotes):
                if len(text) >= SHORTEST:
                    _secrets[text] = name


def remembered() -> list[str]:
    return sorted({*_secrets.values()})


def redacted(text: str) -> str:
    for secret in sorted(_secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, f"${{oc.env:{_secrets[secret]}}}")
    return text


def redact_logs() -> None:
    logging.setLogRecordFactory(_Record)


class _Record(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802
        return redacted(super().getMessage())
