"""The command manageboot.sh: installs upgrades, and shows and changes the boot state.

Exit status: 0 success; 1 error; 2 invalid command line; 3 refused in the current state of the machine; 4 the update
image is invalid or not for this machine; 5 another program uses the boot state or a partition. Every status but 0 comes
with one line on standard error and in the journal.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from guestos import (
    boot_state,
    booted,
    compressed_stream,
    dates,
    journal,
    loader,
    manifest,
    privilege,
    status,
    transitions,
    update_keys,
)
from guestos.boot_state import other
from guestos.environment import Environment
from guestos.errors import GuestError, UsageError
from guestos.install import check_state, install
from guestos.update_image import UpdateImage, open_archive, open_files
from guestos.update_keys import Trust

Action = Callable[[argparse.Namespace, Environment], None]

_EPILOG = (
    "Exit status: 0 success; 1 error; 2 invalid command line; 3 refused in the current state of the machine; "
    "4 the update image is invalid or not for this machine; 5 another program uses the boot state or a partition."
)


def main(
    arguments: Sequence[str] | None = None, environment: Environment | None = None, script: str | None = None
) -> int:
    """Runs one action and returns the exit status.

    Args:
        arguments: the command line without the program; by default that of this process.
        environment: the machine; by default this one.
        script: the path by which root runs this program; None to run the action as the user that this process has.
    """
    environment = environment or Environment()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        arguments = _without_system(arguments)
        options = _parser(environment).parse_args(arguments)
    except UsageError as error:
        return _failed(error, "command line")
    environment = dataclasses.replace(environment, grubenv=options.grubenv)
    options.script = script
    action: Action = options.run
    done = ""
    try:
        if script is not None and options.root:
            privilege.become_root(script, arguments)
        action(options, environment)
        done = options.action
    except GuestError as error:
        return _failed(error, options.action)
    finally:
        if options.changes:
            dates.keep(environment)
            with contextlib.suppress(GuestError):
                status.write_metrics(environment, done)
    return 0


def _without_system(arguments: list[str]) -> list[str]:
    """Returns a command line without the system that newer orchestrators name before the action; there is one here.

    Raises:
        UsageError: it names the system of the host.
    """
    # As getopts does it: options come first, and `--` ends them.
    first = 0
    while first < len(arguments) and arguments[first].startswith("-") and arguments[first] != "--":
        first += 2 if arguments[first] == "-f" else 1
    options, words = arguments[:first], arguments[first:]
    words = words[1:] if words[:1] == ["--"] else words
    if words[:1] == ["hostos"]:
        raise UsageError("this machine is a guestos, and has no action for a hostos")
    return [*options, *(words[1:] if words[:1] == ["guestos"] else words)]


def _failed(error: GuestError, what: str) -> int:
    """Says what failed, to the caller and in the journal; returns the exit status."""
    print(f"manageboot.sh: {error}", file=sys.stderr)
    journal.error(f"{what}: {error}")
    return error.status


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are like all others; the base class writes several lines and exits."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{' '.join(message.split())}; --help lists the actions")


def _parser(environment: Environment) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="manageboot.sh",
        description="Installs upgrades, and shows and changes which slot, A or B, this machine boots.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    default = environment.grubenv
    parser.add_argument(
        "-f", dest="grubenv", default=default, metavar="grubenv", help=f"file with the boot state (default: {default})"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, run: Action, text: str, *, changes: bool = False, root: bool = False) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        action.set_defaults(run=run, changes=changes, root=root or changes)
        return action

    upgrade = add("upgrade-install", _install, "Install an update image in the slot that does not run.", changes=True)
    upgrade.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="TAR: an update image, plain, gzip or zstd; - is standard input. "
        "Or BOOT_IMG ROOT_IMG: the images of an unpacked update image",
    )
    upgrade.add_argument(
        "--manifest", help="manifest of BOOT_IMG and ROOT_IMG (default: manifest.json in the directory of BOOT_IMG)"
    )
    upgrade.add_argument("--allow-downgrade", action="store_true", help="accept a version below the version floor")
    commit = add("upgrade-commit", _commit, "Boot the installed system next, for one trial; reboot now.", changes=True)
    commit.add_argument("--no-reboot", action="store_true", help="do not reboot")
    commit.add_argument("--version", help="refuse if another version is installed")
    add("confirm", _confirm, "Confirm that the running system works: it is booted from now on.", changes=True)
    add(
        "update-loader", _update_loader, "Install the boot loader of the running system, if it is confirmed.", root=True
    )
    trial = "Reboot into the previous system if the running one is on trial and not confirmed."
    add("end-trial", _end_trial, trial, root=True)
    add("current", _print_current, "Print the slot that runs.")
    add("target", _print_target, "Print the slot that an upgrade is installed in.")
    add("next", _print_next, "Print the slot that boots next.")
    for name in ("current_partition", "current_root"):
        add(name, _print_current_root, "Print the device of the running slot's root partition.")
    for name in ("target_partition", "target_root"):
        add(name, _print_target_root, "Print the device of the root partition that an upgrade is installed in.")
    add("metrics", _metrics, "Write slots and boot state for node_exporter.", root=True)
    show = add("status", _status, "Print the slots and the boot state.")
    show.add_argument("--json", action="store_true", help="print a JSON object")
    return parser


def _current(environment: Environment) -> str:
    return booted.read(environment.booted).slot


def _print_current(_options: argparse.Namespace, environment: Environment) -> None:
    print(_current(environment))


def _print_target(_options: argparse.Namespace, environment: Environment) -> None:
    print(other(_current(environment)))


def _print_next(_options: argparse.Namespace, environment: Environment) -> None:
    print(boot_state.read(environment.grubenv).next_slot)


def _print_current_root(_options: argparse.Namespace, environment: Environment) -> None:
    print(environment.partition(_current(environment), "root"))


def _print_target_root(_options: argparse.Namespace, environment: Environment) -> None:
    print(environment.partition(other(_current(environment)), "root"))


def _install(options: argparse.Namespace, environment: Environment) -> None:
    with transitions.locked(environment):
        slot = check_state(environment)
        with _open_update(options, environment) as update:
            install(environment, update, slot, allow_downgrade=options.allow_downgrade)
            print(f"version {update.manifest.version} is installed in slot {slot}")


def _open_update(
    options: argparse.Namespace, environment: Environment
) -> contextlib.AbstractContextManager[UpdateImage]:
    keys = update_keys.read_keys(os.path.join(environment.share, update_keys.FOLDER))
    trust = Trust(keys, dates.today(environment))
    if len(options.images) == 1 and options.manifest is None:
        return open_archive(options.images[0], trust)
    if len(options.images) != 2 or compressed_stream.STDIN in options.images:
        raise UsageError("upgrade-install takes TAR, or BOOT_IMG and ROOT_IMG")
    boot, root = options.images
    return open_files(boot, root, options.manifest or os.path.join(os.path.dirname(boot), manifest.NAME), trust)


def _commit(options: argparse.Namespace, environment: Environment) -> None:
    version = transitions.commit(environment, options.version)
    print(f"version {version} is booted next, on trial")
    if not options.no_reboot:
        if options.script is not None:
            # The reboot ends the caller's service with all its processes; the caller needs the exit status of this one.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        transitions.reboot(environment)


def _confirm(_options: argparse.Namespace, environment: Environment) -> None:
    transitions.confirm(environment)


def _update_loader(_options: argparse.Namespace, environment: Environment) -> None:
    print(loader.update(environment))


def _end_trial(_options: argparse.Namespace, environment: Environment) -> None:
    transitions.end_trial(environment)


def _status(options: argparse.Namespace, environment: Environment) -> None:
    found = status.read_status(environment)
    print(json.dumps(found, sort_keys=True) if options.json else status.as_text(found))


def _metrics(_options: argparse.Namespace, environment: Environment) -> None:
    dates.keep(environment)
    status.write_metrics(environment)


if __name__ == "__main__":
    sys.exit(main())
