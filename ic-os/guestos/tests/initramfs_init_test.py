"""The choice of the slot, and the check of the rollback index, by functions of the init script of the initramfs."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from emulated_tpm import emulated_tpm, tpm_device
from guestos import tpm

from tools.testing.oracles import oracle

INIT = Path(__file__).parents[1] / "initramfs/init"
_MAIN = "\nmount_kernel_file_systems\n"
"""The first call of the script, after its functions."""


def run(commands):
    """Runs commands of a shell after the definitions of the script; messages go to standard error."""
    definitions, main, calls = INIT.read_text().partition(_MAIN)
    assert main
    assert "{" not in calls
    messages = 'fail() { echo "$*" >&2; exit 1; }\nsay() { echo "$*" >&2; }\n'
    return subprocess.run(
        ["/bin/sh", "-c", definitions + "\n" + messages + commands], capture_output=True, text=True, check=False
    )


def start(folder, index, floor):
    """Checks a root with an index against a floor; None for a file that is missing."""
    root, config = folder / "root/opt/ic/share", folder / "config"
    for path, text in ((root, index), (config, floor)):
        path.mkdir(parents=True)
        if text is not None:
            (path / "rollback-index.txt").write_text(text)
    read_floor = f"slot=B; read_index {config}/rollback-index.txt; floor=$index"
    return run(f"{read_floor}; check_rollback_index {folder}/root; echo started")


@pytest.mark.parametrize(
    ("index", "floor"),
    [("7\n", "7\n"), ("8\n", "7\n"), ("0\n", None), (None, None), ("10\n", "9\n"), ("4294967295\n", "4294967295\n")],
)
def test_a_system_with_the_index_of_the_floor_or_a_higher_one_is_started(tmp_path, index, floor):
    result = start(tmp_path, index, floor)
    assert (result.returncode, result.stdout, result.stderr) == (0, "started\n", "")


@pytest.mark.parametrize(
    ("index", "floor"), [("6\n", "7\n"), (None, "1\n"), ("9\n", "10\n"), ("4294967294\n", "4294967295\n")]
)
def test_a_system_with_a_lower_index_is_refused(tmp_path, index, floor):
    result = start(tmp_path, index, floor)
    assert (result.returncode, result.stdout) == (1, "")
    number = (index or "0").strip()
    message = f"slot B has the rollback index {number}, and this machine starts none below {floor.strip()}\n"
    assert result.stderr == message


@pytest.mark.parametrize("text", ["", "\n", "-1\n", "7a\n", "07 8\n", "99999999999\n", "$(id)\n"])
@pytest.mark.parametrize("where", ["index", "floor"])
def test_a_file_without_an_index_is_refused(tmp_path, text, where):
    files = {"index": "7\n", "floor": "7\n"} | {where: text}
    result = start(tmp_path, **files)
    assert (result.returncode, result.stdout) == (1, "")
    assert "rollback-index.txt has no rollback index" in result.stderr


def test_a_file_that_cannot_be_opened_is_not_taken_for_none(tmp_path):
    path = tmp_path / "rollback-index.txt"
    os.mknod(path, stat.S_IFSOCK)
    result = run(f"read_index {path}; echo $index")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f"{path} has no rollback index\n")


def test_the_index_is_checked_before_the_system_is_started():
    calls = INIT.read_text().partition(_MAIN)[2].split("\n")
    checks = ["read_config", "read_tpm_floor", "check_signed_index", "open_root", "check_rollback_index /sysroot"]
    order = [*checks, "hand_over"]
    assert [call for call in calls if call in order] == order


@pytest.mark.parametrize(("index", "floor"), [(7, 7), (8, 7), (0, 0), (10, 9)])
def test_a_signed_image_with_the_index_of_the_floor_or_a_higher_one_is_started(index, floor):
    result = run(f"slot=B trust=own_keys floor={floor} signed_index={index}; check_signed_index; echo started")
    assert (result.returncode, result.stdout, result.stderr) == (0, "started\n", "")


@pytest.mark.parametrize(("index", "floor"), [(6, 7), (0, 1), (9, 10)])
def test_a_signed_image_with_a_lower_index_is_refused(index, floor):
    result = run(f"slot=B trust=own_keys floor={floor} signed_index={index}; check_signed_index; echo started")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"slot B has the rollback index {index}, and this machine starts none below {floor}\n"


@pytest.mark.parametrize("floors", [(7, 3), (3, 7)])
def test_of_two_config_partitions_the_higher_floor_counts(tmp_path, floors):
    for number, floor in enumerate(floors, 1):
        for path in (tmp_path / f"store/vda{number}", tmp_path / f"class/vda/vda{number}"):
            path.mkdir(parents=True)
        (tmp_path / f"store/vda{number}/rollback-index.txt").write_text(f"{floor}\n")
    commands = INIT.read_text()
    start = commands.index("read_config() {")
    function = commands[start : commands.index("\n}\n", start) + 3]
    function = function.replace("/sys/class/block", f"{tmp_path}/class").replace("/config", f"{tmp_path}/mounted")
    fakes = "find_partition() { found='/dev/vda1 /dev/vda2'; }; umount() { rm -r \"$1\"; }; "
    fakes += f"mount() {{ cp -r {tmp_path}/store/${{5##*/}} $6; }}; "
    result = run(f"{fakes}{function}disk=vda; read_config; echo $floor")
    assert (result.returncode, result.stdout, result.stderr) == (0, "7\n", "")


def read_tpm_floor(tmp_path, response, floor):
    """Reads a floor that is higher than another one; `response` is that of the TPM, None without one.

    A file stands for the device: the command is written over its beginning, and the rest is the response.
    """
    device, command = tmp_path / "tpm", tpm.read_command()
    if response is not None:
        device.write_bytes(bytes(len(command)) + response)
    result = run(f"set -eu; TPM={device}; floor={floor}; read_tpm_floor; echo $floor")
    assert response is None or device.read_bytes() == command + response
    return result


@pytest.mark.parametrize(("floor", "highest"), [(0, 7), (6, 7), (7, 7), (8, 8), (4294967295, 4294967295)])
def test_the_floor_of_a_tpm_counts_if_it_is_higher(tmp_path, floor, highest):
    response = bytes.fromhex("80020000001d 00000000 0000000a 0008 0000000000000007 0000 01 0000")
    result = read_tpm_floor(tmp_path, response, floor)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{highest}\n", "")


def test_without_a_tpm_the_floor_of_the_config_partition_counts(tmp_path):
    result = read_tpm_floor(tmp_path, None, 7)
    assert (result.returncode, result.stdout) == (0, "7\n")


@pytest.mark.parametrize("number", [None, 0, 7, 2000000010, 4294967295])
def test_the_floor_of_a_tpm_is_that_which_the_system_keeps(tmp_path, number):
    oracle("swtpm")
    with emulated_tpm(tmp_path / "chip") as chip:
        if number is not None:
            with tpm_device(chip) as device:
                tpm.keep(device, number)
        response = chip(tpm.read_command())
    result = read_tpm_floor(tmp_path, response, 3)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{max(number or 0, 3)}\n", "")


@pytest.mark.parametrize("code", ["0000018b", "0000028b", "0000014a"])
def test_a_tpm_that_keeps_no_floor(tmp_path, code):
    result = read_tpm_floor(tmp_path, bytes.fromhex(f"80010000000a{code}"), 7)
    assert (result.returncode, result.stdout, result.stderr) == (0, "7\n", "")


@pytest.mark.parametrize(
    "response",
    [
        "",
        "8001",
        "80010000000a00000101",
        "80010000000a00000146",
        "80010000000a0000018b00",
        "80010000000a00000000",
        "800200000019000000000000000600040000000700000100 00",
        "80020000001d000000000000000a000800000001000000070000010000",
        "80020000001d000000000000000a0008000000000000000700000100",
        "80020000001d000000000000000a00080000000000000007000001000000",
    ],
)
def test_with_any_other_response_of_a_tpm_nothing_is_started(tmp_path, response):
    result = read_tpm_floor(tmp_path, bytes.fromhex(response), 7)
    assert (result.returncode, result.stdout) == (1, "")
    answered = bytes.fromhex(response).hex() or "empty"
    message = f"{tmp_path}/tpm: the TPM does not say which rollback floor it keeps: its response is {answered}\n"
    assert result.stderr == message


def test_with_a_tpm_that_cannot_be_used_nothing_is_started(tmp_path):
    (tmp_path / "tpm").mkdir()
    result = run(f"TPM={tmp_path}/tpm; floor=7; read_tpm_floor; echo $floor")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f"{tmp_path}/tpm: the TPM cannot be used\n")


def read_command_line(tmp_path, text):
    """Reads a command line, and prints what the script takes from it."""
    (tmp_path / "cmdline").write_text(f"dfinity.root_hash=00ff dfinity.hash_offset=1 {text}\n")
    commands = INIT.read_text().replace("/proc/cmdline", str(tmp_path / "cmdline"))
    start = commands.index("read_command_line() {")
    function = commands[start : commands.index("\n}\n", start) + 3]
    return run(f'{function}read_command_line; echo "$trust/$slot/$reason/$signed_index"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dfinity.system=B dfinity.boot_state=first_boot", "distribution/B/first_boot/0"),
        ("quiet dfinity.rollback_index=7 --", "own_keys///7"),
        ("quiet --", "own_keys///0"),
    ],
)
def test_the_mode_of_trust_is_that_of_the_command_line(tmp_path, text, expected):
    result = read_command_line(tmp_path, text)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{expected}\n", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quiet", "has no dfinity.system, and is not that of a signed image"),
        ("dfinity.system=C", "dfinity.system=C on the kernel command line is neither A nor B"),
        ("dfinity.system=A --", "dfinity.system=A is on the kernel command line of a signed image"),
        ("-- rdinit=/usr/bin/sh", "rdinit=/usr/bin/sh on the kernel command line is behind the end of the signed one"),
        ("-- systemd.debug_shell", "systemd.debug_shell on the kernel command line is behind"),
        ("-- dfinity.system=A dfinity.root_hash=11", "dfinity.system=A on the kernel command line is behind"),
        ("-- --", "-- on the kernel command line is behind"),
    ],
)
def test_a_command_line_that_is_not_signed_to_its_end_is_refused(tmp_path, text, message):
    result = read_command_line(tmp_path, text)
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr


@pytest.mark.parametrize("index", ["", "-1", "7a", "99999999999", "$(id)"])
def test_a_command_line_without_a_number_as_index_is_refused(tmp_path, index):
    result = read_command_line(tmp_path, f"dfinity.rollback_index={index} --")
    assert (result.returncode, result.stdout) == (1, "")
    assert "is not a rollback index" in result.stderr


BOOT = {"A": "ddf618fe-7244-b446-a175-3296e6b9d02e", "B": "d3b1dc5c-98a1-4d0a-8c4c-5ee0eb0c1f3c"}
LAYOUT = f"3 config 1\n4 A_boot {BOOT['A']}\n5 A_root 2\n7 B_boot {BOOT['B']}\n8 B_root 3\n"


@pytest.mark.parametrize("slot", ["A", "B"])
def test_the_slot_is_that_of_the_boot_partition(tmp_path, slot):
    """The variable as systemd's stub writes it, and as Linux shows it: attributes, and a GUID in upper case."""
    variable = tmp_path / "variable"
    variable.write_bytes(b"\x06\0\0\0" + f"{BOOT[slot].upper()}\0".encode("utf-16-le"))
    (tmp_path / "layout").write_text(LAYOUT)
    result = run(f'slot_of_boot_partition "$(read_guid {variable})" <{tmp_path}/layout; echo "$slot"')
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{slot}\n", "")


