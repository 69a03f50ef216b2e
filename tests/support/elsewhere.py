"""What hydra_plugins/elsewhere.py is told and tells. (Hydra imports plugins anew.)"""

ENDED: list[tuple[int, str, str]] = []  # exit code, stdout, stderr
TERMINATE_AT: str | None = None  # a file in the job's folder
