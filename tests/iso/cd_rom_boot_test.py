"""A disk image that is an ISO image boots Linux as a CD-ROM, and the system reads its partitions."""

from pathlib import Path

from tools.testing.machines import emulator
from tools.vm.machine import Machine, Settings

IMAGE = Path("tests/iso/disk.iso")
SECONDS = 240


def test_linux_reads_partitions_of_the_cd_rom_that_it_was_started_from(tmp_path, artifacts):
    arguments = [
        *("-drive", f"if=none,id=cd,media=cdrom,readonly=on,format=raw,file={IMAGE}"),
        *("-device", "ide-cd,drive=cd,bootindex=0"),
        "-no-reboot",  # ends at a panic
    ]
    settings = Settings(**emulator(), drives=[], network=False, memory_mib=1024, arguments=arguments)
    with Machine(settings, tmp_path, artifacts / "console.log") as machine:
        machine.console.expect("by the file: read from the root partition, 2048", SECONDS)
        # The kernel looks for the table at block 1 of 2048 bytes; a loop device has blocks of 512.
        machine.console.expect("partitions of the CD-ROM: 0", SECONDS)
        machine.console.expect("by the partition: read from the root partition", SECONDS)
        machine.wait_end(SECONDS)
