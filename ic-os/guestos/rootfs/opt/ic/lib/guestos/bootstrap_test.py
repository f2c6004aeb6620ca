import io
import os
import stat
import tarfile

import pytest

from guestos import bootstrap
from guestos.bootstrap import MEMBERS, import_archive
from guestos.bootstrap_policy import read_policy
from guestos.environment import Environment
from guestos.errors import GuestError


def archive(path, *members, form=tarfile.GNU_FORMAT):
    """Writes a tar of (name, content or type) pairs and returns its path."""
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes) and len(content) == 1 and content != b"x":
                info.type, info.linkname = content, "network.conf"
                tar.addfile(info)
            elif content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(autouse=True)
def owners(monkeypatch):
    """Replaces the accounts, which this machine lacks; returns what was asked for."""
    asked = []

    def owner_of(place):
        asked.append((place.user, place.group))
        return os.geteuid(), os.getegid()

    monkeypatch.setattr(bootstrap, "owner_of", owner_of)
    return asked


@pytest.fixture
def root(tmp_path):
    """A machine's directories, as they are before its first boot has ended."""
    path = tmp_path / "root"
    for folder in ("boot/config", "var/lib/ic/crypto", "var/lib/ic/data"):
        (path / folder).mkdir(parents=True)
    return path


def listing(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def modes(folder):
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in sorted(folder.rglob("*"))}


def test_files_are_moved_to_their_places(tmp_path, root):
    tar = archive(
        tmp_path / "a.tar",
        ("./", None),
        ("./network.conf", b"hostname=a\n"),
        ("accounts_ssh_authorized_keys", None),
        ("accounts_ssh_authorized_keys/admin", b"ssh-ed25519 AAAA\n"),
        ("ic_crypto/public_keys.pb", b"keys"),
        ("ic_registry_local_store/0001/02/03.pb", b"registry"),
        ("ic_state/empty", None),
        ("nns_public_key.pem", b"public"),
        ("node_operator_private_key.pem", b"private"),
        ("config.json", b"{}"),
    )
    import_archive(tar, root)
    assert listing(root) == {
        "boot/config/CONFIGURED": b"",
        "boot/config/accounts_ssh_authorized_keys/admin": b"ssh-ed25519 AAAA\n",
        "boot/config/config.json": b"{}",
        "boot/config/network.conf": b"hostname=a\n",
        "var/lib/ic/crypto/public_keys.pb": b"keys",
        "var/lib/ic/data/ic_registry_local_store/0001/02/03.pb": b"registry",
        "var/lib/ic/data/nns_public_key.pem": b"public",
        "var/lib/ic/data/node_operator_private_key.pem": b"private",
    }
    assert (root / "var/lib/ic/data/ic_state/empty").is_dir()


REFERENCE = [
    "network.conf",
    "nns.conf",
    "backup.conf",
    "log.conf",
    "malicious_behavior.conf",
    "journalbeat.conf",
    "bitcoind_addr.conf",
    "filebeat.conf",
    "socks_proxy.conf",
    "query_stats.conf",
    "jaeger_addr.conf",
    "reward.conf",
    "config.json",
]


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_each_file_of_the_reference_goes_to_the_config_store(tmp_path, root, name, form):
    import_archive(archive(tmp_path / "a.tar", (f"./{name}", b"k=\n\n"), form=form), root)
    assert listing(root) == {"boot/config/CONFIGURED": b"", f"boot/config/{name}": b"k=\n\n"}
    assert modes(root / "boot/config")[name] == 0o644


def test_secrets_are_for_their_service_alone(tmp_path, root, owners):
    tar = archive(
        tmp_path / "a.tar",
        ("ic_crypto/inner/sks_data.pb", b"secret"),
        ("node_operator_private_key.pem", b"secret"),
        ("ic_registry_local_store/00/01.pb", b"public"),
    )
    import_archive(tar, root)
    found = modes(root / "var/lib/ic")
    assert found == {
        "crypto": 0o700,
        "crypto/inner": 0o700,
        "crypto/inner/sks_data.pb": 0o600,
        "data": found["data"],
        "data/ic_registry_local_store": 0o2750,
        "data/ic_registry_local_store/00": 0o2750,
        "data/ic_registry_local_store/00/01.pb": 0o640,
        "data/node_operator_private_key.pem": 0o400,
    }
    assert set(owners) == {
        ("ic-csp-vault", "ic-csp-vault"),
        ("ic-replica", "ic-replica"),
        ("ic-replica", "ic-registry-local-store"),
    }


