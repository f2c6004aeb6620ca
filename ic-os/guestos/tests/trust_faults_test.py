"""Updates that are for another machine, or not signed by a trusted key.

The numbers in the names of tests are those of the faults in doc/Upgrade.adoc.
"""

import re
import shutil

import pytest
from fault_checks import FAILED, REFUSED_IMAGE
from file_machine import both_modes
from guestos.boot_state import FAILSAFE_CHECK
from guestos.booted import DISTRIBUTION, OWN_KEYS
from update_images import make_key

pytestmark = both_modes


def test_05_signature_missing(refused, update, tmp_path):
    refused(REFUSED_IMAGE, "the update is not signed", "upgrade-install", update.but(signers=()).write(tmp_path / "x"))
    folder = update.unpack(tmp_path / "unpacked")
    (folder / "manifest.json.sig").unlink()
    arguments = "upgrade-install", folder / "boot.img", folder / "root.img"
    refused(REFUSED_IMAGE, "the update is not signed", *arguments)
    (folder / "manifest.json.sig").write_bytes(b"")
    refused(REFUSED_IMAGE, "the update is not signed", *arguments)
    (folder / "manifest.json.sig").write_bytes(b"s" * 64)
    refused(REFUSED_IMAGE, "the signature is damaged, or its algorithm is not supported", *arguments)


def test_05_signature_wrong(refused, update, tmp_path):
    folder = update.unpack(tmp_path / "unpacked")
    for name in ("manifest.json", "manifest.json.sig"):
        path = folder / name
        good = path.read_bytes()
        at = good.index(b"1.2.4") + 4 if name == "manifest.json" else len(good) - 3
        path.write_bytes(good[:at] + (b"5" if good[at:][:1] != b"5" else b"6") + good[at + 1 :])
        arguments = "upgrade-install", folder / "boot.img", folder / "root.img"
        refused(REFUSED_IMAGE, "the signature of the update is invalid", *arguments)
        path.write_bytes(good)


def test_05_key_unknown(refused, update, tmp_path):
    path = update.but(signers=("stranger",)).write(tmp_path / "x")
    refused(REFUSED_IMAGE, "a key that this system does not trust", "upgrade-install", path)


def test_05_key_expired(machine, refused, update_tar):
    key = machine.folder / "share/update-keys/test.pem"
    text = key.read_text()
    key.write_text(f"Expires: 2026-05-31\n{text}")
    refused(REFUSED_IMAGE, "a key that expired on 2026-05-31", "upgrade-install", update_tar)
    key.write_text(f"Expires: 2026-06-01\n{text}")
    assert machine("upgrade-install", update_tar) == 0, "a key is accepted on its last day"


@pytest.mark.parametrize(("where", "name"), [("share", "release-date.txt"), ("config", "date-floor.txt")])
def test_05_key_expired_and_the_clock_set_back(machine, refused, update_tar, where, name, monkeypatch):
    warnings = []
    monkeypatch.setattr("guestos.journal.warn", warnings.append)
    key = machine.folder / "share/update-keys/test.pem"
    key.write_text(f"Expires: 2026-06-30\n{key.read_text()}")
    floor = machine.folder / where / name
    floor.write_text("2026-07-01\n")
    refused(REFUSED_IMAGE, "a key that expired on 2026-06-30", "upgrade-install", update_tar)
    assert warnings == [
        "the clock shows 2026-06-01, which is before 2026-07-01, the date floor of this machine: it is set back"
    ]
    floor.write_text("soon\n")
    refused(FAILED, f"{name}: has no date as YYYY-MM-DD", "upgrade-install", update_tar)
    floor.write_text("2026-06-30\n")
    assert machine("upgrade-install", update_tar) == 0


def test_05_the_date_is_kept_if_a_time_server_set_the_clock(machine):
    floor = machine.folder / "config/date-floor.txt"
    assert machine("metrics") == 0
    assert not floor.exists(), "the clock may be years ahead"
    (machine.folder / "synchronized").touch()
    assert machine("metrics") == 0
    assert floor.read_text() == "2026-06-01\n"
    for kept in ("2026-06-02\n", "2026-05-31\n"):
        floor.write_text(kept)
        assert machine("confirm") == 0
        assert floor.read_text() == max(kept, "2026-06-01\n")


def test_05_a_date_that_cannot_be_kept_fails_nothing(machine, monkeypatch):
    warnings = []
    monkeypatch.setattr("guestos.journal.warn", warnings.append)
    (machine.folder / "synchronized").touch()
    (machine.folder / "config/date-floor.txt").write_text("nonsense\n")
    assert machine("metrics") == 0
    assert "date-floor.txt: has no date" in warnings[0]


