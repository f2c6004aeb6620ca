import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.ddi.disk import discoverable_disk, root_hash_uuids, systemd_architecture
from tools.gpt.discoverable import DISCOVERABLE
from tools.image.extents import Image
from tools.testing.oracles import ask
from tools.testing.raw import write_raw

ROOT_HASH = "c00a7d6832d4fcbaf0770f531383e552aa4ba01f549b4bb894564c1f74ba907d"

HASHES = st.binary(min_size=32, max_size=32).filter(lambda it: any(it[:16]) and any(it[16:]) and it[:16] != it[16:])
"""All but those whose halves are no GUIDs, or the same one."""


def test_uuids_are_those_of_systemd_repart():
    """Of its report for this root hash."""
    data, hashes = root_hash_uuids(ROOT_HASH)
    assert str(data) == "c00a7d68-32d4-fcba-f077-0f531383e552"
    assert str(hashes) == "aa4ba01f-549b-4bb8-9456-4c1f74ba907d"


@given(number=HASHES, sectors=st.lists(st.integers(1, 5000), min_size=3, max_size=3))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_sfdisk_reads_it(tmp_path_factory, number, sectors):
    images = [Image.from_bytes(bytes([index + 1]) * (count * 512)) for index, count in enumerate(sectors)]
    disk = discoverable_disk("arm64", number.hex(), *images)
    path = write_raw(disk, tmp_path_factory.mktemp("disk") / "x.raw")
    table = json.loads(ask("sfdisk", "--json", path))["partitiontable"]
    found = table["partitions"]
    names = ["root-arm64", "root-arm64-verity", "root-arm64-verity-sig"]
    assert [each["name"] for each in found] == names
    assert [uuid.UUID(each["type"]) for each in found] == [DISCOVERABLE[name] for name in names]
    assert [each["size"] for each in found] == sectors
    assert {each["attrs"] for each in found} == {"GUID:60"}
    assert [uuid.UUID(each["uuid"]) for each in found[:2]] == [
        uuid.UUID(bytes=number[:16]),
        uuid.UUID(bytes=number[16:]),
    ]
    for each, image in zip(found, images, strict=True):
        assert disk.read(each["start"] * 512, image.size) == image.read(0, image.size)
    assert "Error" not in ask("sgdisk", "--verify", path)


def test_image_that_is_not_made_of_sectors():
    with pytest.raises(UserError, match="root-x86-64-verity: the image has 700 bytes, which are not whole sectors"):
        discoverable_disk("x86-64", ROOT_HASH, *(Image.from_bytes(bytes(size)) for size in (512, 700, 4096)))


def test_architectures_have_partition_types():
    for name in ("aarch64", "armv7l", "i686", "loongarch64", "ppc64le", "riscv64", "s390x", "x86_64"):
        assert f"root-{systemd_architecture(name)}-verity-sig" in DISCOVERABLE
    with pytest.raises(UserError, match="architecture 'vax' is none of aarch64, "):
        systemd_architecture("vax")
