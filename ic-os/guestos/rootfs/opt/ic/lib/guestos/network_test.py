import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestos import network
from guestos.errors import GuestError
from guestos.network import Network, first_interface, networkd_file, parse, read, write

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
    lines = networkd_file(parse(STATIC, "x"), "enp1s0").splitlines()
    assert lines == [
        "[Match]",
        "Name=enp1s0",
        "Virtualization=!container",
        "",
        "[Network]",
        "LinkLocalAddressing=ipv6",
        "IPv6AcceptRA=no",
        "Address=2001:db8::5/48",
        "Gateway=2001:db8::1",
        "DNS=2001:4860:4860::8888",
        "DNS=8.8.8.8",
    ]


def test_without_an_address_router_advertisements_are_accepted():
    assert "IPv6AcceptRA=yes" in networkd_file(parse("", "x"), "enp1s0")
    assert "\nAddress=" not in networkd_file(parse("hostname=a", "x"), "enp1s0")


def test_the_default_length_of_a_prefix_is_64():
    assert parse("ipv6_address=2001:db8::5", "x").address == ipaddress.IPv6Interface("2001:db8::5/64")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hostname=-a", "hostname: '-a' is not a host name"),
        ("hostname=a..b", "is not a host name"),
        ("hostname=" + "a" * 65, "is not a host name"),
        ("hostname=a b", "is not a host name"),
        ("ipv6_address=10.0.0.1", "ipv6_address: "),
        ("ipv6_address=2001:db8::5/129", "ipv6_address: "),
        ("ipv6_address=::/64", "ipv6_address: '::/64' is not an IPv6 address"),
        ("ipv6_address=::1/128", "ipv6_address: "),
        ("ipv6_address=fe80::5/64", "ipv6_address: "),
        ("ipv6_address=ff02::1", "ipv6_address: "),
        ("ipv6_gateway=nonsense\nipv6_address=::5", "ipv6_gateway: "),
        ("ipv6_gateway=fe80::1%eth0\nipv6_address=::5", "ipv6_gateway: 'fe80::1%eth0' is not an IPv6 address"),
        ("ipv6_gateway=fe80::1%é\nipv6_address=::5", "ipv6_gateway: 'fe80::1%é' is not an IPv6 address"),
        ("ipv6_address=::5%é/64", "ipv6_address: "),
        ("ipv6_address=::5/" + "9" * 5000, "ipv6_address: '.{61}' is not an IPv6 address"),
        ("name_servers=a.b", "name_servers: 'a.b' is not the address of a name server"),
        ("name_servers=::1 fe80::1%é", "name_servers: 'fe80::1%é' is not the address of a name server"),
        ("ipv4_address=192.0.2.1", "ipv4_address: '192.0.2.1' is not an IPv4 address with the length"),
        ("ipv4_address=192.0.2.1/33", "ipv4_address: '192.0.2.1/33' is not"),
        ("ipv4_gateway=::1\nipv4_address=192.0.2.1/24", "ipv4_gateway: '::1' is not an IPv4 address"),
        ("domain=a b", "domain: 'a b' is not a domain name"),
        ("domain=" + "a." * 127, "domain: '.{61}' is not a domain name"),
        ("hostname", "expected KEY=VALUE, not 'hostname'"),
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
    with pytest.raises(GuestError, match="ipv4_gateway is given without ipv4_address"):
        parse("ipv6_address=::5\nipv4_gateway=192.0.2.1", "x")


def test_unknown_keys_are_ignored_with_a_warning():
    warnings = []
    text = "nonsense=1\nhostname=a\n" + "k" * 5000 + "=\n"
    assert parse(text, "network.conf", warnings.append) == Network(hostname="a")
    assert warnings == [
        "network.conf:1: 'nonsense' is not known and is ignored",
        f"network.conf:3: '{'k' * 60}…' is not known and is ignored",
    ]


# What the tools of the reference write for one machine, at their different ages.
S22 = "ipv6_address=\nipv6_gateway=\nname_servers=\nhostname=\n"
S23 = (
    "ipv6_address=2001:db8::10/64\nipv6_gateway=2001:db8::1\nname_servers=2606:4700:4700::1111 2606:4700:4700::1001\n"
    "ipv6_prefixes=\nhostname=guest-b07b25aabbcc\n\n\n\n"
)
S24 = "\n\nhostname=a\nipv4_address=192.0.2.2/28\nipv4_gateway=192.0.2.1\ndomain=node.example\n"


def test_empty_values_and_lines_count_as_not_given():
    assert parse(S22, "x", pytest.fail) == Network()


def test_a_file_of_another_systems_editor():
    text = "\ufeff" + S23.replace("\n", "\r\n")
    assert parse(text, "x", pytest.fail) == parse(S23, "x", pytest.fail)


def test_a_file_of_the_reference():
    settings = parse(S23, "x", pytest.fail)
    assert settings.hostname == "guest-b07b25aabbcc"
    lines = networkd_file(settings, "ens3").splitlines()
    assert lines[-5:] == [
        "IPv6AcceptRA=no",
        "Address=2001:db8::10/64",
        "Gateway=2001:db8::1",
        "DNS=2606:4700:4700::1111",
        "DNS=2606:4700:4700::1001",
    ]


def test_ipv4_beside_router_advertisements():
    settings = parse(S24, "x", pytest.fail)
    assert settings.domain == "node.example"
    lines = networkd_file(settings, "ens3").splitlines()
    assert lines[-3:] == ["IPv6AcceptRA=yes", "Address=192.0.2.2/28", "Gateway=192.0.2.1"]


