"""Files made to harm whoever reads them: each would run code, hang, or eat memory, or just lies."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from digits.model.classifier import DigitClassifier

WEIGHT = "net.1.weight"


class Runs:
    """Unpickled, it leaves a file behind."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.victim}",)


def content(**changes: Any) -> dict[str, Any]:
    """What a checkpoint of a small model holds, as far as eval.py looks."""
    return {
        "pytorch-lightning_version": "2.6.6",
        "state_dict": DigitClassifier(8).state_dict(),
        "hyper_parameters": {"hidden_size": 8},
        "best_scores": {},
    } | changes


def archive(pickled: bytes, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> bytes:
    """A zip as torch.save writes it, around `pickled`."""
    file = io.BytesIO()
    named = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n"} | entries
    with zipfile.ZipFile(file, "w", compression) as packed:
        for name, data in named.items():
            packed.writestr(f"archive/{name}", data)
    return file.getvalue()


def saved(thing: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(thing, file, **options)
    return file.getvalue()


def opcodes(command: str) -> dict[str, bytes]:
    """Pickles, by opcode, that call os.system(command)."""
    text = command.encode()
    word = b"X" + struct.pack("<I", len(text)) + text
    os_, system = b"X\x05\x00\x00\x00posix", b"X\x06\x00\x00\x00system"
    return {
        "GLOBAL REDUCE": b"\x80\x02cposix\nsystem\n" + word + b"\x85R.",
        "STACK_GLOBAL REDUCE": b"\x80\x04" + os_ + system + b"\x93" + word + b"\x85R.",
        "INST": b"(" + word + b"iposix\nsystem\n.",
        "NEWOBJ": b"\x80\x02cposix\nsystem\n" + word + b"\x85\x81.",
        "in a storage's name": b"\x80\x02(cposix\nsystem\n" + word + b"\x85RtQ.",
        "under a type torch allows": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\ncposix\nsystem\n"
        + word + b"\x85R\x85R.",
    }  # fmt: skip


def bombs() -> dict[str, Callable[[], bytes]]:
    """Small files that would become large, or take long."""

    def claims(numel: int) -> bytes:
        """A storage that is said to have `numel` values and has one."""
        whole = saved({"x": torch.zeros(300)})
        with zipfile.ZipFile(io.BytesIO(whole)) as file:
            inside = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
        pickled = inside.pop("data.pkl").replace(b"M,\x01", b"J" + struct.pack("<i", numel))
        return archive(pickled, **inside | {"data/0": b"\0" * 4})

    zeros = {"data/0": bytes(1 << 26)}
    reduce_ = b"\x85R."
    eats = b"\x80\x02cbuiltins\nbytearray\nJ" + struct.pack("<i", 1_500_000_000) + reduce_
    return {
        "a bytearray of 100 GB": lambda: archive(
            b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xe8vH\x17" + reduce_
        ),
        "a bytearray in a second directory": lambda: two_directories(eats),
        "packed zeros": lambda: archive(b"\x80\x02}.", zipfile.ZIP_DEFLATED, **zeros),
        "a packed pickle": lambda: archive(
            b"\x80\x02]" + b"]a" * (1 << 23) + b".", zipfile.ZIP_DEFLATED
        ),
        "deep lists": lambda: archive(b"\x80\x02" + b"]" * 120_000 + b"a" * 119_999 + b"."),
        "laughs for settings": lambda: saved(content(hyper_parameters=shared_lists(60))),
        "more values than bytes": lambda: claims(1 << 30),
        "a huge view of one value": lambda: saved(
            content(state_dict={WEIGHT: torch.zeros(1).expand(1 << 20, 1 << 20)})
        ),
    }


def lies() -> dict[str, Callable[[], bytes]]:
    """Checkpoints as ours, but for one thing."""
    weights = DigitClassifier(8).state_dict()
    weight = weights[WEIGHT]
    without = {name: value for name, value in weights.items() if name != WEIGHT}

    def settings(**values: Any) -> Callable[[], bytes]:
        return lambda: saved(content(hyper_parameters=values))

    def with_weight(value: Any) -> Callable[[], bytes]:
        return lambda: saved(content(state_dict=weights | {WEIGHT: value}))

    return {
        "a _target_ among the settings": settings(hidden_size=8, _target_="os.system"),
        "a _target_ for a number": settings(hidden_size={"_target_": "os.system"}),
        "a huge hidden_size": settings(hidden_size=1 << 40),
        "another shape": with_weight(torch.zeros(8, 783)),
        "another kind of number": with_weight(weight.long()),
        "NaN": with_weight(torch.full_like(weight, torch.nan)),
        "a weight without data": with_weight(torch.zeros(8, 784, device="meta")),
        "a weight missing": lambda: saved(content(state_dict=without)),
        "no weights": lambda: saved({k: v for k, v in content().items() if k != "state_dict"}),
        "a list": lambda: saved([content()]),
        "paths that climb": lambda: archive(
            b"\x80\x02}.", **{"../../../evil": b"x", "/evil": b"x"}
        ),
        "two pickles of one name": lambda: _twice(b"\x80\x02}."),
    }


def running(victim: Path) -> dict[str, bytes]:
    """Files that run a command when they are read carelessly."""
    runs, command = Runs(victim), f"touch {victim}"
    files = {f"pickle, protocol {p}": pickle.dumps(runs, protocol=p) for p in (0, 2, 5)}
    files |= {f"torch.save, {p}": saved(content(x=runs), pickle_protocol=p) for p in (2, 5)}
    files |= {f"zip, {name}": archive(pickled) for name, pickled in opcodes(command).items()}
    files |= {f"bare, {name}": pickled for name, pickled in opcodes(command).items()}
    tensor = torch.zeros(2)
    tensor.evil = runs  # type: ignore[attr-defined]  # pickled along with a tensor's attributes
    return files | {
        "legacy": saved(runs, _use_new_zipfile_serialization=False),
        "among the settings": saved(content(hyper_parameters={"hidden_size": runs})),
        "a tensor's attribute": saved(content(state_dict={WEIGHT: tensor})),
    }


def shared_lists(levels: int) -> list[Any]:
    """2 to the power of `levels` strings, for whoever copies or prints them."""
    inner: list[Any] = ["ha"]
    for _ in range(levels):
        inner = [inner, inner]
    return inner


def two_directories(hidden: bytes) -> bytes:
    """A zip in which zipfile finds an empty pickle, and torch finds `hidden`: each looks for the
    list of entries in its own way.
    """
    evil, good = archive(hidden), archive(b"\x80\x02}.")
    evil_end, good_end = evil.rfind(b"PK\5\6"), good.rfind(b"PK\5\6")
    (evil_list,) = struct.unpack("<I", evil[evil_end + 16 : evil_end + 20])
    (good_list,) = struct.unpack("<I", good[good_end + 16 : good_end + 20])
    entries, place = bytearray(good[good_list:good_end]), 0
    while place < len(entries):  # zipfile takes what is before its list for a prefix
        lengths = struct.unpack("<HHH", entries[place + 28 : place + 34])
        (start,) = struct.unpack("<I", entries[place + 42 : place + 46])
        start += evil_end - (evil_end + good_list - evil_list)
        entries[place + 42 : place + 46] = struct.pack("<I", start)
        place += 46 + sum(lengths)
    end = good[good_end : good_end + 16] + struct.pack("<I", evil_list) + good[good_end + 20 :]
    return evil[:evil_end] + good[:good_list] + bytes(entries) + end


def _twice(pickled: bytes) -> bytes:
    file = io.BytesIO(archive(pickled))
    with zipfile.ZipFile(file, "a") as packed:
        info = zipfile.ZipInfo("archive/data.pkl_")
        packed.writestr(info, pickled)
    return file.getvalue().replace(b"data.pkl_", b"data.pkl\0")
