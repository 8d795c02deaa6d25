# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small trees to run commands from, and canaries: folders outside that nobody may touch."""

import os
import shutil
import subprocess

BUSYBOX = shutil.which("busybox") or "/bin/busybox"
FOLDERS = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var")
APPLETS = ("cat", "chroot", "cp", "echo", "env", "grep", "id", "ip", "ls", "mkdir", "mknod", "mount", "ping", "readlink", "sed", "sh", "sleep", "stat", "true",
           "umount", "unshare")  # fmt: skip


def make_busybox(root):
    """A tree with a static busybox and the users root and alice."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in APPLETS:
        os.symlink("busybox", root / "bin" / name)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nalice:x:1000:\nwheel:x:10:alice\n")
    (root / "etc/os-release").write_text("ID=small\nPRETTY_NAME=Small\n")
    return root


def compile_static(source, target):
    """Compiles a C program that runs in any tree."""
    subprocess.run(["gcc", "-O1", "-static", "-x", "c", "-", "-o", target], input=source, text=True, check=True)
    return target


def make_canary(root):
    for name in ("kept", "sub/kept", "shm/kept"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("canary\n")
    return root


def state(root):
    """Everything of a folder that an attack could change."""
    found = {}
    for path in (root, *sorted(root.rglob("*"))):
        st = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, st.st_ctime_ns, content)
    return found
