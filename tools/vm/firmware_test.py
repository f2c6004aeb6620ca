import json

import pytest

from tools.core.errors import UserError
from tools.vm import firmware
from tools.vm.architecture import AARCH64
from tools.vm.firmware import Firmware, find_firmware, firmware_with


@pytest.fixture
def folders(tmp_path):
    made = [tmp_path / "etc", tmp_path / "share"]
    for folder in made:
        folder.mkdir()
    (tmp_path / "code.fd").write_bytes(b"")
    return [str(folder) for folder in made]


def describe(folder, name, features=(), machine="pc-q35-*", code="code.fd", **changes):
    path = f"{folder}/../{code}"
    mapping = {
        "device": "flash",
        "executable": {"filename": path, "format": "raw"},
        "nvram-template": {"filename": f"{name}.vars", "format": "raw"},
    }
    description = {
        "interface-types": ["uefi"],
        "mapping": mapping | changes.pop("mapping", {}),
        "targets": [{"architecture": "x86_64", "machines": [machine]}],
        "features": list(features),
        "tags": [],
    }
    with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
        json.dump(description | changes, file)
    return path


SECURE = ("secure-boot", "enrolled-keys", "requires-smm")


def test_takes_the_first_that_suits(folders):
    _, share = folders
    describe(share, "10-tdx.json", ["intel-tdx", "secure-boot", "enrolled-keys"])
    describe(share, "11-sev.json", ["amd-sev-es"])
    describe(share, "20-arm.json", targets=[{"architecture": "aarch64", "machines": ["virt"]}])
    describe(share, "21-microvm.json", machine="microvm")
    describe(share, "22-bios.json", **{"interface-types": ["bios"]})
    describe(share, "23-memory.json", mapping={"device": "memory"})
    describe(share, "24-gone.json", code="gone.fd")
    describe(share, "30-open.json", ["secure-boot", "requires-smm"])
    secure = describe(share, "40-secure.json", SECURE)
    plain = describe(share, "50-plain.json")
    describe(share, "60-plain.json")
    assert find_firmware(folders=folders) == Firmware(plain, "50-plain.json.vars", secure_boot=False)
    assert find_firmware(secure_boot=True, folders=folders) == Firmware(secure, "40-secure.json.vars", secure_boot=True)


def test_takes_that_of_the_architecture(folders):
    _, share = folders
    describe(share, "10-x86.json")
    targets = [{"architecture": "aarch64", "machines": ["virt-*"]}]
    describe(share, "11-other.json", targets=[{"architecture": "aarch64", "machines": ["sbsa-ref"]}])
    plain = describe(share, "20-arm.json", targets=targets)
    secure = describe(share, "30-secure.json", ["secure-boot", "enrolled-keys"], targets=targets)
    assert find_firmware(False, folders, AARCH64) == Firmware(plain, "20-arm.json.vars")
    assert find_firmware(True, folders, AARCH64) == Firmware(secure, "30-secure.json.vars", secure_boot=True)


def test_firmware_that_is_no_flash_is_refused(tmp_path):
    code = tmp_path / "code.fd"
    code.write_bytes(b"code")
    with pytest.raises(UserError, match=r"code\.fd: has 4 bytes, but .* virt has 67108864; pad it .*--size=67108864"):
        firmware_with(False, None, {"code": str(code)}, AARCH64)
    with code.open("ab") as file:
        file.truncate(64 << 20)
    assert firmware_with(False, None, {"code": str(code)}, AARCH64) == Firmware(str(code))


def test_variables_of_a_product_replace_those_of_the_firmware(folders, tmp_path, monkeypatch):
    _, share = folders
    secure, plain = describe(share, "40-secure.json", SECURE), describe(share, "50-plain.json")
    monkeypatch.setattr(
        firmware,
        "find_firmware",
        lambda secure_boot, architecture: find_firmware(secure_boot, folders, architecture),
    )
    store = tmp_path / "ovmf_variables.fd"
    with pytest.raises(UserError, match=r"ovmf_variables\.fd: is missing; `secure_boot_keys` writes"):
        firmware_with(secure_boot=False, variables=str(store))
    store.write_bytes(b"keys")
    assert firmware_with(secure_boot=False, variables=str(store)) == Firmware(secure, str(store), secure_boot=True)
    assert firmware_with(secure_boot=False, variables=None).code == plain
    assert firmware_with(secure_boot=True, variables=None).code == secure


def test_an_earlier_folder_replaces_a_description(folders):
    etc, share = folders
    describe(share, "50-a.json")
    describe(etc, "50-a.json", SECURE)
    describe(share, "60-b.json")
    assert find_firmware(folders=folders).variables == "60-b.json.vars"


def test_firmware_without_variables(folders):
    describe(folders[0], "a.json", mapping={"nvram-template": None})
    assert find_firmware(folders=folders).variables is None


@pytest.mark.parametrize(("secure", "kind"), [(False, "UEFI firmware"), (True, "Secure Boot and enrolled keys")])
def test_none_at_all_says_what_to_install(folders, secure, kind):
    with pytest.raises(UserError, match=rf"no .*{kind} .*install it \(Debian: ovmf\)"):
        find_firmware(secure, folders)


def test_none_for_an_architecture_says_what_to_install(folders):
    describe(folders[0], "a.json")
    with pytest.raises(UserError, match=r"no UEFI firmware for qemu-system-aarch64 .* \(Debian: qemu-efi-aarch64\)"):
        find_firmware(False, folders, AARCH64)


@pytest.mark.parametrize("text", ["[]", "{}", '{"interface-types": 5}'])
def test_a_wrong_description_is_named(folders, text):
    with open(f"{folders[1]}/50-a.json", "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(UserError, match=r"50-a\.json: is not a valid firmware descriptor"):
        find_firmware(folders=folders)


@pytest.mark.parametrize("text", ["", "[" * 200_000])
def test_a_description_that_is_not_json_is_named(folders, text):
    with open(f"{folders[1]}/50-a.json", "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(UserError, match=r"50-a\.json:1: "):
        find_firmware(folders=folders)
