import pytest

from tools.commands.swap_image import Arguments, main
from tools.core.cli import call
from tools.tar.image_file import open_image
from tools.testing.oracles import ask

UUID = "2b110bb7-cdec-7d41-b97e-893edcbe5428"


def make(output, *words):
    return call(main, Arguments, "", ["swap_image", f"--output={output}", *words])


def test_file_recognises_it(tmp_path):
    assert make(tmp_path / "swap", "--size=1M", f"--uuid={UUID}", "--label=spare", "--raw") == 0
    said = ask("blkid", "--probe", "--output=export", tmp_path / "swap")
    assert f"UUID={UUID}" in said
    assert "LABEL=spare" in said


def test_tar_has_the_same_area(tmp_path):
    for name, flag in (("raw", "--raw"), ("swap.img.tar", "--noraw")):
        assert make(tmp_path / name, "--size=1M", f"--uuid={UUID}", flag) == 0
    assert open_image(tmp_path / "swap.img.tar").read(0, 1 << 20) == (tmp_path / "raw").read_bytes()
    assert (tmp_path / "swap.img.tar").stat().st_size < 20000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size=1M", "--uuid=1"], "--uuid: '1' is not a UUID; `uuidgen` makes one"),
        (["--size=1000", f"--uuid={UUID}"], "out: a swap area has 10 to"),
    ],
)
def test_wrong_arguments(tmp_path, capsys, words, message):
    assert make(tmp_path / "out", *words) == 2
    assert f"error: {message}" in capsys.readouterr().err
