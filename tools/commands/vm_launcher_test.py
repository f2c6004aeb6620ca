"""The launcher says which ports of this machine lead where; what the image has is not known to it."""

from tools.commands import vm_launcher
from tools.commands.vm_launcher import Arguments, introduction
from tools.core.cli import call


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


def test_another_name_of_a_processor_says_what_to_give(capsys):
    assert call(vm_launcher.main, Arguments, None, ["vm_launcher", "disk.tar", "--architecture=arm64"]) == 2
    assert capsys.readouterr().err.endswith(
        "--architecture: arm64: is not one that machines can have; give aarch64 or x86_64\n"
    )
