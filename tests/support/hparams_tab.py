"""TensorBoard's HPARAMS tab, as its own server answers."""

import json
import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings(action="ignore"):  # html5lib's, which comes along
    from tensorboard import default, program
    from tensorboard.backend import application
from werkzeug.test import Client

STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]


def runs(logdir: Path) -> list[dict[str, Any]]:
    """Of each run its status, its settings and the last value of each of its scores."""
    server = program.TensorBoard(default.get_plugins())
    words = [f"--logdir={logdir}", "--load_fast=false", "--reload_interval=0"]
    server.configure(argv=["tensorboard", *words])
    ingester = server._make_data_ingester()
    ingester.start()
    app = application.TensorBoardWSGIApp(
        server.flags, server.plugin_loaders, ingester.data_provider, server.assets_zip_provider
    )
    client = Client(app)
    asked = {"startIndex": 0, "sliceSize": 100, "allowedStatuses": STATUSES}
    answer = client.post("/data/plugin/hparams/session_groups", json=asked)
    return [
        {
            "name": group["name"],
            "status": group["sessions"][0].get("status", "STATUS_UNKNOWN"),
            "hparams": group["hparams"],
            "metrics": {m["name"]["tag"]: m["value"] for m in group["metricValues"]},
        }
        for group in json.loads(answer.data)["sessionGroups"]
    ]
