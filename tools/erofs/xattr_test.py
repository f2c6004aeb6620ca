"""Tests the packing of extended attributes, and which of them are shared."""

import pytest

from tools.erofs.xattr import (
    SharedAttributes,
    count_attributes,
    count_of,
    pack_attribute,
    packed_size,
    parse_attributes,
    parse_entry,
)

LABEL = (b"security.selinux", b"system_u:object_r:usr_t:s0\0")


def test_entries():
    for name, value in [
        LABEL,
        (b"user.empty", b""),
        (b"system.posix_acl_access", b"acl"),
        (b"trusted.x", b"v" * 65535),
    ]:
        entry = pack_attribute(name, value)
        assert len(entry) % 4 == 0
        assert parse_entry(entry + b"more", 0) == (name, value, len(entry))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (b"system.other", b"", "'system.other' has a name that EROFS cannot store"),
        (b"user.", b"", "'user.' has a name that EROFS cannot store"),
        (b"user.a\0b", b"", "has a name that EROFS cannot store"),
        (b"user." + b"n" * 256, b"", "has a name longer than 255 bytes"),
        (b"user.x", bytes(65536), "'user.x' has a value longer than 65535 bytes"),
    ],
)
def test_what_cannot_be_stored(name, value, message):
    with pytest.raises(ValueError, match=message):
        pack_attribute(name, value)


def test_attributes_are_shared_where_that_is_smaller():
    long, short = (b"user.long", b"v" * 20), (b"user.s", b"1")
    sets = [dict([LABEL]), dict([LABEL, long, short]), dict([long, short])]
    shared = SharedAttributes(count_attributes(sets), 1152)
    assert shared.area == pack_attribute(*LABEL) + pack_attribute(*long)
    ids, inline = parse_attributes(shared.pack(sets[1]))
    assert (ids, inline) == ([1152 // 4, (1152 + len(pack_attribute(*LABEL))) // 4], dict([short]))
    alone = SharedAttributes(count_attributes(sets[:1]), 1152)
    assert alone.area == b""
    assert parse_attributes(alone.pack(sets[0])) == ([], dict([LABEL]))
    assert alone.pack({}) == b""


def test_no_more_than_128_are_shared():
    many = {b"user.%03d" % number: b"value" for number in range(200)}
    shared = SharedAttributes(count_attributes([many] * 3), 0)
    ids, inline = parse_attributes(shared.pack(many))
    assert (len(ids), len(inline)) == (128, 72)


def test_size_of_all():
    shared = SharedAttributes({}, 0)
    packed = shared.pack({b"user.a": bytes(65500), b"user.b": bytes(65500), b"user.c": bytes(65500)})
    assert packed_size(count_of(packed)) == len(packed)
    assert (count_of(b""), packed_size(0)) == (0, 0)
    with pytest.raises(ValueError, match=r"need 327\d\d\d bytes, but an inode can have 262148"):
        shared.pack({b"user.%d" % number: bytes(65500) for number in range(5)})


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (bytes(12) + b"\x01\x09\x00\x00x", "of an unknown kind"),
        (bytes(12) + b"\x01\x86\x00\x00x", "has a long prefix"),
        (bytes(12) + b"\x01\x06\xff\x00x", "runs over the end"),
        (bytes(12) + b"\x01\x06", "runs over the end"),
        (bytes(4) + b"\x02" + bytes(11), "more shared attributes than there is room for"),
    ],
)
def test_damage(packed, message):
    with pytest.raises(ValueError, match=message):
        parse_attributes(packed)
