"""On the PYTHONPATH of the tests and of the kernels they start: the lessons run with no network.

Python imports a module of this name when it starts. Whatever would leave this machine then fails at
once, with the reason, instead of passing here and failing on a train.
"""

import ipaddress
import socket
from typing import Any

REASON = "the lessons run offline: a test or a lesson tried to reach"


def is_here(host: object) -> bool:
    """True for this machine itself: the kernels talk to the tests over it."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse(host: object) -> None:
    if not is_here(host):
        raise OSError(f"{REASON} {host}")


def guard(connect: Any) -> Any:
    """`connect`, refusing an address that is not here; unix sockets are files, hence here."""

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse(address[0])
        return connect(self, address)

    return guarded


def go_offline() -> None:
    """Replaces what every Python library connects and looks names up with; once."""
    if getattr(socket, "course_is_offline", False):
        return
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        refuse(host)
        return look_up(host, *arguments, **options)

    replacements = {"connect": guard(socket.socket.connect)}
    replacements["connect_ex"] = guard(socket.socket.connect_ex)
    for name, replacement in replacements.items():
        setattr(socket.socket, name, replacement)
    vars(socket).update(getaddrinfo=getaddrinfo, course_is_offline=True)


go_offline()
