import os
import subprocess
import sys
from pathlib import Path

import pytest

from guestos import durable, manageboot, privilege, privileged_scripts
from guestos.errors import GuestError

SCRIPT = "/opt/ic/bin/manageboot.sh"


@pytest.fixture
def ran(monkeypatch):
    """The commands that replaced this process, which is not root."""
    commands = []

    def execv(path, command):
        commands.append((path, command))
        raise SystemExit(0)

    monkeypatch.setattr(os, "geteuid", lambda: 611)
    monkeypatch.setattr(os, "execv", execv)
    # A sandbox of the build may have set it for the test.
    monkeypatch.setattr(privilege, "no_new_privileges", lambda: False)
    return commands


@pytest.mark.parametrize(
    "arguments",
    [
        ["confirm"],
        ["upgrade-commit"],
        ["upgrade-install", "/a b"],
        ["metrics"],
        ["end-trial"],
        ["update-loader"],
        ["guestos", "confirm"],
    ],
)
def test_actions_that_need_root_are_run_by_sudo(ran, arguments):
    with pytest.raises(SystemExit):
        manageboot.main(arguments, script=SCRIPT)
    expected = arguments[1:] if arguments[0] == "guestos" else arguments
    assert ran == [("/usr/bin/sudo", ["/usr/bin/sudo", "--non-interactive", "--", SCRIPT, *expected])]


def test_queries_help_and_errors_of_usage_need_no_root(ran, tmp_path):
    assert manageboot.main(["-f", str(tmp_path / "grubenv"), "next"], script=SCRIPT) == 0
    for arguments in (["nonsense"], []):
        assert manageboot.main(arguments, script=SCRIPT) == 2
    with pytest.raises(SystemExit):
        manageboot.main(["--help"], script=SCRIPT)
    assert ran == []


def test_root_stays(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "umask", lambda _: 0)
    privilege.become_root(SCRIPT, ["confirm"], sudo="/nothing")


def test_what_root_writes_is_for_all_to_read(monkeypatch, tmp_path):
    """The orchestrator has the umask 026, of which sudo keeps all bits."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    before = os.umask(0o026)
    try:
        privilege.become_root(SCRIPT, ["confirm"], sudo="/nothing")
        durable.replace(str(tmp_path / "A.json"), b"{}\n")
        (tmp_path / "slots").mkdir()
    finally:
        os.umask(before)
    assert (tmp_path / "A.json").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "slots").stat().st_mode & 0o777 == 0o755


def test_without_sudo_the_error_names_both(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 611)
    monkeypatch.setattr(privilege, "no_new_privileges", lambda: False)
    with pytest.raises(
        GuestError, match=r"^/opt/ic/bin/manageboot.sh needs root, and /nothing/sudo cannot be run: No such"
    ):
        privilege.become_root(SCRIPT, ["confirm"], sudo="/nothing/sudo")


@pytest.mark.parametrize("status", [0, 3])
def test_where_sudo_has_no_effect_another_service_runs_the_script(ran, monkeypatch, status):
    called, ended = [], []
    monkeypatch.setattr(privilege, "no_new_privileges", lambda: True)
    monkeypatch.setattr(privileged_scripts, "call", lambda *call: called.append(call) or status)
    monkeypatch.setattr(os, "_exit", lambda code: ended.append(code) or exec("raise SystemExit"))
    with pytest.raises(SystemExit):
        privilege.become_root(SCRIPT, ["confirm"])
    assert (called, ended, ran) == ([(SCRIPT, ["confirm"])], [status], [])


@pytest.mark.parametrize(("value", "expected"), [("0", False), ("1", True)])
def test_no_new_privileges_are_told_by_the_kernel(tmp_path, value, expected):
    path = tmp_path / "status"
    path.write_text(f"Name:\tNoNewPrivs:\t1\nNoNewPrivs:\t{value}\nSeccomp:\t1\n")
    assert privilege.no_new_privileges(str(path)) is expected
    command = "import sys; sys.path.insert(0, sys.argv[1]); from guestos import privilege"
    command += "; print(privilege.no_new_privileges())"
    folder = str(Path(manageboot.__file__).parents[1])
    python = [sys.executable, "-c", command, folder]
    assert subprocess.run(["setpriv", "--no-new-privs", *python], capture_output=True, check=True).stdout == b"True\n"


def test_the_script_runs_itself_by_its_real_path(tmp_path):
    """With a copy of the script, a link to it, and a sudo that prints its arguments."""
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("/usr/bin/python3 is missing: install the Debian package python3")
    guestos = Path(manageboot.__file__).parent
    ic = tmp_path / "ic"
    (ic / "bin").mkdir(parents=True)
    (ic / "lib/guestos").mkdir(parents=True)
    for path in guestos.glob("*.py"):
        (ic / "lib/guestos" / path.name).write_bytes(path.read_bytes())
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    sudo.chmod(0o755)
    privilege_py = ic / "lib/guestos/privilege.py"
    text = privilege_py.read_text()
    text = text.replace("if no_new_privileges():", "if False:")
    privilege_py.write_text(text.replace('"/usr/bin/sudo"', repr(str(sudo))).replace("os.geteuid()", "611"))
    script = ic / "bin/manageboot.sh"
    script.write_bytes((guestos.parents[1] / "bin/manageboot.sh").read_bytes())
    script.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(script)
    done = subprocess.run([link, "guestos", "confirm"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (
        0,
        ["--non-interactive", "--", str(script), "confirm"],
        "",
    )
