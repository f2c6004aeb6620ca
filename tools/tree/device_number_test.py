from tools.tree.device_number import pack_device, parse_device


def test_numbers():
    for pair in [(0, 0), (1, 3), (255, 255), (0, 256), (256, 0), (259, 300), (4095, 2**20 - 1)]:
        assert parse_device(pack_device(*pair)) == pair
    assert pack_device(8, 3) == 0x803
    assert pack_device(259, 300) == 0x11032C
