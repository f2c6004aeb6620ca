import ctypes
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.testing.oracles import unavailable
from tools.testing.small_trees import layer
from tools.tree.node import Device, Fifo, Socket, walk
from tools.tree.selinux import XATTR, FileContexts, label_tree

TYPES = {"--": stat.S_IFREG, "-d": stat.S_IFDIR, "-l": stat.S_IFLNK, "-c": stat.S_IFCHR, "-s": stat.S_IFSOCK}


def contexts(tmp_path, *lines, substitutions=None):
    path = tmp_path / "file_contexts"
    path.write_text("".join(line.replace(" LABEL_", " u:r:") + "\n" for line in lines))
    return FileContexts.read([str(path)], substitutions and str(substitutions))


def label(rules, path, file_type="--"):
    found = rules.context(path.encode(), TYPES[file_type])
    return found and found.decode().removeprefix("u:r:")


def test_the_last_line_that_matches_decides(tmp_path):
    rules = contexts(tmp_path, "/.* LABEL_1", "/usr/.* LABEL_2", "/usr/lib(/.*)? LABEL_3", "/usr/.*\\.so LABEL_4")
    assert [label(rules, path) for path in ("/x", "/usr/x", "/usr/lib", "/usr/lib/x", "/usr/lib/x.so")] == list("12334")
    rules = contexts(tmp_path, "/usr/.*\\.so LABEL_4", "/usr/lib(/.*)? LABEL_3", "/.* LABEL_1")
    assert label(rules, "/usr/lib/x.so") == "1"


def test_plain_paths_come_first(tmp_path):
    rules = contexts(tmp_path, "/etc/a\\.b LABEL_exact", "/etc/.* LABEL_1", "/.* LABEL_2")
    assert [label(rules, path) for path in ("/etc/a.b", "/etc/axb")] == ["exact", "2"]


def test_file_types(tmp_path):
    lines = [f"/x {name} LABEL_{name[1]}" for name in TYPES]
    rules = contexts(tmp_path, "/.* LABEL_all", "/x/.* -d LABEL_dir", *lines)
    assert [label(rules, "/x", name) for name in TYPES] == ["-", "d", "l", "c", "s"]
    assert label(rules, "/x/y", "-d") == "dir"
    assert label(rules, "/x/y", "--") == "all"


def test_none_is_no_label(tmp_path):
    rules = contexts(tmp_path, "/.* LABEL_1", "/run/.* <<none>>", "/tmp <<none>>")
    assert [label(rules, path) for path in ("/run", "/run/x", "/tmp", "/tmp/x")] == ["1", None, None, "1"]


def test_a_path_without_a_rule_is_an_error(tmp_path):
    with pytest.raises(UserError, match="/x: no line of the file contexts is for it"):
        label(contexts(tmp_path, "/y LABEL_1"), "/x")


def test_substitutions(tmp_path):
    (tmp_path / "subs").write_text("# alias\n/lib /usr/lib\n/lib/systemd /systemd\n")
    rules = contexts(
        tmp_path, "/.* LABEL_0", "/usr/lib(/.*)? LABEL_1", "/systemd.* LABEL_2", substitutions=tmp_path / "subs"
    )
    assert [label(rules, path) for path in ("/lib", "/lib/x", "/lib/systemd/x", "/lib64")] == ["1", "1", "2", "0"]


