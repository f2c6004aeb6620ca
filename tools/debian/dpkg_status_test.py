import subprocess
import sys

from tools.debian import dpkg_status
from tools.debian.dpkg_status import count_steps, dpkg_progress
from tools.testing.oracles import ask

LINES = """\
processing: install: libc6
status: libc6:amd64: half-installed
status: libc6:amd64: unpacked
status: libc6:amd64: unpacked
status: base-files: unpacked
processing: configure: libc6
status: libc6:amd64: half-configured
status: libc6:amd64: installed
status: libc6:amd64: triggers-pending
status: libc6:amd64: installed
status: /etc/issue : conffile-prompt : 'a' 'b' 1 1
"""


def test_each_step_counts_once():
    steps = []
    count_steps(LINES.splitlines(keepends=True), steps.append)
    assert steps == [1, 1, 1]


def test_program_writes_to_the_descriptor(monkeypatch):
    steps = []
    monkeypatch.setattr(dpkg_status, "count_steps", lambda lines, _advance: steps.extend(lines))
    program = "import os, sys; os.write(int(sys.argv[1]), b'status: a: unpacked\\n')"
    with dpkg_progress(1) as descriptor:
        subprocess.run([sys.executable, "-c", program, str(descriptor)], pass_fds=[descriptor], check=True)
    assert steps == ["status: a: unpacked\n"]


def test_dpkg_writes_such_lines(tmp_path):
    """Runs dpkg with a package and a database that the test creates."""
    (tmp_path / "p/DEBIAN").mkdir(parents=True)
    control = "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x.example>\nDescription: x\n"
    (tmp_path / "p/DEBIAN/control").write_text(control)
    (tmp_path / "p").chmod(0o755)
    ask("dpkg-deb", "--root-owner-group", "--build", tmp_path / "p", tmp_path / "p.deb")
    for folder in ("root", "root/updates", "root/info", "root/triggers"):
        (tmp_path / folder).mkdir()
    (tmp_path / "root/status").touch()
    options = [f"--admindir={tmp_path}/root", f"--instdir={tmp_path}/root", "--force-not-root", "--log=/dev/null"]
    said = ask(
        "dpkg", *options, "--force-bad-path", "--force-unsafe-io", "--status-fd=1", "--install", tmp_path / "p.deb"
    )
    steps = []
    count_steps(said.splitlines(), steps.append)
    assert steps == [1, 1]
