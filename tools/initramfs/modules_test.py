import pytest

from tools.core.errors import UserError
from tools.initramfs.modules import ModuleIndex, ModuleToLoad, module_name

DEP = """\
kernel/drivers/md/dm-mod.ko.xz:
kernel/drivers/md/dm-bufio.ko.xz: kernel/drivers/md/dm-mod.ko.xz
kernel/lib/reed_solomon.ko.xz:
kernel/drivers/md/dm-verity.ko.xz: kernel/drivers/md/dm-bufio.ko.xz kernel/drivers/md/dm-mod.ko.xz kernel/lib/reed_solomon.ko.xz
kernel/drivers/block/virtio_blk.ko.xz:
kernel/fs/btrfs.ko.xz: kernel/lib/xor.ko.xz
kernel/lib/xor.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/crypto/xxhash.ko.xz:
kernel/one.ko: kernel/two.ko
kernel/two.ko: kernel/one.ko
"""  # noqa: E501 - as depmod writes it
BUILTIN = "kernel/fs/ext4/ext4.ko\nkernel/crypto/sha256_generic.ko\n"
SOFTDEP = """\
# Soft dependencies extracted from modules themselves.
softdep btrfs pre: crc32c-generic missing post: dm-verity
softdep btrfs pre: xxhash
softdep sha256_generic pre: xor
"""


@pytest.fixture
def index():
    return ModuleIndex.parse(DEP, BUILTIN, SOFTDEP, "", "modules")


def names(modules):
    return [module_name(module.path) for module in modules]


def optional(modules):
    return [module_name(module.path) for module in modules if module.optional]


def test_names_have_one_form():
    assert {module_name(f"a.b/dm-verity.ko{end}") for end in ("", ".xz", ".zst", ".gz")} == {"dm_verity"}


def test_each_module_comes_after_what_it_needs(index):
    order = names(index.load_order(["dm-verity", "virtio_blk"]))
    assert order[-1] == "virtio_blk"
    assert sorted(order[:3]) == ["dm_bufio", "dm_mod", "reed_solomon"]
    assert order.index("dm_mod") < order.index("dm_bufio")
    assert order[3] == "dm_verity"


def test_what_two_need_comes_once(index):
    order = names(index.load_order(["dm_bufio", "dm_verity", "dm_bufio"]))
    assert order[:2] == ["dm_mod", "dm_bufio"]
    assert len(order) == len(set(order)) == 4


def test_part_of_the_kernel_is_left_out(index):
    assert index.load_order(["ext4", "sha256-generic"]) == []


def test_soft_dependencies_load_before_where_they_exist(index):
    order = names(index.load_order(["btrfs"]))
    assert order[:4] == ["xor", "crc32c_generic", "xxhash", "btrfs"]
    assert sorted(order[4:7]) == ["dm_bufio", "dm_mod", "reed_solomon"]
    assert order[7:] == ["dm_verity"]


def test_soft_dependencies_may_be_aliases():
    dep = "btrfs.ko:\ncrc32c_generic.ko:\ncrc32c-intel.ko.xz:\nsha256.ko:\nother.ko:\n"
    softdep = "softdep btrfs pre: crc32c crypto-sha256 sha256 post: pci:v0001\nsoftdep crc32c_generic pre: btrfs\n"
    alias = (
        "# Aliases extracted from modules themselves.\n"
        "alias crc32c crc32c_intel\nalias crc32c gone\nalias crc32c crc32c_generic\n"
        "alias sha256 other\nalias pci:v*1 other\n"
    )
    index = ModuleIndex.parse(dep, "", softdep, alias, "modules")
    assert names(index.load_order(["btrfs"])) == ["crc32c_intel", "crc32c_generic", "sha256", "btrfs", "other"]


def test_what_only_soft_dependencies_name_is_optional(index):
    # So are the dependencies of an optional module, unless another module requires them.
    soft = ["crc32c_generic", "dm_bufio", "dm_mod", "dm_verity", "reed_solomon", "xxhash"]
    assert sorted(optional(index.load_order(["btrfs"]))) == soft
    assert sorted(optional(index.load_order(["btrfs", "dm-bufio"]))) == sorted({*soft} - {"dm_bufio", "dm_mod"})


def test_paths_are_those_of_the_index(index):
    assert index.load_order(["virtio-blk"]) == [ModuleToLoad("kernel/drivers/block/virtio_blk.ko.xz", optional=False)]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("nonsense", "modules: has no module 'nonsense', and it is not built into the kernel"),
        ("one", "modules: modules depend on each other: one -> two -> one"),
    ],
)
def test_what_cannot_be_loaded_is_an_error(index, wanted, message):
    with pytest.raises(UserError, match=message):
        index.load_order([wanted])


def test_a_dependency_that_is_missing_names_who_needs_it():
    index = ModuleIndex.parse("a.ko: b.ko\n", "", "", "", "modules")
    with pytest.raises(UserError, match="has no module 'b', which a needs"):
        index.load_order(["a"])


def test_a_damaged_index_names_the_line():
    with pytest.raises(UserError, match=r"folder/modules\.dep:2: not of the form"):
        ModuleIndex.parse("a.ko:\nb.ko\n", "", "", "", "folder")
