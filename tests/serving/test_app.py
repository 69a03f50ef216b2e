"""The server as its clients see it: answers, refusals, and what they can not do."""

import asyncio
import base64
import io
import json
import os
import re
import select
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image, ImageOps

from digits.prediction import loading
from digits.prediction.predictor import Prediction
from digits.serving import app, schema
from support import hostile_images
from support.commands import ROOT, finish, python
from support.image_files import encoded
from support.serving import MODEL, Reading, Stub, ask, command, detail, drawn, here, untrained


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> str:
    return untrained(tmp_path_factory.mktemp("ckpt"))


@pytest.fixture(scope="module")
def url(ckpt: str) -> Iterator[str]:
    with here(loading.from_file(ckpt, [])) as at:
        yield at.url


def test_it_answers(url: str) -> None:
    answer = ask(url, drawn()).json()
    assert answer.keys() == schema.Answer.model_fields.keys()
    assert answer["digit"] == np.argmax(answer["probabilities"])
    assert answer["probability"] == max(answer["probabilities"])
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)  # ten float32
    with Image.open(io.BytesIO(base64.b64decode(answer["seen"]))) as seen:
        assert (seen.format, seen.mode, seen.size) == ("PNG", "L", (28, 28))
        assert np.asarray(seen).max() > 200
    with Image.open(io.BytesIO(drawn())) as grey:
        in_colour = encoded(ImageOps.colorize(grey, (0, 0, 120), (255, 240, 200)))
    assert ask(url, in_colour).json()["digit"] == answer["digit"]
    blank = ask(url, hostile_images.page("PNG", "1", (1, 1))).json()
    assert (blank["digit"], blank["note"], blank["digits"]) == (None, "blank", [])


PNG = {"Content-Type": "image/png"}


def asked_why(url: str, query: str) -> httpx.Response:
    return httpx.post(f"{url}/predict?{query}", content=drawn(), headers=PNG)


def test_it_says_why(url: str, ckpt: str) -> None:
    weights = loading.from_file(ckpt).weights
    assert weights
    plain, answer = ask(url, drawn()).json(), asked_why(url, "why=1").json()
    assert plain["why"] is None
    why = answer.pop("why")
    assert answer == {name: plain[name] for name in answer}
    with Image.open(io.BytesIO(base64.b64decode(answer["seen"]))) as seen:
        hidden_NH = weights.hidden(np.asarray(seen)[None])
    logits_K = (hidden_NH @ weights.second_KH.T + weights.bias_K)[0]
    assert (why["digit"], why["instead_of"]) == tuple(np.argsort(-logits_K)[:2])
    assert np.shape(why["pixels"]) == (28, 28)
    total = np.sum(why["pixels"]) + why["bias"]
    assert total == pytest.approx(logits_K[why["digit"]] - logits_K[why["instead_of"]], abs=1e-4)
    shares = [abs(unit["share"]) for unit in why["units"]]
    assert shares == sorted(shares, reverse=True)
    assert why["units"][0].keys() == {"unit", "activation", "share"}
    assert asked_why(url, "instead_of=3").json()["why"]["instead_of"] == 3
    expected = "instead_of: Input should be less than or equal to 9"
    assert detail(asked_why(url, "instead_of=10")) == f"422 {expected}"


def test_it_shows_the_steps(url: str) -> None:
    """A seven on paper that darkens to the right."""
    with Image.open(io.BytesIO(drawn(side=160))) as seven:
        light_HW = np.linspace(1, 0.5, 160)
        page = Image.fromarray(np.uint8(np.asarray(seven) * light_HW))
    plain, answer = (
        httpx.post(f"{url}/predict{query}", content=encoded(page), headers=PNG).json()
        for query in ("", "?steps=1")
    )
    assert plain.pop("steps") is None
    with Image.open(io.BytesIO(base64.b64decode(answer.pop("steps")))) as strip:
        picture, light, ink, strokes = np.hsplit(np.asarray(strip, np.int64), 4)
    assert answer == plain
    assert picture.shape == (160, 160)
    assert np.array_equal(picture, np.asarray(page))
    blank = np.asarray(page) == np.uint8(255 * light_HW)
    assert abs(light - 255 * light_HW).mean() < 6
    assert np.array_equal(ink, strokes)
    assert ink[~blank].mean() > 240
    assert ink[blank].mean() < 1


