import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from guestos import adapter_config
from guestos.adapter_config import MAINNET_SEEDS, TESTNET_SEEDS, bitcoin, https_outcalls, observability

LOGGER = {"format": "json", "level": "info"}
DEFAULT_PROXY = "socks5://socks5.ic0.app:1080"
SCRIPTS = Path(adapter_config.__file__).parents[2] / "bin"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(files):
    return json.loads((files / "out").read_text())


def test_the_bitcoin_network(files):
    assert bitcoin(["-m", "-s", "socks_proxy.conf", "-o", "out"]) == 0
    assert written(files) == {
        "network": "bitcoin",
        "dns_seeds": list(MAINNET_SEEDS),
        "socks_proxy": DEFAULT_PROXY,
        "logger": LOGGER,
    }
    assert (len(set(MAINNET_SEEDS)), len(set(TESTNET_SEEDS))) == (9, 4)


def test_the_test_network_with_a_proxy(files):
    (files / "socks_proxy.conf").write_text("socks_proxy=socks5://[2001:db8::1]:1080\n")
    assert bitcoin(["-b", "bitcoind_addr.conf", "-s", "socks_proxy.conf", "-o", "out"]) == 0
    assert written(files) == {
        "network": "testnet",
        "dns_seeds": list(TESTNET_SEEDS),
        "socks_proxy": "socks5://[2001:db8::1]:1080",
        "logger": LOGGER,
    }


def test_a_private_network_has_neither_seeds_nor_proxy(files):
    (files / "socks_proxy.conf").write_text("socks_proxy=socks5://proxy:1080\n")
    (files / "bitcoind_addr.conf").write_text("bitcoind_addr=[2001:db8::5]:18444,other:18444\n")
    assert bitcoin(["-b", "bitcoind_addr.conf", "-s", "socks_proxy.conf", "-o", "out"]) == 0
    nodes = ["[2001:db8::5]:18444", "other:18444"]
    assert written(files) == {"network": "regtest", "dns_seeds": [], "nodes": nodes, "logger": LOGGER}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, {"logger": LOGGER}),
        ("socks_proxy=\n", {"logger": LOGGER}),
        ("# nothing\n\nother=1\n", {"logger": LOGGER}),
        ("socks_proxy=socks5h://proxy:1080", {"logger": LOGGER, "socks_proxy": "socks5h://proxy:1080"}),
        ('socks_proxy=a"b\\c', {"logger": LOGGER, "socks_proxy": 'a"b\\c'}),
    ],
)
def test_https_outcalls(files, content, expected):
    if content is not None:
        (files / "socks_proxy.conf").write_text(content)
    assert https_outcalls(["-s", "socks_proxy.conf", "-o", "out"]) == 0
    assert written(files) == expected


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (None, {}),
        ("{}", {}),
        ('{"canister_id": "", "report_length_sec": 5}', {"canister_id": "", "report_length_sec": 5}),
        ('{"canister_client_url": "http://[::1]:8080"}', {"canister_client_url": "http://[::1]:8080"}),
    ],
)
def test_onchain_observability(files, overrides, changed):
    if overrides is not None:
        (files / "overrides.json").write_text(overrides)
    assert observability(["-t", "overrides.json", "-o", "out"]) == 0
    assert (
        written(files)
        == {
            "logger": LOGGER,
            "report_length_sec": 3600,
            "sampling_interval_sec": 60,
            "canister_id": "3kvk3-xyaaa-aaaae-qaesq-cai",
        }
        | changed
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("[1]", "overrides.json: is not a JSON object"),
        ("{", "overrides.json: is not JSON: Expecting property name"),
        ("[" * 100_000, "overrides.json: is not JSON: "),
    ],
)
def test_overrides_that_are_no_object_are_an_error(files, capsys, overrides, message):
    (files / "overrides.json").write_text(overrides)
    assert observability(["-t", "overrides.json", "-o", "out"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert not (files / "out").exists()


def test_everybody_can_read_the_result(files):
    before = os.umask(0o077)
    try:
        assert https_outcalls(["-o", "out"]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((files / "out").stat().st_mode) == 0o644
    assert os.listdir(files) == ["out"]


def test_a_value_of_two_words_is_an_error(files, capsys):
    (files / "socks_proxy.conf").write_text("socks_proxy=a b\n")
    assert bitcoin(["-s", "socks_proxy.conf", "-o", "out"]) == 1
    message = "error: socks_proxy.conf:1: socks_proxy: 'a b' is not one word of printable ASCII characters\n"
    assert capsys.readouterr().err == message
    assert not (files / "out").exists()


def test_a_missing_folder_is_an_error(files, capsys):
    assert https_outcalls(["-o", "nothing/out"]) == 1
    assert capsys.readouterr().err == "error: nothing/out: cannot be written: No such file or directory\n"


@pytest.mark.parametrize("adapter", ["btc", "https-outcalls", "onchain-observability"])
def test_the_scripts_run_it(files, adapter):
    program = f"generate-{adapter}-adapter-config.sh"
    subprocess.run([SCRIPTS / program, "-o", "out"], check=True)
    assert written(files)["logger"] == LOGGER
    result = subprocess.run([SCRIPTS / program], capture_output=True, text=True, check=False)
    assert (result.returncode, "required: -o" in result.stderr) == (2, True)