@pytest.mark.parametrize("folder", ["", "PciRoot(0x0)/Pci(0x2,0x0)/HD(4,GPT,DDF618FE-7244-B446-A175-3296E6B9D02E)/"])
@pytest.mark.parametrize("separator", ["\\", "/", "/\\"])
@pytest.mark.parametrize("reason", ["stable", "first_boot", "fallback", "damaged"])
def test_the_reason_is_in_the_path_of_the_image(tmp_path, folder, separator, reason):
    """The variable as systemd's stub writes it: without or with the path of the device, in one part or in two."""
    variable = tmp_path / "variable"
    variable.write_bytes(b"\x06\0\0\0" + f"{folder}\\{reason}{separator}uki.efi\0".encode("utf-16-le"))
    result = run(f"read_reason {variable}")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{reason}\n", "")


def test_an_image_in_no_folder_has_no_reason(tmp_path):
    variable = tmp_path / "variable"
    variable.write_bytes(b"\x06\0\0\0" + "\\uki.efi\0".encode("utf-16-le"))
    result = run(f"read_reason {variable}")
    assert (result.returncode, result.stdout, result.stderr) == (0, "\n", "")


VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
VOLATILE, STORED = b"\x06\0\0\0", b"\x07\0\0\0"


def find_slot(tmp_path, changes=()):
    """Finds the slot by variables of the firmware; an empty one is missing."""
    variables = {
        f"StubDevicePartUUID-{VENDOR}": VOLATILE + f"{BOOT['B'].upper()}\0".encode("utf-16-le"),
        f"StubImageIdentifier-{VENDOR}": VOLATILE + "\\first_boot\\uki.efi\0".encode("utf-16-le"),
        f"SecureBoot-{GLOBAL}": VOLATILE + b"\1",
    } | dict(changes)
    for name, data in variables.items():
        if data:
            (tmp_path / name).write_bytes(data)
    (tmp_path / "layout").write_text(LAYOUT)
    commands = INIT.read_text()
    function = commands[commands.index("check_firmware() {") : commands.index("# Sets `guid` to the GUID of a part")]
    for path, other in (("/sys/firmware/efi/efivars", tmp_path), ("/etc/partitions", tmp_path / "layout")):
        function = function.replace(path, str(other))
    function = function.replace("/dev/kmsg", str(tmp_path / "log"))
    return run(f"trust=own_keys; mount() {{ :; }}; umount() {{ :; }}; {function}find_slot; echo $slot $reason")


