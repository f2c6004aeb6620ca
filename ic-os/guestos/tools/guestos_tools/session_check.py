"""Checks of sessions by SSH on a running machine: they work as without sshd's sandbox, in which they are not."""

from __future__ import annotations

import signal

from tools.vm import ssh
from tools.vm.checks import Checks
from tools.vm.shell import Shell

_DATA = "/run/session-data"
_PID = "/tmp/session-pid"
_WITHOUT_SUDO = "readonly"
"""An account that may log in, and has no rule in /etc/sudoers.d."""
_SECONDS = 60


def check_sessions(
    shell: Shell, address: str, checks: Checks, *, private_key: bytes, timeout: float, port: int
) -> None:
    """Checks the sessions of all accounts that a key may log in to.

    Args:
        shell: of root; its machine has the OpenSSH client.
        address: of the machine, as seen from itself.
        checks: takes the results.
        private_key: that root and admin accept, in OpenSSH's file format.
        timeout: for each login, in seconds.
        port: TCP port of SSH.
    """
    for account in ("root", "admin"):
        name = ssh.log_in(shell, private_key, f"{account}@{address}", timeout, port)
        checks.equal(f"a login by SSH from the host as {account} leads to", name, account)
    shell.check(f"ssh-keygen -y -f {ssh.KEY_FILE} | /opt/ic/bin/provision-ssh-keys.sh {_WITHOUT_SUDO}")
    admin = ssh.command(f"admin@{address}", port)
    _check_sandbox(shell, admin, timeout, checks)
    _check_pipes(shell, admin, timeout, checks)
    _check_terminals(shell, admin, timeout, checks)
    refused = f"{ssh.command(f'{_WITHOUT_SUDO}@{address}', port)} sudo --non-interactive true"
    checks.true(f"sudo of {_WITHOUT_SUDO} is refused", shell.run(refused, timeout).status == 1, "it is not")


def _check_sandbox(shell: Shell, admin: str, timeout: float, checks: Checks) -> None:
    """Checks that sshd is in its sandbox, and sessions are not.

    Args:
        shell: as for `check_sessions`.
        admin: command line that logs in as admin, and takes a command.
        timeout: as for `check_sessions`.
        checks: takes the results.
    """
    sshd = shell.check("grep NoNewPrivs /proc/$(systemctl show --property=MainPID --value ssh.service)/status")
    checks.equal("NoNewPrivs of sshd", sshd.split(), ["NoNewPrivs:", "1"])
    command = "grep NoNewPrivs /proc/self/status && id -Gn && sudo --non-interactive id -u"
    rights, groups, root = shell.check(f"{admin} '{command}'", timeout).splitlines()
    checks.equal("NoNewPrivs of a session", rights.split(), ["NoNewPrivs:", "0"])
    # Their order is the kernel's.
    checks.equal("groups of a session", sorted(groups.split()), sorted(shell.check("id -Gn admin").split()))
    checks.equal("the account that sudo leads to", root, "0")
    # In sshd's sandbox there are no such devices, and what is mounted stays there.
    script = (
        "mount -t tmpfs none /mnt && mountpoint -q /mnt && dd if=/dev/guestos/A_boot of=/dev/null count=1 status=none"
    )
    mounted = shell.run(
        f"{admin} sudo --non-interactive sh -c \"'{script}'\" && mountpoint /mnt && umount /mnt", timeout
    )
    checks.equal("administrators mount for the machine, and read devices", mounted.status, 0)


def _check_pipes(shell: Shell, admin: str, timeout: float, checks: Checks) -> None:
    """Checks commands with pipes: data, exit status, and programs that use SSH. Arguments as for `_check_sandbox`."""
    shell.check(f"dd if=/dev/urandom of={_DATA} bs=64k count=32 status=none")
    same = shell.run(f"{admin} cat <{_DATA} | cmp - {_DATA}", timeout)
    checks.equal("binary data comes back by a session", (same.status, same.output), (0, ""))
    done = shell.run(
        f"{admin} 'echo out; echo error >&2; exit 7' 2>/run/session-errors; echo $?; cat /run/session-errors", timeout
    )
    checks.equal("output, exit status and errors", done.output.split(), ["out", "7", "error"])
    ended = shell.run(f"{admin} 'kill -TERM $$'", timeout)
    found = f"it is {ended.status}: {ended.output!r}"
    checks.true("exit status of a session that a signal ended", ended.status == 128 + signal.SIGTERM, found)
    options, _, destination = admin.removeprefix("ssh ").rpartition(" ")
    target = destination + ":" + _DATA.replace("/run", "/tmp")
    # scp has another letter for the port.
    copied = shell.run(f"scp {options.replace(' -p ', ' -P ')} {_DATA} {target}", timeout)
    checks.equal("scp", (copied.status, copied.output), (0, ""))
    synced = shell.run(f"rsync --archive --rsh='ssh {options}' {_DATA} {target}-rsync", timeout)
    checks.equal("rsync", (synced.status, synced.output), (0, ""))
    same = shell.run(f"cmp {_DATA} /tmp/session-data && cmp {_DATA} /tmp/session-data-rsync")
    checks.equal("the copies are the same", (same.status, same.output), (0, ""))
    several = " ".join(f"{admin} 'cat; echo {number}' </dev/null &" for number in range(3))
    checks.equal("sessions at once", sorted(shell.check(f"{several} wait", timeout).split()), ["0", "1", "2"])


def _check_terminals(shell: Shell, admin: str, timeout: float, checks: Checks) -> None:
    """Checks sessions with a terminal. Arguments as for `_check_sandbox`."""
    login = shell.run(f"printf 'stty -echo\\necho $0 $TERM; exit 5\\n' | TERM=vt220 {admin} -tt", timeout)
    checks.equal("exit status of a login", login.status, 5)
    checks.true("a login has a shell and a type of terminal", "-bash vt220" in login.output, login.output)
    command = "tty; stty size; echo here >/dev/tty"
    done = shell.run(f"{admin} -tt '{command}' </dev/null", timeout)
    checks.true("a terminal", "/dev/pts/" in done.output and "here" in done.output, done.output)
    started = shell.run(
        f"rm -f {_PID}; {admin} -tt 'echo $$ >{_PID}; exec sleep 1000' </dev/null >/dev/null 2>&1 & client=$!; "
        f"timeout {_SECONDS} sh -c 'until test -s {_PID}; do sleep 0.2; done' && kill $client",
        timeout + _SECONDS,
    )
    checks.equal("a session with a terminal runs", started.status, 0)
    gone = f"timeout {_SECONDS} sh -c 'while test -e /proc/$(cat {_PID}); do sleep 0.2; done'"
    checks.equal("the end of the connection ends it", shell.run(gone, 2 * _SECONDS).status, 0)
