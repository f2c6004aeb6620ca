import ipaddress

import pytest

from guestos.errors import GuestError
from guestos.network import Network, networkd_file, parse

STATIC = """\
# from the bootstrap configuration
hostname=node-1.example
ipv6_address = 2001:db8::5/48
ipv6_gateway=2001:db8::1

name_servers=2001:4860:4860::8888, 8.8.8.8
"""


def test_reads_all_keys():
    assert parse(STATIC, "network.conf") == Network(
        hostname="node-1.example",
        address=ipaddress.IPv6Interface("2001:db8::5/48"),
        gateway=ipaddress.IPv6Address("2001:db8::1"),
        name_servers=(ipaddress.ip_address("2001:4860:4860::8888"), ipaddress.ip_address("8.8.8.8")),
    )


def test_a_static_address():
    lines = networkd_file(parse(STATIC, "x")).splitlines()
    assert lines[lines.index("[Network]") :] == [
        "[Network]",
        "LinkLocalAddressing=ipv6",
        "IPv6AcceptRA=no",
        "Address=2001:db8::5/48",
        "Gateway=2001:db8::1",
        "DNS=2001:4860:4860::8888",
        "DNS=8.8.8.8",
    ]


def test_without_an_address_router_advertisements_are_accepted():
    assert "IPv6AcceptRA=yes" in networkd_file(parse("", "x"))
    assert "\nAddress=" not in networkd_file(parse("hostname=a", "x"))


def test_the_default_length_of_a_prefix_is_64():
    assert parse("ipv6_address=2001:db8::5", "x").address == ipaddress.IPv6Interface("2001:db8::5/64")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hostname=-a", "hostname: '-a' is not a host name"),
        ("hostname=a..b", "is not a host name"),
        ("hostname=" + "a" * 65, "is not a host name"),
        ("hostname=a b", "is not a host name"),
        ("hostname=", "is not a host name"),
        ("ipv6_address=10.0.0.1", "ipv6_address: "),
        ("ipv6_address=2001:db8::5/129", "ipv6_address: "),
        ("ipv6_gateway=nonsense\nipv6_address=::5", "ipv6_gateway: "),
        ("name_servers=a.b", "name_servers: "),
        ("nonsense=1", "expected KEY=VALUE with one of hostname, ipv6_address"),
        ("hostname", "expected KEY=VALUE with one of hostname, ipv6_address"),
        ("hostname=a\nhostname=b", "hostname is given twice"),
    ],
)
def test_a_wrong_line_is_named(line, message):
    number = 3 if "twice" in message else 2
    with pytest.raises(GuestError, match=f"network.conf:{number}: .*{message}"):
        parse(f"# first\n{line}\n", "network.conf")


def test_a_gateway_needs_an_address():
    with pytest.raises(GuestError, match="ipv6_gateway is given without ipv6_address"):
        parse("ipv6_gateway=fe80::1", "x")


def test_values_cannot_inject_other_settings_into_the_file():
    for text in ("name_servers=::1\x0b[Match]", "hostname=a\x1cDNS=::1"):
        with pytest.raises(GuestError):
            parse(text, "x")