def test_owners_are_set(tmp_path, root, monkeypatch):
    changed = []
    monkeypatch.setattr(bootstrap, "owner_of", lambda place: (4711, 4712))
    monkeypatch.setattr(os, "fchown", lambda descriptor, *owner: changed.append((os.fstat(descriptor).st_ino, owner)))
    import_archive(archive(tmp_path / "a.tar", ("ic_crypto/inner/key", b"secret")), root)
    crypto = root / "var/lib/ic/crypto"
    expected = [path.stat().st_ino for path in (crypto, crypto / "inner", crypto / "inner/key")]
    assert changed == [(inode, (4711, 4712)) for inode in expected]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("/network.conf", b"x"),
        ("../network.conf", b"x"),
        ("ic_crypto/../../network.conf", b"x"),
        ("network.conf", None),
        ("network.conf/x", b"x"),
        ("ic_crypto", b"x"),
        ("accounts_ssh_authorized_keys/a/b", b"x"),
        ("accounts_ssh_authorized_keys/a", None),
        ("ic_crypto/link", tarfile.SYMTYPE),
        ("ic_crypto/link", tarfile.LNKTYPE),
        ("ic_crypto/device", tarfile.CHRTYPE),
        ("ic_crypto/pipe", tarfile.FIFOTYPE),
        (".", tarfile.SYMTYPE),
        ("network.conf", tarfile.SYMTYPE),
    ],
)
def test_members_that_are_not_allowed_are_refused_before_anything_changes(tmp_path, root, name, content):
    tar = archive(tmp_path / "a.tar", ("nns.conf", b"good"), (name, content))
    with pytest.raises(GuestError, match="which is n"):
        import_archive(tar, root)
    assert listing(tmp_path) == {"a.tar": tar.read_bytes()}


@pytest.mark.parametrize("name", ["nonsense.conf", "machine-id", "store.keyfile", "CONFIGURED", "nftables.conf"])
def test_unknown_members_are_ignored_with_a_warning(tmp_path, root, capsys, name):
    import_archive(archive(tmp_path / "a.tar", (name, b"bad"), ("nns.conf", b"good"), (f"d/{name}", b"bad")), root)
    assert listing(root) == {"boot/config/CONFIGURED": b"", "boot/config/nns.conf": b"good"}
    assert capsys.readouterr().err.splitlines() == [
        f"<4>ic-bootstrap.tar: {each!r} is not known and is ignored" for each in (name, "d")
    ]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_an_unknown_member_has_is_skipped(tmp_path, root, capsys, kind, form):
    tar = archive(
        tmp_path / "a.tar",
        ("unknown", kind),
        ("d/file", b"bad"),
        ("d/link", kind),
        ("d/file", b"again"),
        ("d/file/" + "deep/" * 40 + "x", b"bad"),
        ("nns.conf", b"good"),
        form=form,
    )
    import_archive(tar, root)
    assert listing(root) == {"boot/config/CONFIGURED": b"", "boot/config/nns.conf": b"good"}
    assert not any(path.is_symlink() for path in root.rglob("*"))
    assert capsys.readouterr().err.splitlines() == [
        f"<4>ic-bootstrap.tar: {each!r} is not known and is ignored" for each in ("unknown", "d")
    ]


@pytest.mark.parametrize("second", [("network.conf", tarfile.SYMTYPE), ("ic_crypto/key", tarfile.LNKTYPE)])
def test_a_medium_that_has_a_link_when_it_is_read_again_is_refused(tmp_path, root, monkeypatch, second):
    other = archive(tmp_path / "b.tar", second)
    check = bootstrap._check

    def changed(file, policy):
        warnings = check(file, policy)
        with other.open("rb") as replaced:
            os.dup2(replaced.fileno(), file.fileno())
        return warnings

    monkeypatch.setattr(bootstrap, "_check", changed)
    with pytest.raises(GuestError, match="neither a file nor a directory"):
        import_archive(archive(tmp_path / "a.tar", ("network.conf", b"good")), root)
    assert not (root / "boot/config/network.conf").exists()