def test_later_files_say_it_again(tmp_path):
    (tmp_path / "1").write_text("/x -- u:r:1\n/y/.* u:r:1\n")
    (tmp_path / "2").write_text("/x u:r:2\n/y/.* u:r:2\n")
    rules = FileContexts.read([str(tmp_path / "1"), str(tmp_path / "2")])
    assert [label(rules, path) for path in ("/x", "/y/z")] == ["2", "2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/x", "file_contexts:3: has 1 fields"),
        ("/x -- u:r:t:s0 more", "has 4 fields"),
        ("/x -x u:r:t", "'-x' is no file type; use one of --, -d"),
        ("/x u:r", "'u:r' is no security context"),
        ("/x <none>", "'<none>' is no security context"),
        ("/(x u:r:t", r"'/\(x' is no usable regular expression: a '\(' is not closed"),
        ("/x) u:r:t", r"a '\)' has no '\('"),
        ("/[x u:r:t", r"a '\[' is not closed"),
        ("/[[:foo:]] u:r:t", "unknown class"),
        ("/x\\ u:r:t", "ends in a backslash"),
        ("/(a)\\1 u:r:t", r"'\\1' is not supported"),
        ("/a|/b u:r:t", "must stand in parentheses"),
        ("/(?=a) u:r:t", r"supported in '\(\?:' only"),
        ("/first/.* u:r:other", "file_contexts:3: gives /first/.* another context than .*file_contexts:2 does"),
        ("/first/.* -d u:r:other", "gives /first/.* another context"),
    ],
)
def test_bad_lines_are_errors_with_their_number(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        contexts(tmp_path, "# comment", "/first/.* u:r:1", line)


@pytest.mark.parametrize("regex", ["/x{2,1}", "/x**", "/[z-a]"])
def test_bad_expressions_are_found_when_they_are_needed(tmp_path, regex):
    rules = contexts(tmp_path, "/.* u:r:1", f"{regex} u:r:2")
    with pytest.raises(UserError, match=r"file_contexts:2: .* is no usable regular expression"):
        label(rules, "/x")


def test_missing_file():
    with pytest.raises(UserError, match="/nonexistent: cannot be read"):
        FileContexts.read(["/nonexistent"])


def labels(root):
    return {
        path.decode(): node.xattrs[XATTR].decode().removeprefix("u:r:").rstrip("\0") if XATTR in node.xattrs else None
        for path, node in walk(root)
    }


def set_label(root, path, value):
    dict(walk(root))[path].xattrs[XATTR] = value


def test_labels_a_tree_and_its_root(tmp_path):
    root = layer("test", "etc/hosts = x", "run/x = y", "lib -> usr/lib").root
    root.entries[b"dev"] = Device(block=False, major=1, minor=3)
    root.entries[b"pipe"] = Fifo()
    root.entries[b"socket"] = Socket()
    rules = contexts(
        tmp_path,
        "/.* LABEL_other",
        "/ -d LABEL_root",
        "/etc(/.*)? LABEL_etc",
        "/run/.* <<none>>",
        "/lib -l LABEL_link",
        "/dev -c LABEL_dev",
        "/pipe -p LABEL_pipe",
        "/socket -s LABEL_socket",
    )
    set_label(root, b"run/x", b"u:r:old\0")
    label_tree(root, rules)
    assert labels(root) == {
        "": "root",
        "dev": "dev",
        "etc": "etc",
        "etc/hosts": "etc",
        "lib": "link",
        "pipe": "pipe",
        "run": "other",
        "run/x": "old",
        "socket": "socket",
    }
    assert root.xattrs[XATTR] == b"u:r:root\0"


@pytest.mark.parametrize("mount_point", [b"/boot", b"/boot/"])
def test_labels_a_partition_as_where_it_is_mounted(tmp_path, mount_point):
    root = layer("test", "vmlinuz = x", "grub/grub.cfg = y").root
    rules = contexts(tmp_path, "/boot -d LABEL_mount", "/boot/.* LABEL_boot", "/grub.* LABEL_wrong", "/ -d LABEL_wrong")
    label_tree(root, rules, mount_point)
    assert labels(root) == {"": "mount", "vmlinuz": "boot", "grub": "boot", "grub/grub.cfg": "boot"}


def test_hard_links_must_agree(tmp_path):
    root = layer("test", "a = x", "b = y").root
    root.entries[b"c"] = root.entries[b"a"]
    label_tree(root, contexts(tmp_path, "/.* LABEL_1", "/ LABEL_1", "/b LABEL_2"))
    with pytest.raises(UserError, match=r"/a and /c: are one file .* give it u:r:1 and u:r:2"):
        label_tree(root, contexts(tmp_path, "/.* LABEL_1", "/ LABEL_1", "/c LABEL_2"))


class LibSelinux:
    """The library that restorecon and setfiles use."""

    class Option(ctypes.Structure):
        _fields_ = (("type", ctypes.c_int), ("value", ctypes.c_char_p))

    def __init__(self):
        try:
            self.library = ctypes.CDLL("libselinux.so.1", use_errno=True)
        except OSError:
            unavailable("libselinux.so.1 is missing: install the Debian package libselinux1")
        self.library.selabel_open.restype = ctypes.c_void_p
        self.library.selabel_close.argtypes = [ctypes.c_void_p]
        self.library.selabel_lookup_raw.argtypes = [
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_char_p,
            ctypes.c_int,
        ]

    def lookup(self, path, questions):
        options = (self.Option * 1)(self.Option(3, os.fsencode(path)))  # SELABEL_OPT_PATH
        handle = self.library.selabel_open(0, options, 1)  # SELABEL_CTX_FILE
        assert handle, f"libselinux refuses {path}"
        answers = []
        for key, file_type in questions:
            found = ctypes.c_void_p()
            code = self.library.selabel_lookup_raw(handle, ctypes.byref(found), key, file_type)
            answers.append(ctypes.string_at(found.value or 0) if code == 0 else None)
            self.library.freecon(found)
        self.library.selabel_close(handle)
        return answers


NAMES = ["a", "b", "ab", "a.b", "lib", "x1", "+", "a b", "[", "é", "new\nline", "_-"]
PATHS = st.lists(st.sampled_from(NAMES), max_size=4).map(lambda names: "/" + "/".join(names))
PARTS = (
    r"/a /b /lib /ab /a\.b (/.*)? /.* /[^/]* /(a|b) /a? /x[0-9] /x[[:digit:]] /[]a[] /\+ /. /a{1,2} (/lib)? /(.*/)?lib"
)
PARTS += r" /[^a-c] /\w+ /_- /a\sb /[a\]] /(?:a|ab)b? /\[ .*b /+"
LINES = st.tuples(
    st.lists(st.sampled_from(PARTS.split()), min_size=1, max_size=3).map("".join), st.sampled_from(["", "", *TYPES])
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(LINES, min_size=1, max_size=8, unique_by=lambda line: line[0]), st.lists(PATHS, max_size=10))
@example([("/a?", ""), ("/", "-d")], ["/", "/a", "/aa"])
def test_agrees_with_libselinux(lines, paths):
    judge = LibSelinux()
    questions = [(path.encode(), file_type) for path in paths for file_type in TYPES.values()]
    labels = ["<<none>>" if number == 5 else f"u:r:t{number}" for number in range(len(lines))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file_contexts")
        path.write_text(
            "".join(f"{regex} {kind} {label}\n" for (regex, kind), label in zip(lines, labels, strict=True))
        )
        rules = FileContexts.read([str(path)])
        assert [ours(rules, *question) for question in questions] == judge.lookup(path, questions)


def ours(rules, path, file_type):
    try:
        return rules.context(path, file_type)
    except UserError:
        return None
