"""Runs pip for another interpreter and machine: `pip_for.py MARKERS ARGUMENT...`.

pip's options --python-version, --platform and --abi select wheels, but environment markers of dependencies are still
evaluated for the interpreter that runs pip (https://github.com/pypa/pip/issues/11664). So the values of the markers are
replaced before pip's modules import them. MARKERS is a JSON object with these values.
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
