import datetime as dt

import pytest

from guestos.errors import GuestError
from guestos.update_keys import read_key, read_keys

PEM = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    "-----END PUBLIC KEY-----\n"
)


@pytest.fixture
def key(tmp_path):
    """Returns a function that reads a key file with a given text."""

    def read(text):
        path = tmp_path / "a.pem"
        path.write_bytes(text.encode())
        return read_key(str(path))

    return read


@pytest.mark.parametrize(
    ("before", "expires"),
    [
        ("", None),
        ("# A comment: with a colon.\n\n#\n", None),
        ("Expires: 2030-12-31\n", dt.date(2030, 12, 31)),
        ("# The key of 2026.\nExpires:\t2030-01-02 \n\n# Another comment.\n", dt.date(2030, 1, 2)),
        ("Expires: 2030-12-31\r\n", dt.date(2030, 12, 31)),
    ],
)
def test_a_key_with_comments_and_an_expiry_date(key, before, expires):
    found = key(f"{before}{PEM}\n# After the key.\n")
    assert found.expires == expires
    assert found.id == key(PEM).id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"Expire: 2030-12-31\n{PEM}", r"line 1: 'Expire: 2030-12-31' is not `Expires: YYYY-MM-DD`"),
        (f"# A comment.\nexpires: 2030-12-31\n{PEM}", "line 2: 'expires: 2030-12-31' is not"),
        (f"Expires 2030-12-31\n{PEM}", "line 1: 'Expires 2030-12-31' is not"),
        (f" Expires: 2030-12-31\n{PEM}", "line 1: ' Expires: 2030-12-31' is not"),
        (f"Expires: 31.12.2030\n{PEM}", "line 1: 'Expires: 31.12.2030' is not"),
        (f"Expires: 20301231\n{PEM}", "line 1: 'Expires: 20301231' is not"),
        (f"Expires:\n{PEM}", "line 1: 'Expires:' is not"),
        (f"Expires: 2030-02-30\n{PEM}", "line 1: 2030-02-30 is not a date"),
        (f"Expires: 2030-12-31\nExpires: 2040-12-31\n{PEM}", "line 2: has 'Expires: 2040-12-31' after the expiry date"),
        (f"Valid-From: 2030-12-31\n{PEM}", "line 1: 'Valid-From: 2030-12-31' is not"),
        (f"The key of 2026.\n{PEM}", "line 1: 'The key of 2026.' is not .* comments start with #"),
        (f"{PEM}Expires: 2030-12-31\n", "line 4: has 'Expires: 2030-12-31' after the key"),
        (f"{PEM}{PEM}", "line 4: has '-----BEGIN PUBLIC KEY-----' after the key; one key a file"),
        ("# Nothing.\n", "has no complete public key in PEM format"),
        (PEM.rpartition("-----END")[0], "has no complete public key in PEM format"),
        (PEM.replace("MCow", "!!!!"), "the public key is not valid base64"),
        (PEM.replace("MCow", "MCox"), "is not a public key of Ed25519"),
        (PEM.replace("rXAxZuE=", ""), "is not a public key of Ed25519"),
    ],
)
def test_a_file_that_is_not_as_it_must_be(key, text, message):
    with pytest.raises(GuestError, match=message):
        key(text)


def test_a_directory_without_keys(tmp_path):
    assert read_keys(str(tmp_path)).trusted == []
