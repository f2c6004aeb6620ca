import json
import os
import subprocess
import sys
from uuid import UUID

import pytest

from tools.commands.image_ls import Arguments, lines, main
from tools.core.cli import call
from tools.image.rawfile import write_raw
from tools.inspect.volumes import read_tree
from tools.swap.area import swap_area
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.oracles import ask
from tools.testing.sample_disk import disk, ext4, fat, root_tree
from tools.tree.compare import differences
from tools.tree.mtree import mtree


@pytest.fixture
def images(tmp_path):
    root = root_tree()
    root.entries[b"etc"].entries[b"same"] = root.entries[b"etc"].entries[b"hosts"]
    root.entries[b"etc"].mtime_ns = 1_700_000_000_123_456_789
    root.entries[b"odd\n\xff"] = root.entries.pop(b"lib")
    image = disk(fat(root_tree("EFI/BOOT/BOOTX64.EFI = shim")), ext4(root))
    write_raw(image, tmp_path / "disk.img")
    write_raw(archive_of([Member.of("disk.img", image)]).image, tmp_path / "disk.img.tar")
    write_raw(archive_of([Member.of("root.img", ext4(root)), Member.of("x.img", image)]).image, tmp_path / "update.tar")
    return tmp_path


def listed(image, **arguments):
    return list(lines(Arguments(image=str(image), **arguments)))


@pytest.mark.parametrize("name", ["disk.img", "disk.img.tar"])
def test_lists_partitions(images, name):
    assert listed(images / name) == [
        " NR          START           SIZE GUID                                 HOLDS NAME",
        "  1           1.0M           2.0M 00000000-0000-0000-0000-000000000001 FAT   esp",
        "  2           3.0M           4.0M 00000000-0000-0000-0000-000000000002 ext4  A_root",
        "  3           7.0M           1.0M 00000000-0000-0000-0000-000000000003 empty empty",
    ]
    assert listed(images / name, bytes=True)[1:] == [
        "  1        1048576        2097152 00000000-0000-0000-0000-000000000001 FAT   esp",
        "  2        3145728        4194304 00000000-0000-0000-0000-000000000002 ext4  A_root",
        "  3        7340032        1048576 00000000-0000-0000-0000-000000000003 empty empty",
    ]


def test_lists_a_swap_area(tmp_path):
    image = disk(fat(root_tree("EFI/x.efi = shim")), ext4(root_tree()), data=swap_area(1 << 20, UUID(int=5)))
    write_raw(image, tmp_path / "disk.img")
    assert listed(tmp_path / "disk.img")[3].split()[-2:] == ["swap", "empty"]


@pytest.mark.parametrize("partition", ["A_root", "2"])
def test_lists_files_of_ext4(images, partition):
    assert listed(images / "disk.img.tar", partition=partition) == [
        "MODE       LINKS   UID   GID        SIZE MODIFIED             NAME",
        "drwxr-xr-x     1     0     0             1970-01-01T00:00:00Z /",
        "drwxr-xr-x     1     0     0             2023-11-14T22:13:20Z /etc",
        "-rw-r--r--     2     0     0           9 1970-01-01T00:00:00Z /etc/hosts",
        "-rw-r--r--     2     0     0           9 1970-01-01T00:00:00Z /etc/same",
        "drwx------     1     0     0             1970-01-01T00:00:00Z /lost+found",
        "lrwxrwxrwx     1     0     0             1970-01-01T00:00:00Z /odd\\n\\xff -> usr/lib",
        "drwxrwxrwt     1     0     0             1970-01-01T00:00:00Z /tmp",
        "drwxr-xr-x     1     0     0             1970-01-01T00:00:00Z /usr",
        "drwxr-xr-x     1     0     0             1970-01-01T00:00:00Z /usr/lib",
        "-rw-r--r--     1     0     0           7 1970-01-01T00:00:00Z /usr/lib/x",
    ]


def test_lists_files_of_fat(images):
    assert listed(images / "disk.img", partition="esp", format="paths") == [
        "/",
        "/EFI",
        "/EFI/BOOT",
        "/EFI/BOOT/BOOTX64.EFI",
    ]


def test_lists_a_part(images):
    at = {"image": str(images / "update.tar"), "member": "root.img"}
    assert list(lines(Arguments(**at, path=("/usr",), format="paths"))) == ["/usr", "/usr/lib", "/usr/lib/x"]
    assert list(lines(Arguments(**at, path=("etc/hosts",), format="paths"))) == ["/etc/hosts"]
    assert [line.split()[0] for line in lines(Arguments(**at, path=("/etc/hosts",), format="mtree"))] == [
        "#mtree",
        ".",
        "./hosts",
    ]


def test_sizes_are_for_people_unless_bytes_are_asked_for(tmp_path):
    root = root_tree("x = " + 1500 * "x")
    write_raw(ext4(root), tmp_path / "root.img")
    assert [line.split()[4] for line in listed(tmp_path / "root.img", path=("/x",))[1:]] == ["1.5K"]
    assert [line.split()[4] for line in listed(tmp_path / "root.img", path=("/x",), bytes=True)[1:]] == ["1500"]


def test_several_paths_without_names_of_flags(images, capfd):
    words = [f"{images}/disk.img", "/tmp", "/usr/lib", "--partition=A_root", "--format=paths"]
    assert call(main, Arguments, "", ["image_ls", *words]) == 0
    assert capfd.readouterr().out.splitlines() == ["/tmp", "/usr/lib", "/usr/lib/x"]


