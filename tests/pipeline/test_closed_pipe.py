"""A command whose reader has seen enough, as `head` has, ends in silence."""

import subprocess
import sys

CODE = """
from presence_only.pipeline.command import run_stage

def main():
    while True:
        print("a line of a long table")

run_stage(main)
"""


def test_a_reader_that_leaves_is_no_error():
    command = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout.readline() == b"a line of a long table\n"
    command.stdout.close()
    assert command.stderr.read() == b""
    command.stderr.close()
    assert command.wait(60) == 141
