"""In the place of a picture worker: hands its three pipes to the warm process, which forks the worker, and ends as that
ends. Run as `python -I -S connect.py SOCKET ARGUMENT...`; killed, it takes the worker along.
"""

import os
import socket
import sys
from collections.abc import Sequence


def main(address: str, arguments: Sequence[str]) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as nursery:
        nursery.connect(address)
        socket.send_fds(nursery, ["\0".join(arguments).encode()], [0, 1, 2])
        for descriptor in (0, 1, 2):
            os.close(descriptor)  # from now on they end when the worker ends
        code = int(nursery.recv(16) or b"1")
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    os._exit(main(sys.argv[1], sys.argv[2:]))  # not by way of the interpreter, which would flush what is closed
