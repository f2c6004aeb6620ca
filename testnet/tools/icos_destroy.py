"""Destroys a test network: ends its machines and removes their files."""

from __future__ import annotations

from collections.abc import Sequence

from guestos_tools.options import Parser, run, say
from testnet.hosts import deploy as hosts
from testnet.local.deploy import destroy
from testnet.tools import places

PROGRAM = "icos_destroy"


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Ends the machines of a deployment and removes all of its files. The inventory is not needed.",
        "example:\n  bazel run //testnet/tools:icos_destroy -- local",
    )
    result.add_argument("deployment", metavar="DEPLOYMENT", help="name of the deployment")
    places.add_state(result)
    places.add_ssh_config(result)
    return result


def main(arguments: Sequence[str]) -> None:
    """Destroys what the arguments name."""
    places.enter_folder_of_caller()
    options = parser().parse_args(arguments)
    state = places.state(options)
    if hosts.is_on_hosts(state):
        hosts.destroy(state, options.ssh_config)
        say(f"{state.name}: destroyed")
    else:
        destroy(state, say)


if __name__ == "__main__":
    run(PROGRAM, main)