def test_prefixes_of_older_releases_are_not_read():
    assert parse("ipv6_prefixes=2001:db8::/32, nonsense", "x", pytest.fail) == Network()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("hostname=-a", Network()),
        ("hostname=a\nhostname=b", Network(hostname="a")),
        ("name_servers=a.b\ndomain=node.example", Network(domain="node.example")),
        ("domain=a b\nhostname=a", Network(hostname="a")),
        ("nonsense\nhostname=a", Network(hostname="a")),
        ("ipv4_gateway=192.0.2.1", Network()),
        ("ipv4_gateway=x\nipv4_address=192.0.2.2/24", Network(ipv4_address=ipaddress.IPv4Interface("192.0.2.2/24"))),
    ],
)
def test_optional_lines_that_are_invalid_can_be_ignored(text, left):
    messages = []
    assert parse(text, "network.conf", pytest.fail, messages.append) == left
    with pytest.raises(GuestError) as error:
        parse(text, "network.conf")
    assert messages == [str(error.value)]


@pytest.mark.parametrize(
    "text",
    [
        "ipv6_address=x",
        "ipv6_gateway=x\nipv6_address=::5",
        "ipv6_gateway=fe80::1",
        "ipv6_address=::5\nipv6_address=::6",
    ],
)
def test_the_address_is_never_ignored(text):
    with pytest.raises(GuestError, match="ipv6_"):
        parse(text, "network.conf", pytest.fail, pytest.fail)


def test_what_is_ignored_is_reported(tmp_path, monkeypatch, capsys):
    (tmp_path / "network.conf").write_text("ipv6_address=2001:db8::5\ndomain=a b\n")
    monkeypatch.setattr(network, "CONFIG", str(tmp_path / "network.conf"))
    monkeypatch.setattr(network, "FOLDER", str(tmp_path))
    monkeypatch.setattr(network, "first_interface", lambda: "ens3")
    reports = []
    monkeypatch.setattr(network.ignored_settings, "report", lambda *arguments: reports.append(arguments))
    assert network.main() == 0
    message = f"{tmp_path}/network.conf:2: domain: 'a b' is not a domain name"
    assert reports == [("generate-network-config.py", "network", [message])]
    assert "Address=2001:db8::5/64" in (tmp_path / "10-ens3.network").read_text()
    assert capsys.readouterr().err == ""


VALUES = {
    "hostname": ["", "a", "-a", "é"],
    "ipv6_address": ["", "2001:db8::5", "2001:db8::5/48", "fe80::1%é", "9" * 5000],
    "ipv6_gateway": ["", "fe80::1", "fe80::1%é", "x"],
    "name_servers": ["", "::1", "::1 192.0.2.1", ","],
    "ipv6_prefixes": ["", "2001:db8::/32", "/"],
    "ipv4_address": ["", "192.0.2.2/24", "192.0.2.2/" + "1" * 5000],
    "ipv4_gateway": ["", "192.0.2.1", "1" * 5000],
    "domain": ["", "node.example", "\0"],
    "other": ["", "x"],
}


@given(st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()}))
def test_every_combination_is_taken_or_refused(values):
    text = "".join(f"{key}={value}\n" for key, value in values.items())
    warnings = []
    try:
        settings = parse(text, "x", warnings.append)
    except GuestError as error:
        message = str(error)
        assert len(message) < 300
        return
    assert len(warnings) == ("other" in values)
    file = networkd_file(settings, "ens3")
    assert file.isascii()
    for key in ("ipv6_address", "ipv4_address", "ipv6_gateway", "ipv4_gateway"):
        setting = "Address" if key.endswith("address") else "Gateway"
        assert (f"\n{setting}={values[key]}" in file) if values.get(key) else True


@given(st.text())
def test_any_text_is_taken_or_refused(text):
    try:
        file = networkd_file(parse(text, "x"), "ens3")
    except GuestError:
        return
    assert file.isascii()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hostname=\xff", "is not UTF-8: invalid start byte at byte 9"),
        (b"#" * (1 << 17), "has more than 65536 bytes"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, data, message):
    path = tmp_path / "network.conf"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(GuestError, match=f"network.conf: {message}"):
        read(str(path))


@pytest.fixture
def class_net(tmp_path):
    """sysfs with a virtual interface, which is the first by name, and two of hardware."""
    folder = tmp_path / "class" / "net"
    folder.mkdir(parents=True)
    for name, device in (("bond0", "virtual/net"), ("lo", "virtual/net"), ("ens4", "pci/net"), ("ens3", "pci/net")):
        (tmp_path / "devices" / device / name).mkdir(parents=True)
        (folder / name).symlink_to(tmp_path / "devices" / device / name)
    return folder


def test_the_first_hardware_interface_is_configured(tmp_path, class_net):
    assert first_interface(str(class_net)) == "ens3"
    write(parse(STATIC, "x"), "ens3", str(tmp_path / "run"))
    assert (tmp_path / "run" / "10-ens3.network").read_text() == networkd_file(parse(STATIC, "x"), "ens3")


def test_a_machine_without_an_interface(tmp_path, monkeypatch, capsys):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(GuestError, match="this machine has no network interface"):
            first_interface(str(path))
    (tmp_path / "network.conf").write_text("")
    monkeypatch.setattr(network, "CONFIG", str(tmp_path / "network.conf"))
    monkeypatch.setattr(network, "first_interface", lambda: first_interface(str(tmp_path / "missing")))
    assert network.main() == 1
    assert capsys.readouterr().err.endswith(
        "has no network interface; the network uses router advertisements and DHCP\n"
    )


def test_values_cannot_inject_other_settings_into_the_file():
    for text in ("name_servers=::1\x0b[Match]", "hostname=a\x1cDNS=::1"):
        with pytest.raises(GuestError):
            parse(text, "x")
