"""What is mounted is told as the system tells it, whatever names it has, and as it is now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alphadrop.hotfolder import mounts
from alphadrop.hotfolder.mounts import (
    free_bytes,
    is_mount,
    is_remote,
    kind_of,
    looks_unmounted,
    mount_points,
    refuses_leases,
)

LINES = [
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
    "40 22 0:45 / /mnt/nas rw,relatime shared:5 - nfs4 nas:/pictures rw",
    "41 22 0:46 / /media/me/My\\040Disk rw,relatime shared:5 master:2 - vfat /dev/sdb1 rw",
    "42 22 254:0 /home/me/pictures /srv/pictures rw - ext4 /dev/vda rw",
    "43 22 0:47 / /mnt/a\\134b\\011c\\012d\udcff rw - fuse.sshfs me@there: rw",
    "44 22 8:1 / /mnt/windows rw - fuseblk /dev/sda1 rw",
    "",
    "malformed",
]
ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/mountinfo")


def may_mount() -> bool:
    """Return whether this user may mount something where nobody else sees it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    try:
        tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, timeout=60)
    except OSError:
        return False
    return tried.returncode == 0


MAY_MOUNT = pytest.mark.skipif(not may_mount(), reason="nothing may be mounted here")


def apart(shell: str, python: str, *arguments: str) -> list[str]:
    """Run a shell script that mounts, where nobody else sees it, and then a Python one; return what that printed."""
    told = subprocess.run(
        ["unshare", "-m", "sh", "-euc", f'{shell}\nexec "$0" -c "$PYTHON" "$@"', sys.executable, *arguments],
        env={**os.environ, "PYTHON": f"import os\nfrom pathlib import Path\n{IMPORTS}{python}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.splitlines()


IMPORTS = "import sys\nfrom alphadrop.hotfolder.mounts import *\nfolder = Path(sys.argv[1])\n"


def test_the_roots_of_what_is_mounted_are_told_by_their_real_names() -> None:
    assert mount_points(LINES) == {
        "/",
        "/mnt/nas",
        "/media/me/My Disk",
        "/srv/pictures",
        "/mnt/a\\b\tc\nd\udcff",
        "/mnt/windows",
    }
    assert mount_points([]) == set()


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        (os.makedev(254, 0), "ext4"),
        (os.makedev(0, 45), "nfs4"),
        (os.makedev(0, 46), "vfat"),
        (os.makedev(0, 47), "fuse.sshfs"),
        (os.makedev(8, 1), "fuseblk"),
        (os.makedev(0, 4), ""),
        (os.makedev(0, 99), ""),
    ],
)
def test_the_kind_of_a_file_system_is_told_by_its_device(device: int, kind: str) -> None:
    assert kind_of(device, LINES) == kind


@pytest.mark.parametrize(
    ("kind", "remote", "refuses"),
    [
        ("ext4", False, False),
        ("btrfs", False, False),
        ("tmpfs", False, False),
        ("vfat", False, False),
        ("", False, False),
        ("fuseblk", False, True),
        ("nfs", True, True),
        ("nfs4", True, True),
        ("cifs", True, True),
        ("smb3", True, True),
        ("9p", True, True),
        ("fuse.sshfs", True, True),
    ],
)
def test_what_other_machines_may_change_is_remote_and_only_such_refuse_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, remote: bool, refuses: bool
) -> None:
    monkeypatch.setattr(mounts, "kind_of", lambda device, lines: kind)
    assert is_remote(tmp_path) is remote
    assert refuses_leases(tmp_path.stat().st_dev) is refuses


def test_a_folder_that_is_not_there_is_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert not is_mount(missing)
    assert not is_remote(missing)
    assert free_bytes(missing) is None


def test_where_the_system_tells_nothing_the_root_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "_mountinfo", list)
    assert is_mount(Path("/"))
    assert not is_mount(tmp_path)
    assert not is_remote(tmp_path)


@ONLY_LINUX
def test_the_root_is_mounted_and_an_ordinary_folder_is_not(tmp_path: Path) -> None:
    assert is_mount(Path("/"))
    assert is_mount(Path("/proc"))
    assert not is_mount(tmp_path)
    (tmp_path / "link").symlink_to("/proc")
    assert is_mount(tmp_path / "link")


def test_what_may_still_be_written_is_told_in_bytes(tmp_path: Path) -> None:
    free = free_bytes(tmp_path)
    assert free is not None
    status = os.statvfs(tmp_path)
    assert 0 < free < status.f_blocks * status.f_frsize


@MAY_MOUNT
def test_a_disk_is_a_mount_until_it_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "disk" / "below").mkdir(parents=True)
    told = apart(
        'mount -t tmpfs -o size=1m none "$1"; mkdir "$1/below"',
        "print(is_mount(folder), is_mount(folder / 'below'), is_remote(folder), free_bytes(folder))\n"
        "os.system('umount ' + sys.argv[1])\n"
        "print(is_mount(folder))",
        str(tmp_path / "disk"),
    )
    assert told == ["True False False 1048576", "False"]


@MAY_MOUNT
def test_a_disk_that_was_taken_away_leaves_an_empty_folder_and_others_do_not(tmp_path: Path) -> None:
    told = apart(
        'mount -t tmpfs none "$1"',
        "print(looks_unmounted(folder))\n"
        "os.system('umount ' + sys.argv[1])\n"
        "print(looks_unmounted(folder))\n"
        "(folder / 'a.jpg').touch()\n"
        "print(looks_unmounted(folder))",
        str(tmp_path),
    )
    assert told == ["False", "True", "False"]


def test_only_an_empty_folder_looks_like_one_whose_disk_is_away(tmp_path: Path) -> None:
    assert looks_unmounted(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    assert not looks_unmounted(tmp_path)
    assert not looks_unmounted(tmp_path / "missing")
    assert not looks_unmounted(Path("/proc"))


@MAY_MOUNT
def test_a_folder_that_is_bound_to_another_place_is_a_mount(tmp_path: Path) -> None:
    for name in ("real", "bound"):
        (tmp_path / name).mkdir()
    assert apart(
        'mount --bind "$2" "$1"', "print(is_mount(folder), os.path.ismount(folder))",
        str(tmp_path / "bound"), str(tmp_path / "real"),
    ) == ["True False"]  # fmt: skip


@MAY_MOUNT
@pytest.mark.parametrize(
    "name", ["My Disk", "a\\b", "tab\there", "two\nlines", "return\rhere", "a\u2028b\x85c\x0cd", os.fsdecode(b"\xff")]
)
def test_a_disk_may_have_any_name(tmp_path: Path, name: str) -> None:
    disk = tmp_path / name
    disk.mkdir()
    told = apart(
        'mount -t tmpfs none "$1"', "print(is_mount(folder), is_mount(folder.parent), is_mount(Path('/')))", str(disk)
    )
    assert told == ["True False True"]


@MAY_MOUNT
def test_the_number_of_a_disk_that_is_gone_says_nothing_of_the_next(tmp_path: Path) -> None:
    told = apart(
        'mount -t tmpfs none "$1"',
        "from alphadrop.hotfolder import mounts\n"
        "device = os.stat(folder).st_dev\n"
        "print(mounts.kind_of(device, mounts._mountinfo()), refuses_leases(device))\n"
        "os.system('umount ' + sys.argv[1])\n"
        "print(mounts.kind_of(device, mounts._mountinfo()) == '', refuses_leases(device))",
        str(tmp_path),
    )
    assert told == ["tmpfs False", "True False"]
