"""The walk tells what is really there, follows no link, opens nothing but files, and hangs on nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path, PurePath

import pytest

from alphadrop.errors import CannotRead
from alphadrop.hotfolder import scan
from alphadrop.hotfolder.scan import has_writer, is_at, look_at, open_input, walk
from alphadrop.hotfolder.stability import Content


def found(root: Path, *, recursive: bool = True, skipped: frozenset[tuple[int, int]] = frozenset()) -> list[str]:
    return [path.as_posix() for path, _ in walk(root, recursive=recursive, skipped=skipped)]


def identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def test_files_are_yielded_with_their_size_and_time_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.jpg", "a.jpg", "sub/c.jpg"):
        (tmp_path / name).write_bytes(b"12345")
    os.utime(tmp_path / "a.jpg", ns=(7, 11))
    walked = list(walk(tmp_path, recursive=True))
    assert [path.as_posix() for path, _ in walked] == ["a.jpg", "b.jpg", "sub/c.jpg"]
    assert walked[0][1] == Content(5, 11)


def test_in_no_order_all_files_are_yielded_too_and_no_list_of_names_is_in_memory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").touch()
    for number in range(2000):
        os.link(tmp_path / "sub" / "a.jpg", tmp_path / f"{number:0200}.jpg")
    assert {path for path, _ in walk(tmp_path, recursive=True, in_order=False)} == {
        path for path, _ in walk(tmp_path, recursive=True)
    }
    tracemalloc.start()
    try:
        assert sum(1 for _ in walk(tmp_path, recursive=True, in_order=False)) == 2001
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2000 * 200 / 4, "bytes, of which the names alone have 2000 * 200"


def test_without_recursion_sub_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    assert found(tmp_path, recursive=False) == ["b.jpg"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "a.jpg").touch()
    assert found(tmp_path) == ["a.jpg"]


def test_a_link_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    root, secret = tmp_path / "in", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (secret / "a.jpg").write_bytes(b"secret")
    (root / "folder").symlink_to(secret)
    (root / "b.jpg").symlink_to(secret / "a.jpg")
    (root / "dangling.jpg").symlink_to("nowhere")
    assert found(root) == []
    for name in ("folder/a.jpg", "b.jpg", "dangling.jpg"):
        assert look_at(root, PurePath(name)) is None
        with pytest.raises(CannotRead):
            open_input(root, PurePath(name))


def test_pipes_sockets_and_folders_named_like_photographs_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(tmp_path, os.O_RDONLY)  # the whole path may be too long for a socket
        try:
            listener.bind(f"/proc/self/fd/{here}/s.jpg")
        finally:
            os.close(here)
        assert found(tmp_path) == []
        for name in ("pipe.jpg", "folder.jpg", "s.jpg"):
            assert look_at(tmp_path, PurePath(name)) is None
            with pytest.raises(CannotRead):
                open_input(tmp_path, PurePath(name))


def test_a_folder_named_like_a_photograph_is_walked_into(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    (tmp_path / "album.jpg" / "a.jpg").touch()
    assert found(tmp_path) == ["album.jpg/a.jpg"]


@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", b"a\nb.jpg", b"-rf.jpg", "e\u0301.jpg".encode(), "é.jpg".encode()])
def test_any_name_a_file_system_can_hold_is_found_and_opened(tmp_path: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(tmp_path), name), "wb") as stream:
        stream.write(b"123")
    ((path, content),) = walk(tmp_path, recursive=True)
    assert os.fsencode(path) == name
    assert look_at(tmp_path, path) == content
    descriptor = open_input(tmp_path, path)
    assert os.read(descriptor, 10) == b"123"
    os.close(descriptor)


def test_composed_and_decomposed_names_are_two_files(tmp_path: Path) -> None:
    for name in ("e\u0301.jpg", "\u00e9.jpg"):
        (tmp_path / name).touch()
    assert len(found(tmp_path)) == 2


def test_hidden_sub_folders_are_not_walked_into(tmp_path: Path) -> None:
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "a.jpg").touch()
    assert found(tmp_path) == []


def test_an_output_folder_inside_its_input_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "sub" / "out").mkdir(parents=True)
    (tmp_path / "sub" / "out" / "a.png").touch()
    (tmp_path / "sub" / "b.jpg").touch()
    assert found(tmp_path, skipped=frozenset({identity(tmp_path / "sub" / "out")})) == ["sub/b.jpg"]


def test_a_hard_link_is_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    os.link(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert found(tmp_path) == ["a.jpg", "b.jpg"]


def test_a_missing_folder_and_a_file_in_its_place_are_typed_errors(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        with pytest.raises(CannotRead):
            list(walk(tmp_path / name, recursive=True))


_AS_NOBODY = """
import os, sys
from pathlib import Path
from alphadrop.errors import CannotRead
from alphadrop.hotfolder.scan import walk
os.setgroups([]); os.setegid(65534); os.seteuid(65534)
root = Path(sys.argv[1])
print([path.as_posix() for path, _ in walk(root, recursive=True)])
try:
    list(walk(root / "locked", recursive=True))
