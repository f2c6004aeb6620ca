#!/usr/bin/python3 -IBS
"""Starts the shell of a session of SSH, outside of sshd's sandbox: runs guestos.ssh_session_server."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from guestos.ssh_session_server import main

sys.exit(main())
