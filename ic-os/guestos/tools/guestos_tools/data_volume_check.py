"""Checks of the data volume of a running machine."""

from __future__ import annotations

from tools.vm.checks import Checks
from tools.vm.shell import Shell

_FOLDER = "/var/lib/ic/data"


def check_data_volume(shell: Shell, checks: Checks) -> None:
    """Checks that the volume has reflinks, grows when it fills, and frees unused blocks."""
    checks.equal("data volume", shell.check(f"findmnt --noheadings --output=FSTYPE {_FOLDER}"), "xfs")
    info = shell.check(f"xfs_info {_FOLDER}")
    checks.true("the data volume has reflinks", "reflink=1" in info, info)
    one, two = f"{_FOLDER}/one", f"{_FOLDER}/two"
    shell.check(f"echo 1 >{one} && cp --reflink=always {one} {two} && cmp {one} {two} && rm {one} {two}")
    size = f"df --block-size=1 --output=size {_FOLDER} | tail -n 1"
    before = int(shell.check(size))
    shell.check(f"fallocate --length={before * 85 // 100} {_FOLDER}/filler")
    shell.check("systemctl start monitor-expand-shared-data.service")
    after = int(shell.check(size))
    checks.true("a data volume that is nearly full grows", after > before, f"from {before} to {after} bytes")
    shell.check(
        f"rm {_FOLDER}/filler && sudo --user=ic-replica /opt/ic/bin/sync_fstrim.sh && systemctl start fstrim.service"
    )
    freed = shell.check("journalctl --boot --unit=fstrim.service --output=cat --no-pager")
    checks.true("fstrim.service frees blocks of the data volume", f"{_FOLDER}: " in freed, freed)
