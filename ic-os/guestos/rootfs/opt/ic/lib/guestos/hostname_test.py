import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestos import hostname, network
from guestos.errors import GuestError
from guestos.hostname import chosen, derived, set_name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("2001:4d78:40d:0:5000:20ff:fed1:a380", "ip62001-4d78-40d-0-5000-20ff-fed1-a380"),
        ("2001:db8::10", "ip62001-db8x10"),
        ("2001:db8::", "ip62001-db8x"),
        ("::1", "ip6x1"),
        ("fe80::1%é", "ip6fe80x1"),
    ],
)
def test_a_derived_name(address, name):
    assert derived(ipaddress.IPv6Address(address)) == name


@given(st.ip_addresses(v=6))
def test_a_derived_name_is_a_host_name(address):
    name = derived(address)
    assert network.parse(f"hostname={name}", "x").hostname == name


@pytest.mark.parametrize(
    ("text", "own", "name"),
    [
        ("hostname=a\nipv6_address=2001:db8::5", "2001:db8::6", "a"),
        ("hostname=\nipv6_address=2001:db8::5/64", "2001:db8::6", "ip62001-db8x5"),
        ("hostname=", "2001:db8::6", "ip62001-db8x6"),
        ("hostname=-a", "2001:db8::6", "ip62001-db8x6"),
        ("", None, None),
        (None, "2001:db8::6", None),
    ],
)
def test_the_name_that_is_chosen(tmp_path, text, own, name):
    path = tmp_path / "network.conf"
    if text is not None:
        path.write_text(text)
    assert chosen(str(path), own) == name


def test_the_name_is_set(tmp_path, monkeypatch):
    monkeypatch.setattr(hostname.subprocess, "run", lambda *_, **__: target.unlink() or target.hardlink_to(file))
    target, file = tmp_path / "hostname", tmp_path / "run" / "etc" / "hostname"
    target.write_text("guestos\n")
    names = []
    for name in ("long-name-of-a-node", "node"):
        set_name(name, str(target), str(file), names.append)
        assert target.read_text() == f"{name}\n"
    assert names == ["long-name-of-a-node", "node"]


def test_it_is_mounted_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(hostname.subprocess, "run", lambda command, **_: calls.append(command))
    target, file = tmp_path / "hostname", tmp_path / "file"
    target.write_text("guestos\n")
    set_name("a", str(target), str(file), lambda _: None)
    assert calls == [["/usr/bin/mount", "--bind", str(file), str(target)]]
    target.unlink()
    target.hardlink_to(file)
    set_name("b", str(target), str(file), lambda _: None)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("ipv6_address=x", [], "network.conf:1: ipv6_address: 'x/64' is not an IPv6 address, such as 2001:db8::2/64"),
        ("", ["nonsense"], "'nonsense' is not an IPv6 address"),
        ("", ["::1", "::2"], "usage: setup-hostname.sh [IPV6_ADDRESS]"),
    ],
)
def test_errors_are_one_line(tmp_path, monkeypatch, capsys, text, arguments, message):
    (tmp_path / "network.conf").write_text(text)
    monkeypatch.setattr(network, "CONFIG", str(tmp_path / "network.conf"))
    monkeypatch.setattr(socket, "sethostname", pytest.fail)
    assert hostname.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("<3>setup-hostname.sh: error: ")
    assert error.endswith(f"{message}\n")
    assert error.count("\n") == 1


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(GuestError, match="cannot be written"):
        set_name("a", str(tmp_path / "missing"), str(tmp_path / "file"), pytest.fail)
