"""Machines for tests that have an SSH server on the loopback interface: groups of namespaces with one account each.

Nothing of a machine is left when the test ends: all of its processes are in one PID namespace.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from testnet.local.waiting import wait_for
from tools.testing.oracles import oracle

_NUMBER = "1000"
_SECONDS = 60
_SSHD = """\
ListenAddress 127.0.0.1:{port}
HostKey {home}/.ssh/host_key
AuthorizedKeysFile {home}/.ssh/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


class Machine:
    """A machine, with all files of this one, read-only, and a home of its own.

    Attributes:
        home: the account's home, as a folder of this machine.
        port: of 127.0.0.1, for SSH.
    """

    def __init__(self, folder: Path, account: str, port: int, key: str) -> None:
        """Writes the files of a machine that does not exist yet.

        Args:
            folder: becomes the account's home.
            account: its name.
            port: for SSH.
            key: public SSH key that may log in.
        """
        self.home, self.port = folder, port
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        home = f"/home/{account}"
        ssh = folder / ".ssh"
        ssh.mkdir(parents=True)
        make_key(ssh / "host_key")
        for name, text in {
            "authorized_keys": key,
            "passwd": f"{account}:x:{_NUMBER}:{_NUMBER}::{home}:/bin/sh\n",
            "group": f"{account}:x:{_NUMBER}:\n",
            "sshd_config": _SSHD.format(port=port, home=home),
        }.items():
            (ssh / name).write_text(text, encoding="ascii")

    def start(self, *options: str) -> None:
        """Starts the SSH server, and waits until it listens.

        Args:
            options: further ones of bubblewrap, such as mounts.
        """
        ssh, home = self.home / ".ssh", f"/home/{self._account}"
        command = [oracle("bwrap"), "--unshare-user", "--unshare-pid", "--unshare-ipc", "--die-with-parent"]
        command += ["--uid", _NUMBER, "--gid", _NUMBER, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        command += ["--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/home", "--bind", str(self.home), home]
        command += ["--ro-bind", str(ssh / "passwd"), "/etc/passwd", "--ro-bind", str(ssh / "group"), "/etc/group"]
        command += ["--clearenv", "--setenv", "HOME", home, "--chdir", home, *options]
        command += ["--", oracle("sshd"), "-D", "-e", "-f", f"{home}/.ssh/sshd_config"]
        path = ssh / "log"
        with path.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert wait_for(lambda: b"Server listening" in path.read_bytes() or self._has_ended(), _SECONDS)
        assert not self._has_ended(), path.read_text(encoding="utf-8")

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def stop(self) -> None:
        """Ends all processes of the machine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def make_key(path: Path) -> str:
    """Writes an SSH key without a passphrase; returns its public key, as a line."""
    subprocess.run([oracle("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text(encoding="ascii")
