"""Writes the configuration by which rsyslog ships the journal to Elasticsearch.

The hosts and tags are those of filebeat.conf in the config store, else of journalbeat.conf; the names are from the
programs that other systems of the IC ship logs with. The keys of both files have lists with blanks between:

    elasticsearch_hosts, journalbeat_hosts   HOST or HOST:PORT, by default port 443; over TLS, unless it is http://HOST
    elasticsearch_tags, journalbeat_tags     words for the field `tags` of each document; may be missing

A document has the fields of the journal. If the message is a JSON object, `json` has its members, but for `log_entry`,
which stands by itself. The index is `ic-logs-` and the date.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from guestos import settings
from guestos.errors import GuestError

CONFIG = "/boot/config"
OUTPUT = "/run/ic-node/etc/filebeat/rsyslog.conf"
STATE = "/var/lib/filebeat"

NOTHING_TO_SHIP = 1
FAILED = 255
"""Exit statuses of an ExecCondition= of systemd: the service is skipped, or fails."""

_FILES = {
    "filebeat.conf": ("elasticsearch_hosts", "elasticsearch_tags"),
    "journalbeat.conf": ("journalbeat_hosts", "journalbeat_tags"),
}
_HOST = re.compile(r"(https?://)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_.:/=@-]+")

_TEMPLATE = """\
# Made by log-shipping.service at each start.
global(workDirectory="{state}")
module(load="imjournal" StateFile="position" FileCreateMode="0600" Ratelimit.Interval="0")
module(load="mmjsonparse")
module(load="omelasticsearch")

template(name="index" type="list") {{
    constant(value="ic-logs-")
    property(name="timereported" dateFormat="year")
    constant(value=".")
    property(name="timereported" dateFormat="month")
    constant(value=".")
    property(name="timereported" dateFormat="day")
}}

template(name="document" type="list") {{
    constant(value="{{\\"tags\\":{tags},")
    property(name="timereported" outname="@timestamp" dateFormat="rfc3339" format="jsonf")
    constant(value=",")
    property(name="$!all-json-plain" position.from="2")
}}

action(type="mmjsonparse" cookie="" container="$!json")
if $parsesuccess != "OK" then {{
    unset $!json;
}} else if $!json!log_entry != "" then {{
    set $!log_entry = $!json!log_entry;
    unset $!json!log_entry;
}}
action(
    type="omelasticsearch"
    server={hosts}
    serverport="443"
    usehttps="on"
    template="document"
    searchIndex="index"
    dynSearchIndex="on"
    searchType=""
    bulkmode="on"
    action.resumeRetryCount="-1"
    queue.type="LinkedList"
    queue.filename="elasticsearch"
    queue.maxDiskSpace="256m"
    queue.saveOnShutdown="on"
)
"""


@dataclass(frozen=True, slots=True)
class Shipping:
    """Where logs go.

    Attributes:
        hosts: of Elasticsearch.
        tags: of each document.
    """

    hosts: tuple[str, ...]
    tags: tuple[str, ...]


def main(config: str = CONFIG, output: str = OUTPUT, state: str = STATE) -> int:
    """Writes the configuration.

    Args:
        config: folder with the settings.
        output: path of the configuration.
        state: folder for what rsyslog has to keep.

    Returns:
        The exit status: 0, NOTHING_TO_SHIP if no host is configured, or FAILED with a message.
    """
    try:
        shipping = read(config)
        if shipping is None:
            print("no host for logs is configured")
            return NOTHING_TO_SHIP
        with open(f"{output}.new", "w", encoding="ascii") as file:
            # rsyslog's account reads it, whatever the umask of its service is.
            os.fchmod(file.fileno(), 0o644)
            file.write(rsyslog_configuration(shipping, state))
        os.replace(f"{output}.new", output)
    except (GuestError, OSError) as error:
        print(f"<3>logs are not shipped: {error}", file=sys.stderr)
        return FAILED
    return 0


def read(config: str) -> Shipping | None:
    """Returns where logs go; None if no host is configured.

    Args:
        config: folder with the settings.

    Raises:
        GuestError: a file cannot be read, or one of its values is invalid.
    """
    for name, (hosts_key, tags_key) in _FILES.items():
        found = settings.read(os.path.join(config, name), (hosts_key, tags_key))
        if hosts_key in found:
            return Shipping(
                _checked(found[hosts_key], hosts), _checked(found[tags_key], tags) if tags_key in found else ()
            )
    return None


def _checked(setting: settings.Setting, check: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return check(setting.value)
    except ValueError as error:
        raise GuestError(f"{setting.origin}: {error}") from error


def hosts(text: str) -> tuple[str, ...]:
    """Returns the hosts in a list with blanks between.

    Raises:
        ValueError: one of them is invalid.
    """
    return _words(text, _HOST, "a host, such as logs.example.org:443")


def tags(text: str) -> tuple[str, ...]:
    """Returns the tags in a list with blanks between.

    Raises:
        ValueError: one of them is invalid.
    """
    return _words(text, _TAG, "a tag of letters, digits and _ . : / = @ -")


def _words(text: str, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
    words = tuple(text.split())
    for word in words:
        if not pattern.fullmatch(word):
            raise ValueError(f"{word!r} is not {what}")
    return words


def rsyslog_configuration(shipping: Shipping, state: str) -> str:
    """Returns the content of rsyslog.conf.

    Args:
        shipping: where logs go.
        state: folder for the position in the journal, and for what waits for a host that does not answer.
    """
    quoted = json.dumps(shipping.tags).replace('"', '\\"')
    return _TEMPLATE.format(hosts=json.dumps(shipping.hosts), state=state, tags=quoted)
