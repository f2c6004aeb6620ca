"""Prints what an action sees of its surroundings, as lines NAME=VALUE; its argument is a source file."""

import os
import stat
import sys
import time

_PROGRAM_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")


def _time_zone() -> str:
    """Returns the offset of the machine's time zone, whatever the environment says."""
    os.environ.pop("TZ", None)
    time.tzset()
    return time.strftime("%z")


def _user() -> str:
    """Returns the user outside of the sandbox, whose user namespace maps one user."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split()[1]


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def main() -> None:
    """Prints the lines."""
    programs = {name for folder in _PROGRAM_FOLDERS if os.path.isdir(folder) for name in os.listdir(folder)}
    seen = {
        "block_size": os.statvfs(".").f_bsize,
        "cpus": len(os.sched_getaffinity(0)),
        "encoding": sys.getfilesystemencoding(),
        "folder": os.getcwd(),
        "host": os.uname().nodename,
        "programs": " ".join(sorted(programs)),
        "python": "{}.{}".format(*sys.version_info),
        "seed": os.environ.get("PYTHONHASHSEED"),
        "source_mode": f"{stat.S_IMODE(os.stat(sys.argv[1]).st_mode):o}",
        "time": int(time.time()),
        "umask": oct(_umask()),
        "user": _user(),
        "zone": _time_zone(),
    }
    for name, value in seen.items():
        print(f"{name}={value}")


if __name__ == "__main__":
    main()
