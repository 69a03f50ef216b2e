"""For schemathesis: no schema can say that bytes are an image, so here are some that are."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


def encoded(kind: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).save(file, kind)
    return file.getvalue()


SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))
KINDS = ("png", "jpeg", "webp", "gif", "bmp")
for kind in KINDS:
    schemathesis.openapi.media_type(f"image/{kind}", st.builds(encoded, st.just(kind), SIZES))
schemathesis.openapi.media_type(
    "application/octet-stream", st.builds(encoded, st.sampled_from(KINDS), SIZES)
)
