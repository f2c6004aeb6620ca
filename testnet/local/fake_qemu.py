"""Takes the place of QEMU in tests: has its sockets and its monitor, and ends at a command or a signal."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from pathlib import Path


def main(words: list[str]) -> None:
    """Serves the monitor until `system_powerdown`, unless a file `ignores-power` says that it is ignored."""
    text = " ".join(words)
    monitor, console = (re.search(rf"id={name},path=([^,]+)", text)[1] for name in ("monitor", "console"))  # type: ignore[index]
    log = re.search(r"logfile=([^ ,]+)", text)
    assert log is not None
    with Path(log[1]).open("a", encoding="ascii") as file:
        file.write("started\n")
    other = socket.socket(socket.AF_UNIX)
    other.bind(console)
    other.listen()
    server = socket.socket(socket.AF_UNIX)
    server.bind(monitor)
    server.listen()
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            stream.write(b'{"QMP": {}}\n')
            stream.flush()
            for line in stream:
                request = json.loads(line)
                command = request["execute"]
                if command == "set_link":
                    Path(monitor).with_name("set_link").write_text(json.dumps(request["arguments"]), encoding="ascii")
                stream.write(b'{"return": {}}\n')
                stream.flush()
                if command == "system_powerdown" and not Path(monitor).with_name("ignores-power").exists():
                    return


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main(sys.argv[1:])
