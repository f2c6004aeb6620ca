"""Tests assembling root trees from specifications."""

import errno
import os
import re
import tarfile

import pytest

from tools.core.errors import UserError
from tools.rootfs.assemble import assemble, assemble_layers
from tools.rootfs.tree_spec import AccountsSpec, Entry, LayerSpec, MetadataSpec, RootfsArguments, StripSpec, UnitsSpec
from tools.tree.capability import from_text
from tools.tree.node import Directory, File, Symlink, walk

ACCOUNTS = [
    Entry("etc/passwd", source="passwd"),
    Entry("etc/group", source="group"),
    Entry("etc/shadow", source="shadow", mode="0640", gid=42),
    Entry("etc/gshadow", source="gshadow", mode="0640", gid=42),
    Entry("usr/lib/sysusers.d/ours.conf", source="sysusers"),
]


@pytest.fixture(autouse=True)
def inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "content").write_bytes(b"content\n")
    (tmp_path / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (tmp_path / "group").write_text("root:x:0:\n")
    (tmp_path / "shadow").write_text("root:*:20000:0:99999:7:::\n")
    (tmp_path / "gshadow").write_text("root:*::\n")
    (tmp_path / "sysusers").write_text('g ours 900\nu ours 900:900 "Ours" /var/lib/ours\n')
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"from the archive\n")
    with tarfile.open(tmp_path / "base.tar", "w") as archive:
        archive.add("tree", "usr")


def tree(layers, **arguments):
    root = assemble(RootfsArguments(layers=tuple(layers), **arguments), "test.img")
    return dict(walk(root))


def content(node):
    return node.content.read(0, node.content.size)


def test_all_files_of_a_directory(tmp_path):
    (tmp_path / "made/sub/empty").mkdir(parents=True)
    (tmp_path / "made/z").write_bytes(b"z")
    (tmp_path / "made/sub/link").symlink_to(tmp_path / "content")
    (tmp_path / "linked").symlink_to("made")
    entry = Entry("usr/share", "files", source="linked", mode="0755", uid=3)
    nodes = tree([LayerSpec("//a:b", entries=[entry])])
    assert sorted(nodes) == [b"", b"usr", b"usr/share", b"usr/share/sub", b"usr/share/sub/link", b"usr/share/z"]
    assert content(nodes[b"usr/share/sub/link"]) == b"content\n"
    assert (nodes[b"usr/share/z"].permissions, nodes[b"usr/share/z"].uid) == (0o755, 3)
    assert (nodes[b"usr/share/sub"].permissions, nodes[b"usr/share/sub"].uid) == (0o755, 0)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (Entry("etc/x", source="passwd"), "by content and by passwd, with different .*; remove one"),
        (Entry("etc/x", source="content", mode="600"), "by content and by content, with different .*; remove one"),
        (Entry("etc/x", "symlink", target="y"), "by content and by a link to y, with different"),
        (Entry("etc/x", "directory"), "by content and by a directory, with different"),
    ],
)
def test_path_twice_in_a_layer(second, message):
    first = Entry("etc/x", source="content")
    with pytest.raises(UserError, match=f"//a:b: etc/x: is given twice, {message}"):
        tree([LayerSpec("//a:b", entries=[first, second])])
    tree([LayerSpec("//a:b", entries=[first, first])])


def test_directory_without_files(tmp_path):
    (tmp_path / "made").mkdir()
    assert isinstance(tree([LayerSpec("//a:b", entries=[Entry("x", "files", source="made")])])[b"x"], Directory)


def test_directory_that_is_none(tmp_path):
    with pytest.raises(UserError, match="//a:b: content: is not a directory"):
        tree([LayerSpec("//a:b", entries=[Entry("x", "files", source="content")])])
    (tmp_path / "made").mkdir()
    (tmp_path / "made/link").symlink_to("nothing")
    with pytest.raises(UserError, match="//a:b: made/link: is neither a file nor a directory"):
        tree([LayerSpec("//a:b", entries=[Entry("x", "files", source="made")])])


