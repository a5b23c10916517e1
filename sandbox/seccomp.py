"""The system call filter of the jail: what namespaces leave open, refused by number (classic BPF, seccomp(2)).

    program("x86_64") -> bytes      # an array of struct sock_filter, for prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER)

A deny list, because the code in the jail is any Python test suite: a list of what it may call would be long and break on every
other library. Refused are ways to look into or control other processes, kernel interfaces that have been a source of holes and that
tests do not need, namespaces and mounts, keyrings, sockets of any family but Unix and IP, and pushing characters into a terminal.
System call numbers: the kernel's own tables (arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h).
"""
import platform
import struct

from sandbox.errors import UsageError

# name: (x86_64, aarch64); None where the processor has no such call.
REFUSED = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # kernel interfaces with a history
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "userfaultfd": (323, 282),
    "bpf": (321, 280), "perf_event_open": (298, 241), "lookup_dcookie": (212, 18), "quotactl": (179, 60), "vmsplice": (278, 75),
    # memory that belongs to no process and no file system, which nobody could add up
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    # keyrings outlive the process that wrote to them
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # mounts and namespaces
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # the machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "iopl": (172, None), "ioperm": (173, None),
    "syslog": (103, 116), "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "vhangup": (153, 58),
}
MACHINES = {"x86_64": 0, "aarch64": 1}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
WITH_ARGUMENTS = {"x86_64": (56, 435, 41, 16), "aarch64": (220, 435, 198, 29)}
"""clone, clone3, socket, ioctl: refused by what they are called with."""
NEW_USER_OR_MOUNT = 0x10000000 | 0x00020000
FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6."""
TERMINAL_REQUESTS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX."""
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCH_AT, ARGUMENT_0_AT, ARGUMENT_1_AT = 0, 4, 16, 24
"""Offsets in struct seccomp_data (low halves of the arguments)."""


def program(machine: str = platform.machine()) -> bytes:
    """The filter for this processor, as an array of struct sock_filter. Raises UsageError for a processor without one."""
    if machine not in MACHINES:
        raise UsageError(f"No working jail: there is no system call filter for the processor {machine}. "
                         f"coldstart runs on {' and '.join(MACHINES)}.")
    clone, clone3, socket, ioctl = WITH_ARGUMENTS[machine]
    code = [(LOAD, 0, 0, ARCH_AT), (JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER_AT)]
    if machine == "x86_64":                        # the x32 numbers are the same calls by another name
        code += [(JUMP_AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, ERRNO | EPERM)]
    for numbers in REFUSED.values():
        if (number := numbers[MACHINES[machine]]) is not None:
            code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | EPERM)]
    # clone3 hides its flags behind a pointer: without it the C library falls back to clone.
    code += [(JUMP_EQUAL, 0, 1, clone3), (RETURN, 0, 0, ERRNO | ENOSYS)]
    code += _when(clone, ARGUMENT_0_AT, [(JUMP_ANY_BIT, 0, 1, NEW_USER_OR_MOUNT), (RETURN, 0, 0, ERRNO | EPERM)])
    families = [(JUMP_EQUAL, len(FAMILIES) - i, 0, family) for i, family in enumerate(FAMILIES)]
    code += _when(socket, ARGUMENT_0_AT, [*families, (RETURN, 0, 0, ERRNO | EAFNOSUPPORT)])
    for request in TERMINAL_REQUESTS:
        code += _when(ioctl, ARGUMENT_1_AT, [(JUMP_EQUAL, 0, 1, request), (RETURN, 0, 0, ERRNO | EPERM)])
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _when(number: int, argument_at: int, test: list[tuple]) -> list[tuple]:
    """For this system call alone: load an argument, run `test` on it, and load the number again for what follows."""
    return [(JUMP_EQUAL, 0, len(test) + 2, number), (LOAD, 0, 0, argument_at), *test, (LOAD, 0, 0, NUMBER_AT)]
