"""Tests of the check of systemd units."""

import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.rootfs.tree_spec import UnitsSpec
from tools.rootfs.units import check_units
from tools.testing.elf_files import elf_file
from tools.testing.small_trees import layer
from tools.tree.merge import merge
from tools.tree.node import File
from tools.tree.paths import components

UNITS = "usr/lib/systemd/system"
WANTS = "etc/systemd/system/multi-user.target.wants"
UNIT = f"{UNITS}/a.service"


class Tree:
    """A root tree: packages, and files of one's own on top."""

    def __init__(self):
        self.packages = layer(
            "//base",
            "lib -> usr/lib",
            "bin -> usr/bin",
            *(f"{UNITS}/{name} = [Unit]\n" for name in ("nginx.service", "getty@.service", "multi-user.target")),
            f"{UNITS}/optional.service = [Service]\nExecStart=/usr/bin/not-installed\n",
            f"{UNITS}/multi-user.target.wants/removed.service -> ../removed.service",
            f"{UNITS}/masked.service -> /dev/null",
        )
        self.own = layer("//:own")
        self.program(self.packages, "usr/bin/sh")

    @staticmethod
    def program(target, path, mode=0o755):
        target.add(components(path), File(permissions=mode, content=Image.from_bytes(elf_file(kind=2))))

    def add(self, *lines):
        for line in lines:
            path, _, rest = line.partition(" ")
            (node,) = (node for node in layer("//:own", f"x {rest}").root.entries.values())
            self.own.add(components(path), node)

    def fault(self, *required, own=True):
        """Returns the message of the check, or the empty text if it finds nothing."""
        merge(self.packages, self.own, overrides=["/**"] if self.own.root.entries else [])
        try:
            check_units(
                self.packages.root,
                [UnitsSpec({"//:disk: healthy": list(required)} if required else {}, own)],
                {"//:own"},
            )
        except UserError as error:
            return str(error)
        return ""


@pytest.fixture
def tree():
    return Tree()


@pytest.mark.parametrize(
    "name",
    [
        "nginx.service",
        "getty@tty1.service",
        "getty@.service",
        "multi-user.target",
        "mnt-data.mount",  # maybe of /etc/fstab
        "dev-sda.device",
        "systemd-cryptsetup@data.service",
        "old.service",  # of an init script
    ],
)
def test_required_units_that_exist_or_may_be_made(tree, name):
    tree.add("etc/init.d/old = #!/bin/sh\n")
    assert tree.fault(name) == ""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (
            "no-such.service",
            "the tree has no unit no-such.service: correct the name, or add the file or package of the unit",
        ),
        ("ngnix.service", "the tree has no unit ngnix.service (did you mean nginx.service?): correct the name, or add"),
        ("other@1.service", "the tree has no unit other@1.service: correct"),
        ("nginx", "nginx is no name of a unit: add its type, as in nginx.service"),
        ("masked.service", f"masked.service is masked by /{UNITS}/masked.service (of //base), so it never starts"),
    ],
)
def test_required_units_that_do_not_exist(tree, name, fault):
    assert tree.fault(name).startswith(f"//:disk: healthy: {fault}")
    assert tree.fault(name, own=False).startswith(f"//:disk: healthy: {fault}")


def test_another_generator_may_make_any_unit(tree):
    tree.add("usr/lib/systemd/system-generators/podman-system-generator = x")
    assert tree.fault("container.service") == ""


def test_generators_of_systemd_are_known(tree):
    tree.add("usr/lib/systemd/system-generators/systemd-fstab-generator = x")
    assert "no unit container.service" in tree.fault("container.service")


@pytest.mark.parametrize(
    "link",
    [
        f"{WANTS}/nginx.service -> /usr/lib/systemd/system/nginx.service",
        f"{WANTS}/nginx.service -> /lib/systemd/system/nginx.service",
        f"{WANTS}/getty@tty2.service -> /usr/lib/systemd/system/getty@.service",
        f"{WANTS}/masked.service -> /usr/lib/systemd/system/masked.service",
        "etc/systemd/system/www.service -> /usr/lib/systemd/system/nginx.service",
        "etc/systemd/system/nginx.service -> /dev/null",
        "etc/systemd/system/late.service -> /data/late.service",
    ],
)
def test_links_to_units_that_exist_or_may_be_made(tree, link):
    tree.add(link)
    assert tree.fault() == ""


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        (
            f"{WANTS}/ngnix.service -> /usr/lib/systemd/system/ngnix.service",
            f"/{WANTS}/ngnix.service (of //:own): the tree has no unit ngnix.service (did you mean nginx.service?)",
        ),
        (
            "etc/systemd/system/nginx.service.requires/db.socket -> ../db.socket",
            "/etc/systemd/system/nginx.service.requires/db.socket (of //:own): the tree has no unit db.socket: correct",
        ),
        (
            "etc/systemd/system/www.service -> /usr/lib/systemd/system/ngnix.service",
            "/etc/systemd/system/www.service is a link to /usr/lib/systemd/system/ngnix.service, which the tree",
        ),
    ],
)
def test_links_to_units_that_do_not_exist(tree, link, fault):
    tree.add(link)
    assert tree.fault().startswith(fault)
    assert tree.fault(own=False) == ""


