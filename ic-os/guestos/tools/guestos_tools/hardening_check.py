"""Checks of a running machine: how exposed its services are, how far it is locked down, and what is refused."""

from __future__ import annotations

from guestos_tools.hardening import BOUNDS, differences, exposures, instance, too_exposed
from tools.vm.checks import Checks
from tools.vm.shell import Shell

_REPORT = "journalctl --boot --unit=report-hardening.service --output=cat --no-pager --identifier=report-hardening.sh"
_SECONDS = 300
"""For commands that start several programs one after the other, on an emulated machine."""

_CONFINED = "setpriv --reuid=ic-replica --regid=ic-replica --init-groups --no-new-privs --bounding-set=-all"
"""The orchestrator's account with what its service takes from its processes."""

_CONNECT = 'socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("/run/ssh-session/socket")'

_UNSIGNED = (
    "import glob, lzma, subprocess; (path,) = glob.glob('/usr/lib/modules/*/kernel/drivers/watchdog/softdog.ko.*'); "
    "zstd = ['zstd', '--decompress', '--stdout', path]; "
    "data = lzma.open(path).read() if path.endswith('.xz') else subprocess.check_output(zstd); "
    "end = data.rindex(b'~Module signature appended~'); "
    "open('/run/unsigned.ko', 'wb').write(data[:end])"
)
"""Python that writes a module of the kernel without the mark of a signature."""

_REFUSED = {
    "a socket of SCTP": f"{_CONFINED} python3 -c 'import socket; socket.socket(2, 1, 132)'",
    "a user namespace": f"{_CONFINED} unshare --user true",
    "a user namespace of root": "unshare --user true",
    "a module without a signature": "insmod /run/unsigned.ko",
    "another kernel by kexec": "python3 -c 'import ctypes; exit(ctypes.CDLL(None).syscall(246, 0, 0, 0, 0) < 0)'",
    "a session of SSH": f"{_CONFINED} python3 -c 'import socket; {_CONNECT}'",
    "sudo without new privileges": f"{_CONFINED} sudo --non-interactive /opt/ic/bin/manageboot.sh confirm",
}
"""Commands that must fail."""


def check_hardening(shell: Shell, variant: str, checks: Checks) -> None:
    """Checks services and profile.

    Args:
        shell: of root.
        variant: of the system.
        checks: takes the results.
    """
    report = shell.check(_REPORT).splitlines()
    checks.equal("the profile of kernel and system", differences(report, variant), [])
    units = " ".join(instance(unit) for unit in BOUNDS)
    output = shell.check(f"systemd-analyze security --no-pager {units} | grep Overall", _SECONDS)
    scores = exposures(output)
    print("exposure: " + " ".join(f"{unit}={score}" for unit, score in sorted(scores.items())), flush=True)
    checks.equal("services that are too exposed", too_exposed(scores), [])
    shell.check(f'python3 -c "{_UNSIGNED}"')
    for what, command in _REFUSED.items():
        checks.true(f"{what} is refused", shell.run(command).status != 0, "it is not")
    _check_scripts(shell, checks)


def _check_scripts(shell: Shell, checks: Checks) -> None:
    """Checks that the orchestrator's processes, which cannot use sudo, have its scripts run, and nothing else."""
    for command, expected in {
        "/opt/ic/bin/manageboot.sh confirm": 0,
        "/opt/ic/bin/sync_fstrim.sh": 0,
        "/opt/ic/bin/manageboot.sh end-trial": 1,
        "/opt/ic/bin/manageboot.sh -f /run/grubenv confirm": 1,
    }.items():
        # The profiles of the scripts do not permit the file to which the shell writes; a pipe has no path.
        output = shell.run(f"{{ {_CONFINED} {command} </dev/null; echo status $?; }} 2>&1 | cat", _SECONDS).output
        status = output.splitlines()[-1:]
        checks.equal(f"without new privileges, the end of {command}", status, [f"status {expected}"])
    for name in ("ic-btc-mainnet-adapter", "ic-btc-testnet-adapter", "ic-https-outcalls-adapter"):
        pid = shell.check(f"systemctl show --property=MainPID --value {name}.service")
        listed = shell.run(f"nsenter --target {pid} --mount ls /run/ic-node/privileged-scripts/socket")
        checks.true(f"{name} does not see the socket of the scripts", listed.status != 0, listed.output)
