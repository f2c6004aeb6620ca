from tools.ext4.format.checksum import crc16, crc32c, crc32c_of_int


def test_known_values():
    # The check values of CRC-16/ARC and CRC-32C, the latter without its final inversion.
    assert crc16(0, b"1234567890") == crc16(crc16(0, b"123456"), b"7890") == 0xC57A
    assert crc32c(0xFFFFFFFF, b"123456789") == 0xE3069283 ^ 0xFFFFFFFF


def test_continues_from_a_seed():
    assert crc32c(crc32c(7, b"abc"), b"defg") == crc32c(7, b"abcdefg")
    assert crc32c_of_int(7, 0x04030201) == crc32c(7, b"\1\2\3\4")
    assert crc32c_of_int(7, 1, 8) == crc32c(7, b"\1" + bytes(7))
