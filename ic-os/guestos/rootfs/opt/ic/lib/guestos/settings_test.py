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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_of_another_systems_editor(file, mark, end):
    file.write_bytes(f"{mark}nns_url=http://a{end}{end}# comment{end}other=b{end}".encode())
    found = settings.read(str(file), ("nns_url", "other"))
    assert found == {"nns_url": Setting("http://a", f"{file}:1"), "other": Setting("b", f"{file}:4")}
    file.write_bytes(f"{mark}{end}nns_url=http://a".encode())
    assert settings.read(str(file), ("nns_url",)) == {"nns_url": Setting("http://a", f"{file}:2")}


def test_only_line_feeds_end_lines(file):
    file.write_text('names=["a\u2028b\x0cc"]\n')
    assert settings.read(str(file), ("names",))["names"].value == '["a\u2028b\x0cc"]'


def test_a_missing_or_empty_file_has_no_settings(file):
    assert settings.read(str(file), ("nns_url",)) == {}
    file.touch()
    assert settings.read(str(file), ("nns_url",)) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\nnns_url", ":2: expected KEY=VALUE, not 'nns_url'"),
        (b"nns_url=a\n\nnns_url=b\n", r":3: nns_url is given twice, first at .*nns\.conf:1"),
        (b"nns_url=\xff", ": is not UTF-8: invalid start byte at byte 8$"),
        ("nns_url=a\n".encode("utf-16"), ": is not UTF-8: invalid start byte at byte 0$"),
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
