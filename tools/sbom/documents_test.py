"""Tests bills of materials of a small root tree; the formats' own libraries and schemas read them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tools.commands.sbom import Arguments, main
from tools.core.errors import UserError
from tools.image.extents import Image
from tools.sbom.build import build_inventory
from tools.sbom.cyclonedx import to_cyclonedx
from tools.sbom.files import own_files
from tools.sbom.installed import read_distribution, read_locks, read_packages
from tools.sbom.inventory import Inventory
from tools.sbom.spdx import to_spdx
from tools.tree.node import Directory, File, Symlink
from tools.tree.paths import components, directory_at

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: Expat and odd

License: odd
 An odd text.
"""
STATUS = """\
Package: shell
Status: install ok installed
Maintainer: "A Team" <team@example.org>
Architecture: amd64
Source: shell-src (1:5.2-1)
Version: 1:5.2-1+b1
Homepage: https://shell.example
Conffiles:
 /etc/shell.conf {conf}
Description: a shell
 with lines

Package: libold
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: image-provided
Status: install ok installed
Architecture: all
Version: 1

Package: libc++1
Status: install ok installed
Architecture: all
Version: 2.0~rc1
"""
LOCKED = {("shell", "1:5.2-1+b1", "amd64"): {"sha256": "ab" * 32, "url": "https://d.example/pool/shell.deb"}}
Write = Callable[[Inventory], str]


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def tree(**extra: str) -> Directory:
    """Returns a tree of two packages; the names of further files have `__` for a slash."""
    root = Directory()
    texts = {
        "usr/lib/os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="13"\nID=debian\n',
        "var/lib/dpkg/status": STATUS.format(conf=md5("conf")),
        "var/lib/dpkg/info/shell.md5sums": f"{md5('shell')}  usr/bin/sh\n{md5('old')}  lib/moved\n",
        "usr/share/doc/shell/copyright": COPYRIGHT,
        "usr/bin/sh": "shell",
        "usr/lib/moved": "old",
        "etc/shell.conf": "conf",
    } | {name.replace("__", "/"): text for name, text in extra.items()}
    for path, text in texts.items():
        *folders, name = components(path)
        directory_at(root, folders, Directory).entries[name] = File(
            permissions=0o644, content=Image.from_bytes(text.encode())
        )
    root.entries[b"lib"] = Symlink(permissions=0o777, target=b"usr/lib")
    return root


def inventory(root: Directory | None = None, *, files: bool = True) -> Inventory:
    return build_inventory(
        {"": root or tree(opt__new="new")},
        LOCKED,
        name="an image",
        version="1.0",
        created="1970-01-01T00:00:00Z",
        files=files,
    )


def test_packages() -> None:
    library, shell = read_packages(tree(), LOCKED)
    assert (library.name, library.version, library.source, library.source_version) == (
        "libc++1", "2.0~rc1", "libc++1", "2.0~rc1"
    )  # fmt: skip
    assert (library.license, library.sha256) == ("", "")
    assert (shell.name, shell.version, shell.source, shell.source_version) == (
        "shell", "1:5.2-1+b1", "shell-src", "1:5.2-1"
    )  # fmt: skip
    assert (shell.license, shell.sha256, shell.homepage) == (
        "MIT AND LicenseRef-debian-odd", "ab" * 32, "https://shell.example"
    )  # fmt: skip


def test_license_of_a_package_without_a_copyright_file() -> None:
    status = STATUS + "\n" + STATUS.partition("\n\n")[0].replace("Package: shell", "Package: shell-data")
    _, shell, data = read_packages(tree(var__lib__dpkg__status=status), {})
    assert (data.name, data.license, data.custom_licenses) == ("shell-data", shell.license, shell.custom_licenses)


def test_distribution() -> None:
    found = read_distribution(tree())
    assert (found.id, found.version, found.name) == ("debian", "13", "Debian GNU/Linux")
    assert read_distribution(Directory()).id == "linux"


def test_own_files() -> None:
    """Files of packages are left out unless they were changed; /lib is a link."""
    listed = {file.path: file for file in own_files(tree(opt__new="new"))}
    packaged = {"/usr/lib/os-release", "/usr/share/doc/shell/copyright"}  # in no list of this test's packages
    assert listed.keys() - packaged == {"/opt/new"}
    assert listed["/opt/new"].sha256 == hashlib.sha256(b"new").hexdigest()
    assert listed["/opt/new"].sha1 == hashlib.sha1(b"new", usedforsecurity=False).hexdigest()
    deep = {"/".join(["d"] * 1500) + "/f": "deep"}
    assert {file.path for file in own_files(tree(**deep))} - packaged == {f"/{next(iter(deep))}"}
    changed = {file.path for file in own_files(tree(etc__shell="x", usr__bin__sh="changed"))}
    assert changed - packaged == {"/etc/shell", "/usr/bin/sh"}


