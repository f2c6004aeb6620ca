import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tools.testing.oracles import oracle, unavailable

HERE = Path(__file__).parent
BAZEL = Path("/usr/share/bash-completion/completions/bazel")
ALONE = ("--norc", "--noprofile")


def complete(typed, *options, setup="", folder=HERE, otherwise="false"):
    """Types into an interactive bash; returns the arguments that the command is called with.

    Args:
        typed: the command line, with tabs.
        options: of bash.
        setup: a line to type before.
        folder: the current folder.
        otherwise: what the command does when the completion itself calls it.
    """
    command = typed.split(" ", 1)[0]
    shell = [oracle("bash"), *options, "-i"]
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": "/nonexistent", "INPUTRC": "/dev/null"}
    call_noted = "printf 'called%s' ''; printf '<%s>' \"$@\"; echo"
    stand_in = f"{command}() {{ if [ -v COMP_LINE ]; then {otherwise}; else {call_noted}; fi; }}"
    keys = f"{setup}\n{stand_in}\n{typed}\nexit\n"
    keyboard, terminal = pty.openpty()
    with subprocess.Popen(shell, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, cwd=folder):
        os.close(terminal)
        os.write(keyboard, keys.encode())
        screen = b""
        try:
            while part := os.read(keyboard, 4096):
                screen += part
        except OSError:  # the last one has closed the terminal
            pass
    os.close(keyboard)
    (called,) = re.findall(r"^called(<.*>)\r?$", screen.decode(), re.MULTILINE) or [screen.decode()]
    return called


@pytest.mark.parametrize(
    ("typed", "called"),
    [
        ("--ba\tpod\t", "<--backend=podman>"),
        ("--backend=b\t--st\t", "<--backend=bubblewrap><--stop>"),
        ("--env=INPUT\t", "<--env=INPUTRC>"),
        ("--env=A=http://b --pr\t", "<--env=A=http://b><--prune>"),
        ("--mount=/us\t", "<--mount=/usr/>"),
        ("--ca\t/us\t --fu\t", "<--cache-dir=/usr/><--full>"),
        ("-- --st\t", "<--><--st>"),
        ("bazel --st\t", "<bazel><--st>"),
        ("sha256su\t", "<sha256sum>"),
    ],
)
def test_options_of_the_script_are_completed(typed, called):
    assert complete(f"container-run.sh {typed}", *ALONE, setup=". ./completion.bash") == called


def test_completion_knows_every_option():
    usage = subprocess.run([HERE / "container-run.sh", "--help"], capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  (?:-\w, )?(--[\w-]+=?)", usage, re.MULTILINE))
    completed = re.search(r'-W "(--help.*) --"', (HERE / "completion.bash").read_text())
    assert set(completed[1].split()) == listed
    assert "completion.bash" in usage


@pytest.mark.parametrize("options", [["-f", "-c"], ["--full", "--cache-dir"], ["--full", "--cache-dir=FOLDER"]])
def test_options_of_the_original_script_are_taken(tmp_path, options):
    cache = tmp_path / "cache"
    words = [word.replace("FOLDER", str(cache)) for word in options]
    command = [HERE / "container-run.sh", *words, *([] if "=" in words[-1] else [cache]), "--stop"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert "container-run: -f: there is one image, which has everything" in done.stderr.splitlines()
    assert (cache / "images").is_dir()
    assert not (tmp_path / ".cache").exists()


def test_an_option_without_its_folder_is_refused():
    done = subprocess.run([HERE / "container-run.sh", "-c"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (125, "container-run: error: -c: needs a folder\n")


@pytest.mark.parametrize(
    ("typed", "called"),
    [
        ("quer\t//x", "<query><//x>"),
        ("--noblock\tshutd\t", "<--noblock_for_lock><shutdown>"),
        ("query --output=f --keep_g\t", "<query><--output=f><--keep_going>"),
        ("build --color=n\t --job\t2", "<build><--color=no><--jobs=2>"),
        ("info output_b\t", "<info><output_base>"),
        ("build //im\troot\t", "<build><//images/root:>"),
        ("build //images/root:di\t", "<build><//images/root:disk>"),
        ("build -k :di\t", "<build><-k><:disk>"),
    ],
)
def test_bash_of_the_container_completes_bazel(tmp_path, typed, called):
    if not BAZEL.exists():
        unavailable(f"{BAZEL} is missing: run this in the container")
    (tmp_path / "MODULE.bazel").touch()
    (tmp_path / "images" / "root").mkdir(parents=True)
    (tmp_path / "images" / "root" / "BUILD.bazel").touch()
    assert complete(f"bazel {typed}", folder=tmp_path, otherwise="echo //images/root:disk") == called
