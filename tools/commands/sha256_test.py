from tools.commands.sha256 import Arguments, main
from tools.core.cli import call
from tools.image.extents import Extent, Image, Pattern
from tools.image.rawfile import write_raw
from tools.testing.oracles import ask


def test_sha256sum_checks_it(tmp_path):
    write_raw(Image(50 << 20, [Extent(20 << 20, 9999, Pattern(b"x"))]), tmp_path / "disk.img")
    flags = [f"--input={tmp_path}/disk.img", f"--output={tmp_path}/disk.img.sha256"]
    assert call(main, Arguments, None, ["sha256", *flags]) == 0
    said = ask("sh", "-c", f"cd {tmp_path} && sha256sum --strict --check disk.img.sha256")
    assert said == "disk.img: OK\n"
    assert (tmp_path / "disk.img.sha256").read_text() == ask("sh", "-c", f"cd {tmp_path} && sha256sum disk.img")
    assert call(main, Arguments, None, ["sha256", *flags, "--name=other"]) == 0
    assert (tmp_path / "disk.img.sha256").read_text().endswith("  other\n")


def test_prints_without_an_output(tmp_path, capfd):
    write_raw(Image.from_bytes(b"abc"), tmp_path / "x")
    assert call(main, Arguments, None, ["sha256", f"{tmp_path}/x"]) == 0
    assert capfd.readouterr().out == f"{ask('sha256sum', tmp_path / 'x').split()[0]}  x\n"