def test_slot_and_reason_are_those_of_the_stub(tmp_path):
    result = find_slot(tmp_path)
    assert (result.returncode, result.stdout) == (0, "B first_boot\n")
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("value", [VOLATILE + b"\0", b""])
def test_without_secure_boot_there_is_a_warning(tmp_path, value):
    result = find_slot(tmp_path, {f"SecureBoot-{GLOBAL}": value})
    assert (result.returncode, result.stdout) == (0, "B first_boot\n")
    assert "Secure Boot is off" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23": STORED + b"x"}, "adds certificates that the product"),
        ({"MokListTrustedRT-605dab50-e046-4300-abb6-3dd810dd8b23": VOLATILE + b"\1"}, "adds certificates"),
        ({f"StubDevicePartUUID-{VENDOR}": b""}, "its version must be 257 or later"),
        ({f"StubImageIdentifier-{VENDOR}": b""}, "its version must be 257 or later"),
        ({f"StubDevicePartUUID-{VENDOR}": STORED + BOOT["A"].encode("utf-16-le")}, "is stored in the firmware"),
        (
            {f"StubImageIdentifier-{VENDOR}": STORED + "\\stable\\uki.efi".encode("utf-16-le")},
            "is stored in the firmware",
        ),
        ({f"StubImageIdentifier-{VENDOR}": VOLATILE + "\\uki.efi".encode("utf-16-le")}, "without a boot reason"),
        (
            {f"StubImageIdentifier-{VENDOR}": VOLATILE + "\\other\\uki.efi".encode("utf-16-le")},
            "without a boot reason",
        ),
        ({f"StubDevicePartUUID-{VENDOR}": VOLATILE + "0".encode("utf-16-le")}, "which is no boot partition"),
    ],
)
def test_firmware_that_says_something_else_is_refused(tmp_path, changes, message):
    result = find_slot(tmp_path, changes)
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr


