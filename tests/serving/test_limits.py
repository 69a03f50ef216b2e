"""What docs/serve.md promises to clients is what the server starts with."""

import pytest

from digits.serving.limits import LIMITS
from support.commands import ROOT

PROMISED = {
    "body_bytes": (10_485_760, "413 (over 10 MiB)"),
    "held_bytes": (67_108_864, "64 MiB for all of them"),
    "pixels": (16_000_000, "over 16 megapixels"),
    "under_way": (128, "128 images may be under way"),
    "body_s": (15, "a body 15 s"),
    "take_s": (2, "does not take an image within 2 s"),
    "read_s": (5, "A reader that takes over 5 s"),
    "answer_s": (8, "an answer 8 s"),
    "connections": (200, "The 201st connection"),
    "headers_s": (10, "Headers have 10 s"),
    "request_s": (30, "30 s in all"),
    "stop_s": (4, "in at most 5 s"),  # and its end takes a moment
}


@pytest.mark.parametrize("name", PROMISED)
def test_a_limit_is_what_the_documentation_says(name: str) -> None:
    value, said = PROMISED[name]
    assert getattr(LIMITS, name) == value
    assert said in " ".join((ROOT / "docs" / "serve.md").read_text().split())
