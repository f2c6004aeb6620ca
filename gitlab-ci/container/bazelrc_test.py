import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def in_definition(commands, *arguments, folder=HERE):
    """Runs commands of bash that know the functions of the image's definition; `chroot` prints the list of packages."""
    script = f'set -euo pipefail; chroot() {{ cat "$1/packages"; }}; . "$0/image.sh"; {commands}'
    done = subprocess.run(["bash", "-c", script, folder, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def root(tmp_path):
    """The root of an image, as far as its bazelrc goes."""
    (tmp_path / "etc" / "bazel").mkdir(parents=True)
    (tmp_path / "etc" / "bazel" / "bazelrc").write_text("startup --install_base=/usr/share/bazel\n")
    (tmp_path / "packages").write_text("qemu 10.1\nzstd 1.5\n")
    return tmp_path


@pytest.fixture
def image_bazelrc(root):
    in_definition('write_bazelrc "$1"', root)
    return (root / "etc" / "bazel" / "bazelrc").read_text()


# Bazel analyzes all targets again when one of these differs between two commands.
ANALYZED_AGAIN = r"^(?!#|build|common)\S+\s.*--(test_env|test_arg|action_env|host_action_env|define|features)\b.*$"


def test_build_and_test_have_the_same_options_of_analysis(image_bazelrc):
    for text in (image_bazelrc, (HERE.parents[1] / ".bazelrc").read_text()):
        assert "--test_env=ICOS_REQUIRE_ORACLES=1" in text
        assert [line[0] for line in re.finditer(ANALYZED_AGAIN, text, re.MULTILINE)] == []


def test_results_of_tests_are_those_of_the_image(image_bazelrc, root):
    content = in_definition('content_of "$1"', root)
    assert re.fullmatch(r"[0-9a-f]{16}\n", content)
    assert f"build --test_env=ICOS_IMAGE_CONTENT={content}" in image_bazelrc


def test_a_package_of_another_version_makes_another_image(root):
    contents = [in_definition('content_of "$1"', root) for _ in range(2)]
    (root / "packages").write_text("qemu 10.2\nzstd 1.5\n")
    contents.append(in_definition('content_of "$1"', root))
    assert contents[0] == contents[1] != contents[2]


def test_another_definition_makes_another_image(root, tmp_path):
    (tmp_path / "image.sh").write_bytes((HERE / "image.sh").read_bytes() + b"# changed\n")
    assert in_definition('content_of "$1"', root) != in_definition('content_of "$1"', root, folder=tmp_path)
