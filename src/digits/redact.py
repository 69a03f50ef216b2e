"""Secrets stay out of what a run prints and writes: `${oc.env:NAME}` stands there instead."""

import json
import logging
import os
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote

SECRET = re.compile(r"TOKEN|SECRET|PASS|PWD|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
NO_SECRETS = ("PWD", "OLDPWD")  # shells keep the current folder there
SHORTEST = 4  # characters: a shorter value is a part of too many words

_forms: dict[str, str] = {}  # a secret as it may be written, and its variable


def sounds_secret(name: str) -> bool:
    return name not in NO_SECRETS and SECRET.search(name) is not None


def remember(names: Iterable[str]) -> None:
    """From here on keep the values of these environment variables out of texts."""
    for name in names:
        for form in _written(os.environ.get(name, "")):
            if len(form) >= SHORTEST:
                _forms[form] = name


def remembered() -> list[str]:
    return sorted(set(_forms.values()))


def redacted(text: str) -> str:
    for form in sorted(_forms, key=len, reverse=True):  # one may be a part of another
        text = text.replace(form, f"${{oc.env:{_forms[form]}}}")
    return text


def redact_logs() -> None:
    logging.setLogRecordFactory(_Record)


class _Record(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802
        return redacted(super().getMessage())


def _written(value: str) -> set[str]:
    """`value` as it may stand in a text: in quotes, in a URL, on one line, in pieces."""
    quoted = {repr(value)[1:-1], *(json.dumps(value, ensure_ascii=x)[1:-1] for x in (True, False))}
    in_urls = {quote(value), quote(value, safe=""), quote_plus(value), unquote(value)}
    on_a_line = {" ".join(value.split()), value.strip(), *value.splitlines()}
    return {value, *quoted, *in_urls, *on_a_line}
