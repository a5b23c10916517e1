"""What a process of the jail gives up for good: capabilities and system calls. Standard library
only, Python >= 3.9.
"""

from __future__ import annotations

import base64
import ctypes
import os

import kept

base64, os = map(kept.module, (base64, os))
libc = ctypes.PyDLL(None, use_errno=True)
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 4, 22, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 4, 2
CAPABILITY_VERSION = 0x20080522


class CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def hide_memory() -> None:
    """An ordinary process of the same user could otherwise read this one's memory and descriptors
    through /proc."""
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def give_up_capabilities() -> None:
    header, empty = CapabilityHeader(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    checked("prctl", libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    checked("prctl", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    checked("capset", libc.capset(ctypes.byref(header), ctypes.byref(empty)))


def refuse_calls(program: str) -> None:
    """Put a system call filter in place, in base64."""
    code = base64.b64decode(program)
    instructions = ctypes.byref(FilterProgram(len(code) // 8, code))
    checked("seccomp", libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, instructions, 0, 0))


def checked(name: str, result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "%s: %s" % (name, os.strerror(ctypes.get_errno())))