except CannotRead as error:
    print("refused", error.hint)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_sub_folder_without_permission_is_passed_over_and_as_the_root_an_error() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        root = Path(name)
        root.chmod(0o755)
        (root / "locked").mkdir(mode=0o700)
        (root / "locked" / "a.jpg").touch()
        (root / "b.jpg").touch()
        told = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, name], capture_output=True, text=True, check=False, timeout=60
        )
    assert told.stdout.splitlines() == ["['b.jpg']", "refused give yourself read permission"], told.stderr


def test_a_file_swapped_for_a_link_after_it_was_found_is_refused(tmp_path: Path) -> None:
    root, secret = tmp_path / "in", tmp_path / "secret.jpg"
    root.mkdir()
    secret.write_bytes(b"secret")
    (root / "a.jpg").write_bytes(b"123456")
    ((path, _),) = walk(root, recursive=True)
    (root / "a.jpg").unlink()
    (root / "a.jpg").symlink_to(secret)
    with pytest.raises(CannotRead, match="cannot be read"):
        open_input(root, path)


def test_a_sub_folder_swapped_for_a_link_after_it_was_walked_is_refused(tmp_path: Path) -> None:
    root, secret = tmp_path / "in", tmp_path / "secret"
    (root / "sub").mkdir(parents=True)
    secret.mkdir()
    for folder in (root / "sub", secret):
        (folder / "a.jpg").write_bytes(b"123456")
    ((path, _),) = walk(root, recursive=True)
    (root / "sub").rename(root / "was")
    (root / "sub").symlink_to(secret)
    assert look_at(root, path) is None
    with pytest.raises(CannotRead):
        open_input(root, path)


def test_an_error_about_an_odd_name_can_be_said_everywhere(tmp_path: Path) -> None:
    path = PurePath(os.fsdecode(b"\xff\n.jpg"))
    os.mkfifo(tmp_path / path)
    with pytest.raises(CannotRead) as raised:
        open_input(tmp_path, path)
    assert str(raised.value).encode("utf-8").count(b"\n") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_somebody_who_has_the_file_open_for_writing_is_seen_until_he_closes_it(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    descriptor = open_input(tmp_path, PurePath("a.jpg"))
    try:
        assert not has_writer(descriptor)
        with open(tmp_path / "a.jpg", "ab"):
            assert has_writer(descriptor)
        assert not has_writer(descriptor)
        with open(tmp_path / "a.jpg", "rb"):
            assert not has_writer(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_a_writer_in_another_process_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    holds = "import sys; stream = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    writer = subprocess.Popen(
        [sys.executable, "-c", holds, str(tmp_path / "a.jpg")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    descriptor = open_input(tmp_path, PurePath("a.jpg"))
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        assert has_writer(descriptor)
        writer.communicate(timeout=60)
        assert not has_writer(descriptor)
    finally:
        os.close(descriptor)
        writer.kill()
        writer.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_looking_for_writers_keeps_nobody_from_writing(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "a.jpg"
    path.touch()
    descriptor = open_input(tmp_path, PurePath("a.jpg"))
    try:
        assert not has_writer(descriptor)
        assert fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_UNLCK
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # a lease would refuse it
    finally:
        os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_where_the_file_system_refuses_for_its_own_reasons_nobody_is_suspected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").touch()
    descriptor = open_input(tmp_path, PurePath("a.jpg"))
    asked: list[int] = []

    def refuses(device: int) -> bool:
        asked.append(device)
        return True

    monkeypatch.setattr(scan, "refuses_leases", refuses)
    try:
        with open(tmp_path / "a.jpg", "ab"):
            assert not has_writer(descriptor)
    finally:
        os.close(descriptor)
    assert asked == [tmp_path.stat().st_dev]


def test_a_file_is_at_its_path_until_another_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")
    descriptor = open_input(tmp_path, PurePath("a.jpg"))
    try:
        assert is_at(tmp_path, PurePath("a.jpg"), descriptor)
        (tmp_path / "b.jpg").write_bytes(b"new")
        status = os.fstat(descriptor)
        os.utime(tmp_path / "b.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
        (tmp_path / "b.jpg").replace(tmp_path / "a.jpg")
        assert look_at(tmp_path, PurePath("a.jpg")) == Content(status.st_size, status.st_mtime_ns)
        assert not is_at(tmp_path, PurePath("a.jpg"), descriptor)
        (tmp_path / "a.jpg").unlink()
        assert not is_at(tmp_path, PurePath("a.jpg"), descriptor)
    finally:
        os.close(descriptor)


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "real" / "sub" / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert found(tmp_path / "link") == ["sub/a.jpg"]
