import os

import pytest

from guestos import guestos_tool, network
from guestos.guestos_tool import main

SCRIPT = "/opt/ic/bin/guestos_tool"
ACTION = "regenerate-network-config"
OPTIONS = ["--ipv4-address=192.0.2.5", "--ipv4-prefix-length=24", "--ipv4-gateway=192.0.2.1"]
CONF = "ipv6_address=2001:db8::5\nipv6_gateway=2001:db8::1\nipv4_address=198.51.100.2/24\nipv4_gateway=198.51.100.1\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose network.conf and .network file are in a folder: that file, and the commands that were run."""
    monkeypatch.setattr(network, "CONFIG", str(tmp_path / "network.conf"))
    monkeypatch.setattr(network, "FOLDER", str(tmp_path))
    monkeypatch.setattr(network, "first_interface", lambda: "ens3")
    commands = []
    monkeypatch.setattr(guestos_tool, "_run", lambda command: commands.append(" ".join(command)))
    monkeypatch.setattr(guestos_tool.privilege, "become_root", lambda *_: None)
    return tmp_path / "10-ens3.network", commands


def configured(machine, conf=CONF):
    path, commands = machine
    (path.parent / "network.conf").write_text(conf)
    network.write(network.read(network.CONFIG), "ens3", network.FOLDER)
    return path, commands


def test_the_address_of_the_registry_replaces_that_of_network_conf(machine):
    path, commands = configured(machine)
    assert main(SCRIPT, [ACTION, *OPTIONS]) == 0
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith(("Address=", "Gateway="))] == [
        "Address=2001:db8::5/64",
        "Gateway=2001:db8::1",
        "Address=192.0.2.5/24",
        "Gateway=192.0.2.1",
    ]
    expected = ["/usr/bin/networkctl reload", "/usr/bin/networkctl reconfigure ens3"]
    assert commands == expected
    assert main(SCRIPT, [ACTION, *OPTIONS]) == 0
    assert commands == expected, "nothing changed"


def test_without_options_the_address_is_removed(machine):
    path, commands = configured(machine)
    assert main(SCRIPT, [ACTION]) == 0
    assert "198.51.100" not in path.read_text()
    assert "Address=2001:db8::5/64" in path.read_text()
    assert len(commands) == 2


def test_a_machine_without_network_conf_keeps_its_default(machine):
    path, commands = machine
    assert main(SCRIPT, [ACTION]) == 0
    assert (path.exists(), commands) == (False, [])
    assert main(SCRIPT, [ACTION, *OPTIONS]) == 0
    assert "IPv6AcceptRA=yes" in path.read_text()
    assert "Address=192.0.2.5/24" in path.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (OPTIONS[:2], "give all of --ipv4-address, --ipv4-prefix-length and --ipv4-gateway, or none of them"),
        (["--ipv4-address=a", *OPTIONS[1:]], "the address is invalid: Expected 4 octets in 'a'"),
        ([OPTIONS[0], "--ipv4-prefix-length=33", OPTIONS[2]], "the address is invalid: '33' is not a valid netmask"),
        ([OPTIONS[0], "--ipv4-prefix-length=a/b", OPTIONS[2]], "the address is invalid: 'a/b' is not the length of a"),
        ([*OPTIONS[:2], "--ipv4-gateway=::1"], "the address is invalid: Expected 4 octets in '::1'"),
    ],
)
def test_invalid_options_change_nothing(machine, capsys, options, message):
    path, commands = configured(machine)
    before = path.read_text()
    assert main(SCRIPT, [ACTION, *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"guestos_tool: error: {message}")
    assert error.count("\n") == 1
    assert (path.read_text(), commands) == (before, [])


def test_an_invalid_network_conf_is_an_error(machine, capsys):
    path, commands = configured(machine)
    (path.parent / "network.conf").write_text("ipv6_address=x\n")
    assert main(SCRIPT, [ACTION, *OPTIONS]) == 1
    assert "network.conf:1: ipv6_address: " in capsys.readouterr().err
    assert commands == []


def test_it_is_run_as_root(machine, monkeypatch):
    calls = []
    monkeypatch.setattr(guestos_tool.privilege, "become_root", lambda *arguments: calls.append(arguments))
    assert main(SCRIPT, [ACTION, *OPTIONS]) == 0
    assert calls == [(SCRIPT, [ACTION, *OPTIONS])]


def test_a_command_that_fails_is_an_error(machine, monkeypatch, tmp_path, capsys):
    monkeypatch.undo()
    failing = tmp_path / "networkctl"
    failing.write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    os.chmod(failing, 0o755)
    with pytest.raises(guestos_tool.GuestError, match=r"/networkctl reload failed: no bus$"):
        guestos_tool._run([str(failing), "reload"])


def test_other_actions_are_refused(capsys):
    for arguments in ([], ["nonsense"], [ACTION, "more"]):
        with pytest.raises(SystemExit) as ended:
            main(SCRIPT, arguments)
        assert ended.value.code == 2