@pytest.mark.parametrize("guid", ["", "1", "2", "00000000-0000-0000-0000-000000000000", "A_boot", "*"])
def test_another_partition_is_no_slot(tmp_path, guid):
    (tmp_path / "layout").write_text(LAYOUT)
    result = run(f"slot_of_boot_partition '{guid}' <{tmp_path}/layout; echo \"<$slot>\"")
    assert (result.returncode, result.stdout, result.stderr) == (0, "<>\n", "")


def test_a_slot_on_the_command_line_is_taken():
    result = run('slot=B trust=distribution; find_slot; echo "$slot"')
    assert (result.returncode, result.stdout, result.stderr) == (0, "B\n", "")


def publish_pcr_signatures(tmp_path, trust):
    """Publishes what systemd's stub leaves in the initramfs; returns the folder of systemd's files."""
    commands = INIT.read_text()
    start = commands.index("publish_pcr_signatures() {")
    function = commands[start : commands.index("\n}\n", start) + 3]
    function = function.replace("/.extra", f"{tmp_path}/extra").replace("/run/systemd", f"{tmp_path}/systemd")
    result = run(f"{function}set -e; trust={trust}; publish_pcr_signatures; echo published")
    assert (result.returncode, result.stdout, result.stderr) == (0, "published\n", "")
    return tmp_path / "systemd"


@pytest.mark.parametrize("names", [[], ["tpm2-pcr-signature.json", "tpm2-pcr-public-key.pem"]])
def test_signatures_for_a_tpm_are_left_for_systemd(tmp_path, names):
    (tmp_path / "extra").mkdir()
    for name in [*names, "other"]:
        (tmp_path / "extra" / name).write_text(f"content of {name}\n")
    folder = publish_pcr_signatures(tmp_path, "own_keys")
    found = {path.name: path.read_text() for path in folder.iterdir()} if names else {}
    assert found == {name: f"content of {name}\n" for name in names}
    assert folder.exists() == bool(names)


def test_what_no_signed_image_brings_is_not_left_for_systemd(tmp_path):
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/tpm2-pcr-signature.json").touch()
    assert not publish_pcr_signatures(tmp_path, "distribution").exists()
