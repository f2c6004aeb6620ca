"""Generates ic.json5, the configuration of orchestrator, replica and crypto service, from a template.

A mark of the template, `{{ name }}`, is replaced by the value of a setting in the config store, or by its default.
Every value is checked before it is inserted, so that the result is valid JSON5 whatever the files contain. An invalid
one is an error if the node could not work without it (the address, the NNS); else its default is used, with a warning.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guestos import durable, ignored_settings, network, settings
from guestos.addresses import own_address
from guestos.errors import GuestError
from guestos.metrics import FOLDER

_PROGRAM = "generate-replica-config.sh"
_MARK = re.compile(r"\{\{(.*?)\}\}")
_ADDRESS_SECONDS = 120
"""How long a machine without a configured address waits for one by router advertisements."""

_LARGEST_NUMBER = 2**64 - 1
_URL = re.compile(r"""https?://[^\s"'\\,<>{}|^`]+""")


def _number(text: str) -> str:
    if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_NUMBER):
        raise ValueError(f"{text!r} is not a number from 0 to 2^64-1")
    return str(int(text))


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError(f"{text!r} is not a URL that begins with http:// or https://")
    return text


def _urls(text: str) -> str:
    """Checks a list of URLs; older tools separate them by blanks, the orchestrator expects commas."""
    urls = [url for url in re.split(r"[\s,]+", text) if url]
    if not urls:
        raise ValueError(f"{text!r} has no URL")
    return ",".join(map(_url, urls))