def test_the_network_is_sent_once(url: str, ckpt: str) -> None:
    answer = httpx.get(f"{url}/network")
    state = safetensors.numpy.load(answer.content)
    assert {name: (each.dtype.name, each.shape) for name, each in state.items()} == {
        "net.1.weight": ("int8", (8, 784)),
        "net.1.weight.scale": ("float32", (8,)),
        "net.1.bias": ("float32", (8,)),
        "net.3.weight": ("int8", (10, 8)),
        "net.3.weight.scale": ("float32", (10,)),
        "net.3.bias": ("float32", (10,)),
    }
    weights, scale = loading.from_file(ckpt).weights, state["net.1.weight.scale"][:, None]
    assert weights
    assert np.allclose(state["net.1.weight"] * scale, weights.first_HP, atol=scale.max() / 2)
    again = httpx.get(f"{url}/network", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    with here(Stub()) as at:
        refused = detail(httpx.get(f"{at.url}/network"))
        assert refused == "404 not a network of one hidden layer of ReLUs, so not shown"
        assert asked_why(at.url, "why=1").json()["why"] is None


def test_the_body_and_a_form_are_the_same(url: str) -> None:
    heic = (Path(__file__).parents[1] / "support" / "seven.heic").read_bytes()
    for data in (heic, *map(drawn, ("PNG", "JPEG", "WEBP", "GIF", "BMP"))):
        form = httpx.post(f"{url}/predict", files={"image": ("x", data)})
        assert form.status_code == 200
        assert form.json() == ask(url, data, "application/octet-stream").json()


def test_parts_become_digits() -> None:
    (seven,) = Stub().predict([None])  # type: ignore[list-item]
    one = Prediction(1, 0.5, None, "not sure", (20, 0, 29, 9), seven.seen)
    both = schema.answer(Prediction(None, None, None, "2 digits", None, None, (seven, one)))
    assert (both.digit, both.note) == (None, "2 digits")
    assert [(each.digit, each.probability) for each in both.digits] == [(7, 0.75), (1, 0.5)]
    assert [each.box for each in both.digits] == [[0, 0, 9, 9], [20, 0, 29, 9]]


FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
REFUSED = {
    "no type": (b"a", "", "415 Content-Type: expected an image/* type"),
    "what curl says by itself": (b"a", "application/x-www-form-urlencoded", "415 Content-Type"),
    "svg": (b"<svg/>", "image/svg+xml", "415 expected a PNG, JPEG"),
    "empty": (b"", "image/png", "422 empty"),
    "cut short": (drawn()[:-200], "image/png", "422 "),
    "too many pixels": (hostile_images.png(5000, 5000), "image/png", "422 5000x5000 pixels"),
    "a long type": (b"a", 'multipart/form-data;x="' + ";" * 6_000, "415 Content-Type: expected"),
    "no boundary": (b"a", "multipart/form-data", "422 multipart/form-data: expected one"),
    "an endless form": (PART % (b"image", b"a"), FORM, "422 multipart/form-data: expected one"),
    "another field": (PART % (b"a", b"a") + b"--x--", FORM, "422 multipart/form-data: expected"),
    "two files": (PART % (b"image", b"a") * 2 + b"--x--", FORM, "422 multipart/form-data"),
    "a form of boundaries": (b"--x\r\n" * 2_000_000, FORM, "422 multipart/form-data"),
    "no image in a form": (PART % (b"image", b"a") + b"--x--", FORM, "415 expected a PNG"),
    "11 MB": (bytes(11 << 20), "image/png", "413 over 10 MiB"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_gives_the_reason(url: str, case: str) -> None:
    body, kind, said = REFUSED[case]
    assert detail(ask(url, body, kind)).startswith(said)


def test_a_body_may_have_10_mib_however_it_is_sent(url: str) -> None:
    def sent(mib: int, more: int) -> httpx.Response:
        chunks = (*[bytes(1 << 20)] * mib, bytes(more))
        return httpx.post(
            f"{url}/predict", content=iter(chunks), headers={"Content-Type": "image/"}
        )

    assert sent(10, 0).status_code == ask(url, bytes(10 << 20)).status_code == 415  # read, no image
    assert detail(sent(10, 1)) == detail(ask(url, bytes((10 << 20) + 1))) == "413 over 10 MiB"


@pytest.mark.slow
def test_no_hostile_body_stops_it(ckpt: str, tmp_path: Path) -> None:
    """Nor is anything of them printed or written by the command itself."""
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with command("--ckpt", ckpt, env=env) as (run, url):
        expected = ask(url, drawn()).json()
        for name, body in hostile_images.corpus().items():
            response = ask(url, body, "application/octet-stream")
            assert response.status_code in (200, 413, 415, 422), name
            assert "object at" not in response.text, name  # where in memory
            assert ask(url, drawn()).json() == expected, name
        big = drawn("BMP", 1500)  # over 1 MiB is what frameworks put into files
        assert httpx.post(f"{url}/predict", files={"image": big}).status_code == 200
        assert select.select([run.stdout, run.stderr], [], [], 0)[0] == []
        assert list(tmp_path.iterdir()) == []


SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def test_every_answer_has_the_security_headers(url: str) -> None:
    etag = httpx.get(url).headers["etag"]
    for code, answer in (
        (200, httpx.get(url)),
        (200, httpx.head(f"{url}/page.js")),
        (200, ask(url, drawn())),
        (304, httpx.get(url, headers={"If-None-Match": etag})),
        (400, httpx.get(url, headers={"Host": "attacker.example"})),
        (403, ask(url, drawn(), **{"Sec-Fetch-Site": "cross-site"})),
        (404, httpx.get(f"{url}/../secret")),
        (405, httpx.get(f"{url}/predict")),
        (415, ask(url, b"a")),
    ):
        assert answer.status_code == code
        assert SECURITY.items() <= dict(answer.headers).items(), code
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # another port of this machine
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://LOCALHOST:1", "Host": "localhost:1"}, 200),  # through a tunnel
        ({"Host": "[::1]"}, 200),
        ({"Host": "127.0.0.1.attacker.example"}, 400),
        ({"Host": "localhost@attacker.example"}, 400),
        ({"Host": "192.168.0.2:8000"}, 400),
    ],
)
def test_other_sites_are_refused(url: str, headers: dict[str, str], code: int) -> None:
    assert ask(url, drawn(), **headers).status_code == code


async def get(served: Any, path: str) -> httpx.Response:
    """As a client on the network does."""
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://box.lan") as client:
        return await client.get(path)


def test_any_name_will_do_on_a_network() -> None:
    served = app.application(Stub(), MODEL, Reading(), only_local=False)  # type: ignore[arg-type]
    assert asyncio.run(get(served, "/healthz")).status_code == 200


def test_the_page_needs_nothing_from_elsewhere(url: str) -> None:
    files = sorted(app.WEB.iterdir())
    assert sum(file.stat().st_size for file in files) < 70_000
    kinds = {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg",
    }
    for file in files:
        path = {"index.html": "/", "docs.html": "/docs"}.get(file.name, f"/{file.name}")
        answer = httpx.get(url + path)
        assert answer.content == file.read_bytes()
        assert answer.headers["content-type"].startswith(kinds[file.suffix])
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:src|href|url|import|from)\W*(?:https?:)?//", text), file.name
        assert not re.search(r"<style|<script>|\sstyle=|\son\w+=", text), file.name

    for name in ("photo.jpg", "letter.png"):
        answer = httpx.get(f"{url}/examples/{name}")
        assert answer.content == (ROOT / "docs" / "drawings" / name).read_bytes()
        assert answer.headers["content-type"] == f"image/{name[-3:]}".replace("jpg", "jpeg")


