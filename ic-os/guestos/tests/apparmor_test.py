"""Tests of the AppArmor profiles: each service has one, and each fits the assembled root file system."""

import ast
import os
import re
from pathlib import Path

import pytest

from tools.inspect.volumes import open_partition, read_tree
from tools.testing.oracles import ask
from tools.tree.node import File, Symlink, walk

ROOT = Path(__file__).absolute().parents[3]
RUNFILES = Path(os.environ.get("TEST_SRCDIR", ROOT), os.environ.get("TEST_WORKSPACE", ""))
IMAGE = RUNFILES / os.environ.get("ROOTFS_IMAGE", "ic-os/guestos/dev/rootfs_image.img.tar")
RELEASE = ROOT / "ic-os/guestos/release_binaries.bzl"

SYSTEM = "etc/systemd/system"
PROFILES = "etc/apparmor.d"
OURS = f"{PROFILES}/guestos"
ABSTRACTIONS = f"{PROFILES}/abstractions/guestos"
LOADER = "load-apparmor-profiles.service"

# The loader itself, what reboots the machine after a failed boot, whether profiles are loaded or not, and the sessions
# of administrators, who may become root.
WITHOUT = {LOADER, "emergency.service", "rescue.service", "ssh-session@.service"}
# Services of packages that have a profile of ours.
OF_PACKAGES = {"nftables.service", "systemd-journal-gatewayd.service"}

# Directories that are filled when the machine runs.
RUNTIME = ("boot", "dev", "proc", "run", "sys", "tmp", "var")
# Programs of releases that release_binaries.bzl does not list.
OF_OTHER_RELEASES = {"guestos_tool"}
RULE = re.compile(r"^  (?:deny |owner )*(/\S*) (?:[rwaklmixPpCcUu]+)(?: -> &?[\w-]+)?,$", re.MULTILINE)


@pytest.fixture(scope="module")
def nodes():
    """The files and directories of the root file system by their paths."""
    return {os.fsdecode(path): node for path, node in walk(read_tree(open_partition(IMAGE), str(IMAGE)))}


def text(node):
    return node.content.read(0, node.content.size).decode()


def texts_below(nodes, folder):
    return {
        path: text(node) for path, node in nodes.items() if path.startswith(f"{folder}/") and isinstance(node, File)
    }


def services(nodes):
    """Returns our services that are not masked, and those of packages that have a profile of ours."""
    ours = re.compile(rf"{SYSTEM}/([^/]+\.service)")
    names = {match[1] for path, node in nodes.items() if isinstance(node, File) and (match := ours.fullmatch(path))}
    return {name for name in names if nodes[f"{SYSTEM}/{name}"].content.size} | OF_PACKAGES


def lines_of(nodes, service):
    """Returns the lines of our drop-ins of a service, and of its unit if it is ours."""
    paths = [f"{SYSTEM}/{service}"] if service not in OF_PACKAGES else []
    paths += [path for path in nodes if path.startswith(f"{SYSTEM}/{service}.d/")]
    return [line for path in paths for line in text(nodes[path]).splitlines()]


def profile_of(nodes, service):
    """Returns the profile of a service, as in its units; None if it has none."""
    values = [line.partition("=")[2] for line in lines_of(nodes, service) if line.startswith("AppArmorProfile=")]
    return values[-1] if values else None


def test_every_service_has_a_profile(nodes):
    profiles = {service: profile_of(nodes, service) for service in services(nodes)}
    assert {service for service, profile in profiles.items() if profile is None} == WITHOUT
    for service, profile in profiles.items():
        # With a `-` before its name, the service would start without a profile that is missing.
        assert profile is None or f"{OURS}/{profile}" in nodes, service


def test_no_service_starts_before_its_profile_is_loaded(nodes):
    needed = {f"Requires={LOADER}", f"After={LOADER}", "AssertSecurity=apparmor"}
    for service in services(nodes) - WITHOUT:
        assert needed <= set(lines_of(nodes, service)), service


def test_every_profile_has_the_name_of_its_file(nodes):
    for path, content in texts_below(nodes, OURS).items():
        assert re.findall(r"^profile (\S+) ", content, re.MULTILINE) == [path.rpartition("/")[2]]
        # A mode in the file would hold in both variants; it is an argument of the kernel.
        assert "complain" not in content
        assert "unconfined" not in content


def test_every_profile_is_used(nodes):
    used = {profile_of(nodes, service) for service in services(nodes)}
    contents = texts_below(nodes, OURS)
    used |= {
        target for content in contents.values() for target in re.findall(r"Pi?x -> &?([\w-]+),$", content, re.MULTILINE)
    }
    used |= {
        match[1] for content in contents.values() if (match := re.search(r"^profile (\S+) /", content, re.MULTILINE))
    }
    assert {path.rpartition("/")[2] for path in contents} == used - {None}


def test_sudo_starts_what_its_rules_permit_the_orchestrator(nodes):
    rules = text(nodes["etc/sudoers.d/guestos"])
    started = {
        path
        for pattern in re.findall(r"^  (\S+) Px -> ", text(nodes[f"{OURS}/sudo"]), re.MULTILINE)
        for path in alternatives(pattern)
    }
    assert started == set(re.findall(r"/opt/ic/bin/[\w.-]+", rules))


