"""Make text fit to print or write: without secrets, on one line, in columns.

`${oc.env:NAME}` takes the place of the value of a secret environment variable.
"""

import json
import logging
import os
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote

SECRET = re.compile(r"TOKEN|SECRET|PASS|PWD|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
NO_SECRETS = ("PWD", "OLDPWD")  # shells keep the current folder there
PASSWORD = re.compile(
    r"(://[^:/@\s]*:)(?!\$\{)[^@\s]+(?=@)|([?&]\w*pass\w*=)(?!\$\{)[^&'\"\s]+", re.IGNORECASE
)
SHORTEST = 4  # characters: a shorter value is a part of too many words

_secrets: dict[str, str] = {}  # each form that a secret is written in: its variable


def sounds_secret(name: str) -> bool:
    return name not in NO_SECRETS and SECRET.search(name) is not None


def remember(names: Iterable[str]) -> None:
    """Keep the values of these environment variables out of texts, however they are written there:
    as they are, line by line, in a URL, in quotes and in JSON.
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
    for secret in sorted(_secrets, key=len, reverse=True):  # a secret may be a part of another
        text = text.replace(secret, f"${{oc.env:{_secrets[secret]}}}")
    return text


def without_passwords(text: str) -> str:
    """Return the text without passwords that stand in a URL in plain text."""
    return PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", text)


def redact_logs() -> None:
    logging.setLogRecordFactory(_Record)


class _Record(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802
        return redacted(super().getMessage())


def flat(text: str) -> str:
    """Return `text` on one line, without secrets or control characters (a server may send them)."""
    lines = map(str.strip, redacted(text).splitlines())
    return "".join(filter(str.isprintable, " ".join(filter(None, lines))))


def shown(value: object) -> str:
    """Return a setting's value as one types it on the command line, on one line, redacted."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(shown, value))}]"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in redacted(str(value)))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, with the columns aligned and two spaces between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
