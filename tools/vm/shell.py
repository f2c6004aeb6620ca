"""Runs commands on a machine's serial console, after a login as root.

A console is not a reliable channel: the kernel may write to it at any time, and the terminal echoes input and wraps
lines. So the machine stores a command's output in a file, and sends it base64-encoded between two lines with the
number of the command. A transfer that contains other output is repeated.
"""

from __future__ import annotations

import base64
import shlex
import time
from dataclasses import dataclass

from tools.vm.console import Console, ConsoleError

_LINE_LIMIT = 4000
"""Maximum length of a command line in bytes: the kernel's terminal has 4095 (termios(3), canonical mode)."""

_PROMPT = r"^(?:\S+@\S+:\S+)?[#$] "
"""The prompts of bash and dash."""
_LOGIN = r"(?<=\S)(?<!^Last) login: ?$"
"""The prompt for a user, behind the name of the machine; not the beginning of "Last login: DATE"."""
_REJECTED = "Login incorrect"
_LOGINS = 10
_TRIES = 3
_OUTPUT = "/run/console-shell"
_SILENCE = "dmesg --console-level emerg && kill -55 1"
"""Disables kernel messages on the console, and systemd's status messages (SIGRTMIN+21, systemd(1); dash knows only the
number, which is 55, since glibc keeps two of the kernel's real-time signals for itself)."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command.

    Attributes:
        status: exit status.
        output: standard output and standard error; bytes that are not UTF-8 are surrogates, as PEP 383 has it.
    """

    status: int
    output: str


class Shell:
    """A root shell on a serial console."""

    def __init__(self, console: Console) -> None:
        """Uses a console, on which `login` must be called first."""
        self._console = console
        self._number = 0

    def login(self, user: str, password: str, timeout: float) -> None:
        """Waits for the login prompt and logs in.

        Args:
            user: root, or a user with the privileges that the commands need.
            password: the user's password.
            timeout: timeout in seconds for the whole login.

        Raises:
            ConsoleError: no prompt appeared, or it came again too often; the machine rejected the password, or the user
                may not silence it.
        """
        deadline = time.monotonic() + timeout
        self._console.expect(_LOGIN, timeout, "the login prompt")
        logins = 1
        while not self._answer_prompt(user, password, deadline, again=logins > 1):
            logins += 1
            if logins > _LOGINS:
                tail = self._console.tail()
                raise ConsoleError(f"console: the login prompt came {logins} times; it ended with:\n{tail}")
        # From here on, neither the kernel nor systemd writes to the console, except in emergencies.
        self.check(_SILENCE, timeout)

    def _answer_prompt(self, user: str, password: str, deadline: float, again: bool) -> bool:
        """Logs in where the login prompt is; returns False if it comes again.

        On a slow machine it does: login(1) ends 60 s after its start, and what is typed while a getty starts is lost.

        Args:
            user: as for `login`.
            password: as for `login`.
            deadline: when to give up, by the monotonic clock.
            again: whether the prompt came before; then login(1) may have taken a user for a password.
        """

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        self._console.write(user + "\n")
        asked = self._console.expect(rf"(Password: ?$)|{_LOGIN}", left(), "the password prompt")
        if not asked[1]:
            return False
        self._console.write(password + "\n")
        # Wait for the shell: `login` discards input while it checks the password.
        shell = self._console.expect(rf"({_PROMPT})|{_REJECTED}|{_LOGIN}", left(), "a shell")
        if shell[0] == _REJECTED:
            if not again:
                raise ConsoleError(f"console: the machine rejects the password of {user}")
            self._console.expect(_LOGIN, left(), "the login prompt")
        if not shell[1]:
            return False
        # sh has no line editor, and these variables disable prompts. An echo of the command doesn't match its output.
        self._console.write("stty -echo; exec env PS1= PS2= ENV= sh\necho shell-$((6 * 7))-ready\n")
        self._console.expect("^shell-42-ready$", left(), "a response of the shell")
        return True

    def run(self, command: str, timeout: float = 60) -> Result:
        """Runs a shell command and returns its result.

        Args:
            command: shell command in one line, run with an empty standard input.
            timeout: timeout in seconds.

        Raises:
            ConsoleError: the timeout expired, or the machine ended.
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
            # With the end of its line: "$" also matches where the output ends so far, in the middle of a number.
            last = self._console.expect(rf"^{end} (\d+)\n", timeout, f"the end of {command!r}")
            encoded = self._console.text[first.end() : last.start()]
            try:
                output = base64.b64decode(encoded.replace("\n", ""), validate=True)
                return Result(int(last[1]), output.decode("utf-8", "surrogateescape"))
            except ValueError:  # not ASCII, or not base64
                self._console.write(f"{send}\n")
        raise ConsoleError(f"console: the output of {command!r} was corrupted {_TRIES} times")

    def check(self, command: str, timeout: float = 60) -> str:
        """Runs a command that must succeed; returns its output without leading and trailing whitespace.

        Raises:
            ConsoleError: the command fails, the timeout expired, or the machine ended.
        """
        result = self.run(command, timeout)
        if result.status != 0:
            raise ConsoleError(f"machine: {command!r} fails with exit status {result.status}: {result.output.strip()}")
        return result.output.strip()

    def start(self, command: str) -> None:
        """Starts a command without waiting for its end, such as one that powers off the machine."""
        self._console.write(f"{command}\n")
