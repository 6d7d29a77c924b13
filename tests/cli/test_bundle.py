"""doctor --bundle: an archive that tells what is wrong, and of nobody's photographs."""

from __future__ import annotations

import json
import logging
import socket
import sys
import zipfile
from pathlib import Path

import pytest

from alphadrop import paths
from alphadrop.cli import main
from alphadrop.cli.placeholders import Placeholders
from daemon_process import Home, running, wait_for

MEMBERS = {"README.txt", "doctor.json", "status.json", "configuration.json", "versions.json", "alphadrop.log"}


def members(file: Path) -> dict[str, str]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_no_name_of_a_file_a_folder_or_a_person_is_in_any_member(
    tmp_path_factory: pytest.TempPathFactory, photographs: dict[str, Path]
) -> None:
    root = tmp_path_factory.mktemp("h") / "annabelle"
    root.mkdir()
    home = Home(root)
    secret = home.root / "Pictures" / "Zwölfuhrtermin"
    secret.mkdir(parents=True)
    home.configure(
        folder="settle: 0\nedges: plain",
        top="keys:\n- name: klarabella\n  sha256: '"
        + "ab" * 32
        + "'\nallow_origins: ['http://geheimnis.example:8000']",
    )
    names = ["my holiday with Hortensia: the 2nd, in Xanten.jpg", "报税单.jpg", "Steuerbescheid.JPG"]
    with running(home):
        for name in names[:2]:
            home.drop(photographs["cat"], name)
        (home.root / "x").write_text("nonsense")
        (home.root / "x").rename(home.input / names[2])
        wait_for(lambda: "Steuerbescheid" in log_of(home), "the third to fail")
        wait_for(lambda: len(list(home.output.iterdir())) == 2, "two results")
        wait_for(lambda: log_of(home).count(" -> ") == 2, "both to be logged")
        with log_file(home).open("a") as log:  # what nobody has thought of
            log.write(f"2026-01-01 00:00:00,000 error   {secret}/Liebesbrief an Otto.png: EOFError: klarabella\n")
        done = home.alphadrop("doctor", "--bundle", home.root / "told.zip")
        assert done.returncode == 0, done.stdout
        assert "look through it before you hand it on" in done.stderr
    told = members(home.root / "told.zip")
    assert told.keys() == MEMBERS
    private = [
        "annabelle", "hortensia", "xanten", "holiday", "报税单", "steuerbescheid", "zwölfuhrtermin", "liebesbrief",
        "otto", "klarabella", "geheimnis", "ab" * 8, str(home.root), str(Path(sys.prefix)), socket.gethostname(),
    ]  # fmt: skip
    for name, text in told.items():
        found = [word for word in private if word and word.lower() in text.lower()]
        assert not found, f"{name} tells {found}"
    assert (home.root / "told.zip").stat().st_mode & 0o777 == 0o600

    # And it tells what helps.
    lines = told["alphadrop.log"]
    assert "ready in " in lines
    assert "not a picture that is opened here (use one of JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF)" in lines
    assert lines.count(" -> <folder-") == 2
    assert json.loads(told["status.json"])["state"] == "ready"
    assert json.loads(told["configuration.json"])["folders"][0]["edges"] == "plain"
    assert json.loads(told["versions.json"])["packages"]["onnxruntime"]
    verdicts = {each["what"]: each["verdict"] for each in json.loads(told["doctor.json"])}
    assert verdicts["model"] == "ok"


def log_file(home: Home) -> Path:
    return home.root / "data" / "log" / "alphadrop.log"


def log_of(home: Home) -> str:
    return log_file(home).read_text(encoding="utf-8") if log_file(home).exists() else ""


