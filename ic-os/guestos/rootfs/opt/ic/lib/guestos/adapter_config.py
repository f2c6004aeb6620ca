"""Writes the configuration files of the adapters to other networks, at each start of an adapter.

What an administrator can set comes from files in the config store with lines `KEY=VALUE`, which may be missing:

    socks_proxy.conf    socks_proxy    URL of a SOCKS proxy
    bitcoind_addr.conf  bitcoind_addr  addresses of Bitcoin nodes of a private network, separated by commas

A key without a value has the effect of a missing file. onchain_observability_overrides.json is a JSON object whose
members replace those of that adapter's configuration; it is for tests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from guestos import settings
from guestos.errors import GuestError

BITCOIN_PROXY = "socks5://socks5.ic0.app:1080"
"""The proxy of Bitcoin adapters where none is set."""

MAINNET_SEEDS = (
    "seed.bitcoin.sipa.be",
    "dnsseed.bluematt.me",
    "dnsseed.bitcoin.dashjr.org",
    "seed.bitcoinstats.com",
    "seed.bitcoin.jonasschnelli.ch",
    "seed.btc.petertodd.org",
    "seed.bitcoin.sprovoost.nl",
    "dnsseed.emzy.de",
    "seed.bitcoin.wiz.biz",
)
"""Host names that resolve to nodes of the Bitcoin network, as Bitcoin Core has them."""

TESTNET_SEEDS = (
    "testnet-seed.bitcoin.jonasschnelli.ch",
    "seed.tbtc.petertodd.org",
    "seed.testnet.bitcoin.sprovoost.nl",
    "testnet-seed.bluematt.me",
)
"""The same for Bitcoin's test network."""

OBSERVABILITY_CANISTER = "3kvk3-xyaaa-aaaae-qaesq-cai"
"""The canister that the onchain observability adapter reports to."""

_LOGGER = {"format": "json", "level": "info"}


def bitcoin_config(mainnet: bool, nodes: Sequence[str], proxy: str | None) -> dict[str, object]:
    """Returns the configuration of a Bitcoin adapter.

    Args:
        mainnet: whether it is for the Bitcoin network instead of its test network.
        nodes: nodes of a private network, which is used instead of the public one, without proxy; empty for none.
        proxy: URL of a SOCKS proxy; None for the default.
    """
    if nodes:
        return {"network": "regtest", "dns_seeds": [], "nodes": list(nodes), "logger": _LOGGER}
    network, seeds = ("bitcoin", MAINNET_SEEDS) if mainnet else ("testnet", TESTNET_SEEDS)
    return {"network": network, "dns_seeds": list(seeds), "socks_proxy": proxy or BITCOIN_PROXY, "logger": _LOGGER}


def https_config(proxy: str | None) -> dict[str, object]:
    """Returns the configuration of the HTTPS outcalls adapter, which uses a proxy only if one is set."""
    return {"logger": _LOGGER} | ({"socks_proxy": proxy} if proxy else {})


def observability_config(overrides: dict[str, object]) -> dict[str, object]:
    """Returns the configuration of the onchain observability adapter.

    Args:
        overrides: members that are added, or replace those of the same names.
    """
    return {
        "logger": _LOGGER,
        "report_length_sec": 3600,
        "sampling_interval_sec": 60,
        "canister_id": OBSERVABILITY_CANISTER,
    } | overrides


def read_object(file: str | None) -> dict[str, object]:
    """Returns the JSON object in a file of the config store; an empty one if there is no such file.

    Raises:
        GuestError: the file cannot be read, or has no JSON object.
    """
    if file is None:
        return {}
    try:
        value = json.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise GuestError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise GuestError(f"{file}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise GuestError(f"{file}: is not a JSON object")
    return value


def setting(file: str | None, key: str) -> str | None:
    """Returns the value of a key in a file of the config store; None if there is no such file, key or value.

    Raises:
        GuestError: the file cannot be read, or the value is not one word of printable ASCII characters.
    """
    found = settings.read(file, [key]).get(key) if file is not None else None
    if found is None:
        return None
    try:
        return word(found.value)
    except ValueError as error:
        raise GuestError(f"{found.origin}: {key}: {error}") from error


def word(text: str) -> str:
    """Returns the value of a setting.

    Raises:
        ValueError: it is not one word of printable ASCII characters.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is not one word of printable ASCII characters")
    return text


def bitcoin(arguments: Sequence[str] | None = None) -> int:
    """Runs generate-btc-adapter-config.sh; returns the exit status."""
    parser = _parser("generate-btc-adapter-config.sh", "Writes the configuration of a Bitcoin adapter.")
    parser.add_argument("-s", metavar="FILE", help="socks_proxy.conf")
    parser.add_argument("-m", action="store_true", help="for the Bitcoin network; default: its test network")
    parser.add_argument("-b", metavar="FILE", help="bitcoind_addr.conf")
    given = parser.parse_args(arguments)

    def config() -> dict[str, object]:
        nodes = [node for node in (setting(given.b, "bitcoind_addr") or "").split(",") if node]
        return bitcoin_config(given.m, nodes, setting(given.s, "socks_proxy"))

    return _write(given.o, config)


def https_outcalls(arguments: Sequence[str] | None = None) -> int:
    """Runs generate-https-outcalls-adapter-config.sh; returns the exit status."""
    parser = _parser(
        "generate-https-outcalls-adapter-config.sh", "Writes the configuration of the HTTPS outcalls adapter."
    )
    parser.add_argument("-s", metavar="FILE", help="socks_proxy.conf")
    given = parser.parse_args(arguments)
    return _write(given.o, lambda: https_config(setting(given.s, "socks_proxy")))


def observability(arguments: Sequence[str] | None = None) -> int:
    """Runs generate-onchain-observability-adapter-config.sh; returns the exit status."""
    parser = _parser(
        "generate-onchain-observability-adapter-config.sh",
        "Writes the configuration of the onchain observability adapter.",
    )
    parser.add_argument("-t", metavar="FILE", help="onchain_observability_overrides.json")
    given = parser.parse_args(arguments)
    return _write(given.o, lambda: observability_config(read_object(given.t)))


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument("-o", metavar="FILE", required=True, help="the file to write")
    return parser


def _write(path: str, config: Callable[[], dict[str, object]]) -> int:
    try:
        text = json.dumps(config(), indent=2) + "\n"
        new = f"{path}.new"
        Path(new).write_text(text, encoding="ascii")
        os.chmod(new, 0o644)
        os.replace(new, path)
    except GuestError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"error: {path}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0
