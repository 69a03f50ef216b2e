"""For schemathesis: no schema can say that bytes are an image, so here are some that are."""

import schemathesis
from hypothesis import strategies as st
from PIL import Image

from support.image_files import encoded


def gradient(kind: str, size: tuple[int, int]) -> bytes:
    return encoded(Image.linear_gradient("L").resize(size), kind)


SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))
KINDS = ("png", "jpeg", "webp", "gif", "bmp")
for kind in KINDS:
    schemathesis.openapi.media_type(f"image/{kind}", st.builds(gradient, st.just(kind), SIZES))
schemathesis.openapi.media_type(
    "application/octet-stream", st.builds(gradient, st.sampled_from(KINDS), SIZES)
)
