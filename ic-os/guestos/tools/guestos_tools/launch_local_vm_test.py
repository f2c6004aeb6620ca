import shutil
import tarfile

import pytest

from guestos_tools import launch_local_vm
from guestos_tools.bootstrap_media import medium
from guestos_tools.launch_local_vm import Arguments
from guestos_tools.launch_medium import configuration
from tools.commands import vm_launcher
from tools.core.cli import call
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.vm.firmware import Firmware
from tools.vm.machine import Settings, command_line
from tools.vm.qemu import Qemu

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 somebody\n"


@pytest.fixture
def launch(tmp_path, monkeypatch, capfd):
    """Returns a function that runs the launcher without a machine and returns its command line for QEMU."""
    (tmp_path / "disk.img").write_bytes(bytes(4096))
    commands = []

    def run_machine(arguments):
        drives = vm_launcher.prepare_drives(arguments, tmp_path / "machine")
        settings = Settings(qemu=Qemu("qemu", (10, 0)), firmware=Firmware("/code.fd"), accel="tcg", drives=drives)
        commands.append(command_line(settings, None))
        if arguments.medium is not None:
            shutil.copy2(arguments.medium, tmp_path / "medium.img")

    monkeypatch.setattr(vm_launcher, "main", run_machine)

    def launch(*options):
        argv = ["launch-local-vm", f"--disk={tmp_path}/disk.img", *map(str, options)]
        status = call(launch_local_vm.main, Arguments, None, argv)
        return commands[-1] if status == 0 else capfd.readouterr().err

    return launch


@pytest.fixture
def members(tmp_path):
    """Returns a function that reads the archive on the medium, as the content of its files by name."""

    def members():
        archive = tmp_path / "ic-bootstrap.tar"
        ask("mcopy", "-n", "-o", "-i", tmp_path / "medium.img", "::/ic-bootstrap.tar", archive)
        with tarfile.open(archive) as tar:
            return {member.name: tar.extractfile(member).read().decode() for member in tar if member.isreg()}

    return members


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "id.pub"
    path.write_text(KEY)
    return path


def test_without_options_there_is_no_medium(launch):
    assert not [word for word in launch() if "removable" in word]


def test_a_key_may_log_in_as_root_and_admin(launch, members, key):
    command = launch(f"--ssh_key={key}")
    assert "scsi-hd,drive=drive1,removable=on,bootindex=1" in command
    assert [word for word in command if "medium.img" in word and word.endswith(",snapshot=off,readonly=on")]
    assert members() == {f"accounts_ssh_authorized_keys/{account}": KEY for account in ("admin", "root")}


def test_disk_and_medium_are_for_nobody_else(launch, key, tmp_path):
    launch(f"--ssh_key={key}")
    for path in (tmp_path / "medium.img", tmp_path / "machine/disk.img"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_is_added_to_those_of_the_directory(launch, members, key, tmp_path):
    config = tmp_path / "config"
    (config / "accounts_ssh_authorized_keys").mkdir(parents=True)
    (config / "ic_crypto").mkdir()
    other = KEY.replace("somebody", "another")
    (config / "accounts_ssh_authorized_keys/admin").write_text(other.rstrip("\n"))
    (config / "nns.conf").write_text("nns_url=https://nns.example\n")
    (config / "ic_crypto/key").write_text("secret")
    launch(f"--config_dir={config}", f"--ssh_key={key}")
    assert members() == {
        "accounts_ssh_authorized_keys/admin": other + KEY,
        "accounts_ssh_authorized_keys/root": KEY,
        "ic_crypto/key": "secret",
        "nns.conf": "nns_url=https://nns.example\n",
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nonsense.conf", "", "nonsense.conf: is not part of a configuration, which has the files network.conf, "),
        ("ic_crypto", "", "ic_crypto: is not part of a configuration, which has the files network.conf, "),
        ("network.conf", "hostname=-a\n", "network.conf:1: hostname: '-a' is not a host name"),
        ("nns_public_key.pem", "x", "nns_public_key.pem: is not a public key in PEM format"),
        ("accounts_ssh_authorized_keys/admin", "x y\n", "admin:1: is not a public SSH key"),
        ("accounts_ssh_authorized_keys/a b", KEY, "a b: must be a file that is named as an account"),
    ],
)
def test_an_invalid_directory_is_refused(launch, tmp_path, name, content, message):
    path = tmp_path / "config" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    error = launch(f"--config_dir={tmp_path}/config")
    assert error.startswith("error: --config_dir: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "id:1: is not a public SSH key, such as ssh-ed25519 AAAA"),
        ("\n", "the file has no key"),
        (None, "id: cannot be read: No such file or directory"),
    ],
)
def test_an_invalid_key_is_refused(launch, tmp_path, text, message):
    if text is not None:
        (tmp_path / "id").write_text(text)
    error = launch(f"--ssh_key={tmp_path}/id")
    assert error.startswith("error: --ssh_key: ")
    assert message in error


def test_a_missing_directory_is_an_error(launch, tmp_path):
    assert "--config_dir: " in launch(f"--config_dir={tmp_path}/none")


def test_a_medium_of_ones_own(launch, key, tmp_path):
    image = write_raw(medium(configuration(None, str(key))), tmp_path / "own.img")
    command = launch(f"--medium={image}")
    assert "scsi-hd,drive=drive1,removable=on,bootindex=1" in command
    assert "cannot be combined with --config_dir or --ssh_key" in launch(f"--medium={image}", f"--ssh_key={key}")
    assert f"--medium: {tmp_path}/none: is not a file" in launch(f"--medium={tmp_path}/none")