def test_a_truncated_archive_changes_nothing(tmp_path, root):
    tar = archive(tmp_path / "a.tar", ("network.conf", b"hostname=a\n"), ("ic_crypto/key", b"k" * 600))
    whole = tar.read_bytes()
    for length in range(0, 3 * 512 + 2 * 512 + 512, 256):
        tar.write_bytes(whole[:length])
        with pytest.raises(GuestError):
            import_archive(tar, root)
        assert listing(root) == {}
    tar.write_bytes(whole)
    import_archive(tar, root)
    assert (root / "boot/config/CONFIGURED").exists()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\xff" * 2048, b"\x1f\x8b\x08" + bytes(2000)])
def test_a_file_that_is_not_a_tar_is_refused(tmp_path, root, data):
    tar = tmp_path / "a.tar"
    tar.write_bytes(data)
    with pytest.raises(GuestError):
        import_archive(tar, root)
    assert listing(root) == {}


@pytest.mark.parametrize(("name", "size"), [("ic_crypto/big", 1 << 40), ("network.conf", 17 << 20)])
def test_an_archive_that_declares_too_much_data_is_refused(tmp_path, root, name, size):
    tar = tmp_path / "a.tar"
    info = tarfile.TarInfo(name)
    info.size = size
    tar.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(GuestError, match="has more than"):
        import_archive(tar, root)


def test_a_file_of_an_earlier_run_is_replaced(tmp_path, root):
    (root / "boot/config/network.conf").write_bytes(b"old")
    (root / "boot/config/.guestos.new").write_bytes(b"remains of an interrupted run")
    import_archive(archive(tmp_path / "a.tar", ("network.conf", b"new")), root)
    assert listing(root) == {"boot/config/CONFIGURED": b"", "boot/config/network.conf": b"new"}


