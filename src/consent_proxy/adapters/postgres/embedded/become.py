"""A program of its own: becomes another account by one of two ways, and then the command it was given.

Run as `python become.py namespace|pass-through UID GID COMMAND…`. Postgres refuses to run as root, and initdb refuses
an account without a name. Linux only.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


def enter_namespace(*, uid: int, gid: int) -> None:
    """Be `uid` in a new user namespace (user_namespaces(7)); outside of it we and our files stay whose we were."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1", encoding="ascii")


def drop_and_pass_through(*, uid: int, gid: int) -> None:
    """Be `uid`, and of root's powers keep one (capabilities(7)): to pass through folders closed to others."""
    only = 1 << _CAP_DAC_OVERRIDE
    _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(only, only, only)
    _call("capset", header, effective_permitted_inheritable)
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _call(function: str, *arguments: "int | ctypes.Array[ctypes.c_uint32]") -> None:
    plain = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*plain) != 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    way, as_uid, as_gid, *command = sys.argv[1:]
    try:
        become = {"namespace": enter_namespace, "pass-through": drop_and_pass_through}[way]
        become(uid=int(as_uid), gid=int(as_gid))
    except (OSError, AttributeError) as problem:
        sys.exit(f"not allowed here: {problem}")
    os.execv(command[0], command)  # noqa: S606 - no shell