def test_directory_with_one_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "made/sub").mkdir(parents=True)
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "sub":
            raise PermissionError(errno.EACCES, "Permission denied", path)  # root, as which tests may run, reads it
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="//a:b: made/sub: cannot be read: Permission denied"):
        tree([LayerSpec("//a:b", entries=[Entry("x", "files", source="made")])])


def test_entries_have_what_they_say_and_defaults():
    nodes = tree(
        [
            LayerSpec(
                "//a:b",
                entries=[
                    Entry("a/file", source="content", mode="4711", uid=3, gid=4),
                    Entry("a/link", "symlink", target="../file"),
                    Entry("empty"),
                    Entry("b", "directory", mode="1777"),
                ],
            )
        ],
        mtime=7,
    )
    assert content(nodes[b"a/file"]) == b"content\n"
    assert (nodes[b"a/file"].permissions, nodes[b"a/file"].uid, nodes[b"a/file"].gid) == (0o4711, 3, 4)
    assert isinstance(nodes[b"a/link"], Symlink)
    assert nodes[b"a/link"].target == b"../file"
    assert nodes[b"empty"].permissions == 0o644
    assert isinstance(nodes[b"b"], Directory)
    assert nodes[b"b"].permissions == 0o1777
    assert nodes[b"a"].permissions == 0o755
    assert {node.mtime_ns for node in nodes.values()} == {7 * 10**9}


@pytest.mark.parametrize("sparse", [True, False])
def test_the_holes_of_a_source_are_those_of_its_content(tmp_path, sparse):
    with (tmp_path / "disk").open("wb") as file:
        file.write(b"a" if sparse else b"a".ljust(5 << 20, b"\0"))
        file.seek(5 << 20)
        file.write(b"end")
    node = tree([LayerSpec(entries=[Entry("disk", source="disk")])])[b"disk"]
    assert node.content.size == (5 << 20) + 3
    assert [(extent.offset, extent.length) for extent in node.content.extents] == [(0, 1 << 20), (5 << 20, 3)]
    assert content(node) == (tmp_path / "disk").read_bytes()


def test_zeros_in_small_sources_are_data(tmp_path):
    (tmp_path / "zeros").write_bytes(bytes(8192))
    node = tree([LayerSpec(entries=[Entry("zeros", source="zeros")])])[b"zeros"]
    assert node.content.data_size == 8192


