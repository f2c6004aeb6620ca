"""The main program of all `pytest_test` targets."""

import sys

from dev.pytest.bazel import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
