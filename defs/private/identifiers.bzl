"""UUIDs, volume labels, volume IDs and salts in attributes.

The commands check the same. A check here fails in the analysis, before anything is built, and names the target.
"""

_HEX = "0123456789abcdefABCDEF"
_GROUPS = [8, 4, 4, 4, 12]
_SALT_BYTES = 256

# Maximum length of a volume label, in bytes of UTF-8, and how messages call it.
EXT4_LABEL = struct(bytes = 16, of = "ext4")
EROFS_LABEL = struct(bytes = 15, of = "EROFS")
SWAP_LABEL = struct(bytes = 15, of = "a swap area")

_FAT_LABEL_SIZE = 11
_FAT_SIGNS = "!#$%&'()-@^_`{}~"
_FAT_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + _FAT_SIGNS

def _is_hex(text):
    return not text.strip(_HEX)

def _with_dashes(digits):
    groups, start = [], 0
    for size in _GROUPS:
        groups.append(digits[start:start + size])
        start += size
    return "-".join(groups)

def check_uuid(text, where, optional = False):
    """Returns a UUID, and fails if it is not of the form 8-4-4-4-12.

    Args:
        text: the UUID.
        where: name of the value for messages.
        optional: whether it may be empty.
    """
    if type(text) != "string":
        fail("%s: %r is of type %s; write a UUID as a string, such as \"8d3f0a52-1c9e-4c41-9a38-6d0f2e1b7a00\"" % (where, text, type(text)))
    if optional and not text:
        return text
    groups = text.split("-")
    if [len(group) for group in groups] != _GROUPS or not _is_hex("".join(groups)):
        meant = text.strip(" {}").replace("-", "")
        example = _with_dashes(meant) if len(meant) == 32 and _is_hex(meant) else "8d3f0a52-1c9e-4c41-9a38-6d0f2e1b7a00"
        fail("%s: %r is not a UUID; write one such as %s; `uuidgen` makes one" % (where, text, example))
    return text

def check_label(text, where, limit):
    """Returns a volume label, and fails if it is too long or has a NUL.

    Args:
        text: the label; may be empty.
        where: name of the value for messages.
        limit: EXT4_LABEL, EROFS_LABEL or SWAP_LABEL.
    """

    # A character of a Starlark string in Bazel is a byte of UTF-8.
    if len(text) > limit.bytes or "\0" in text:
        fail("%s: %r is not a label of %s; write at most %d bytes, without NUL; it has %d" % (where, text, limit.of, limit.bytes, len(text)))
    return text

def _is_fat_label(text):
    return len(text) <= _FAT_LABEL_SIZE and text == text.strip(" ") and not text.replace(" ", "").strip(_FAT_CHARACTERS)

def check_fat_label(text, where):
    """Returns a volume label of FAT, and fails if it is too long or has other characters.

    Args:
        text: the label; may be empty.
        where: name of the value for messages.
    """
    if not _is_fat_label(text):
        meant = text.strip(" ").upper()
        example = ", such as %r" % meant if _is_fat_label(meant) else ""
        fail("%s: %r is not a label of FAT; write at most %d characters A-Z, 0-9, %s and, inside it, space%s" % (where, text, _FAT_LABEL_SIZE, _FAT_SIGNS, example))
    return text

def check_volume_id(text, where):
    """Returns the serial number of a FAT volume, and fails if it is not eight hexadecimal digits.

    Args:
        text: the digits; may have a dash in the middle.
        where: name of the value for messages.
    """
    groups = text.split("-")
    if [len(group) for group in groups] not in ([8], [4, 4]) or not _is_hex("".join(groups)):
        fail("%s: %r is not a volume ID; write eight hexadecimal digits, such as \"12AB-34CD\"" % (where, text))
    return text

def check_salt(text, where):
    """Returns the salt of a hash tree, and fails if it is not pairs of hexadecimal digits.

    Args:
        text: the digits, or `-` for no salt.
        where: name of the value for messages.
    """
    if text == "-":
        return text
    if not text or len(text) % 2 or not _is_hex(text):
        fail("%s: %r is not a salt; write pairs of hexadecimal digits, such as \"0c9b\", or \"-\" for none" % (where, text))
    if len(text) > 2 * _SALT_BYTES:
        fail("%s: has %d bytes, which is too long for a salt; write at most %d bytes" % (where, len(text) // 2, _SALT_BYTES))
    return text
