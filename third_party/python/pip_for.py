"""Runs pip as if on another interpreter and machine: `pip_for.py MARKERS ARGUMENT...`.

pip's options --python-version, --platform and --abi choose among wheels, but dependencies that carry an environment
marker are still judged by the interpreter that runs pip (https://github.com/pypa/pip/issues/11664). So the markers'
values are replaced before any of pip's own modules take them in. MARKERS is a JSON object of them.
"""

import json
import sys

from pip._vendor.packaging import markers


def main() -> int:
    """Runs pip; returns its exit status."""
    environment: markers.Environment = json.loads(sys.argv[1])
    markers.default_environment = environment.copy
    from pip._internal.cli.main import main as pip  # noqa: PLC0415 - must come after the replacement

    return pip(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
