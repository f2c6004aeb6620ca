import pytest

from guestos import settings
from guestos.errors import GuestError
from guestos.settings import Setting


@pytest.fixture
def file(tmp_path):
    return tmp_path / "nns.conf"


def test_values_have_file_and_line(file):
    file.write_text("# from the bootstrap medium\n\n nns_url = http://a/?b=c \nother=1\nempty=\n")
    assert settings.read(str(file), ("nns_url", "empty")) == {"nns_url": Setting("http://a/?b=c", f"{file}:3")}


def test_a_missing_or_empty_file_has_no_settings(file):
    assert settings.read(str(file), ("nns_url",)) == {}
    file.touch()
    assert settings.read(str(file), ("nns_url",)) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\nnns_url", ":2: expected KEY=VALUE, not 'nns_url'"),
        (b"nns_url=a\n\nnns_url=b\n", r":3: nns_url is given twice, first at .*nns\.conf:1"),
        (b"nns_url=\xff", ": cannot be read: "),
    ],
)
def test_an_invalid_file_is_an_error_with_its_name(file, content, message):
    file.write_bytes(content)
    with pytest.raises(GuestError, match=rf"^{file}{message}"):
        settings.read(str(file), ("nns_url",))


def test_a_directory_in_place_of_a_file_is_an_error(file):
    file.mkdir()
    with pytest.raises(GuestError, match="cannot be read"):
        settings.read(str(file), ())


def test_invalid_lines_can_be_skipped(file):
    file.write_text("nonsense\nnns_url=a\nnns_url=b\nother=c\n")
    messages = []
    found = settings.read(str(file), ("nns_url", "other"), messages.append)
    assert {key: setting.value for key, setting in found.items()} == {"nns_url": "a", "other": "c"}
    assert messages == [
        f"{file}:1: expected KEY=VALUE, not 'nonsense'",
        f"{file}:3: nns_url is given twice, first at {file}:2",
    ]