def _json(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error


def _as_json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    text.encode()  # raises a ValueError if a string has half of a surrogate pair, which UTF-8 doesn't have
    return text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _names(text: str) -> str:
    value = _json(text)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('is not a JSON list of strings, such as ["ic_consensus::consensus"]')
    return _as_json(value)


def _object(text: str) -> str:
    value = _json(text)
    if value is not None and not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return _as_json(value)


def _ipv4_interface(text: str) -> str:
    if "/" not in text:
        raise ValueError(f"{text!r} has no prefix length, such as /24")
    return ipaddress.IPv4Interface(text).with_prefixlen


def _ipv4(text: str) -> str:
    return str(ipaddress.IPv4Address(text))


@dataclass(frozen=True, slots=True)
class _Value:
    """A mark of the template, and the setting that replaces it.

    Attributes:
        option: the option of the command line with the file, without its hyphen.
        keys: the names of the setting in the file; the newest first.
        convert: checks the setting and returns what to insert; raises a ValueError.
        default: what to insert if the setting is not given.
        needed: whether an invalid setting is an error; else its default is used.
    """

    option: str
    keys: tuple[str, ...]
    convert: Callable[[str], str]
    default: str
    needed: bool = False


_VALUES = {
    "ipv4_address": _Value("n", ("ipv4_address",), _ipv4_interface, ""),
    "ipv4_gateway": _Value("n", ("ipv4_gateway",), _ipv4, ""),
    "domain": _Value("n", ("domain",), network.domain, ""),
    "nns_url": _Value("c", ("nns_url", "nns_urls"), _urls, "http://[::1]:8080", needed=True),
    "backup_retention_time_secs": _Value("b", ("backup_retention_time_secs",), _number, "86400"),
    # The tools that write backup.conf misspell the key.
    "backup_purging_interval_secs": _Value(
        "b", ("backup_puging_interval_secs", "backup_purging_interval_secs"), _number, "3600"
    ),
    "replica_log_debug_overrides": _Value("l", ("replica_log_debug_overrides", "log_debug_overrides"), _names, "[]"),
    "malicious_behavior": _Value("m", ("malicious_behavior",), _object, "null"),
    "query_stats_epoch_length": _Value("q", ("query_stats_epoch_length",), _number, "600"),
    "jaeger_addr": _Value("t", ("jaeger_addr",), _url, ""),
}

_FILES = {
    "n": "network.conf",
    "c": "nns.conf",
    "b": "backup.conf",
    "l": "log.conf",
    "m": "malicious_behavior.conf",
    "q": "query_stats.conf",
    "t": "jaeger_addr.conf",
}

Warn = Callable[[str], object]
Address = Callable[[], ipaddress.IPv6Address | None]


def main(
    arguments: Sequence[str] | None = None,
    address: Address = own_address,
    wait: float = _ADDRESS_SECONDS,
    metrics: str = FOLDER,
) -> int:
    """Generates the file and returns the exit status.

    Args:
        arguments: the command line without the program; by default that of this process.
        address: returns the address that the machine got by itself, or None.
        wait: how long to wait for such an address, in seconds.
        metrics: directory for the metric of settings that are ignored.
    """
    ignored: list[str] = []
    options = _parser().parse_args(arguments)
    try:
        files = {option: path for option in _FILES if (path := getattr(options, option)) is not None}
        template = Path(options.i).read_text(encoding="utf-8")
        text = fill(template, options.i, values(files, address, wait, ignored.append))
        ignored_settings.report(_PROGRAM, Path(options.o).name, ignored, metrics)
        durable.replace(options.o, text.encode(), mode=0o644)
    except (OSError, UnicodeDecodeError) as error:
        print(f"{_PROGRAM}: error: {options.i}: cannot be read: {error}", file=sys.stderr)
        return 1
    except GuestError as error:
        print(f"{_PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Generates the configuration of the replica from a template and the files of the config store.",
        epilog="A file that is not given or does not exist counts as empty.",
        allow_abbrev=False,
    )
    for option, name in _FILES.items():
        parser.add_argument(f"-{option}", metavar="FILE", help=f"path of {name}")
    parser.add_argument("-i", metavar="FILE", required=True, help="the template")
    parser.add_argument("-o", metavar="FILE", required=True, help="the file to write")
    return parser


def fill(template: str, origin: str, inserted: dict[str, str]) -> str:
    """Returns a template with all marks replaced.

    Args:
        template: the text.
        origin: its name for messages.
        inserted: the texts to insert, by the names of marks.

    Raises:
        GuestError: the template has a mark without a value.
    """

    def value(mark: re.Match[str]) -> str:
        name = mark[1].strip()
        if name not in inserted:
            line = template.count("\n", 0, mark.start()) + 1
            raise GuestError(f"{origin}:{line}: nothing is known to insert for {mark[0]!r}")
        return inserted[name]

    return _MARK.sub(value, template)


def values(files: dict[str, str], address: Address, wait: float, warn: Warn = lambda _: None) -> dict[str, str]:
    """Returns what to insert for each mark.

    Args:
        files: paths of the files by the options that name them.
        address: returns the address that the machine got by itself, or None.
        wait: how long to wait for such an address, in seconds.
        warn: is called once with each message about a setting that is invalid, and whose default is used.

    Raises:
        GuestError: a setting is invalid that the node needs, or the machine has no IPv6 address.
    """
    inserted = {"node_index": "0"}
    messages: dict[str, None] = {}
    for mark, value in _VALUES.items():
        try:
            inserted[mark] = _inserted(value, files.get(value.option), messages.setdefault)
        except GuestError as error:
            if value.needed:
                raise
            messages[str(error)] = None
            inserted[mark] = value.default
    if not inserted["ipv4_address"]:
        inserted["ipv4_gateway"] = ""
    inserted["ipv6_address"] = _ipv6_address(files.get("n"), address, wait)
    for message in messages:
        warn(message)
    return inserted


def check(mark: str, text: str) -> None:
    """Checks the value of a setting as it is checked when it replaces a mark of the template.

    Args:
        mark: name of the mark.
        text: the value.

    Raises:
        ValueError: the value is invalid.
    """
    _VALUES[mark].convert(text)


def _inserted(value: _Value, path: str | None, invalid: Warn) -> str:
    given = settings.read(path, value.keys, invalid) if path is not None else {}
    for key in value.keys:
        if key in given:
            try:
                return value.convert(given[key].value)
            except ValueError as error:
                raise GuestError(f"{given[key].origin}: {key}: {error}") from error
    return value.default


def _ipv6_address(path: str | None, address: Address, wait: float) -> str:
    """Returns the address in network.conf, or the one that the machine has."""
    if path is not None and os.path.exists(path):
        configured = network.read(path, invalid=lambda _: None).address
        if configured is not None:
            return str(configured.ip)
    deadline = time.monotonic() + wait
    while (found := address()) is None:
        if time.monotonic() >= deadline:
            raise GuestError(
                f"this machine has no IPv6 address after {wait:g} s: set ipv6_address in network.conf, or check that "
                "its network sends router advertisements"
            )
        time.sleep(min(1.0, wait))
    return str(found)


if __name__ == "__main__":
    sys.exit(main())
