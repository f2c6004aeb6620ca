"""Shows and changes a test network on this machine: status, logins, logs, consoles, power, upgrades."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from guestos_tools.options import Parser, run, say
from testnet.hosts import deploy as hosts
from testnet.local import link, machine, process, ssh, terminal
from testnet.local.chart import write_chart
from testnet.local.deploy import stop
from testnet.local.observe import as_json, as_text, observe_all
from testnet.local.report import CURRENT, UPGRADED, Report, Run, read, write
from testnet.local.rollout import Limits, roll_out
from testnet.local.state import LocalNode, State, choose_node
from testnet.tools import places
from tools.core.errors import CheckError, UserError

PROGRAM = "manage"
Action = Callable[[argparse.Namespace, State], None]


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Shows and changes a deployment on this machine; icos_deploy starts it, icos_destroy ends it.",
        "example:\n  bazel run //testnet/tools:manage -- status local",
    )
    actions = result.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_ActionParser)

    def add(name: str, run_action: Action, text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(run=run_action)
        action.add_argument("deployment", metavar="DEPLOYMENT", help="name of the deployment")
        places.add_state(action)
        return action

    show = add("status", _status, "Print what each node is and sees. The exit status is 1 unless all are up.")
    show.add_argument("--json", action="store_true", help="print a list of JSON objects")
    login = add("ssh", _ssh, "Log in to a node as admin, or run a command there.")
    login.add_argument("node", metavar="NODE", help="such as local.0.0, or 0.0")
    login.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to run there")
    log = add("logs", _logs, "Print the console's output of a node, from its first start on, or its journal.")
    log.add_argument("node", metavar="NODE")
    log.add_argument("--journal", action="store_true", help="print the journal of this boot, by SSH")
    log.add_argument("--follow", action="store_true", help="go on with what is added")
    watch = add("console", _console, "Use the serial console of a node; Ctrl-] ends that.")
    watch.add_argument("node", metavar="NODE")
    end = add("stop", _stop, "Shut nodes down; icos_deploy starts them again.")
    end.add_argument("nodes", metavar="NODE", nargs="*", help="by default all")
    end.add_argument("--power-cut", action="store_true", help="end the machines at once, as a power cut does")
    end.add_argument(
        "--timeout", metavar="SECONDS", type=places.seconds, default=180, help="for a shutdown (default: 180)"
    )
    for name, text in (("unplug", "Take the cable out of a network card of a node."), ("plug", "Put it in again.")):
        cable = add(name, _plug, text)
        cable.add_argument("node", metavar="NODE")
        cable.add_argument(
            "--card",
            choices=(link.CARD, machine.OUTSIDE),
            default=link.CARD,
            help="that on the link of all nodes, or the one that leads outwards, with SSH (default: link)",
        )
    change = add("upgrade", _upgrade, "Upgrade nodes, one subnet after the other. The exit status is 1 unless all are.")
    change.add_argument("nodes", metavar="NODE", nargs="*", help="by default all")
    change.add_argument("--image", metavar="FILE", required=True, help="update image, such as update-img.tar.zst")
    change.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=places.seconds,
        default=1200,
        help="for a boot of a node, or until it is back (default: 1200)",
    )
    change.add_argument(
        "--tolerate",
        metavar="N",
        type=places.count,
        default=0,
        help="nodes of a subnet that may fail before all halts (default: 0)",
    )
    change.add_argument(
        "--report",
        metavar="FILE",
        help="write what became of each node, with times, as JSON; a report that is there gets a further run",
    )
    change.add_argument("--chart", metavar="FILE", help="draw the same (SVG); draw_rollout draws a report later")
    return result


class _ActionParser(Parser):
    """The parser of an action's arguments."""

    def __init__(self, *, prog: str, description: str, **_unused: object) -> None:
        super().__init__(prog, description)


def _status(options: argparse.Namespace, state: State) -> None:
    nodes = state.deployed_nodes()
    objects = as_json(state, nodes, observe_all(state, nodes))
    print(json.dumps(objects, indent=2) if options.json else as_text(objects))
    if any(each["running"] for each in objects) and process.find(state.link_pid) is None:
        say("the link has ended, so no node sees another one; icos_deploy starts it again")
    if not all(each["up"] for each in objects):
        raise CheckError


