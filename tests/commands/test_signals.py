"""What a command starts can be stopped, also by a command that a shell runs behind `&`, for which Ctrl-C is not."""

from __future__ import annotations

import subprocess
import sys

BEHIND_AN_AMPERSAND = """
import os, signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from dms_assets.cli import main
sys.argv = ["dms-assets", "--version"]
try:
    main()
except SystemExit:
    pass
os.kill(os.getpid(), signal.SIGINT)
child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
subprocess.run([sys.executable, "-c", child], check=True)
"""


def test_what_a_command_in_the_background_starts_does_not_ignore_signals() -> None:
    run = subprocess.run([sys.executable, "-c", BEHIND_AN_AMPERSAND], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "True"
