"""Tests of units and accounts in the assembled root file system, by the programs of systemd."""

import os
import re
from pathlib import Path

import pytest

from guestos_tools.hardening import BOUNDS, exposures, instance, too_exposed
from tools.inspect.volumes import open_partition, read_tree
from tools.testing.oracles import ask, oracle, unavailable
from tools.tree.node import Directory, File, Symlink, walk

ROOT = Path(__file__).absolute().parents[3]
IMAGE = Path(os.environ.get("TEST_SRCDIR", ROOT), os.environ.get("TEST_WORKSPACE", ""))
IMAGE /= os.environ.get("ROOTFS_IMAGE", "ic-os/guestos/dev/rootfs_image.img.tar")

# Files whose content is needed; of programs only their existence and modes are.
_CONTENT = (b"etc/", b"usr/lib/systemd/system/", b"usr/lib/sysusers.d/", b"opt/ic/")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The root file system, with empty files where the content is not needed."""
    folder = tmp_path_factory.mktemp("root")
    for path, node in walk(read_tree(open_partition(IMAGE), str(IMAGE))):
        target = folder / os.fsdecode(path)
        if isinstance(node, Directory):
            target.mkdir(exist_ok=True)
        elif isinstance(node, Symlink):
            target.symlink_to(os.fsdecode(node.target))
        elif isinstance(node, File):
            target.write_bytes(node.content.read(0, node.content.size) if path.startswith(_CONTENT) else b"")
            target.chmod(node.permissions & 0o755)
    return folder


def analyze(*arguments):
    """Returns the output of systemd-analyze."""
    # systemd-analyze writes to /run, which belongs to the machine; in a sandbox it is read-only.
    script = 'mount -t tmpfs none /run && echo ready && exec "$@"'
    namespace = "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"
    output = ask("unshare", *namespace, oracle("systemd-analyze"), *arguments, check=False)
    if not output.startswith("ready\n"):
        unavailable(f"this machine permits no mounts in a namespace: {output}")
    return output


def problems(root):
    """Returns what systemd finds wrong with our units.

    What it says of other units depends on its version, which need not be that of the image.
    """
    names = [path.name for path in (root / "etc/systemd/system").iterdir() if path.is_file() and path.stat().st_size]
    assert "ic-replica.service" in names
    output = analyze("verify", f"--root={root}", "--man=no", "multi-user.target", "ic-replica.service")
    return [line for line in output.splitlines() if any(name in line for name in ["/etc/systemd/system/", *names])]


def test_the_units_are_valid(root):
    assert problems(root) == []


def test_a_mistake_in_a_unit_is_found(root):
    unit = root / "etc/systemd/system/ic-replica.service"
    text = unit.read_text()
    unit.write_text(text.replace("/opt/ic/bin/orchestrator", "/opt/ic/bin/missing").replace("UMask", "Umask"))
    try:
        found = problems(root)
    finally:
        unit.write_text(text)
    assert any("missing" in line for line in found)
    assert any("Umask" in line for line in found)


def services(root):
    """Returns the services of the system: its own, those of packages that it changes, and those that it wants."""
    folder = root / "etc/systemd/system"
    own = {path.name for path in folder.glob("*.service") if not path.is_symlink() and path.stat().st_size}
    changed = {path.name.removesuffix(".d") for path in folder.glob("*.service.d")}
    wanted = re.findall(r"[\w@.-]+\.service", (folder / "multi-user.target.d/10-guestos.conf").read_text())
    return own | changed | set(wanted)


def test_each_service_has_a_class_of_exposure(root):
    assert services(root) - BOUNDS.keys() == set()


def test_services_are_less_exposed_than_their_bounds(root):
    units = [instance(unit) for unit in sorted(BOUNDS)]
    scores = exposures(analyze("security", "--offline=true", f"--root={root}", "--no-pager", *units))
    print(scores)
    assert too_exposed(scores) == []


def test_a_service_that_is_more_exposed_is_found(root):
    unit = root / "etc/systemd/system/setup-hostname.service"
    text = unit.read_text()
    unit.write_text(re.sub(r"(?m)^(System|Restrict|Capability).*\n", "", text))
    try:
        output = analyze("security", "--offline=true", f"--root={root}", "--no-pager", "setup-hostname.service")
    finally:
        unit.write_text(text)
    found = too_exposed(exposures(output))
    assert [line for line in found if line.startswith("setup-hostname.service: ") and "no score" not in line]


@pytest.mark.parametrize(
    ("alias", "unit"),
    [("orchestrator", "ic-replica"), ("ic-canister-http-adapter", "ic-https-outcalls-adapter")],
)
def test_former_names_of_units_are_aliases(root, alias, unit):
    folder = root / "etc/systemd/system"
    assert os.readlink(folder / f"{alias}.service") == f"{unit}.service"
    assert f"\nAlias={alias}.service\n" in (folder / f"{unit}.service").read_text()


def test_systemd_finds_all_accounts_and_members_in_place(root):
    paths = [root / "etc" / name for name in ("passwd", "group", "shadow", "gshadow")]
    before = [path.read_text() for path in paths]
    assert "ic-replica" in before[0]
    ask("systemd-sysusers", f"--root={root}", "guestos.conf")
    assert [path.read_text() for path in paths] == before