def test_05_a_misspelt_expiry_date(machine, refused, update_tar):
    key = machine.folder / "share/update-keys/test.pem"
    key.write_text(f"Expire: 2026-05-31\n{key.read_text()}")
    refused(
        FAILED, "test.pem: line 1: 'Expire: 2026-05-31' is not `Expires: YYYY-MM-DD`", "upgrade-install", update_tar
    )


def test_05_key_revoked(machine, refused, update, update_tar):
    manifest = update.signatures(update.manifest).split()[1].decode()
    (machine.folder / "share/update-keys/revoked").write_text(f"# Stolen.\n{manifest}  # test\n")
    refused(REFUSED_IMAGE, "signed by a revoked key", "upgrade-install", update_tar)
    (machine.folder / "share/update-keys/revoked").write_text("nonsense\n")
    refused(FAILED, "'nonsense' is not the id of a key", "upgrade-install", update_tar)


def test_05_no_key(machine, refused, update_tar):
    (machine.folder / "share/update-keys/test.pem").unlink()
    refused(REFUSED_IMAGE, "this system has no update keys", "upgrade-install", update_tar)


def test_05_keys_are_rotated(machine, update, tmp_path, keys):
    both = update.but(signers=("stranger", "test")).write(tmp_path / "both")
    assert machine("upgrade-install", both) == 0, "one signature by a trusted key is sufficient"
    make_key(keys, "new")
    shutil.copy(keys / "new.pem", machine.folder / "share/update-keys")
    for name in ("test", "new"):
        assert machine("upgrade-install", update.but(signers=(name,)).write(tmp_path / name)) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"product": "hostos"}, "for the product hostos, but this system has guestos"),
        ({"architecture": "aarch64"}, "for the architecture aarch64"),
        ({"layout": "0" * 64}, "for the layout 000"),
        ({"layout": None}, "for the layout None"),
    ],
)
def test_11_for_another_machine(refused, update, tmp_path, changes, message):
    refused(REFUSED_IMAGE, message, "upgrade-install", update.but(**changes).write(tmp_path / "x"))


def test_12_dev_on_prod(machine, refused, update_tar):
    (machine.folder / "share/system.json").write_text('{"product": "guestos", "variant": "prod"}')
    refused(REFUSED_IMAGE, "for the variant dev, but this system has prod", "upgrade-install", update_tar)


def test_47_for_the_other_mode_of_trust(machine, refused, update, tmp_path):
    """The boot loader of this machine would not start it, so nothing is written."""
    other = update.but(own_keys=not update.own_keys)
    here, there = (OWN_KEYS if each.own_keys else DISTRIBUTION for each in (update, other))
    message = (
        f"the update is for the mode of trust {there}, but this machine has {here}, and its boot loader would not "
        f"start the update; install the update image of {here}"
    )
    path = other.write(tmp_path / "x")
    refused(REFUSED_IMAGE, message, "upgrade-install", path)
    refused(REFUSED_IMAGE, message, "upgrade-install", "--allow-downgrade", path)


def test_47_a_manifest_without_a_mode_is_of_the_distribution(machine, refused, update, tmp_path):
    """Update images that were built before manifests had the mode."""

    def change(data):
        return re.sub(rb' "trust": "[a-z_]+",\n', b"", data)

    path = update.but(change_manifest=change).write(tmp_path / "x")
    assert b"trust" not in change(update.manifest)
    if machine.trust == DISTRIBUTION:
        assert machine("upgrade-install", path) == 0
    else:
        refused(REFUSED_IMAGE, "is for the mode of trust distribution", "upgrade-install", path)


@pytest.mark.parametrize("value", [b"null", b'""', b"1", b'["own_keys"]'])
def test_47_an_invalid_mode_of_trust(refused, update, tmp_path, value):
    def change(data):
        return re.sub(rb'"trust": "[a-z_]+"', b'"trust": ' + value, data)

    refused(REFUSED_IMAGE, "trust is", "upgrade-install", update.but(change_manifest=change).write(tmp_path / "x"))


def test_11_a_system_without_an_identity(machine, refused, update_tar):
    (machine.folder / "share/system.json").write_text("{}")
    refused(FAILED, "the identity of this system cannot be read", "upgrade-install", update_tar)