def test_control_characters_of_names_are_escaped(tmp_path, capfd):
    root = root_tree("x = 1", "link -> x")
    root.entries[b"\x1b[2J\r\xc2\x9b"] = root.entries.pop(b"x")
    root.entries[b"link"].target = b"\x1b]0;title\x07"
    write_raw(disk(fat(root_tree("x = 1")), ext4(root), name="\x1b[31m"), tmp_path / "disk.img")
    for flags in ([], ["--partition=2"], ["--partition=2", "--format=paths"], ["--partition=2", "--format=mtree"]):
        assert call(main, Arguments, "", ["image_ls", f"{tmp_path}/disk.img", *flags]) == 0
        out = capfd.readouterr().out
        assert all(char.isprintable() for char in out.replace("\n", ""))
    assert "/\\x1b[2J\\r\\x9b" in "\n".join(listed(tmp_path / "disk.img", partition="2"))


def test_json_of_partitions(images, capfd):
    assert call(main, Arguments, "", ["image_ls", f"{images}/disk.img", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [each["name"] for each in found["partitions"]] == ["esp", "A_root", "empty"]
    assert found["partitions"][1] == {
        "number": 2,
        "name": "A_root",
        "offset": 3145728,
        "size": 4194304,
        "guid": "00000000-0000-0000-0000-000000000002",
        "type_guid": "0fc63daf-8483-4772-8e79-3d69d8477de4",
        "holds": "ext4",
    }


def test_json_of_files(images, capfd):
    words = [f"{images}/disk.img", "--partition=2", "--json"]
    assert call(main, Arguments, "", ["image_ls", *words]) == 0
    found = {each["path"]: each for each in json.loads(capfd.readouterr().out)["files"]}
    assert list(found) == [
        "/",
        "/etc",
        "/etc/hosts",
        "/etc/same",
        "/lost+found",
        "/odd\n\udcff",
        "/tmp",
        "/usr",
        "/usr/lib",
        "/usr/lib/x",
    ]
    common = {"uid": 0, "gid": 0, "device": None, "xattrs": {}}
    assert found["/etc/same"] == {
        "path": "/etc/same",
        "type": "file",
        "mode": "0644",
        "mtime": "0.000000000",
        "links": 2,
        "size": 9,
        "target": None,
        **common,
    }
    assert found["/odd\n\udcff"]["target"] == "usr/lib"
    assert (found["/tmp"]["mode"], found["/etc"]["mtime"]) == ("1777", "1700000000.123456789")


def test_lists_as_mtree(images):
    found = listed(images / "update.tar", member="root.img", format="mtree")
    expected = root_tree()
    assert found[0] == "#mtree"
    assert next(line for line in mtree(expected) if line.startswith("./usr/lib/x ")) in found


def test_lists_members_of_an_update(images, capfd):
    disk_size = (images / "disk.img").stat().st_size
    root_size = ext4(root_tree()).size
    assert listed(images / "update.tar", bytes=True) == [
        f"{'SIZE':>14} HOLDS    NAME",
        f"{root_size:>14} ext4     root.img",
        f"{disk_size:>14} data     x.img",
    ]
    assert json.loads("\n".join(listed(images / "update.tar", json=True)))["members"][0] == {
        "name": "root.img",
        "size": root_size,
        "holds": "ext4",
    }
    assert call(main, Arguments, "", ["image_ls", f"{images}/update.tar", "/etc"]) == 2
    assert "update.tar: has several files; say by --member which: root.img, x.img\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"partition": "B_root"}, "has no partition B_root; it has esp, A_root, empty"),
        ({"partition": "empty"}, "partition empty: is neither EROFS, ext4, FAT nor SquashFS"),
        ({"partition": "esp", "path": "/efi"}, "partition esp: has no /efi"),
        ({"path": "/EFI"}, "disk.img.tar: is a disk; say by --partition in which partition /EFI is"),
        ({"json": "true", "format": "paths"}, "--json: has a format of its own; leave out --format"),
        ({"partition": "2", "format": "mtree", "path": "/etc"}, "--format=mtree: lists one path"),
        ({"member": "x"}, "has no file 'x'; it has disk.img"),
    ],
)
def test_what_is_not_there_is_named(images, capfd, arguments, message):
    words = [f"--{name}={value}" for name, value in arguments.items()]
    if "mtree" in arguments.values():
        words.append("--path=/usr")
    assert call(main, Arguments, "", ["image_ls", f"--image={images / 'disk.img.tar'}", *words]) == 2
    assert message in capfd.readouterr().err


def test_compressed_images_are_refused_with_advice(images, capfd):
    ask("zstd", "-q", images / "disk.img.tar")
    assert call(main, Arguments, "", ["image_ls", f"--image={images / 'disk.img.tar.zst'}", "--partition=1"]) == 2
    assert "disk.img.tar.zst: is compressed" in (message := capfd.readouterr().err)
    assert "(zstd -d)" in message


def test_a_reader_may_close_early(images):
    command = [sys.executable, "-m", "tools.commands.image_ls", f"--image={images / 'disk.img'}", "--partition=2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_listed_file_system_is_the_one_that_was_written():
    root = root_tree()
    found = read_tree(ext4(root), "test")
    del found.entries[b"lost+found"]
    assert list(differences(root, found)) == []