def test_a_file_that_is_there_is_left_and_a_broken_configuration_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    for name in ("HOME", "ALPHADROP_RUN_DIR", "ALPHADROP_DATA_DIR", "ALPHADROP_CONFIG", "XDG_PICTURES_DIR"):
        monkeypatch.setenv(name, home.environment[name])
    (tmp_path / "alphadrop.yaml").write_text("folders:\n- input: /srv/geheim\n  bottle: 1\n")
    assert main(["doctor", "--bundle", str(tmp_path / "a.zip")]) == 1
    told = members(tmp_path / "a.zip")
    assert "geheim" not in "".join(told.values())
    assert "cannot be used" in told["configuration.json"]
    capsys.readouterr()
    before = (tmp_path / "a.zip").read_bytes()
    assert main(["doctor", "--bundle", str(tmp_path / "a.zip")]) == 1
    assert "name another file" in capsys.readouterr().err
    assert (tmp_path / "a.zip").read_bytes() == before


# Placeholders -------------------------------------------------------------------------------------------------------


def placeholders() -> Placeholders:
    return Placeholders(
        {Path("/home/otto/.config/alphadrop/alphadrop.yaml"): "settings", Path("/home/otto"): "home"},
        ["/mnt/nas/In"],
        ["/mnt/nas/In/a: b, c.jpg", "/mnt/nas/In/a"],
        ["otto", "tower"],
    )


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("the ledger cannot be used: disk full; trying again in 10 s", None),
        ("2026-11-28 11:22:00,930 info    ready in 0.79 s with u2net-int8 (cpu, 2 threads)", None),
        (
            "/mnt/nas/In/a: b, c.jpg: cannot be read: input/output error",
            "<folder-1>/<photo-1>.jpg: cannot be read: input/output error",
        ),
        ("/mnt/nas/In/a -> /mnt/nas/In/a: b, c.jpg in 1.42 s", "<folder-1>/<photo-1> -> <folder-1>/<photo-2>.jpg in"),
        ("/mnt/nas/In: missing; mount its disk", "<folder-1>: missing; mount its disk"),
        ("/home/otto/.config/alphadrop/alphadrop.yaml:3: unknown", "<settings>:3: unknown"),
        ("/home/otto/Gartenfest/x.png: gone", "<home>/<path-1>.png: gone"),
        ("tower has otto (otto's) in ottoman", "<user> has <user> (<user>'s) in <word-1>"),
        ("Gartenfest cat.jpg Gartenfest", "<word-1> <file-1>.jpg <word-1>"),
        ("/srv/Gartenfest/Bar.jpg", "/<path-1>.jpg"),
    ],
)
def test_what_is_alphadrops_own_stays_and_all_else_is_replaced(text: str, hidden: str | None) -> None:
    told = placeholders().hide(text)
    assert told.startswith(text if hidden is None else hidden), told


def test_the_same_name_has_the_same_placeholder_everywhere() -> None:
    told = placeholders()
    assert told.hide_in({"a": ["Garten", {"b": "Fest"}], "n": 1, "z": None}) == {
        "a": ["<word-1>", {"b": "<word-2>"}],
        "n": 1,
        "z": None,
    }
    assert told.hide("Fest Garten") == "<word-2> <word-1>"


def test_of_a_traceback_the_lines_of_programs_stay(caplog: pytest.LogCaptureFixture) -> None:
    try:
        Path("/srv/geheim/brief.jpg").read_bytes()
    except OSError:
        logging.getLogger("alphadrop").exception("reading failed")
    told = placeholders().hide(caplog.text)
    assert "geheim" not in told
    assert "brief" not in told
    assert "FileNotFoundError: [Errno 2] No such file or directory" in told
    assert "Traceback (most recent call last):" in told
    assert 'File "<python>' in told
    assert "io.open(self" in told


def test_a_record_that_cannot_be_read_hides_nothing_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alphadrop.hotfolder.schema import known_paths

    monkeypatch.setenv("ALPHADROP_DATA_DIR", str(tmp_path))
    assert known_paths(paths.ledger_file()) == set()
    paths.ledger_file().write_text("no database")
    assert known_paths(paths.ledger_file()) == set()
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]