KNOWN_TO_NOBODY = {
    "status": "ok",
    "model": "a.ckpt",
    "test_accuracy": None,
    "test_images": None,
    "report": False,
}


def named(ckpt: Path) -> app.Model:
    return replace(loading.described(str(ckpt)), name="a.ckpt")


def test_what_the_run_says_of_the_model(tmp_path: Path) -> None:
    """Its report is a page that anyone may have written, and names folders."""
    ckpt, report = tmp_path / "checkpoints" / "a.ckpt", tmp_path / "report.html"
    ckpt.parent.mkdir()
    ckpt.touch()
    assert named(ckpt) == named(tmp_path / "a.ckpt") == MODEL
    told = {"ckpt_path": str(ckpt), "test/acc": 0.98941, "test/images": 10_000.0}
    (tmp_path / "metrics.json").write_text(json.dumps(told))
    report.write_text("<!doctype html><p>Run")
    model = named(ckpt)
    known = {"test_accuracy": 0.98941, "test_images": 10_000, "report": True}
    with here(Stub(), model=model) as at:
        assert httpx.get(f"{at.url}/healthz").json() == KNOWN_TO_NOBODY | known
        answer = httpx.get(f"{at.url}/report")
        assert (answer.text, answer.headers["content-type"]) == (
            "<!doctype html><p>Run",
            "text/html; charset=utf-8",
        )
        instead = {
            "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
            "img-src data:; base-uri 'none'; frame-ancestors 'none'",
            "cross-origin-opener-policy": "unsafe-none",
        }
        assert (SECURITY | instead).items() <= dict(answer.headers).items()
        report.rename(tmp_path / "other")
        report.symlink_to(tmp_path / "other")
        assert httpx.get(f"{at.url}/report").status_code == 404
    served = app.application(Stub(), model, Reading(), only_local=False)  # type: ignore[arg-type]
    assert asyncio.run(get(served, "/report")).status_code == 404
    assert asyncio.run(get(served, "/healthz")).json()["report"] is False


