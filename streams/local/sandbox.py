"""What the kernel lets the store's process do: no program is started, no connection made, no other file read.

The engine's grants and the rules on statements say the same; this holds when a statement gets past them.
Landlock (https://docs.kernel.org/userspace-api/landlock.html) needs no privilege; Linux before 5.13 and
other systems have none, and the store runs without.
"""

import ctypes
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_NO_NEW_PRIVILEGES = 38
_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_READ = _READ_FILE | _READ_DIR
_CONNECT = 1 << 1
# Rights that each version of the interface added: files at first, then moving, truncating and devices.
_ALL_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_SINCE = 4
_OF_A_FILE = _EXECUTE | (1 << 1) | _READ_FILE | (1 << 14) | (1 << 15)
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/localtime", "/etc/timezone", "/etc/ld.so.cache", "/sys", "/dev")
_PROCESS = ("/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/sys", "/proc/loadavg", "/proc/mounts")


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def confine(data: Path) -> bool:
    """Keep this process and its later threads to the files below `data`; return whether the kernel does.

    Reading is also allowed where Python, its packages and the engine have their own files. Call it before
    the first other thread starts, and before anything that must connect: nothing can afterwards.
    """
    if not sys.platform.startswith("linux"):
        return False
    system = ctypes.CDLL(None, use_errno=True)
    version = system.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = _ALL_RIGHTS[min(version, max(_ALL_RIGHTS))]
    ruleset = _Ruleset(rights, _CONNECT if version >= _NETWORK_SINCE else 0)
    size = ctypes.sizeof(ruleset) if version >= _NETWORK_SINCE else 8
    handle = system.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    if handle < 0:
        return False
    try:
        _allow(system, handle, [data], rights & ~_EXECUTE)
        _allow(system, handle, _readable(), _READ)
        _allow(system, handle, [Path(os.devnull)], rights & _OF_A_FILE & ~_EXECUTE)
        system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return bool(system.syscall(_RESTRICT_SELF, handle, 0) == 0)
    finally:
        os.close(handle)


def _readable() -> Iterable[Path]:
    packages = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    source = Path(__file__).resolve().parent.parent
    own = Path(f"/proc/{os.getpid()}")  # its environment was emptied of secrets at the start
    return [*map(Path, (*_SYSTEM, *_PROCESS, sys.prefix, sys.base_prefix, *packages)), source, own]


def _allow(system: ctypes.CDLL, handle: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        try:
            folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # not on this system
        try:
            mine = rights if path.is_dir() else rights & _OF_A_FILE
            rule = _Beneath(mine, folder)
            system.syscall(_ADD_RULE, handle, _PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(folder)