@pytest.mark.parametrize("where", ["share", "config"])
def test_13_below_the_version_floor(machine, refused, update_tar, where, monkeypatch):
    warnings = []
    monkeypatch.setattr("guestos.journal.warn", warnings.append)
    (machine.folder / where / "version-floor.txt").write_text("1.2.10\n")
    message = "1.2.4, which is below this system's version floor 1.2.10"
    refused(REFUSED_IMAGE, message, "upgrade-install", update_tar)
    assert machine("upgrade-install", "--allow-downgrade", update_tar) == 0
    assert warnings == ["version 1.2.4 is below 1.2.10, and is installed because of --allow-downgrade"]
    (machine.folder / where / "version-floor.txt").write_text("1.2.4\n")
    assert machine("upgrade-install", update_tar) == 0


def test_13_confirm_raises_the_version_floor(machine):
    (machine.folder / "share/version-floor.txt").write_text("2.0\n")
    machine.state("B", FAILSAFE_CHECK, "A")
    machine.runs("B")
    assert machine("confirm") == 0
    assert (machine.folder / "config/version-floor.txt").read_text() == "2.0\n"


@pytest.mark.parametrize("where", ["share", "config"])
def test_46_below_the_rollback_index(machine, refused, update, tmp_path, where):
    """No option, and no higher version, makes up for a lower index; a newly signed image with a higher one does."""
    (machine.folder / where / "rollback-index.txt").write_text("7\n")
    older = update.but(version="9.9.9", rollback_index=6).write(tmp_path / "older")
    message = "the update has the rollback index 6, and this machine takes none below 7"
    refused(REFUSED_IMAGE, message, "upgrade-install", older)
    refused(REFUSED_IMAGE, message, "upgrade-install", "--allow-downgrade", older)
    without = update.but(change_manifest=lambda data: data.replace(b' "rollback_index": 0,\n', b""))
    refused(REFUSED_IMAGE, "the rollback index 0", "upgrade-install", without.write(tmp_path / "without"))
    for index in (7, 8):
        path = update.but(version="1.2.2", rollback_index=index).write(tmp_path / "again")
        assert machine("upgrade-install", path) == 0


def test_46_an_image_without_an_index_is_installed_where_there_is_no_floor(machine, update, tmp_path):
    without = update.but(change_manifest=lambda data: data.replace(b' "rollback_index": 0,\n', b""))
    assert b"rollback" not in without.change_manifest(without.manifest)
    assert machine("upgrade-install", without.write(tmp_path / "x")) == 0


@pytest.mark.parametrize("value", [b"-1", b"4294967296", b"1.5", b'"7"', b"true", b"null"])
def test_46_an_invalid_rollback_index(refused, update, tmp_path, value):
    def change(data):
        return data.replace(b'"rollback_index": 0', b'"rollback_index": ' + value)

    path = update.but(change_manifest=change).write(tmp_path / "x")
    refused(REFUSED_IMAGE, "rollback_index is", "upgrade-install", path)


@pytest.mark.parametrize("text", ["", "-1\n", "seven\n", "4294967296\n", "0x7\n"])
def test_46_a_damaged_floor_is_not_taken_for_none(machine, refused, update_tar, text):
    (machine.folder / "config/rollback-index.txt").write_text(text)
    refused(FAILED, "which is not a rollback index", "upgrade-install", update_tar)


def test_46_only_confirm_raises_the_rollback_floor(machine, update, tmp_path):
    floor = machine.folder / "config/rollback-index.txt"
    assert machine("upgrade-install", update.but(rollback_index=7).write(tmp_path / "x")) == 0
    assert machine("upgrade-commit") == 0
    assert machine.boot().slot == "B"
    (machine.folder / "share/rollback-index.txt").write_text("7\n")
    assert not floor.exists(), "a system on trial may still fall back"
    assert machine("confirm") == 0
    assert floor.read_text() == "7\n"
    (machine.folder / "share/rollback-index.txt").write_text("5\n")
    machine.state("A", FAILSAFE_CHECK, "B")
    machine.runs("A")
    assert machine("confirm") == 0
    assert floor.read_text() == "7\n", "it is never lowered"


def test_46_a_system_that_falls_back_leaves_the_floor(machine, update, tmp_path):
    assert machine("upgrade-install", update.but(rollback_index=7).write(tmp_path / "x")) == 0
    assert machine("upgrade-commit") == 0
    assert machine.boot().slot == "B"
    assert machine.boot().slot == "A"
    assert machine("confirm") == 0
    assert not (machine.folder / "config/rollback-index.txt").exists()
    assert machine("upgrade-install", update.write(tmp_path / "y")) == 0
