"""The script that provides the key and the certificate of node_exporter, with the real openssl."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.testing.oracles import ask, oracle

ROOTFS = Path(__file__).parent.parent / "rootfs"
SCRIPT = ROOTFS / "opt/ic/bin/setup-node_exporter-keys.sh"
CONFIGURATION = ROOTFS / "etc/node_exporter/web.yml"


class Keys:
    """The folders of the script, and a fake `install` for machines without the group node_exporter."""

    def __init__(self, folder):
        oracle("openssl")
        self.kept, self.used, self._bin = folder / "boot-config/node_exporter", folder / "used", folder / "bin"
        for each in (self.kept.parent, self.used, self._bin):
            each.mkdir()
        program = self._bin / "install"
        program.write_text(
            '#!/bin/sh\n[ "$3" != -g ] || { echo "$4" >"$0.group"; mode=$2; shift 4; set -- -m "$mode" "$@"; }\n'
            f'exec {shutil.which("install")} "$@"\n'
        )
        program.chmod(0o755)

    @property
    def group(self):
        return (self._bin / "install.group").read_text().strip()

    def run(self):
        environment = os.environ | {"PATH": f"{self._bin}:{os.environ['PATH']}"}
        command = [SCRIPT, self.kept, self.used, CONFIGURATION]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def contents(self, folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def keys(tmp_path):
    keys = Keys(tmp_path)
    result = keys.run()
    assert result.returncode == 0, result.stderr
    return keys


def mode(path):
    return path.stat().st_mode & 0o7777


def test_makes_a_certificate_that_fits_its_key(keys):
    certificate = keys.used / "node_exporter.crt"
    text = ask("openssl", "x509", "-in", certificate, "-noout", "-text")
    assert "Subject: CN = localhost" in text or "Subject: CN=localhost" in text
    assert "DNS:localhost" in text
    assert "Public-Key: (2048 bit)" in text
    assert ask("openssl", "verify", "-CAfile", certificate, certificate).endswith(": OK\n")
    public = [
        ask("openssl", "x509", "-in", certificate, "-noout", "-pubkey"),
        ask("openssl", "pkey", "-in", keys.used / "node_exporter.key", "-pubout"),
    ]
    assert public[0] == public[1]


def test_is_valid_for_ten_years(keys):
    certificate = keys.used / "node_exporter.crt"
    years = 365 * 86400
    ask("openssl", "x509", "-in", certificate, "-noout", "-checkend", str(9 * years))
    result = ask("openssl", "x509", "-in", certificate, "-noout", "-checkend", str(11 * years), check=False)
    assert "will expire" in result


def test_who_may_read(keys):
    assert mode(keys.kept) == 0o700
    assert mode(keys.kept / "node_exporter.key") == 0o600
    assert mode(keys.used / "node_exporter.key") == 0o640
    assert mode(keys.used / "node_exporter.crt") == 0o644
    assert keys.group == "node_exporter"


def test_the_configuration_names_what_is_there(keys):
    text = (keys.used / "web.yml").read_text()
    names = {line.rpartition("/")[2] for line in text.splitlines() if "_file:" in line}
    assert names == {"node_exporter.crt", "node_exporter.key"}
    assert names < set(keys.contents(keys.used))


def test_keys_are_kept(keys):
    before = keys.contents(keys.kept)
    for path in keys.used.iterdir():
        path.unlink()
    assert keys.run().returncode == 0
    assert keys.run().returncode == 0, "also if the service is started again"
    assert keys.contents(keys.kept) == before
    assert keys.contents(keys.used) == before | {"web.yml": CONFIGURATION.read_bytes()}


@pytest.mark.parametrize("left", [[], ["node_exporter.key"], ["node_exporter.key", "node_exporter.crt.new"]])
def test_a_power_cut_leads_to_new_keys(keys, left):
    for path in keys.kept.iterdir():
        path.unlink()
    for name in left:
        (keys.kept / name).write_text("damaged")
    assert keys.run().returncode == 0
    assert set(keys.contents(keys.kept)) == {"node_exporter.key", "node_exporter.crt"}
    test_makes_a_certificate_that_fits_its_key(keys)
