"""Starts a temporary PostgreSQL server, accessible only by a Unix domain socket."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dev.remote.children import Children
from dev.remote.programs import find_program
from tools.core.errors import UserError

_PACKAGE = "postgresql"
_SUPERUSER = "buildgrid"
_DATABASE = "postgres"


def unprivileged_user() -> str | None:
    """Returns the user for PostgreSQL, which refuses to run as root; None for the user of this process.

    Raises:
        UserError: this process runs as root, and there is no user postgres.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError as error:
        raise UserError("no user postgres, and PostgreSQL refuses to run as root; install postgresql") from error


@contextlib.contextmanager
def temporary_folder(user: str | None) -> Iterator[Path]:
    """Creates a temporary directory, owned by a user. Its path is short, as sockets require (unix(7))."""
    path = Path(tempfile.mkdtemp(prefix="remote-", dir="/tmp"))
    try:
        if user is not None:
            shutil.chown(path, user)
        yield path
    finally:
        shutil.rmtree(path)


def start_postgresql(children: Children, folder: Path, user: str | None) -> str:
    """Starts a server with an empty database, and returns its URL for SQLAlchemy.

    Args:
        children: where the process is added.
        folder: empty directory, owned by the user.
        user: user to run as; None for the user of this process.

    Raises:
        UserError: the database cannot be initialized.
    """
    data = folder / "data"
    initialise = [find_program("initdb", _PACKAGE), f"--pgdata={data}", f"--username={_SUPERUSER}", "--auth=trust"]
    initialise += ["--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    initdb = children.start("initdb", initialise, user=user, spare=True)
    if initdb.process.wait():
        initdb.check()
    children.all.remove(initdb)
    serve: list[str | Path] = [find_program("postgres", _PACKAGE), "-D", data, "-k", folder, "-c", "listen_addresses="]
    # The data is not needed after this process ends.
    serve += ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]
    child = children.start("postgresql", serve, user=user)
    ready = [find_program("pg_isready", _PACKAGE), "--quiet", f"--host={folder}", f"--username={_SUPERUSER}"]
    child.wait_until(lambda: subprocess.run([*ready, f"--dbname={_DATABASE}"], check=False).returncode == 0)
    # BuildGrid requires the driver in the URL.
    return f"postgresql+psycopg2:///{_DATABASE}?host={folder}&user={_SUPERUSER}"