@pytest.mark.parametrize(
    "unit",
    [
        "ExecStart=/usr/bin/sh",
        "ExecStart=/bin/sh -c /not/there",
        "ExecStart=!@/usr/bin/sh sh",
        'ExecStart="/usr/bin/sh" -c x',
        "ExecStart=-/usr/bin/missing",
        "ExecStart=@-/usr/bin/missing x",
        "ExecStart=missing",
        "ExecStart=/usr/bin/%p",
        "ExecStart=/usr/bin/$PROGRAM",
        "ExecStart=/data/program",
        "ExecStart=/usr/lib/of-the-data",
        "# ExecStart=/usr/bin/missing",
        "ExecStart=/usr/bin/missing\nExecStart=\nExecStart=/bin/sh",
        "ConditionFileIsExecutable=/usr/bin/missing\nExecStart=/usr/bin/missing",
        "ConditionPathExists=|!/opt/a\nExecStart=/opt/a/missing",
        "RequiresMountsFor=/var/x /opt/a\nExecStart=/opt/a/missing",
        "RootDirectory=/srv/root\nExecStart=/usr/bin/missing",
    ],
)
def test_programs_that_can_start_or_may_be_there(tree, unit):
    tree.add(f"{UNIT} = [Service]\n{unit}\n", "usr/lib/of-the-data -> /data/program")
    assert tree.fault() == ""


@pytest.mark.parametrize(
    ("unit", "fault"),
    [
        (
            "ExecStart=/usr/lib/script x",
            "ExecStart=/usr/lib/script has mode 0644, which does not let anybody execute it",
        ),
        (
            "ExecStartPre=!/usr/bin/missing",
            "ExecStartPre=/usr/bin/missing is no file of the tree: correct the path, or",
        ),
        ("ExecStart=\\\n /opt/missing \\\n x", "ExecStart=/opt/missing is no file of the tree"),
        ("ExecStart=/lib/../bin/missing", "ExecStart=/lib/../bin/missing is no file of the tree"),
        ("ExecStop=/usr/lib", "ExecStop=/usr/lib is a directory: name a program"),
        ("ExecStart=/usr/lib/loop", "ExecStart=/usr/lib/loop is no file of the tree"),
    ],
)
@pytest.mark.parametrize("path", [UNIT, f"{UNITS}/nginx.service.d/own.conf"])
def test_programs_that_cannot_start(tree, path, unit, fault):
    tree.program(tree.own, "usr/lib/script", mode=0o644)
    tree.add("usr/lib/loop -> /usr/lib/missing", f"{path} = [Service]\n{unit}\n")
    assert tree.fault().startswith(f"/{path}:2 (of //:own): {fault}")
    assert tree.fault(own=False) == ""


def test_units_behind_others_of_the_same_name_do_not_count(tree):
    tree.add(f"{UNIT} = [Service]\nExecStart=/usr/bin/missing\n", "etc/systemd/system/a.service = [Service]\n")
    assert tree.fault() == ""


def test_many_faults_are_in_one_line(tree):
    tree.add(*(f"{WANTS}/no-{number}.service -> x" for number in range(20)))
    fault = tree.fault("a.service")
    assert fault.startswith("//:disk: healthy: the tree has no unit a.service: ")
    assert fault.endswith("; and 13 more")
    assert "\n" not in fault


def test_a_unit_that_no_memory_could_hold_is_refused(tree):
    tree.own.add(components(UNIT), File(content=Image(1 << 40)))
    too_large = f"has {1 << 40} bytes in the image, but it is read only up to 64 MiB; make it smaller"
    assert tree.fault() == f"/{UNIT} (of //:own): {too_large}"
