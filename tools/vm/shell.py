"""Commands on a machine's serial console, after a login as root.

A console is a poor pipe: the kernel and others write to it at any time, and the terminal echoes and breaks lines. So a
command's output is not read as it comes: the machine stores it and sends it as base64 between two lines that name the
command's number, and a transfer that something was written into is asked for again.
"""

from __future__ import annotations

import base64
import binascii
import shlex
import time
from dataclasses import dataclass

from tools.vm.console import Console, ConsoleError

_LINE_LIMIT = 4000
"""The kernel's terminal line holds 4095 bytes (termios(3), canonical mode)."""

_PROMPT = r"^(?:\S+@\S+:\S+)?[#$] "
"""The prompts of bash and dash."""
_GAVE_UP = "login: timed out"
_TRIES = 3
_OUTPUT = "/run/console-shell"
_SILENCE = "dmesg --console-level emerg; kill -s RTMIN+21 1"
"""Signal RTMIN+21 has systemd show no status (systemd(1))."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did.

    Attributes:
        status: its exit status.
        output: its standard output and standard error.
    """

    status: int
    output: str


class Shell:
    """A root shell on a serial console."""

    def __init__(self, console: Console) -> None:
        """Takes the console, at which `login` is next."""
        self._console = console
        self._number = 0

    def login(self, user: str, password: str, timeout: float) -> None:
        """Waits for the login prompt and logs in.

        Args:
            user: root, or one whose shell may do what the commands do.
            password: that of the user.
            timeout: the limit for the prompt, in seconds; for all after it as well.

        Raises:
            ConsoleError: no prompt came, or the machine did not take the password.
        """
        deadline = time.monotonic() + timeout
        while not self._try_login(user, password, deadline):
            pass
        # Neither the kernel nor systemd writes to the console from here on, but for emergencies.
        self.run(_SILENCE, timeout)

    def _try_login(self, user: str, password: str, deadline: float) -> bool:
        """Logs in at the next prompt; returns False where `login` gave up, as it does on a machine that is busy."""

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        self._console.expect(r"login: ?$", left(), "the login prompt")
        self._console.write(user + "\n")
        asked = self._console.expect(rf"Password: ?$|{_GAVE_UP}", left(), "the question for the password")
        if asked[0] == _GAVE_UP:
            return False
        self._console.write(password + "\n")
        # Not before there is a shell: `login` throws away what was typed while it looked at the password.
        match = self._console.expect(rf"{_PROMPT}|Login incorrect|{_GAVE_UP}", left(), "a shell")
        if match[0] == "Login incorrect":
            raise ConsoleError(f"console: the machine does not take the password of {user}")
        if match[0] == _GAVE_UP:
            return False
        # A plain shell neither edits lines nor shows prompts. The sum keeps an echo from being taken for the answer.
        self._console.write("stty -echo; exec env PS1= PS2= ENV= sh\necho shell-$((6 * 7))-ready\n")
        self._console.expect("^shell-42-ready$", left(), "an answer of the shell")
        return True

    def run(self, command: str, timeout: float = 60) -> Result:
        """Runs a command of the shell and returns what it did.

        Args:
            command: shell text on one line, run with an empty standard input.
            timeout: the limit in seconds.

        Raises:
            ConsoleError: the limit passed, or the machine ended.
        """
        self._number += 1
        begin, end = f"begin-{self._number}", f"end-{self._number}"
        store = f"sh -c {shlex.quote(command)} </dev/null >{_OUTPUT} 2>&1; console_status=$?"
        send = f'echo {begin}; base64 {_OUTPUT}; echo {end} "$console_status"'
        if len(store.encode()) + len(send) > _LINE_LIMIT or "\n" in command:
            raise ValueError(f"a command for the console must be one line of at most {_LINE_LIMIT} bytes")
        self._console.write(f"{store}; {send}\n")
        for _ in range(_TRIES):
            first = self._console.expect(rf"^{begin}\n", timeout, f"the output of {command!r}")
            last = self._console.expect(rf"^{end} (\d+)$", timeout, f"the end of {command!r}")
            encoded = self._console.text[first.end() : last.start()]
            try:
                return Result(int(last[1]), base64.b64decode(encoded.replace("\n", ""), validate=True).decode())
            except (binascii.Error, UnicodeDecodeError):
                self._console.write(f"{send}\n")
        raise ConsoleError(f"console: the output of {command!r} was disturbed {_TRIES} times")

    def check(self, command: str, timeout: float = 60) -> str:
        """Runs a command that must succeed and returns its output without space around it.

        Raises:
            ConsoleError: it fails, the limit passed, or the machine ended.
        """
        result = self.run(command, timeout)
        if result.status != 0:
            raise ConsoleError(f"machine: {command!r} fails with status {result.status}: {result.output.strip()}")
        return result.output.strip()

    def start(self, command: str) -> None:
        """Types a command whose end is not waited for, such as one that ends the machine."""
        self._console.write(f"{command}\n")
