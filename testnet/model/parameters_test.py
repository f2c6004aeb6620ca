import tomllib

import pytest

from testnet.model.parameters import DEFAULTS, NAMES, Stage, changed, read
from tools.core.errors import UserError


def test_each_value_has_a_source():
    content = tomllib.loads(DEFAULTS.read_text())
    assert set(content) == {*NAMES, "stages"}
    assert all(len(content[name]["source"]) > 10 and content[name]["unit"] for name in NAMES)
    parameters = read()
    assert (parameters.machines, parameters.stages[-1]) == (100_000, Stage(1, 0))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[machines]", "[machine]", "machine: is no parameter; there are machines, image_bytes, "),
        ('source = "the size', 'origin = "the size', "machines: needs value, unit and source"),
        ("value = 0.95", "value = 1.5", "quorum: 1.5 is not a share from 0 to 1"),
        ("value = 0.95", "value = nan", "quorum: nan is not a number of 0 or more"),
        ("value = 0.95", "value = true", "quorum: True is not a number of 0 or more"),
        ("value = 0.95", 'value = "1"', "quorum: '1' is not a number of 0 or more"),
        ("value = 300", "value = -1", "poll_seconds: -1 is not a number of 0 or more"),
        ("value = 100_000\n", "value = 0\n", "machines: must be more than 0"),
        ("value = 100_000\n", "value = 1.5\n", "machines: 1.5 is not a whole number"),
        ("value = 100_000\n", "value = 100_000_000\n", "machines: at most 10000000"),
        ("share = 1.0", "share = 0.9", "stages: their shares must grow, from more than 0 to 1"),
        ("share = 0.01\n", "share = 0.0001\n", "stages: their shares must grow"),
        ("share = 1.0", "part = 1.0", "stages: are tables [[stages]] with share and soak_seconds"),
        ("[machines]", "[machines", "is not TOML"),
    ],
)
def test_an_invalid_file_is_an_error_in_one_line(tmp_path, old, new, message):
    text = DEFAULTS.read_text()
    assert text.count(old) >= 1
    (tmp_path / "p.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read(tmp_path / "p.toml")
    assert f"p.toml: {message}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="none: cannot be read: No such file"):
        read(tmp_path / "none")


def test_other_values():
    parameters = changed(read(), {"machines": 5, "defects": 0.5}, [(0.5, 1), (1, 0)])
    assert (parameters.machines, parameters.defects, len(parameters.stages)) == (5, 0.5, 2)
    assert changed(parameters, {}, None) == parameters
    with pytest.raises(UserError, match="colour: is no parameter"):
        changed(parameters, {"colour": 1}, None)
    for stages in ([], [(1.5, 0)], [(0, 0), (1, 0)], [(1, -1)], [(1, float("nan"))]):
        with pytest.raises(UserError):
            changed(parameters, {}, stages)