def test_keywords_are_dropped_by_name(tmp_path):
    with tarfile.open(tmp_path / "acl.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("x")
        info.pax_headers = {"SCHILY.acl.access": "user::rw-,user:bob:rwx,group::r--,mask::rwx,other::---"}
        archive.addfile(info)
    with pytest.raises(UserError, match=r"--drop_keyword=SCHILY\.acl\.access$"):
        tree([LayerSpec(archive="acl.tar")])
    assert not tree([LayerSpec(archive="acl.tar")], drop_keyword=("SCHILY.acl.access",))[b"x"].xattrs


def test_archive_and_entries_are_merged():
    nodes = tree([LayerSpec(archive="base.tar"), LayerSpec("//a:b", entries=[Entry("usr/other", source="content")])])
    assert {path for path, node in nodes.items() if isinstance(node, File)} == {b"usr/file", b"usr/other"}


def test_subdir_and_strip_paths():
    entries = [Entry("boot/keep"), Entry("boot/drop"), Entry("other")]
    assert sorted(tree([LayerSpec("x", entries=entries)], strip_paths=("boot/dr*",), subdir="boot")) == [b"", b"keep"]


def test_a_file_where_a_directory_is_needed():
    """The message names both entries, whichever comes first."""
    file, below = Entry("etc/nginx", source="content"), Entry("/etc/nginx/sites/a", "symlink", target="b")
    message = (
        "test.img: //a:b: etc/nginx: is a file, content, but a link to b is to be below it, at /etc/nginx/sites/a; "
        "correct one of the two paths"
    )
    for entries in ([file, below], [below, file]):
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            tree([LayerSpec("//a:b", entries=entries)])


def test_targets_may_strip_the_same_paths():
    """All patterns are looked up before any path is removed."""
    entries = [Entry("boot/file"), Entry("other")]
    strip = (StripSpec("//a:b", ["/boot"]), StripSpec("//a:c", ["/boot/file", "/boot/*"]))
    assert sorted(tree([LayerSpec("x", entries=entries)], strip=strip)) == [b"", b"other"]


def test_layers_are_placed_stripped_and_owned():
    layer = LayerSpec("x", "base.tar", prefix="opt/x", strip_paths=["usr/fi*"], owner="5:6", entries=[Entry("usr/e")])
    nodes = tree([layer])
    assert sorted(nodes) == [b"", b"opt", b"opt/x", b"opt/x/usr", b"opt/x/usr/e"]
    assert [(node.uid, node.gid) for _, node in sorted(nodes.items())] == [(0, 0), (0, 0), (5, 6), (5, 6), (5, 6)]


def test_times_are_clamped(tmp_path):
    with tarfile.open(tmp_path / "times.tar", "w") as archive:
        for name, mtime in (("old", 5), ("new", 500)):
            member = tarfile.TarInfo(name)
            member.mtime = mtime
            archive.addfile(member)
    nodes = tree([LayerSpec(archive="times.tar")], mtime=100, clamp_mtime=True)
    assert {path: node.mtime_ns // 10**9 for path, node in nodes.items()} == {b"": 0, b"old": 5, b"new": 100}


def test_labels_are_those_of_the_running_system(tmp_path):
    (tmp_path / "contexts").write_text("/.* u:r:other\n/boot u:r:boot\n/boot/grub.* u:r:grub\n")
    entries = [Entry("boot/vmlinuz"), Entry("boot/grub/grub.cfg")]
    nodes = tree([LayerSpec("x", entries=entries)], subdir="/boot", file_contexts=("contexts",))
    assert {path: node.xattrs for path, node in nodes.items()} == {
        b"": {b"security.selinux": b"u:r:boot\0"},
        b"vmlinuz": {b"security.selinux": b"u:r:other\0"},
        b"grub": {b"security.selinux": b"u:r:grub\0"},
        b"grub/grub.cfg": {b"security.selinux": b"u:r:grub\0"},
    }


def test_accounts_are_added_the_same_way_each_time():
    accounts = AccountsSpec(["usr/lib/sysusers.d/ours.conf"], {"root": "secret"})
    first, second = (tree([LayerSpec("x", entries=ACCOUNTS)], accounts=accounts) for _ in range(2))
    assert content(first[b"etc/passwd"]).splitlines()[1] == b"ours:x:900:900:Ours:/var/lib/ours:/usr/sbin/nologin"
    digest = b"hT3/jTFNexmeTb/Uf8slphY7xUji7nfAC6oVsg0wOnmvBDIoiUFuWhQcCp8uEZWu4Tx8hpHAlXqjKHBLGcJhd."
    assert content(first[b"etc/shadow"]).startswith(b"root:$6$T8b2kDa4wtoQU.N1$%s:" % digest)
    assert content(first[b"etc/shadow"]) == content(second[b"etc/shadow"])
    assert (first[b"etc/shadow"].permissions, first[b"etc/shadow"].gid) == (0o640, 42)


def test_password_that_cannot_be_hashed():
    with pytest.raises(UserError, match=r"passwords: that of root cannot be hashed: .*NULL"):
        tree([LayerSpec("x", entries=ACCOUNTS)], accounts=AccountsSpec([], {"root": "a\0b"}))


@pytest.mark.parametrize(
    ("layers", "arguments", "message"),
    [
        ([LayerSpec("//a:b", entries=[Entry("x", mode="9")])], {}, "//a:b: .*x: mode '9' is not octal digits"),
        ([LayerSpec("//a:b", entries=[Entry("x", mode="17777")])], {}, "mode '17777'"),
        ([LayerSpec("//a:b", entries=[Entry("x", source="none")])], {}, "none: cannot be read"),
        ([LayerSpec("//a:b", entries=[Entry("../x")])], {}, r"//a:b: .*\.\."),
        ([LayerSpec("x", entries=[Entry("f")])], {"subdir": "g"}, "g"),
        ([LayerSpec("//a:b", owner="1:" + "1" * 5000)], {}, r"//a:b: owner '1:1{38}' is not UID:GID"),
        ([LayerSpec("//a:b", entries=[Entry("f")], owner="root")], {}, "//a:b: owner 'root' is not UID:GID"),
        ([LayerSpec("//a:b", entries=[Entry("f")], strip_paths=["g"])], {}, "//a:b: /g: does not exist"),
        ([LayerSpec("x", entries=[Entry("f")])], {"file_contexts": ("none",)}, "none: cannot be read"),
        ([LayerSpec("x", entries=[])], {"accounts": AccountsSpec()}, "/etc/passwd is not a file in the tree"),
        (
            [LayerSpec("//a:one", entries=[Entry("f")]), LayerSpec("//a:two", entries=[Entry("f", source="content")])],
            {},
            "f: is given by //a:one and //a:two",
        ),
    ],
)
def test_what_is_wrong_is_named(layers, arguments, message):
    with pytest.raises(UserError, match=message):
        tree(layers, **arguments)


def overlay(*layers, **arguments):
    """Returns the paths that are not from the base, and the sizes of the files of the base that they replace."""
    tree = assemble_layers(RootfsArguments(layers=layers, **arguments), "test.img")
    names = {node: path for path, node in walk(tree.root)}
    return {
        b"/".join(filter(None, (names[directory], name))): replaced and replaced.content.size
        for directory, entries in tree.overlay.items()
        for name, replaced in entries.items()
    }


def test_base_is_the_first_layer_if_it_is_an_archive():
    archive, entries = LayerSpec(archive="base.tar"), LayerSpec("x", entries=[Entry("etc/x")])
    replaced = LayerSpec("x", entries=[Entry("usr/file", source="content")], overrides=["/usr/file"])
    assert overlay(archive) == {}
    assert overlay(layer=("base.tar",)) == {}
    assert overlay(archive, entries) == {b"etc": None}
    assert overlay(archive, replaced) == {b"usr/file": len(b"from the archive\n")}
    assert overlay(entries, archive) == {b"etc": None, b"usr": None}


def test_accounts_are_not_from_the_base():
    with tarfile.open("base.tar", "w") as archive:
        for name in ("passwd", "group", "shadow", "gshadow"):
            archive.add(name, f"etc/{name}")
    found = overlay(LayerSpec(archive="base.tar"), accounts=AccountsSpec([], {"root": "secret"}))
    assert found == {f"etc/{n}".encode(): os.path.getsize(n) for n in ("passwd", "group", "shadow", "gshadow")}


METADATA_ENTRIES = [
    Entry("bin/a", source="content"),
    Entry("bin/b", source="content"),
    Entry("l", "symlink", target="bin"),
]


def with_metadata(*more, **metadata):
    return tree([LayerSpec("//a:b", entries=METADATA_ENTRIES, metadata=MetadataSpec(**metadata)), *more])


def test_metadata():
    nodes = with_metadata(
        owners={"/bin/*": "5:6", "/bin": "7:8"},
        capabilities={"/l/a": "cap_net_raw=ep"},
        xattrs={"bin/**": ["user.t=0", "user.x=0x00ff", "user.s=0sAP8="], "l": ["trusted.a="]},
    )
    assert [(nodes[path].uid, nodes[path].gid) for path in (b"bin", b"bin/a", b"bin/b")] == [(7, 8), (5, 6), (5, 6)]
    attributes = {b"user.t": b"0", b"user.x": b"\0\xff", b"user.s": b"\0\xff"}
    assert nodes[b"bin/b"].xattrs == attributes
    assert nodes[b"bin/a"].xattrs == attributes | {b"security.capability": from_text("cap_net_raw=ep")}
    assert (nodes[b"l"].xattrs, nodes[b"bin"].xattrs) == ({b"trusted.a": b""}, {})


def test_metadata_is_that_of_its_layer():
    """What a higher layer puts in place of a file has not its capabilities; a layer without entries sets metadata."""
    above = LayerSpec("//a:c", entries=[Entry("bin/a", source="passwd")], overrides=["bin/a"])
    top = LayerSpec("//a:d", metadata=MetadataSpec(owners={"bin/b": "1:1"}))
    nodes = with_metadata(above, top, capabilities={"bin/*": "cap_net_raw=ep"})
    assert [sorted(nodes[path].xattrs) for path in (b"bin/a", b"bin/b")] == [[], [b"security.capability"]]
    assert nodes[b"bin/b"].uid == 1


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"owners": {"bin/c": "1:1"}}, "owners: bin/c: /bin/c: does not exist"),
        ({"owners": {"bin/c*": "1:1"}}, "owners: bin/c*: matches no path"),
        ({"owners": {"bin/a": "root:root"}}, "owners: bin/a: owner 'root:root' is not UID:GID with numeric IDs"),
        ({"owners": {"bin/a": "1:4294967295"}}, "owners: bin/a: owner '1:4294967295' has an ID above 4294967294"),
        ({"capabilities": {"bin/a": "cap_raw=e"}}, "capabilities: bin/a: 'cap_raw=e' has the unknown capability"),
        ({"capabilities": {"bin": "all=p"}}, "capabilities: bin: bin is a directory; only files have capabilities"),
        (
            {"xattrs": {"l": ["user.a=b"]}},
            "xattrs: l: l is a symbolic link; only files and directories have attributes",
        ),
        ({"xattrs": {"l": ["a=b"]}}, "xattrs: l: 'a=b' is not NAME=VALUE with a name in security., trusted., user"),
        ({"xattrs": {"l": ["user.a"]}}, "xattrs: l: 'user.a' is not NAME=VALUE"),
        ({"xattrs": {"l": ["user.a=0x0"]}}, "xattrs: l: 'user.a=0x0' is not hexadecimal after 0x, or not Base64"),
        ({"xattrs": {"l": ["user.a=0s?"]}}, "xattrs: l: 'user.a=0s?' is not hexadecimal after 0x, or not Base64"),
        ({"xattrs": {"l": ["security.capability="]}}, "security.capability is set by the attribute capabilities"),
    ],
)
def test_metadata_errors(metadata, message):
    with pytest.raises(UserError, match=f"^test.img: //a:b: .*{re.escape(message)}"):
        with_metadata(**metadata)


