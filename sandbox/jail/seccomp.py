"""The system call filter of the jail: what namespaces leave open, refused by number (classic BPF,
seccomp(2)).

    # an array of struct sock_filter, for prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER)
    program("x86_64") -> bytes
    program(namespaces=False)       # a stricter one, for the jail of Landlock

A deny list, because the code in the jail is any Python test suite: a list of what it may call would
be long and break on every other library. Refused are ways to look into or control other processes,
kernel interfaces that have been a source of holes and that tests do not need, namespaces and
mounts, keyrings, sockets of any family but Unix and IP, and pushing characters into a terminal.

Without namespaces the code shares its user id with all that this user runs and owns, and Landlock
does not see every call that could use that: the stricter filter refuses these as well, and all
sockets but pairs of them (a named Unix socket of the host, say that of a container service, is a
way out). Modes, owners and times of files cannot be told apart by whose file it is: their calls do
nothing.

System call numbers: the kernel's own tables (arch/x86/entry/syscalls/syscall_64.tbl;
include/uapi/asm-generic/unistd.h).
"""

import platform
import struct

from sandbox.errors import UsageError

# name: (x86_64, aarch64); None where the processor has no such call.
REFUSED = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    # kernel interfaces with a history
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "lookup_dcookie": (212, 18),
    "quotactl": (179, 60),
    "vmsplice": (278, 75),
    # memory that belongs to no process and no file system, which nobody could add up
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    # keyrings outlive the process that wrote to them
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "iopl": (172, None),
    "ioperm": (173, None),
    "syslog": (103, 116),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "vhangup": (153, 58),
}
REFUSED_WITHOUT_NAMESPACES = {
    # the user's own other processes
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # shared memory, queues and locks without a path
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # what happens in folders that cannot be read
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # properties of files that it may only read
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "quotactl_fd": (443, 443),
    # sockets with a name
    "connect": (42, 203),
    "bind": (49, 200),
}
IGNORED_WITHOUT_NAMESPACES = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
"""These do nothing and say that they have done it: to copy a file with its mode is common, and must
not fail."""
OF_ITSELF_ALONE = {
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
"""Refused for any process but the calling one, which is called 0."""
MACHINES = {"x86_64": 0, "aarch64": 1}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
WITH_ARGUMENTS = {"x86_64": (56, 435, 41, 53, 16), "aarch64": (220, 435, 198, 199, 29)}
"""clone, clone3, socket, socketpair, ioctl: refused by what they are called with."""
NEW_USER_OR_MOUNT = 0x10000000 | 0x00020000
FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6."""
CONNECTED = (1, 5)
"""SOCK_STREAM, SOCK_SEQPACKET: one of a pair sends to the other and nowhere else."""
TERMINAL_REQUESTS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX."""
FILE_REQUESTS = (0x40086602, 0x401C5820)
"""FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR."""
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
DONE, EPERM, ENOSYS, EAFNOSUPPORT = 0, 1, 38, 97
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER_AT, ARCH_AT, ARGUMENT_0_AT, ARGUMENT_1_AT = 0, 4, 16, 24
"""Offsets in struct seccomp_data (low halves of the arguments)."""


def program(
    machine: str = platform.machine(), namespaces: bool = True, ignore: bool = True
) -> bytes:
    """The filter for this processor, as an array of struct sock_filter. Raises UsageError for a
    processor without one.

    `namespaces`: whether the jail is made of them. `ignore`: whether, if not, changing modes,
    owners and times of files does nothing."""
    if machine not in MACHINES:
        raise UsageError(
            f"No working jail: there is no system call filter for the processor {machine}. "
            f"coldstart runs on {' and '.join(MACHINES)}."
        )
    clone, clone3, socket, socketpair, ioctl = WITH_ARGUMENTS[machine]
    code = [
        (LOAD, 0, 0, ARCH_AT),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
    ]
    if machine == "x86_64":  # the x32 numbers are the same calls by another name
        code += [(JUMP_AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, ERRNO | EPERM)]
    code += _answered(REFUSED, machine, EPERM)
    # clone3 hides its flags behind a pointer: without it the C library falls back to clone.
    code += [(JUMP_EQUAL, 0, 1, clone3), (RETURN, 0, 0, ERRNO | ENOSYS)]
    code += _when(
        clone,
        ARGUMENT_0_AT,
        [(JUMP_ANY_BIT, 0, 1, NEW_USER_OR_MOUNT), (RETURN, 0, 0, ERRNO | EPERM)],
    )
    code += _when(socket, ARGUMENT_0_AT, _one_of(FAMILIES if namespaces else (), EAFNOSUPPORT))
    for request in TERMINAL_REQUESTS if namespaces else TERMINAL_REQUESTS + FILE_REQUESTS:
        code += _when(
            ioctl, ARGUMENT_1_AT, [(JUMP_EQUAL, 0, 1, request), (RETURN, 0, 0, ERRNO | EPERM)]
        )
    if not namespaces:
        code += _answered(REFUSED_WITHOUT_NAMESPACES, machine, EPERM)
        code += _answered(IGNORED_WITHOUT_NAMESPACES, machine, DONE) if ignore else []
        code += _when(
            socketpair, ARGUMENT_1_AT, [(AND, 0, 0, 0xF), *_one_of(CONNECTED, EAFNOSUPPORT)]
        )
        for numbers in OF_ITSELF_ALONE.values():
            code += _when(numbers[MACHINES[machine]], ARGUMENT_0_AT, _one_of((0,), EPERM))
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _answered(calls: dict[str, tuple], machine: str, error: int) -> list[tuple]:
    """Answer each of these calls with the error number instead of making it."""
    numbers = [n[MACHINES[machine]] for n in calls.values() if n[MACHINES[machine]] is not None]
    return [
        instruction
        for number in numbers
        for instruction in ((JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | error))
    ]


def _one_of(values: tuple[int, ...], error: int) -> list[tuple]:
    """For `_when`: answer with the error number unless the argument is one of `values`."""
    return [
        *((JUMP_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)),
        (RETURN, 0, 0, ERRNO | error),
    ]


def _when(number: int, argument_at: int, test: list[tuple]) -> list[tuple]:
    """For this system call alone: load an argument, run `test` on it, and load the number again for
    what follows."""
    return [
        (JUMP_EQUAL, 0, len(test) + 2, number),
        (LOAD, 0, 0, argument_at),
        *test,
        (LOAD, 0, 0, NUMBER_AT),
    ]
