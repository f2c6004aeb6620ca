import uuid

import pytest

from tools.core.errors import UserError
from tools.ddi.layout import layout_with_root_hashes
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import parse_layout

ROOT_HASH = "c00a7d6832d4fcbaf0770f531383e552aa4ba01f549b4bb894564c1f74ba907d"
PLAIN = 'usr,2048,2048,usr-arm64,,"a, b"\ntree,,2048,usr-arm64-verity,,\nsig,,32,usr-arm64-verity-sig,,\n'
NAMED = """# x

type,name,uuid,start,size,attributes
usr-arm64,usr,,2048,2048,GUID:60
usr-arm64-verity,tree,,,2048,
L,x,,,,
"""


@pytest.mark.parametrize("text", [PLAIN, NAMED])
def test_uuids_are_halves_of_the_root_hash(text):
    before = parse_layout(text, "before")
    after = parse_layout(layout_with_root_hashes(text, "x.csv", {"usr": ROOT_HASH, "tree": ROOT_HASH}), "after")
    table, other = (place(each, minimum_disk_size(each), uuid.UUID(int=1)) for each in (after, before))
    assert [str(entry.uuid) for entry in table.entries[:2]] == [
        "c00a7d68-32d4-fcba-f077-0f531383e552",
        "aa4ba01f-549b-4bb8-9456-4c1f74ba907d",
    ]
    assert table.entries[2] == other.entries[2]
    for one, two in zip(table.entries, other.entries, strict=True):
        assert (one.name, one.offset, one.size, one.type) == (two.name, two.offset, two.size, two.type)
        assert one.attributes == two.attributes


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (PLAIN, "root", "x.csv: has no partition 'root'; it has usr, tree, sig"),
        (PLAIN, "sig", "x.csv:3: sig has a type whose UUID is not made from a root hash; types are root-ARCH"),
        ("a,,2048,L,,", "a", "x.csv:1: a has a type whose UUID is not made"),
        (
            f"a,,2048,root-x86-64,{uuid.UUID(int=5)},",
            "a",
            "x.csv:1: a has the UUID 00000000-0000-0000-0000-000000000005",
        ),
    ],
)
def test_partitions_that_get_no_uuid(text, name, message):
    with pytest.raises(UserError) as error:
        layout_with_root_hashes(text, "x.csv", {name: ROOT_HASH})
    assert str(error.value).startswith(message)
