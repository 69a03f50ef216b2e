"""Where an exported file comes from, as it says itself: unknown facts are left out."""

import hashlib
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from digits.runs.folder import RunFolder


def of_checkpoint(ckpt: Path, content: dict[str, Any]) -> dict[str, str]:
    with ckpt.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    about = {
        "classes": "0 1 2 3 4 5 6 7 8 9",
        "checkpoint": ckpt.name,
        "checkpoint_sha256": digest,
        "steps": str(content.get("global_step"))[:20],
    }
    if "hidden_size" in content["hyper_parameters"]:
        about["hidden_size"] = str(content["hyper_parameters"]["hidden_size"])
    run = RunFolder.of(ckpt)
    if run is None:
        return about
    # a sweep's runs are 0, 1, 2, ... in a folder of its own
    path = run.path
    name = f"{path.parent.name}/{path.name}" if path.name.isdecimal() else path.name
    return about | {"run": name} | tested(run, ckpt)


def tested(run: RunFolder, ckpt: Path) -> dict[str, str]:
    """The accuracy in metrics.json, if it is this checkpoint's: that of an older last.ckpt, of
    best.ckpt or of a damaged file is left out.
    """
    metrics = run.measured()
    try:
        judged = Path(metrics["ckpt_path"]).parts[-3:]  # the folder may have been moved since
        accuracy, images = metrics["test/acc"], metrics["test/images"]
        is_newer = run.metrics_json.stat().st_mtime_ns >= ckpt.stat().st_mtime_ns
        if is_newer and judged == ckpt.parts[-3:] and 0 <= accuracy <= 1:
            return {"test_accuracy": f"{accuracy:.6g}", "test_images": f"{images:.0f}"}
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return {}


def of_packages() -> dict[str, str]:
    versions = {}
    for package in ("lightning-digits", "torch"):
        with suppress(metadata.PackageNotFoundError):  # run without being installed
            versions[package] = metadata.version(package)
    return versions
