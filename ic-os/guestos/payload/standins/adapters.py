"""Takes the place of the adapters: checks sockets and configuration, and connects to nothing."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from standins import NOTICE, json5
from standins.activation import activated_sockets
from standins.config import Section
from standins.problems import StandInError, parser, run, say
from standins.web import Server

_BITCOIN_UNITS = {
    "bitcoin": "ic-btc-mainnet-adapter",
    "testnet": "ic-btc-testnet-adapter",
    "regtest": "ic-btc-testnet-adapter",
}
_LOGGER = {"format": "json", "level": "info"}


def check_bitcoin(values: Any, place: str) -> str:
    """Checks the configuration of a Bitcoin adapter; returns the name of its unit.

    Raises:
        StandInError: a value is missing, wrong or unknown.
    """
    section = Section(values, place)
    network = section.get("network", str)
    if network not in _BITCOIN_UNITS:
        raise StandInError(f"{place}.network: {network!r} is not one of {', '.join(_BITCOIN_UNITS)}")
    seeds = section.items("dns_seeds", str)
    nodes = section.items("nodes", str) if "nodes" in section else ()
    if not seeds and not nodes:
        raise StandInError(f"{place}: has neither dns_seeds nor nodes")
    _check_common(values, section, place, {"network", "dns_seeds", "nodes"})
    return _BITCOIN_UNITS[network]


def check_https_outcalls(values: Any, place: str) -> str:
    """Checks the configuration of the HTTPS outcalls adapter; returns the name of its unit.

    Raises:
        StandInError: a value is missing, wrong or unknown.
    """
    _check_common(values, Section(values, place), place, set())
    return "ic-https-outcalls-adapter"


def _check_common(values: Any, section: Section, place: str, known: set[str]) -> None:
    unknown = set(values) - known - {"logger", "socks_proxy"}
    if unknown:
        raise StandInError(f"{place}: has the unknown key {min(unknown)}")
    if section.get("logger", dict) != _LOGGER:
        raise StandInError(f"{place}.logger: must be {_LOGGER}")
    if "socks_proxy" in section:
        proxy = section.get("socks_proxy", str)
        url = urlsplit(proxy)
        if url.scheme not in ("socks5", "socks5h") or not url.hostname:
            raise StandInError(f"{place}.socks_proxy: {proxy!r} is not the URL of a SOCKS proxy")


def bitcoin(arguments: Sequence[str] | None = None) -> None:
    """Runs ic-btc-adapter."""
    run("ic-btc-adapter", lambda: _serve("ic-btc-adapter", arguments))


def https_outcalls(arguments: Sequence[str] | None = None) -> None:
    """Runs ic-https-outcalls-adapter."""
    run("ic-https-outcalls-adapter", lambda: _serve("ic-https-outcalls-adapter", arguments))


def _serve(program: str, arguments: Sequence[str] | None) -> int:
    flags = parser(program, "Connects the replica to another network.")
    flags.add_argument("config", metavar="FILE", type=Path, help="configuration of the adapter")
    path = flags.parse_args(arguments).config
    try:
        values = json5.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StandInError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    check = check_bitcoin if program == "ic-btc-adapter" else check_https_outcalls
    unit = check(values, str(path))
    requests, metrics = activated_sockets(f"{unit}.socket")
    Server(requests, lambda asked: f"{unit}\n" if asked == "/name" else None).start()
    Server(metrics, lambda asked: "stand_in_adapter_up 1\n" if asked == "/metrics" else None).start()
    say(program, f"{NOTICE}; serves as {unit} with {path}")
    while True:
        signal.pause()
