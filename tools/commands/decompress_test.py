import gzip
import lzma
import random

import pytest
import zstandard

from tools.commands.decompress import Arguments, main
from tools.core.cli import call

CONTENT = bytes(3 << 20) + random.Random(0).randbytes(20000) + bytes(1 << 20)
COMPRESS = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor(write_checksum=True).compress}


def run(tmp_path, data):
    (tmp_path / "in").write_bytes(data)
    return call(main, Arguments, "", ["decompress", str(tmp_path / "in"), str(tmp_path / "out")])


@pytest.mark.parametrize("name", COMPRESS)
def test_content_comes_back_also_of_several_streams(tmp_path, name):
    compress = COMPRESS[name]
    assert run(tmp_path, compress(CONTENT) + compress(b"end")) == 0
    assert (tmp_path / "out").read_bytes() == CONTENT + b"end"


@pytest.mark.parametrize("name", COMPRESS)
def test_truncated_and_damaged_files(tmp_path, capsys, name):
    data = COMPRESS[name](CONTENT)
    middle = len(data) // 2
    for wrong in (data[:-3], data[:middle] + bytes(20) + data[middle + 20 :]):
        assert run(tmp_path, wrong) == 2
        assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'in'}: cannot be decompressed: ")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"BZh91AY"])
def test_other_files(tmp_path, capsys, data):
    assert run(tmp_path, data) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'in'}: is not gzip, xz or zstd\n"