LINKS = {
    "the temporary file": "data/.guestos.new",
    "the file": "data/nns_public_key.pem",
    "a directory": "data/ic_registry_local_store",
    "a directory below": "crypto/inner",
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("target", ["file", "folder"])
def test_links_in_the_directories_of_services_are_not_followed(tmp_path, root, link, target):
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_bytes(b"untouched")
    before = listing(outside), modes(outside)
    (root / "var/lib/ic" / link).symlink_to(outside / target)
    tar = archive(
        tmp_path / "a.tar",
        ("nns_public_key.pem", b"new"),
        ("ic_registry_local_store/01.pb", b"new"),
        ("ic_crypto/inner/key", b"new"),
    )
    if link.endswith((".new", ".pem")):
        import_archive(tar, root)
        assert not (root / "var/lib/ic/data/nns_public_key.pem").is_symlink()
    else:
        with pytest.raises(GuestError, match=os.path.basename(link)):
            import_archive(tar, root)
        assert not (root / "boot/config/CONFIGURED").exists()
    assert (listing(outside), modes(outside)) == before


def test_a_missing_account_changes_nothing(tmp_path, root, monkeypatch):
    def owner_of(place):
        if place.user != "root":
            raise GuestError("the system lacks the account")
        return os.geteuid(), os.getegid()

    monkeypatch.setattr(bootstrap, "owner_of", owner_of)
    tar = archive(tmp_path / "a.tar", ("network.conf", b"hostname=a\n"), ("ic_crypto/key", b"key"))
    with pytest.raises(GuestError, match="lacks the account"):
        import_archive(tar, root)
    assert listing(root) == {}


def test_a_configured_machine_ignores_every_medium(root, monkeypatch):
    (root / "boot/config/CONFIGURED").write_bytes(b"")
    monkeypatch.setattr(bootstrap, "candidates", lambda: pytest.fail("media were searched"))
    assert bootstrap.main(root) == 0


@pytest.fixture
def machine(tmp_path, root, monkeypatch):
    """Returns a function that boots a machine of a variant once, with the content of its media; it returns the status.

    Each medium is None, for one that cannot be mounted, or the members of its archive; without members, it has none.
    """

    def boot(variant, *media):
        share = tmp_path / "share"
        share.mkdir(exist_ok=True)
        (share / "system.json").write_text(f'{{"product": "guestos", "variant": "{variant}"}}')
        folders = []
        for number, members in enumerate(media):
            folders.append(tmp_path / f"sd{number}")
            folders[-1].mkdir(exist_ok=True)
            (folders[-1] / bootstrap.ARCHIVE).unlink(missing_ok=True)
            if members:
                archive(folders[-1] / bootstrap.ARCHIVE, *members)

        @bootstrap.contextmanager
        def mounted(device):
            if media[folders.index(device)] is None:
                raise GuestError(f"{device}: cannot be mounted")
            yield device

        monkeypatch.setattr(bootstrap, "candidates", lambda: folders)
        monkeypatch.setattr(bootstrap, "_mounted", mounted)
        return bootstrap.main(root, Environment(share=str(share)))

    return boot


GOOD = (("nns.conf", b"x"),)
DAMAGED = (("network.conf/x", b"x"),)


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_a_device_that_cannot_be_mounted_does_not_hide_the_medium(root, machine, capsys, variant):
    assert machine(variant, None, (), GOOD, (("log.conf", b"x"),)) == 0
    assert listing(root / "boot/config") == {"CONFIGURED": b"", "nns.conf": b"x"}
    assert "sd0: cannot be mounted" in capsys.readouterr().err


@pytest.mark.parametrize("variant", ["dev", "prod"])
@pytest.mark.parametrize("media", [[], [()]], ids=["no medium", "medium without an archive"])
def test_a_first_boot_without_a_medium_is_the_only_one(root, machine, variant, media):
    assert machine(variant, *media) == 0
    assert machine(variant, GOOD) == 0
    assert listing(root / "boot/config") == {"CONFIGURED": b"No medium was attached.\n"}


@pytest.mark.parametrize("bad", [DAMAGED, None], ids=["damaged", "cannot be mounted"])
def test_prod_does_not_try_again_after_a_bad_medium(root, machine, bad):
    assert machine("prod", bad) == 0
    assert machine("prod", GOOD) == 0
    assert listing(root / "boot/config") == {"CONFIGURED": b"A medium was refused.\n"}


@pytest.mark.parametrize("bad", [DAMAGED, None], ids=["damaged", "cannot be mounted"])
def test_dev_tries_again_after_a_bad_medium(root, machine, bad):
    assert machine("dev", bad) == 0
    assert listing(root / "boot/config") == {}
    assert machine("dev", GOOD) == 0
    assert listing(root / "boot/config") == {"CONFIGURED": b"", "nns.conf": b"x"}


def test_the_end_of_the_first_boot_survives_a_power_cut(root, machine, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    machine("prod")
    assert synced == [f"{root}/boot/config/CONFIGURED.new", f"{root}/boot/config"]


def test_a_machine_whose_variant_is_unknown_takes_nothing(root, machine, capsys):
    assert machine('"', GOOD) == 1
    assert listing(root) == {}
    assert "system.json: the identity of this system cannot be read" in capsys.readouterr().err


NOT_FOR_PROD = {
    "accounts_ssh_authorized_keys/root": b"ssh-ed25519 AAAA\n",
    "malicious_behavior.conf": b"malicious_behavior={}\n",
    "nns_public_key_override.pem": b"key",
}


@pytest.mark.parametrize(("variant", "taken"), [("dev", True), ("prod", False), ("other", False)])
@pytest.mark.parametrize(("name", "content"), NOT_FOR_PROD.items())
def test_prod_leaves_out_what_is_for_tests(tmp_path, root, capsys, variant, taken, name, content):
    (tmp_path / "system.json").write_text(f'{{"product": "guestos", "variant": "{variant}"}}')
    policy = read_policy(Environment(share=str(tmp_path)))
    admin = ("accounts_ssh_authorized_keys/admin", b"ssh-ed25519 BBBB\n")
    import_archive(archive(tmp_path / "a.tar", (f"./{name}", content), admin), root, policy)
    expected = {"CONFIGURED": b"", admin[0]: admin[1]} | ({name: content} if taken else {})
    assert listing(root / "boot/config") == expected
    warning = f"<4>ic-bootstrap.tar: {name!r} is left out: {variant} does not take it from a medium"
    assert capsys.readouterr().err.splitlines() == ([] if taken else [warning])


def test_only_secrets_and_nothing_else_is_hidden():
    hidden = {name for name, place in MEMBERS.items() if not place.mode & 0o077}
    assert hidden == {"ic_crypto", "node_operator_private_key.pem"}
