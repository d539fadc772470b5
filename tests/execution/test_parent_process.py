"""What a killed process has started ends with it."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends a process with its parent")

SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
STARTS = f"""
import subprocess, sys
from presence_only.execution.parent_process import ENDS_WITH_PARENT
options = ENDS_WITH_PARENT if "option" in sys.argv else {{}}
subprocess.run([sys.executable, "-c", {SLEEPS!r}], **options)
"""
STAGE = """
import os, time
from presence_only.pipeline.command import run_stage
def main():
    print(os.getpid(), flush=True)
    time.sleep(60)
run_stage(main)
"""
# What DVC does: a command in a shell.
DVC = f"""
import subprocess, shlex, sys
subprocess.run(["/bin/bash", "--noprofile", "--norc", "-c", shlex.join([sys.executable, "-c", {STAGE!r}])])
"""


def child_outlives(program, *arguments, **environment):
    """Start a program, which starts another; kill it, and say whether the other is still there."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert child != parent.pid
        parent.kill()
        parent.wait()
    for _ in range(20 if environment or arguments else 1):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    return True


def test_a_command_ends_with_the_process_that_started_it():
    assert not child_outlives(STARTS, "option")
    # Without, it does not: what is tested is the option.
    assert child_outlives(STARTS)


def test_a_stage_ends_with_dvc_and_not_with_a_shell_that_a_user_leaves():
    assert not child_outlives(DVC, DVC_STAGE="train@virtual-bce")
    assert child_outlives(DVC)
