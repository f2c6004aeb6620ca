"""The launcher says which ports of this machine lead where; what the image has is not known to it."""

from tools.commands.vm_launcher import Arguments, introduction


def test_ports():
    lines = introduction(Arguments(disk="disk.tar", http_port=8000, http_target=80), "tcg").splitlines()
    assert lines == [
        "Starting the machine (tcg). Ctrl-A X ends it.",
        "127.0.0.1:2222 leads to port 22 of the machine: SSH, if it has that.",
        "127.0.0.1:8000 leads to port 80 of the machine.",
    ]


def test_no_ports():
    lines = introduction(Arguments(disk="disk.tar", http_port=0, ssh_port=0), "kvm").splitlines()
    assert lines == ["Starting the machine (kvm). Ctrl-A X ends it."]
