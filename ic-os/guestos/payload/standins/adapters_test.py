import json

import pytest

from sample_node import Node
from standins.adapters import check_bitcoin, check_https_outcalls
from standins.problems import StandInError
from standins.web import ask

LOGGER = {"format": "json", "level": "info"}
BITCOIN = {"network": "bitcoin", "dns_seeds": ["seed"], "socks_proxy": "socks5://proxy:1080", "logger": LOGGER}
PROGRAMS = {
    "bitcoin": ("ic-btc-mainnet-adapter", BITCOIN),
    "https_outcalls": ("ic-https-outcalls-adapter", {"logger": LOGGER}),
}


@pytest.fixture
def node(tmp_path):
    result = Node(tmp_path)
    yield result
    result.end()


def start(node, program, unit, values):
    path = node.root / "adapter.json"
    path.write_text(json.dumps(values))
    return node.activate(
        f"from standins.adapters import {program}; {program}()", path, names=f"{unit}.socket:{unit}.socket"
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_serves_on_its_sockets(node, program):
    unit, values = PROGRAMS[program]
    process = start(node, program, unit, values)
    assert f"serves as {unit}" in process.stdout.readline(), process.stderr.read()
    assert ask(node.root / "run/socket", "/name") == f"{unit}\n"
    assert ask(node.root / "run/metrics", "/metrics") == "stand_in_adapter_up 1\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_sockets_of_another_unit_end_it(node, program):
    process = start(node, program, "other", PROGRAMS[program][1])
    assert process.wait(60) == 1
    assert "LISTEN_FDNAMES=other.socket:other.socket: expected ic-" in process.stderr.read()


def test_the_network_decides_about_the_unit():
    assert check_bitcoin(BITCOIN | {"network": "testnet"}, "f") == "ic-btc-testnet-adapter"
    regtest = {"network": "regtest", "dns_seeds": [], "nodes": ["[::1]:18444"], "logger": LOGGER}
    assert check_bitcoin(regtest, "f") == "ic-btc-testnet-adapter"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "f: must be an object"),
        (BITCOIN | {"network": "mainnet"}, "f.network: 'mainnet' is not one of bitcoin, testnet, regtest"),
        (BITCOIN | {"dns_seeds": []}, "f: has neither dns_seeds nor nodes"),
        (BITCOIN | {"dns_seeds": [1]}, "f.dns_seeds: must be a list of str"),
        (BITCOIN | {"proxy": "a"}, "f: has the unknown key proxy"),
        (BITCOIN | {"socks_proxy": "http://proxy"}, "f.socks_proxy: 'http://proxy' is not the URL of a SOCKS proxy"),
        ({key: value for key, value in BITCOIN.items() if key != "logger"}, "f.logger: is missing"),
    ],
)
def test_other_configurations_are_errors(values, message):
    with pytest.raises(StandInError) as error:
        check_bitcoin(values, "f")
    assert str(error.value) == message


def test_https_outcalls_knows_a_proxy_only():
    assert check_https_outcalls({"logger": LOGGER, "socks_proxy": "socks5h://a:1"}, "f") == "ic-https-outcalls-adapter"
    with pytest.raises(StandInError, match="f: has the unknown key dns_seeds"):
        check_https_outcalls(BITCOIN, "f")
