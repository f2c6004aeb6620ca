"""The commands that users of the GuestOS know: they stay where they are, and stay documented."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).absolute().parents[3]
GUESTOS = Path("ic-os", "guestos")

COMMANDS = {
    "./gitlab-ci/container/container-run.sh": "",
    "bazel build //ic-os/guestos/dev/...": "",
    "qemu-system-x86_64 -nographic -m 4G -bios /usr/share/OVMF/OVMF_CODE.fd "
    "-drive file=disk.img,format=raw,if=virtio": "",
    "rootfs/opt/ic/bin/manageboot.sh upgrade-install update-img.tar": GUESTOS,
    "rootfs/opt/ic/bin/manageboot.sh upgrade-commit": GUESTOS,
    "rootfs/opt/ic/bin/manageboot.sh confirm": GUESTOS,
    "./gitlab-ci/container/build-ic.sh": "",
    "GET_GUEST_OS=0 ./ic-os/guestos/scripts/get-artifacts.sh": "",
    "./scripts/build-disk-image.sh -o <output> -v <version> -t dev -p <password> -x ../../artifacts/release": GUESTOS,
    "./scripts/build-ubuntu.sh -o /tmp/upgrade-image.tar": GUESTOS,
    "./scripts/build-update-image.sh -o update-img.tar.gz -v <version> -x ../../artifacts/release -f gz": GUESTOS,
}
"""Each command, and the folder of the checkout that it is given in."""

SCRIPTS = (
    "gitlab-ci/container/build-ic.sh",
    "gitlab-ci/container/container-run.sh",
    "ic-os/guestos/scripts/build-bootstrap-config-image.sh",
    "ic-os/guestos/scripts/build-disk-image.sh",
    "ic-os/guestos/scripts/build-ubuntu.sh",
    "ic-os/guestos/scripts/build-update-image.sh",
    "ic-os/guestos/scripts/get-artifacts.sh",
)


def words(text):
    return " ".join(text.replace("\\\n", " ").split())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what scripts consist of, since a script goes by where it really is."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("tools", "gitlab-ci/container", GUESTOS / "scripts", GUESTOS / "tools", GUESTOS / "rootfs/opt/ic"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_documented_as_users_type_it(command):
    page = words((ROOT / GUESTOS / "README.adoc").read_text(encoding="utf-8"))
    assert words(command) in page


@pytest.mark.parametrize(("command", "folder"), COMMANDS.items())
def test_each_command_that_is_a_file_of_the_checkout_can_be_run(command, folder):
    program = re.sub("^[A-Z_]+=[^ ]+ ", "", command).split()[0]
    if "/" in program:
        path = ROOT / folder / program
        assert path.is_file()
        assert os.access(path, os.X_OK)


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_explain_themselves(checkout, tmp_path, script, option):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [checkout / script, option]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {Path(script).name}")
    assert max(map(len, done.stdout.splitlines())) <= 120
    assert not list(tmp_path.iterdir())
    assert not list(checkout.rglob("__pycache__"))


def options(command):
    return re.findall(r" (-[a-z])\b", command)


@pytest.mark.parametrize("command", [command for command in COMMANDS if "/scripts/build-" in command])
def test_scripts_know_the_options_that_users_give(checkout, tmp_path, command):
    script = checkout / GUESTOS / command.split()[0]
    text = subprocess.run([script, "--help"], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert options(command)
    for option in options(command):
        assert re.search(rf"^  {option} [A-Z]", text, re.MULTILINE)


def test_a_script_may_be_called_by_a_link_from_anywhere(checkout, tmp_path):
    (tmp_path / "tools").mkdir()  # is not what the script imports
    link = tmp_path / "link"
    link.symlink_to(checkout / GUESTOS / "scripts" / "build-ubuntu.sh")
    done = subprocess.run([link], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "build-ubuntu.sh: error: there is nothing to write: give -o, or -r and -b\n"


def test_without_python_a_script_says_what_to_do(checkout, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "readlink"):
        (tools / name).symlink_to(shutil.which(name))
    script = checkout / GUESTOS / "scripts" / "get-artifacts.sh"
    command = [tools / "bash", script]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tools)}, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "get-artifacts.sh: error: there is no Python 3.11 or newer here; install one, or let "
    )
    assert done.stderr.count("\n") == 1
