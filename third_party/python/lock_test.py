"""Tests that the locks are current; and reading, resolving and merging locks."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from third_party.python import lock, side_by_side
from third_party.python.lock_checks import check_complete, check_current
from third_party.python.lock_file import Distribution, Lock, Wheel, merge, read_lock
from third_party.python.manifest import Manifest, read_manifest
from third_party.python.resolve import Choice
from third_party.python.side_by_side import check_distribution, find_clash
from third_party.python.targets import CPUS, PYTHONS, Target, all_targets
from tools.core.cli import call
from tools.core.errors import UserError

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "requirements.in"
LOCK = FOLDER / "requirements.lock.json"


def manifest_of(tmp_path: Path, text: str) -> Manifest:
    path = tmp_path / "requirements.in"
    path.write_text(text)
    return read_manifest(path)


@pytest.mark.parametrize("folder", ["third_party/python", "dev/drawing", "dev/remote", "dev/sbom"])
def test_locks(folder: str) -> None:
    check_current(FOLDER.parents[1] / folder)
    check_complete(FOLDER.parents[1] / folder)


@pytest.mark.parametrize("name", ["zstandard", "google-crc32c", "cffi", "hypothesis"])
def test_lock_has_a_wheel_for_every_abi(name: str) -> None:
    tags = {
        (tag.split("-")[1], tag.rpartition("-")[2].split("_", 1)[0], cpu)
        for wheel in json.loads(LOCK.read_text())["distributions"][name]["wheels"]
        for tag in wheel["tags"]
        for cpu in wheel["cpus"]
    }
    abis = {(abi, cpu) for abi, _, cpu in tags}
    assert abis == {("cp" + python.replace(".", ""), cpu) for python in PYTHONS for cpu in CPUS}


def test_digest_ignores_comments_and_order(tmp_path: Path) -> None:
    first = manifest_of(tmp_path, "absl-py  # flags\npytest>=9\n")
    second = manifest_of(tmp_path, "# tests\npytest >= 9\n\nAbsl_Py\n")
    assert first.digest() != manifest_of(tmp_path, "absl-py\npytest>=8\n").digest()
    assert [r.name for r in second.requirements] == ["pytest", "Absl_Py"]
    assert first.digest() == manifest_of(tmp_path, "pytest>=9\nabsl-py").digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("absl-py\n===\n", "requirements.in:2: not a requirement"),
        ("absl-py\nAbsl.PY\n", "requirements.in:2: absl-py occurs twice"),
        ("absl-py @ https://example.org/absl.whl\n", "requirements.in:1: absl-py has a URL"),
    ],
)
def test_bad_manifest(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        manifest_of(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{}", '{"manifest_sha256": "", "distributions": {"a": {"wheels": 1}}}'])
def test_bad_lock(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"lock\.json: not a lock"):
        read_lock(path)


@pytest.mark.parametrize("text", ["", "[" * 200_000])
def test_lock_that_is_not_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"lock\.json:1: .*; restore it from version control"):
        read_lock(path)


def test_changed_manifest_is_found(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, MANIFEST.read_text() + "\nsix\n")
    with pytest.raises(UserError, match="changed since the lock was created; run bazel run //third_party/python:lock"):
        lock.check(manifest, read_lock(LOCK))


def test_platforms_are_best_first() -> None:
    platforms = Target("3.11", "x86_64").platforms()
    assert platforms[0] == "manylinux_2_28_x86_64"
    assert platforms.index("manylinux_2_17_x86_64") + 1 == platforms.index("manylinux2014_x86_64")
    assert platforms[-2:] == ["manylinux1_x86_64", "linux_x86_64"]
    assert Target("3.11", "aarch64").platforms()[-2:] == ["manylinux2014_aarch64", "linux_aarch64"]


def locked(version: str) -> Distribution:
    return Distribution(version, "MIT", (), ())


def test_versions_are_kept_unless_upgraded_or_forbidden(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, "old>=2\nfirm\n")
    old = Lock("", {"old": locked("1"), "firm": locked("3"), "deep": locked("4")})
    assert lock.kept_versions(manifest, old, []) == {"firm": "3", "deep": "4"}
    assert lock.kept_versions(manifest, old, ["Firm"]) == {"deep": "4"}
    assert lock.kept_versions(manifest, old, ["all"]) == {}
    with pytest.raises(UserError, match="--upgrade: frim: not in the lock"):
        lock.kept_versions(manifest, old, ["frim"])


def test_versions_chosen_for_one_target_hold_for_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def resolve(_manifest: Manifest, target: Target, pins: dict[str, str]) -> dict[str, Choice]:
        asked.append(dict(pins))
        wheel = f"https://example.org/some-1-cp311-abi3-linux_{target.cpu}.whl"
        return {"some": Choice("some", "1", wheel, "00", "MIT", frozenset({target.python}))}

    monkeypatch.setattr(lock, "resolve", resolve)
    made = lock.make_lock(manifest_of(tmp_path, "some"), {"other": "7"})
    assert asked[0] == {"other": "7"}
    assert all(pins == {"other": "7", "some": "1"} for pins in asked[1:])
    assert [wheel.cpus for wheel in made.distributions["some"].wheels] == [("aarch64",), ("x86_64",)]
    assert made.distributions["some"].requires == PYTHONS


def test_failure_says_what_to_try(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def resolve(*_: object) -> dict[str, Choice]:
        raise UserError("no solution")

    monkeypatch.setattr(lock, "resolve", resolve)
    with pytest.raises(UserError, match=r"no solution .*--upgrade=all"):
        lock.make_lock(manifest_of(tmp_path, "some"), {})


def test_refresh_prints_what_changed(monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "requirements.in").write_text("new\n")
    (tmp_path / "requirements.lock.json").write_text(
        Lock("", {"up": locked("1.9"), "gone": locked("2"), "down": locked("2.0")}).to_text()
    )
    new = Lock("", {"up": locked("1.10"), "new": locked("1"), "down": locked("2.0rc1")})
    monkeypatch.setattr(lock, "make_lock", lambda *_: new)
    monkeypatch.setattr(lock, "check_distribution", lambda *_: None)
    command = ["lock", f"--manifest={tmp_path}/requirements.in", "--upgrade=up,down"]
    assert call(lock.main, lock.Arguments, "", command) == 0
    assert capsys.readouterr().out.splitlines() == [
        "downgraded: down 2.0 -> 2.0rc1",
        "removed: gone 2",
        "added: new 1",
        "upgraded: up 1.9 -> 1.10",
        "1 added, 1 removed, 1 upgraded, 1 downgraded",
    ]
    assert read_lock(tmp_path / "requirements.lock.json") == new


def test_check_of_a_changed_manifest_fails(tmp_path, capsys) -> None:
    (tmp_path / "requirements.in").write_text("new\n")
    (tmp_path / "requirements.lock.json").write_text(Lock("00", {}).to_text())
    assert call(lock.main, lock.Arguments, "", ["lock", f"--manifest={tmp_path}/requirements.in", "--check"]) == 1
    assert "changed since the lock was created" in capsys.readouterr().err


def test_wheel_for_all_machines_is_listed_once() -> None:
    url = "https://example.org/some-1-py3-none-any.whl"
    choices = {target: {"some": Choice("some", "1", url, "00", "", frozenset())} for target in all_targets()}
    assert merge("", choices).distributions["some"].wheels == (Wheel(url, "00", ("aarch64", "x86_64")),)


def make_wheel(path: Path, members: dict[str, str]) -> Wheel:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return Wheel(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest(), ("x86_64",))


def test_wheels_that_differ_cannot_share_a_folder(tmp_path: Path) -> None:
    info = "some-1.dist-info/"
    one = make_wheel(
        tmp_path / "some-1-cp311-cp311-linux_x86_64.whl", {"a.py": "1", "a.cp311.so": "x", f"{info}WHEEL": "1"}
    )
    same = make_wheel(
        tmp_path / "some-1-cp312-cp312-linux_x86_64.whl", {"a.py": "1", "a.cp312.so": "y", f"{info}WHEEL": "2"}
    )
    other = make_wheel(tmp_path / "some-1-cp313-cp313-linux_x86_64.whl", {"a.py": "2"})
    check_distribution("some", Distribution("1", "", (), (one, same)))
    with pytest.raises(UserError, match=r"some 1: a\.py differs between some-1-cp311.* and some-1-cp313"):
        check_distribution("some", Distribution("1", "", (), (one, same, other)))


def test_entry_points_must_agree() -> None:
    path = "some-1.dist-info/entry_points.txt"
    assert find_clash({"a.whl": {path: 1}, "b.whl": {path: 2}}) == f"{path} differs between a.whl and b.whl"


def test_download_is_verified(tmp_path: Path) -> None:
    one = make_wheel(tmp_path / "some-1-cp311-cp311-linux_x86_64.whl", {"a.py": "1"})
    wrong = Wheel(one.url, "00", one.cpus)
    with pytest.raises(UserError, match=r"SHA-256 is .*, but that of the index is 00"):
        check_distribution("some", Distribution("1", "", (), (one, wrong)))
    missing = Wheel((tmp_path / "none.whl").as_uri(), "00", one.cpus)
    with pytest.raises(UserError, match=r"none\.whl: cannot be downloaded"):
        check_distribution("some", Distribution("1", "", (), (one, missing)))


def test_single_wheel_needs_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(side_by_side, "_download")
    check_distribution("some", Distribution("1", "", (), (Wheel("https://example.org/some.whl", "00", CPUS),)))