def test_names_that_are_not_utf8() -> None:
    root = tree()
    root.entries[b"lib"] = Symlink(permissions=0o777, target=b"usr/\xff")
    file = File(permissions=0o644, content=Image.from_bytes(f"{md5('own')}  opt/own\n".encode()))
    directory_at(root, components("var/lib/dpkg/info")).entries[b"\xff.md5sums"] = file
    directory_at(root, components("opt"), Directory).entries[b"own"] = File(content=Image.from_bytes(b"own"))
    directory_at(root, components("opt")).entries[b"\xfe"] = File(content=Image.from_bytes(b"other"))
    assert "/opt/\\xfe" in (paths := {each.path for each in own_files(root)})
    assert "/opt/own" not in paths


def validated_spdx(text: str, folder: Path) -> Any:
    path = folder / "image.spdx.json"
    path.write_text(text)
    document = parse_file(str(path))
    assert validate_full_spdx_document(document) == []
    return document


@pytest.mark.parametrize("files", [True, False])
def test_spdx(tmp_path: Path, files: bool) -> None:
    document = validated_spdx(to_spdx(inventory(files=files)), tmp_path)
    assert document.creation_info.spdx_version == "SPDX-2.3"
    image, library, shell = document.packages
    assert (image.name, image.version, library.name) == ("an image", "1.0", "libc++1")
    assert (shell.name, shell.version, str(shell.license_declared)) == (
        "shell", "1:5.2-1+b1", "MIT AND LicenseRef-debian-odd"
    )  # fmt: skip
    assert [each.value for each in shell.checksums] == ["ab" * 32]
    assert str(shell.originator) == "Organization: A Team (team@example.org)"
    assert ("./opt/new" in {file.name for file in document.files}) == files
    (custom,) = document.extracted_licensing_info
    assert (custom.license_id, custom.extracted_text) == ("LicenseRef-debian-odd", "An odd text.")


def test_cyclonedx() -> None:
    text = to_cyclonedx(inventory())
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content = json.loads(text)
    names = [each["name"] for each in content["components"]]
    assert names[:2] == ["libc++1", "shell"]
    assert "/opt/new" in names
    shell = content["components"][1]
    purl = PackageURL.from_string(shell["purl"])
    assert (purl.type, purl.namespace, purl.name, purl.version) == ("deb", "debian", "shell", "1:5.2-1+b1")
    assert purl.qualifiers == {"arch": "amd64", "distro": "debian-13", "upstream": "shell-src@1:5.2-1"}
    assert shell["licenses"] == [{"expression": "MIT AND LicenseRef-debian-odd"}]


@pytest.mark.parametrize("write", [to_spdx, to_cyclonedx])
def test_same_bytes(write: Write) -> None:
    assert write(inventory()) == write(inventory())
    other = write(inventory(tree(opt__new="changed")))
    identity = "documentNamespace" if write is to_spdx else "serialNumber"
    assert json.loads(other)[identity] != json.loads(write(inventory()))[identity]


@pytest.mark.parametrize("write", [to_spdx, to_cyclonedx])
def test_several_parts(tmp_path: Path, write: Write) -> None:
    """A package in two partitions is listed once, and one in two versions twice."""
    older, stripped = tree(), tree()
    stripped.entries[b"usr"].entries.pop(b"share")  # type: ignore[attr-defined]
    status = STATUS.format(conf="").replace("1:5.2-1+b1", "1:5.1-1")
    directory_at(older, components("var/lib/dpkg")).entries[b"status"] = File(
        permissions=0o644, content=Image.from_bytes(status.encode())
    )
    found = build_inventory(
        {"stripped": stripped, "A": tree(opt__new="1"), "B": older, "C": Directory()},
        {},
        name="disk",
        version="",
        created="1970-01-01T00:00:00Z",
        files=True,
    )
    versions = [(package.name, package.version, package.parts) for package in found.packages]
    assert versions == [
        ("libc++1", "2.0~rc1", ("stripped", "A", "B")),
        ("shell", "1:5.1-1", ("B",)),
        ("shell", "1:5.2-1+b1", ("stripped", "A")),
    ]
    assert found.packages[2].license == "MIT AND LicenseRef-debian-odd"
    assert "A:/opt/new" in {file.path for file in found.files}
    if write is to_spdx:
        validated_spdx(write(found), tmp_path)
    else:
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(write(found)) is None


def test_no_part() -> None:
    with pytest.raises(UserError, match="there is nothing to list: give at least one root tree by --parts"):
        main(Arguments(parts=(), name="x", spdx="x.json"))


def test_an_invalid_database() -> None:
    root = tree(var__lib__dpkg__status="Package: a\nStatus: install ok installed\nArchitecture: all\n")
    with pytest.raises(UserError, match="/var/lib/dpkg/status: a has no field 'version'"):
        read_packages(root, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: is not JSON"),
        ("[" * 200_000, "1: has more than 100 objects and lists within each other"),
        ("[]", " is not a lock of Debian packages"),
        ('{"packages": {"a": {}}}', " is not a lock of Debian packages"),
    ],
)
def test_an_invalid_lock(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lock.json"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"lock\.json:{message}"):
        read_locks([str(path)])
