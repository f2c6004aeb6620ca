import os
import stat

import pytest

from sample_node import Node
from standins.crypto_csp import KEY
from standins.problems import StandInError
from standins.web import ask

MAIN = "from standins.crypto_csp import main; main()"


@pytest.fixture
def node(tmp_path):
    result = Node(tmp_path)
    yield result
    result.end()


def refused(process):
    """Returns what a stand-in that ends says."""
    status = process.wait(60)
    assert status == 1
    return process.stderr.read()


def test_serves_the_id_of_the_key_that_it_made(node):
    node.vault()
    key = node.root / "crypto" / KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    found = ask(node.root / "run/socket", "/node-id")
    assert len(found.strip()) == 64
    assert ask(node.root / "run/socket", "/node-id") == found
    assert ask(node.root / "run/metrics", "/metrics") == "stand_in_crypto_up 1\n"
    with pytest.raises(StandInError, match="Not Found"):
        ask(node.root / "run/metrics", "/node-id")


def test_a_key_that_is_there_is_used(node):
    (node.root / "crypto" / KEY).write_bytes(b"key")
    node.vault()
    assert ask(node.root / "run/socket", "/node-id").startswith(
        "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f8"
    )


@pytest.mark.parametrize(
    ("sockets", "names", "message"),
    [
        (["socket"], "ic-crypto-csp.socket", "LISTEN_FDS=1: expected 2 sockets"),
        (["a", "b", "c"], "ic-crypto-csp.socket", "LISTEN_FDS=3: expected 2 sockets"),
        (
            ["socket", "metrics"],
            "socket:metrics",
            "LISTEN_FDNAMES=socket:metrics: expected ic-crypto-csp.socket:ic-crypto",
        ),
        (["socket", "metrics"], "ic-crypto-csp.socket", "LISTEN_FDNAMES=ic-crypto-csp.socket: expected"),
    ],
)
def test_other_sockets_end_it(node, sockets, names, message):
    process = node.activate(MAIN, "--replica-config-file", node.config, sockets=sockets, names=names)
    assert f"ic-crypto-csp: error: {message}" in refused(process)


def test_without_sockets_it_ends(node):
    assert "LISTEN_PID=: no sockets" in refused(node.start(MAIN, "--replica-config-file", node.config))


@pytest.mark.parametrize("mode", [0o751, 0o704, 0o550])
def test_a_folder_of_keys_with_another_mode_ends_it(node, mode):
    (node.root / "crypto").chmod(mode)
    said = refused(node.activate(MAIN, "--replica-config-file", node.config))
    assert "wrong crypto root permissions" in said
    assert os.listdir(node.root / "crypto") == []


@pytest.mark.parametrize("arguments", [[], ["--replica-config", "x"], ["--replica-config-file", "x", "--other"]])
def test_other_flags_end_it(node, arguments):
    process = node.start(MAIN, *arguments)
    assert process.wait(60) == 2
    assert "error: " in process.stderr.read()


def test_help_says_what_it_is(node):
    process = node.start(MAIN, "--help")
    assert "not a program of the Internet Computer" in " ".join(process.stdout.read().split())
