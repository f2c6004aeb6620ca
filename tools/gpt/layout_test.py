import subprocess
from uuid import UUID

import pytest

from tools.core.errors import UserError
from tools.gpt.discoverable import DISCOVERABLE
from tools.gpt.layout import parse_layout, read_layout
from tools.gpt.types import EFI_SYSTEM, LINUX_FILESYSTEM
from tools.image.extents import Image
from tools.testing.oracles import ask, oracle
from tools.testing.raw import write_raw

ESP = "esp,2048,204800,U,B78084E2-3363-1346-8C25-D426F26B8928,EFI system partition\n"
MIB = 1 << 20


def parse(text):
    return parse_layout(text, "p.csv")


def type_of(alias):
    return str(parse(f"a,2048,2048,{alias},,").partitions[0].type).upper()


def test_row():
    (esp,) = parse(ESP).partitions
    assert (esp.number, esp.name, esp.offset, esp.size) == (1, "esp", MIB, 100 * MIB)
    assert esp.type == EFI_SYSTEM
    assert str(esp.uuid) == "b78084e2-3363-1346-8c25-d426f26b8928"
    assert (esp.attributes, esp.comment, esp.origin) == (0, "EFI system partition", "p.csv:1")


def test_comments_blank_lines_header_spaces_and_line_ends():
    layout = parse(f"# a comment, with commas\r\n\r\nname,start,size,type,uuid,comment\r\n  # more\r\n {ESP}\r\n")
    assert [(p.number, p.name, p.origin) for p in layout.partitions] == [(1, "esp", "p.csv:5")]


def test_partition_called_name_is_no_header_further_down():
    assert [p.name for p in parse(ESP + "name,,2048,L,,").partitions] == ["esp", "name"]


def test_empty_start_follows_and_empty_size_is_the_rest():
    first, second, third = parse("a,,2049,L,\nb,,10,L,,\nc,rest,rest,linux,,all that is left\n").partitions
    assert (first.offset, first.size) == (MIB, 2049 * 512)
    assert (second.offset, second.size) == (3 * MIB, 5120)
    assert (third.offset, third.size, third.type) == (4 * MIB, None, LINUX_FILESYSTEM)


def test_rows_need_not_be_in_the_order_of_the_disk():
    assert [p.offset for p in parse("b,4096,2048,L,,\na,2048,2048,L,,\n").partitions] == [2 * MIB, MIB]


def test_attributes_column():
    text = 'name,start,size,type,uuid,attributes,comment\na,,1,U,,RequiredPartition GUID:60,\nb,,1,L,,"GUID:48,63",'
    assert [p.attributes for p in parse(text).partitions] == [1 | 1 << 60, 1 << 48 | 1 << 63]


def test_quoted_comment_may_hold_commas():
    assert parse('a,,1,L,,"one, two"').partitions[0].comment == "one, two"


def test_without_keeps_numbers():
    layout = parse("a,,1,L,,\nb,,1,L,,\nc,,1,L,,\n")
    assert [p.number for p in layout.without(["b"]).partitions] == [1, 3]
    with pytest.raises(UserError, match=r"p.csv: has no partition 'x'; it has a, b, c"):
        layout.without(["x"])


@pytest.mark.parametrize("header", ["label,start,size,type,uuid,comment", "label,Start,Length,Type,UUID"])
def test_names_of_columns_that_are_wrong(header):
    with pytest.raises(UserError, match=r"^p.csv:1: unknown or repeated column 'label': the columns are name,start"):
        parse_layout(f"{header}\na,2048,1,L,,\n", "p.csv")


