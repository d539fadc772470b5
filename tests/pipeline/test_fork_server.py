"""A command by the fork server is the command: its output, exit code, folder, environment and edits of its code."""

import subprocess

import pytest

PROGRAM = """
import os, sys
print(__name__, sys.argv[1:], os.getcwd(), os.environ["A"])
print("told", file=sys.stderr)
if len(sys.argv) > 1:
    sys.exit(int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1])
"""


@pytest.mark.parametrize(("arguments", "code", "told"), [([], 0, ""), (["3"], 3, ""), (["a word"], 1, "a word\n")])
def test_a_command_is_what_python_would_make_of_it(fast_environment, tmp_path, arguments, code, told):
    (tmp_path / "program.py").write_text(PROGRAM)
    for text in ("", "x = 1 / 0"):
        # The second time with other code, under the same name.
        (tmp_path / "program.py").write_text(PROGRAM + text)
        command = ["python", "-m", "program", *arguments]
        environment = fast_environment | {"A": "b c"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout == f"__main__ {arguments} {tmp_path} b c\n"
        if text and not arguments:
            assert done.returncode == 1
            assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
        else:
            assert (done.returncode, done.stderr) == (code, f"told\n{told}")


def test_a_package_on_the_path_comes_before_what_is_installed(fast_environment, tmp_path):
    (tmp_path / "presence_only").mkdir()
    (tmp_path / "presence_only/__init__.py").write_text("")
    (tmp_path / "presence_only/other.py").write_text("print(__file__)")
    environment = fast_environment | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(["python", "-m", "presence_only.other"], env=environment, capture_output=True, text=True)
    assert done.stdout == f"{tmp_path}/presence_only/other.py\n"