def _chosen(state: State, names: Sequence[str]) -> list[LocalNode]:
    nodes = state.deployed_nodes()
    chosen = [choose_node(nodes, name, state.name) for name in names]
    return [node for node in nodes if node in chosen] if names else nodes


def _running(state: State, name: str) -> LocalNode:
    (node,) = _chosen(state, [name])
    if not machine.is_running(state, node):
        raise UserError(f"{node.name}: does not run; start it with icos_deploy")
    return node


def _ssh(options: argparse.Namespace, state: State) -> None:
    node = _running(state, options.node)
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    command = ssh.command(state, node, words, terminal=sys.stdin.isatty() and not words)
    sys.stdout.flush()
    os.execv(command[0], command)


def _logs(options: argparse.Namespace, state: State) -> None:
    (node,) = _chosen(state, [options.node])
    follow = ["--follow"] if options.follow else []
    log = state.node_folder(node) / machine.CONSOLE_LOG
    if options.journal:
        node = _running(state, options.node)
        command = ssh.command(state, node, ["sudo", "journalctl", "--boot", "--no-pager", *follow])
    elif log.exists():
        command = ["tail", "--lines=+1", *follow, "--", str(log)]
    else:
        raise UserError(f"{node.name}: has no log, since it has never started; start it with icos_deploy")
    sys.exit(subprocess.run(command, check=False).returncode)


def _console(options: argparse.Namespace, state: State) -> None:
    node = _running(state, options.node)
    with machine.console(state, node) as connection:
        say(f"{node.name}: Ctrl-] ends this; the machine goes on")
        terminal.attach(connection)


def _stop(options: argparse.Namespace, state: State) -> None:
    stop(state, _chosen(state, options.nodes), 0 if options.power_cut else options.timeout, say)


def _plug(options: argparse.Namespace, state: State) -> None:
    node = _running(state, options.node)
    machine.plug(state, node, options.card, is_in=options.action == "plug")
    say(f"{node.name}: {options.card}: {options.action}ged, until the machine ends")


def _upgrade_on_hosts(options: argparse.Namespace, state: State) -> None:
    if given := [f"--{name}" for name in ("report", "chart", "tolerate") if getattr(options, name)]:
        raise UserError(f"{given[0]}: is for deployments on this machine; {state.name} is on other hosts")
    known = hosts.node_names(state)
    chosen = [name if name in known else f"{state.name}.{name}" for name in options.nodes]
    if missing := [name for name in chosen if name not in known]:
        raise UserError(f"{missing[0]}: is no node of {state.name}; there are {', '.join(known)}")
    hosts.upgrade(state, chosen, Path(options.image), options.timeout)


def _upgrade(options: argparse.Namespace, state: State) -> None:
    if hosts.is_on_hosts(state):
        _upgrade_on_hosts(options, state)
        return
    nodes = _chosen(state, options.nodes)
    path = Path(options.report) if options.report else None
    report = read(path) if path and path.exists() else Report(deployment=state.name)
    if report.deployment != state.name:
        raise UserError(f"{path}: is the report of {report.deployment}; give another --report")
    earlier = list(report.runs)

    def save(run: Run) -> None:
        report.runs = [*earlier, run]
        if path:
            write(path, report)
        if options.chart:
            write_chart(Path(options.chart), report)

    run = roll_out(state, nodes, Path(options.image), Limits(options.timeout, options.tolerate), say, save=save)
    if any(each.result not in (UPGRADED, CURRENT) for each in run.nodes):
        raise CheckError


def main(arguments: Sequence[str]) -> None:
    """Does what the arguments name."""
    places.enter_folder_of_caller()
    options = parser().parse_args(arguments)
    action: Action = options.run
    state = places.state(options)
    if action is not _upgrade and hosts.is_on_hosts(state):
        config = hosts.node_ssh_config(state)
        raise UserError(f"{state.name}: is on other hosts: use virsh there, and here `ssh -F {config} NODE`")
    action(options, state)


if __name__ == "__main__":
    run(PROGRAM, main)
