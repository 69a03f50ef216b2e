"""A real PostgreSQL on this machine, for as long as a test needs it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """Debian keeps them off the PATH."""
    there = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (there[-1] if there else None)
    return Path(found).parent if found else None


@contextmanager
def server() -> Iterator[str]:
    """The URL of an empty database. root may not run a server: then the user postgres does."""
    where = programs()
    assert where
    folder = Path(tempfile.mkdtemp(prefix="digits-postgres-"))
    user = {}
    if os.geteuid() == 0:
        postgres = pwd.getpwnam("postgres")
        os.chown(folder, postgres.pw_uid, postgres.pw_gid)
        user = {"user": postgres.pw_uid, "group": postgres.pw_gid}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, quiet = str(folder / "data"), {"stdout": subprocess.DEVNULL, "cwd": folder, **user}
    initdb = [where / "initdb", "-D", data, "-U", "digits", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, **quiet)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    control = [where / "pg_ctl", "-D", data, "-w", "-l", str(folder / "log")]
    subprocess.run([*control, "-o", options, "start"], check=True, **quiet)
    try:
        yield f"postgresql+pg8000://digits@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
        shutil.rmtree(folder, ignore_errors=True)
