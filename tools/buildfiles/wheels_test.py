import hashlib
import io
import json
import platform
import sys
import zipfile
from pathlib import Path

import pytest

from tools.buildfiles import wheels
from tools.buildfiles.wheels import Wheels
from tools.core.errors import UserError
from tools.fetch.download import Policy
from tools.testing.faulty_server import serving

LOCK = Path(wheels.__file__).parents[2] / "third_party" / "python" / "requirements.lock.json"
POLICY = Policy(attempts=1, timeout=10, pause=0)
MINOR = sys.version_info[1]


def wheel(*tags, url="http://x/a.whl", sha256="", cpu=None):
    return {"cpus": [cpu or platform.machine()], "sha256": sha256, "tags": list(tags), "url": url}


def lock(path, **distributions):
    """Writes a lock of distributions: wheels, and names of what they require."""
    content = {name: {"wheels": each[0], "requires": list(each[1:])} for name, each in distributions.items()}
    path.write_text(json.dumps({"distributions": content}))
    return path


def test_the_lock_has_a_wheel_of_each_distribution_for_this_interpreter(tmp_path):
    names = ["absl_py", "deflate", "google_crc32c", "zstandard", "cryptography"]
    chosen = Wheels(LOCK, tmp_path, POLICY).choose(names)
    assert len(chosen) > len(names)  # with those that they require
    assert all(url.startswith("https://") and len(sha256) == 64 for url, sha256 in chosen.items())


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        (["py3-none-any"], True),
        (["py2-none-any", "py3-none-any"], True),
        (["py2-none-any"], False),
        ([f"cp3{MINOR}-cp3{MINOR}-manylinux_2_17"], True),
        (["cp311-abi3-manylinux_2_17"], True),
        ([f"cp3{MINOR + 1}-abi3-manylinux_2_17"], False),
        ([f"cp3{MINOR + 1}-cp3{MINOR + 1}-manylinux_2_17"], False),
        ([f"cp3{MINOR}-cp3{MINOR}t-manylinux_2_17"], False),
    ],
)
def test_tags_say_which_interpreters_take_a_wheel(tmp_path, tags, fits):
    reader = Wheels(lock(tmp_path / "lock", a=[[wheel(*tags)]]), tmp_path, POLICY)
    if fits:
        assert reader.choose(["a"]) == {"http://x/a.whl": ""}
    else:
        with pytest.raises(UserError, match=r"has no wheel of a for CPython 3\.\d+ on"):
            reader.choose(["a"])


def test_a_wheel_for_another_machine_is_not_taken(tmp_path):
    with pytest.raises(UserError, match="has no wheel of a"):
        Wheels(lock(tmp_path / "lock", a=[[wheel("py3-none-any", cpu="other")]]), tmp_path, POLICY).choose(["a"])


def test_wheels_are_downloaded_and_unpacked_once(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        distributions = {}
        for name, requires in (("a-b", ["c"]), ("c", [])):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(f"{name}.py", f"name = {name!r}")
            server.files[f"/{name}.whl"] = buffer.getvalue()
            sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
            distributions[name] = [[wheel("py3-none-any", url=f"{server.url}/{name}.whl", sha256=sha256)], *requires]
        for _ in range(2):
            reader = Wheels(lock(tmp_path / "lock", **distributions), tmp_path / "wheels", POLICY)
            folders = reader.folders(["a_b"])
            assert [[path.name for path in Path(folder).iterdir()] for folder in folders] == [["a-b.py"], ["c.py"]]
        assert sorted(server.paths()) == ["/a-b.whl", "/c.whl"]
        assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == sorted(Path(f).name for f in folders)