def test_health_and_metrics() -> None:
    """The time is in seconds. What clients send is in no label."""

    class Slow(Stub):
        def predict(self, drawings: Any) -> Any:
            time.sleep(0.1)
            return super().predict(drawings)

    with here(Slow()) as at:
        assert httpx.get(f"{at.url}/healthz").json() == KNOWN_TO_NOBODY
        httpx.get(f"{at.url}/secret-name")
        begin = time.perf_counter()
        ask(at.url, drawn()).raise_for_status()
        text = httpx.get(f"{at.url}/metrics").text
        most = time.perf_counter() - begin  # the server looks at its clock after it has answered
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert told['digits_requests_total{code="404",path="other"}'] == "1.0"
    assert told['digits_requests_total{code="200",path="/predict"}'] == "1.0"
    assert told["digits_in_flight"] == "1.0"  # this one
    assert told["digits_predict_seconds_count"] == "1.0"
    assert 0.1 <= float(told["digits_predict_seconds_sum"]) <= most
    assert "secret" not in text


@pytest.mark.slow
def test_schemathesis_finds_nothing(url: str, tmp_path: Path) -> None:
    hooks = {"SCHEMATHESIS_HOOKS": "support.schema_images", "PYTHONPATH": str(ROOT / "tests")}
    options = ["--max-examples=15", "--generation-deterministic", "--no-color"]
    command = ["-m", "schemathesis.cli", "run", f"{url}/openapi.json", *options]
    code, out, err = finish(*command, env=os.environ | hooks, cwd=tmp_path)
    assert code == 0, out + err
    assert "No issues found" in out


@pytest.mark.slow
def test_lightning_and_hydra_are_not_waited_for() -> None:
    script = "import sys, serve; from digits.serving import app; "
    script += "from digits.prediction import loading; "
    script += "assert not {'lightning', 'torchvision', 'matplotlib', 'hydra'} & set(sys.modules)"
    python("-c", script, cwd=ROOT / "src")
