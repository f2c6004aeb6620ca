"""Tests of who may log in by SSH, by sshd's configuration: the first value of a setting counts (sshd_config(5))."""

from pathlib import Path

import pytest

GUESTOS = Path(__file__).parents[1]
FOLDER = "rootfs/etc/ssh/sshd_config.d"


def setting(variant, name):
    """Returns the value of a setting, from the files of an image in the order in which sshd reads them."""
    folders = GUESTOS / FOLDER, GUESTOS / variant / FOLDER
    files = {path.name: path for folder in folders for path in folder.glob("*.conf")}
    lines = [line.split(maxsplit=1) for _, path in sorted(files.items()) for line in path.read_text().splitlines()]
    return next(words[1] for words in lines if words and words[0].lower() == name.lower())


@pytest.mark.parametrize(("variant", "value"), [("dev", "prohibit-password"), ("prod", "no")])
def test_root_logs_in_on_dev_alone(variant, value):
    assert setting(variant, "PermitRootLogin") == value


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_nobody_logs_in_without_a_key(variant):
    assert setting(variant, "AuthenticationMethods") == "publickey"
    assert setting(variant, "PasswordAuthentication") == "no"