def test_units_of_entries_are_checked():
    """Those of archives are not."""
    spec = (UnitsSpec(own=True),)
    link = "etc/systemd/system/multi-user.target.wants/no.service"
    unit = Entry(link, "symlink", target="../no.service")
    with tarfile.open("links.tar", "w") as archive:
        info = tarfile.TarInfo(link)
        info.type, info.linkname = tarfile.SYMTYPE, "../no.service"
        archive.addfile(info)
    tree([LayerSpec("//:base", archive="links.tar")], units=spec)
    tree([LayerSpec("//a:b", entries=[unit])])
    with pytest.raises(UserError, match=rf"^test.img: /{link} \(of //a:b\): the tree has no unit no.service: correct"):
        tree([LayerSpec("//a:b", entries=[unit])], units=spec)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strip_paths": ("/bin/c",)}, "test.img: strip_paths: /bin/c: does not exist"),
        (
            {"strip": (StripSpec("//a:b", ["/bin/*"]), StripSpec("//a:c", ["/bin/c"]))},
            "test.img: //a:c: strip_paths: /bin/c: does not exist; correct the path, or leave it out",
        ),
        ({"subdir": "boot"}, "test.img: subdir: /boot: does not exist"),
        (
            {"accounts": AccountsSpec(passwords={"admin": "secret"})},
            "test.img: passwords: admin has a password, but there is no such account; create it by sysusers",
        ),
        (
            {"accounts": AccountsSpec(passwords={"admin": "secret"}, label="//a:b")},
            "test.img: //a:b: passwords: admin has a password, but there is no such account; create it by sysusers",
        ),
        (
            {"accounts": AccountsSpec(sysusers=["/x.conf"], label="//a:b")},
            "test.img: //a:b: sysusers: /x.conf is not a file in the tree; correct the path, or add the file",
        ),
        (
            {"accounts": AccountsSpec(sysusers=["/x.conf"])},
            "test.img: sysusers: /x.conf is not a file in the tree; correct the path, or add the file",
        ),
    ],
)
def test_paths_that_do_not_exist(arguments, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        tree([LayerSpec("//a:b", entries=[*METADATA_ENTRIES, *ACCOUNTS])], **arguments)
