"""Ask a fork server to run a Python command, and end as it ends; only what starts fast is imported here.

python -IS fork_client.py SOCKET -m MODULE ...
"""

import ctypes
import json
import os
import signal
import socket
import sys

# It stands for the command, which a stage would do for itself (presence_only.execution.parent_process).
if "DVC_STAGE" in os.environ:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
_, address, *arguments = sys.argv
with socket.socket(socket.AF_UNIX) as server:
    server.connect(address)
    request = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()  # noqa: PTH109
    socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(request)
    # A fork that was killed sends nothing.
    sys.exit((server.recv(1) or b"\xff")[0])