def test_only_profiles_of_ours_are_there(nodes):
    folders = (f"{OURS}/", f"{ABSTRACTIONS}/", f"{PROFILES}/abi/", f"{PROFILES}/tunables/")
    files = [path for path, node in nodes.items() if path.startswith(f"{PROFILES}/") and isinstance(node, File)]
    assert [path for path in files if not path.startswith(folders)] == []


def test_the_parser_accepts_the_profiles(nodes, tmp_path):
    base = write_profiles(nodes, tmp_path)
    for profile in sorted((base / "guestos").iterdir()):
        assert parse(base, profile) == ""


def test_the_parser_finds_a_mistake(nodes, tmp_path):
    base = write_profiles(nodes, tmp_path)
    profile = base / "guestos/orchestrator"
    profile.write_text(
        profile.read_text().replace("include <abstractions/guestos/python>", "include <abstractions/guestos/missing>")
    )
    assert "abstractions/guestos/missing" in parse(base, profile)


def write_profiles(nodes, folder):
    for path, content in texts_below(nodes, PROFILES).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return folder / PROFILES


def parse(base, profile):
    """Returns what apparmor_parser says of a profile for a kernel that has all features of its ABI."""
    features = f"--kernel-features={base}/abi/4.0"
    settings = "--config-file=/dev/null", f"--base={base}", features, "--warn=all"
    output = ask("apparmor_parser", "--skip-kernel-load", "--skip-cache", *settings, profile, check=False)
    return "\n".join(line for line in output.splitlines() if "config file '/dev/null'" not in line)


def alternatives(pattern):
    """Yields the paths of a pattern with braces."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        yield pattern
        return
    for each in match[1].split(","):
        yield from alternatives(pattern[: match.start()] + each + pattern[match.end() :])


def named_paths(nodes):
    """Yields (file, path) for the paths of the root file system in rules without a wildcard."""
    for folder in (OURS, ABSTRACTIONS):
        for file, content in texts_below(nodes, folder).items():
            for pattern in RULE.findall(content):
                for path in alternatives(re.sub(r"@\{\w+\}", "*", pattern)):
                    if not re.search(r"[*?\[]", path) and path.split("/")[1] not in RUNTIME:
                        yield file, path.strip("/")


def test_paths_in_profiles_are_there(nodes):
    release = ast.literal_eval(re.search(r"RELEASE_BINARIES = (\[.*?\])", RELEASE.read_text(), re.DOTALL)[1])
    programs = {f"opt/ic/bin/{name}" for name in {*release, *OF_OTHER_RELEASES}}
    found = {path for _, path in named_paths(nodes)}
    assert "usr/bin/sudo" in found
    missing = {pair for pair in named_paths(nodes) if pair[1] and pair[1] not in nodes and pair[1] not in programs}
    # Files that administrators may add, or packages of one distribution have.
    assert {pair for pair in missing if not pair[1].startswith("etc/")} == set()


def test_programs_in_profiles_are_no_links(nodes):
    """AppArmor compares the path of the file that is executed, after all links."""
    links = {pair for pair in named_paths(nodes) if isinstance(nodes.get(pair[1]), Symlink)}
    assert {pair for pair in links if not pair[1].startswith("etc/")} == set()


@pytest.mark.parametrize(
    ("module", "constant", "profile"),
    [
        ("dates", "FLOOR", "boot-metrics"),
        ("dates", "FLOOR", "manageboot"),
        ("rollback", "INDEX", "manageboot"),
        ("versions", "FLOOR", "manageboot"),
    ],
)
def test_floors_can_be_saved_in_the_config_store(nodes, module, constant, profile):
    source = text(nodes[f"opt/ic/lib/guestos/{module}.py"])
    name = re.search(rf'^{constant} = "(.*)"$', source, re.MULTILINE)[1]
    rules = re.findall(r"^  (/\S*) rw,$", text(nodes[f"{OURS}/{profile}"]), re.MULTILINE)
    writable = {path for rule in rules for path in alternatives(rule)}
    assert {f"/boot/config/{name}", f"/boot/config/{name}.new"} <= writable


def test_the_rollback_floor_can_be_kept_in_the_tpm(nodes):
    device = re.search(r'^    tpm: str = "(.*)"$', text(nodes["opt/ic/lib/guestos/environment.py"]), re.MULTILINE)[1]
    assert f"\n  {device} rw,\n" in text(nodes[f"{OURS}/manageboot"])


@pytest.mark.parametrize("unit", ["privileged-scripts@.service", "ssh-session@.service"])
def test_who_confirms_is_shown_the_device_of_the_tpm(nodes, unit):
    """A device that is not there counts as a machine without a TPM."""
    service = text(nodes[f"{SYSTEM}/{unit}"])
    hiding = re.findall(
        r"^(PrivateDevices|DevicePolicy|DeviceAllow|PrivateMounts|RootDirectory)=", service, re.MULTILINE
    )
    assert hiding == []