def test_sizes_with_a_suffix():
    suffixes = parse_layout("a,1M,4K,L,,\nb,,32M,L,,\nc,4G,1T,L,,", "p.csv").partitions
    numbers = parse_layout("a,2048,8,L,,\nb,,65536,L,,\nc,8388608,2147483648,L,,", "p.csv").partitions
    assert [(p.offset, p.size) for p in suffixes] == [(p.offset, p.size) for p in numbers]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,2048,1,L", "too few columns: 4; required are"),
        ("a", "too few columns: 1; required are"),
        ("a;2048;1;L;;", "required are .*; separate them by commas, not by ';'$"),
        ("a\t2048\t1\tL", r"required are .*; separate them by commas, not by '\\t'$"),
        ("a,2048,1,L,,c,d", "too many columns: 7 for .* quote"),
        (',2048,1,L,"', "not a row of comma-separated values"),
        (",2048,1,L,,", "the name is empty"),
        ("a\tb,2048,1,L,,", "unprintable characters"),
        ("x" * 37 + ",2048,1,L,,", "has 37 UTF-16 units; the maximum is 36"),
        ("\N{PENGUIN}" * 19 + ",2048,1,L,,", "has 38 UTF-16 units"),
        ("a,0x800,1,L,,", "start '0x800' is not a decimal number"),
        ("a,2048,-1,L,,", "size '-1' is not a decimal number"),
        ("a,2048,1.5,L,,", "size '1.5' is not a decimal number"),
        ("a,\N{SUPERSCRIPT TWO},1,L,,", "is not a decimal number"),
        ("a,2048,10MB,L,,", "size '10MB' is not a decimal number of 512-byte sectors, or one with K, M, G or T"),
        ("a,2048,M,L,,", "size 'M' is not a decimal number"),
        ("a,2048,9999999999T,L,,", "size 9999999999T is too large"),
        ("a,2048," + "9" * 5000 + ",L,,", "is too large"),
        ("a,2048,36028797018963968,L,,", "is too large"),
        ("a,2048,0,L,,", "size 0"),
        ("a,0,2048,L,,", "start 0 is that of the partition table"),
        ("a,2047,1,L,,", r"start 2047 is not a multiple of 1 MiB \(2048 sectors\); the nearest are 0 and 2048"),
        ("a,2048,1,Q,,", "unknown partition type 'Q'"),
        ("a,2048,1,,,", "unknown partition type ''"),
        ("a,2048,1,root-x86_64,,", "unknown partition type 'root-x86_64': did you mean root-x86-64?"),
        ("a,2048,1,00000000-0000-0000-0000-000000000000,,", "unknown partition type"),
        ("a,2048,1,L,nonsense,", "'nonsense' is not a GUID .*; `uuidgen` makes one"),
        ("a,2048,1,L,{B78084E2-3363-1346-8C25-D426F26B8928},", "is not a GUID"),
        ("a,2048,1,L,00000000-0000-0000-0000-000000000000,", "the GUID of zeros"),
        ("esp,,1,L,,", "name 'esp' is also that of p.csv:1; choose another one"),
        ("a,,1,L,b78084e2-3363-1346-8c25-d426f26b8928,", "GUID .* is also that of esp at p.csv:1"),
        ("a,204800,1,L,,", r"a \(sectors 204800 to 204800\) overlaps esp \(sectors 2048 to 206847\) of p.csv:1"),
        ("a,204800,,L,,", r"a \(sectors 204800 to the end\) overlaps esp"),
    ],
)
def test_bad_row_names_file_and_line(row, message):
    with pytest.raises(UserError, match=f"^p.csv:3: .*{message}") as caught:
        parse(ESP + "# comment\n" + row + "\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.csv: has no partitions"),
        ("# nothing\nname,start,size,type,uuid,comment\n", "p.csv: has no partitions"),
        ("name,start,size,type,uuid,colour\n", "p.csv:1: unknown or repeated column 'colour'"),
        ("name,start,size,type,uuid,uuid\n", "p.csv:1: unknown or repeated column 'uuid'"),
        ("name,start,type,uuid,comment\n", "p.csv:1: column 'size' is missing"),
        ("name,start,size,type,uuid,attributes\na,,1,L,,Nice", "p.csv:2: unknown attribute 'Nice'"),
        ("name,start,size,type,uuid,attributes\na,,1,L,,GUID:47", "p.csv:2: attribute bit 47"),
        ("name,start,size,type,uuid,attributes\na,,1,L,,GUID:", "p.csv:2: unknown attribute 'GUID:'"),
        ("a,,,L,,\nb,,1,L,,", "p.csv:2: there is no room after a"),
        ("a,4096,,L,,\nb,2048,2048,L,,\nc,8192,1,L,,", "p.csv:1: a takes the rest of the disk, but c .p.csv:3. comes"),
        ("b,4096,2048,L,,\na,2048,4096,L,,", "p.csv:2: a .* overlaps b .* of p.csv:1"),
        ("".join(f"p{n},,1,L,,\n" for n in range(129)), "p.csv:129: the table has room for 128"),
    ],
)
def test_bad_file(text, message):
    with pytest.raises(UserError, match=message):
        parse(text)


def test_reads_a_file(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbf" + ESP.encode())
    assert read_layout(path).partitions[0].name == "esp"
    path.write_bytes(b"\xff" + ESP.encode())
    with pytest.raises(UserError, match=r"p.csv: is not UTF-8 text"):
        read_layout(path)
    with pytest.raises(UserError, match=r"no.csv: cannot be read: No such file"):
        read_layout(tmp_path / "no.csv")


@pytest.mark.parametrize("alias", ["H", "home", "L", "linux", "R", "raid", "S", "swap", "U", "uefi", "V", "lvm"])
def test_sfdisk_knows_the_types_by_the_same_names(alias, tmp_path):
    disk = tmp_path / "disk"
    write_raw(Image(4 * MIB), disk)
    script = f"label: gpt\nstart=2048, size=2048, type={alias}\n"
    subprocess.run([oracle("sfdisk"), "-q", disk], input=script.encode(), check=True)
    assert f"type={type_of(alias)}" in ask("sfdisk", "-d", disk)


def test_systemd_knows_the_discoverable_types_by_the_same_names():
    rows = (line.split() for line in ask("systemd-id128", "show").splitlines()[1:])
    known = {name: UUID(guid) for name, guid in rows}
    assert {name: known[name] for name in DISCOVERABLE} == DISCOVERABLE
    assert {name: type_of(name) for name in DISCOVERABLE} == {
        name: str(guid).upper() for name, guid in DISCOVERABLE.items()
    }


def test_sfdisk_knows_the_extended_boot_loader_partition():
    # Older versions of sfdisk don't have the shortcut X.
    assert f"{type_of('X')}  Linux extended boot\n" in ask("sfdisk", "--label", "gpt", "--list-types")
    assert type_of("xbootldr") == type_of("X")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("name,start,sise,type,uuid,comment", "unknown or repeated column 'sise': did you mean size? The columns are"),
        ("partition,begin,length,type,guid,comment", "unknown or repeated column 'partition': the columns are"),
    ],
)
def test_wrong_column_names(header, message):
    with pytest.raises(UserError) as caught:
        parse_layout(f"{header}\nesp,1M,32M,U,,\n", "p.csv")
    assert str(caught.value).startswith(f"p.csv:1: {message}")
