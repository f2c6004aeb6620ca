import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.rootfs.sha512crypt import derived_salt, sha512crypt
from tools.testing.oracles import oracle

_PASSWORDS = st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), min_size=1, max_size=140)
_SALTS = st.text("./0123456789ABCXYZabcxyz", min_size=1, max_size=16)


def test_known_answer():
    """From "Unix crypt using SHA-256 and SHA-512", version 0.6."""
    digest = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    assert sha512crypt("Hello world!", "saltstring") == f"$6$saltstring${digest}"


@settings(deadline=None, derandomize=True, max_examples=60)
@given(_PASSWORDS, _SALTS)
def test_agrees_with_openssl(password, salt):
    command = [oracle("openssl"), "passwd", "-6", "-salt", salt, "-stdin"]
    result = subprocess.run(command, input=password.encode() + b"\n", capture_output=True, check=True)
    assert sha512crypt(password, salt) == result.stdout.decode().strip()


@pytest.mark.parametrize(
    ("password", "salt", "message"),
    [
        ("x", "", "salt is empty"),
        ("x", "a$b", "invalid characters in .* salt"),
        ("x", "a" * 17, "salt too large"),
        ("a\0b", "x", "NUL"),
    ],
)
def test_what_crypt_cannot_take_is_refused(password, salt, message):
    with pytest.raises(ValueError, match=message):
        sha512crypt(password, salt)


def test_salts_follow_from_the_texts_alone():
    assert derived_salt("root", "secret") == derived_salt("root", "secret")
    assert derived_salt("root", "secret") != derived_salt("admin", "secret")
    assert derived_salt("ab", "c") != derived_salt("a", "bc")
    for number in range(50):
        sha512crypt("x", derived_salt(str(number)))
