"""What the commands have in common: where inventories and deployments are, and how paths are understood."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from guestos_tools.options import Parser
from testnet.inventory.deployment import Deployment, read
from testnet.local.state import State, default_root
from tools.core.errors import UserError

_HOSTS = "hosts.ini"
_HOSTS_VARIABLE = "HOSTS_INI_FILENAME"
_MOST_SECONDS = 1_000_000
_SOURCES = Path(__file__).parents[2]


def enter_folder_of_caller() -> Path:
    """Changes to the folder that `bazel run` was called in, if it was; returns the one before."""
    before = Path.cwd()
    folder = os.environ.pop("BUILD_WORKING_DIRECTORY", None)
    if folder is not None:
        os.chdir(folder)
    return before


def add_inventory(parser: Parser) -> None:
    """Adds the arguments that name an inventory."""
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="name of a folder of --env, such as local")
    parser.add_argument(
        "--hosts-ini",
        metavar="FILE",
        help=f"name of the inventory in that folder (default: {_HOSTS_VARIABLE} of the environment, or {_HOSTS})",
    )
    parser.add_argument(
        "--env", metavar="FOLDER", help="folder with a folder for each deployment (default: testnet/env)"
    )


def seconds(text: str) -> float:
    """Returns a time limit of the command line, in seconds.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {_MOST_SECONDS}")
    return value


def count(text: str) -> int:
    """Returns a number of nodes of the command line.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of nodes: 0 or more")
    return int(text)


def add_state(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that says where deployments are."""
    parser.add_argument(
        "--state", metavar="FOLDER", help=f"folder for the files of deployments (default: {default_root()})"
    )


def add_ssh_config(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that says how to reach other hosts."""
    parser.add_argument(
        "--ssh-config", metavar="FILE", help="configuration of OpenSSH for other hosts (default: that of the user)"
    )


def deployment(options: argparse.Namespace) -> Deployment:
    """Returns the deployment that the arguments name.

    Raises:
        UserError: there is no such deployment, or its inventory is invalid.
    """
    name = options.deployment
    root = Path(options.env) if options.env else _workspace() / "testnet/env"
    folder = root / name
    if "/" in name or name in ("", ".", "..") or not folder.is_dir():
        known = sorted(path.parent.name for path in root.glob(f"*/{_HOSTS}"))
        there = f"deployments are {', '.join(known)}" if known else f"{root} has no deployments"
        raise UserError(f"{name}: there is no folder {folder}; {there}")
    return read(folder / (options.hosts_ini or os.environ.get(_HOSTS_VARIABLE) or _HOSTS), name)


def _workspace() -> Path:
    """Returns the checkout; that of `bazel run`, so that changes of inventories need no build."""
    return Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", _SOURCES))


def state(options: argparse.Namespace) -> State:
    """Returns the folder of the deployment that the arguments name.

    Raises:
        UserError: the name is no name of a folder.
    """
    name = options.deployment
    if not name or "/" in name or name.startswith("."):
        raise UserError(f"{name!r} is not the name of a deployment")
    return State(Path(options.state).absolute() if options.state else default_root(), name)
