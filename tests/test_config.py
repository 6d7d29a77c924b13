"""What a configuration promises: everything wrong is said at once, with its line, and nothing else ever comes out."""

from __future__ import annotations

import errno
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from alphadrop import paths
from alphadrop.config import NamedKey, Settings, Web, as_yaml, create_default, load, make_key, parse, sha256_of
from alphadrop.config.schema import SECTIONS
from alphadrop.engine.models import ModelSpec
from alphadrop.engine.options import PRESETS, Canvas, CutOptions
from alphadrop.errors import BadOptions, CannotRead, CannotWrite, ConfigError, TargetExists
from alphadrop.hotfolder.settings import FolderSettings

KNOWN = ("u2net-int8", "u2netp", "isnet-general-use")
HOME = {"HOME": "/home/ann", "SHOP": "/srv/shop"}
DOCS = Path(__file__).parents[1] / "docs" / "configuration.md"
FOLDER = "folders:\n- input: /a\n  output: /b\n"


def read(text: str, file: Path = Path("/etc/ann/alphadrop.yaml")) -> Settings:
    return parse(text, file, known=KNOWN, environ=HOME)


def wrong(text: str) -> list[tuple[int, str]]:
    """The lines and messages of everything wrong."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def folder(text: str) -> FolderSettings:
    """The one folder of a configuration that says this of it."""
    (only,) = read(FOLDER + text).folders
    return only


def uncommented(pattern: str = "") -> str:
    """The default configuration with the notes of this pattern made settings."""
    text = paths.default_config().read_text("utf-8")
    return re.sub(rf"^( *)# (?= *{pattern})", r"\1", text, flags=re.MULTILINE)


# -- everything at once, each with its line


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    text = """\
modell: u2netp
threads: many
limits: {pixel: 200}
folders:
  - input: /a
    ouput: /b
    format: gif
    recursive: perhaps
    colour: red
  - input: 2024
    output: /c
    settle: soon
    include: ['*.jpg', 7]
    canvas:
      size: big
      aspect: 1:30000
    model: u2net-int
    margin:
"""
    found = wrong(text)
    assert [line for line, _ in found] == [1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 13, 15, 16, 17, 18]
    said = dict(found)
    assert "did you mean `model`?" in said[1]
    assert "did you mean `pixels`?" in said[3]
    assert said[5] == "a folder needs `output`"
    assert said[6] == "unknown key `ouput`; did you mean `output`?"
    assert "png, webp, tiff or jpeg" in said[7]
    assert "neither true nor false" in said[8]
    assert "the keys here are input, output" in said[9]
    assert "put it in quotes: '2024'" in said[10]
    assert "did you mean `u2net-int8`?" in said[17]
    assert "no value" in said[18]


def test_a_problem_names_its_file_and_line() -> None:
    with pytest.raises(ConfigError, match=r"alphadrop\.yaml:1: unknown key `keepgps`; did you mean `keep_gps`\?"):
        read("keepgps: yes\n")


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("model: u2netp\nthreads: 1\nmodel: u2netp\n", 3, "twice; first in line 1"),
        (FOLDER + "  input: /c\n", 4, "twice; first in line 2"),
        ("format: png\n", 1, "it belongs to a folder"),
        ("keep-gps: no\n", 1, "did you mean `keep_gps`?"),
        (FOLDER + "  crop: Subject\n", 4, "did you mean `subject`?"),
        (FOLDER + "  canvas: {align: center}\n", 4, "did you mean `centre`?"),
        (FOLDER + "  originals: remove\n", 4, "keep, move or delete; did you mean `move`?"),
        (FOLDER + "  originals: move\n", 4, "`originals: move` needs `finished`; say where they go"),
        (FOLDER + "  originals: move\n  finished:\n", 5, "`finished` has no value"),
        (FOLDER + "  finished: /d\n  originals: mvoe\n", 5, "did you mean `move`?"),
        (FOLDER + "  failed: $NOWHERE/x\n", 4, "$NOWHERE is not set"),
        (FOLDER + "  poll: sometimes\n", 4, "neither true nor false"),
        (FOLDER + "  originals: move\n  finished: /a\n", 5, "`finished` is the input; choose another: originals would"),
        (FOLDER + "  failed: /b/../a\n", 4, "`failed` is the input; choose another: originals would be cut again"),
        (FOLDER + "  originals: move\n  finished: /b\n", 5, "`finished` is the output; choose another: originals and"),
        (FOLDER + "  failed: /b\n", 4, "`failed` is the output"),
        (FOLDER + "  name: '{stem}/x'\n", 4, "not a path"),
        (FOLDER + "  name: cut\n", 4, "put {stem} in it"),
        (FOLDER + "  name: '{stem}-{date}'\n", 4, "{stem} and {ext} only"),
        (FOLDER + "  name: {stem}\n", 4, "in quotes"),
        (FOLDER + "  name: 12\n", 4, "in quotes: '12'"),
        (FOLDER + "  background: #ffffff\n", 4, "'#ffffff'"),
        (FOLDER + "  background: whiteish\n", 4, "neither `transparent` nor a colour"),
        (FOLDER + "  exclude: '../*'\n", 4, "leads out of the folder"),
        (FOLDER + "  exclude: !x\n", 4, "begins with ! in quotes"),
        (FOLDER + "  settle: -1\n", 4, "not a duration"),
        (FOLDER + "  settle: 1e309\n", 4, "it is 0s to 1h, not `1e309`"),
        (FOLDER + "  rescan: 10ms\n", 4, "it is 1s to 1d, not `10ms`"),
        (FOLDER + "  margin: .nan\n", 4, "not a number"),
        (FOLDER + "  margin: '0.1'\n", 4, "without quotes"),
        (FOLDER + "  shift_edge: 1.5\n", 4, "not a whole number"),
        (FOLDER + "  shift_edge: -101\n", 4, "shift_edge is a whole number of -100 to 100 pixels, not -101"),
        (FOLDER + "  feather: 200\n", 4, "feather is 0 to 100 pixels, not 200"),
        (FOLDER + "  hardness: -0.1\n", 4, "hardness is 0 to 1"),
        (FOLDER + "  smallest_part: 5\n", 4, "smallest_part is 0 to 1"),
        (FOLDER + "  fill_holes: .inf\n", 4, "not a number"),
        (FOLDER + "  decontaminate: some\n", 4, "neither true nor false"),
        (FOLDER + "  quality: 9.5\n", 4, "not a whole number"),
        (FOLDER + "  quality: " + "9" * 5000 + "\n", 4, "too long"),
        (FOLDER + "  canvas: {size: [1, 2, 3]}\n", 4, "two sides"),
        (FOLDER + "  include: {a: b}\n", 4, "one value is wanted here, not a group"),
        ("folders:\n- input: ~\n  output: /b\n", 2, "'~'"),
        ("folders:\n- input: ~nobody-of-this-name/x\n  output: /b\n", 2, "nobody's home folder"),
        ("folders:\n- input: $NOWHERE/x\n  output: /b\n", 2, "$NOWHERE is not set"),
        ('folders:\n- input: "/a\\0b"\n  output: /b\n', 2, "control characters"),
        ("folders:\n  input: /a\n  output: /b\n", 2, "begin each of its items with a dash"),
        ("folders:\n- /a\n", 2, "a folder is a group"),
        ("provider: gpu\n", 1, "did you mean `cpu`?"),
        ("threads: -1\n", 1, "0 to 1024"),
        ("limits: 200\n", 1, "`limits` is a group"),
        ("limits: {pixels: 0}\n", 1, "1 to 1000"),
        ("limits: {in_flight: 0.5}\n", 1, "1 to 10000"),
        ("in_flight: 40\n", 1, "it belongs to `limits`"),
        ("quiet: yes\n", 1, "never, battery, auto or always"),
        ("quiet: batery\n", 1, "did you mean `battery`?"),
        ("history: 90\n", 1, "it is 1h to 3650d, not `90`"),
        ("history: 11y\n", 1, "write seconds, or 500ms, 2s, 1m, 1h, 90d"),
        ("history: 3651d\n", 1, "it is 1h to 3650d"),
        ("log: {level: loud}\n", 1, "debug, info, warning or error"),
        ("? [a]\n: b\n", 1, "a key is one word"),
        ("models:\n- {name: x, file: x.onnx}\n- {name: x, file: y.onnx}\n", 3, "two models are called `x`"),
        ("models:\n- {name: x, file: x.onnx, mean: [1, 2]}\n", 2, "three numbers"),
        ("models:\n- {name: x, file: x.onnx, mean: [0, 0, 1e999]}\n", 2, "not a number"),
        ("models:\n- {name: x, file: x.onnx, std: [1, 0, 1]}\n", 2, "at least 0.001"),
        ("models:\n- {file: x.onnx}\n", 2, "a model needs `name`"),
    ],
)
def test_one_wrong_thing_is_one_problem_in_its_line(text: str, line: int, part: str) -> None:
    ((found, message),) = wrong(text)
    assert found == line
    assert part in message


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        (FOLDER + "  include: [*.jpg]\n", 4, "'*.jpg'"),
        (FOLDER + "  include:\n  - *jpg\n", 5, "'*.jpg'"),
        (FOLDER + "\tformat: png\n", 4, "a tab; indent with spaces"),
        (FOLDER + "   format: png\n", 4, "indentation"),
        (FOLDER + "  name: {stem}-cut\n", 4, "in quotes"),
        (FOLDER + "  model: @x\n", 4, "in quotes"),
        ("a: 1\nname: 'x\nb: 2\nc: 3\n", 2, "quotation mark"),
        ("a: [1, 2\nb: 3\n", 2, "brackets"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("", 1, "says nothing"),
        ("# only a note\n", 1, "says nothing"),
        ("- a\n- b\n", 1, "the top of the file is a group"),
        ("just text\n", 1, "the top of the file is a group"),
        ("a: 1\nb: \0\n", 2, "U+0000"),
        ("a: \ud800\n", 1, "U+D800"),
    ],
)
def test_what_is_no_yaml_is_a_problem_in_its_line(text: str, line: int, part: str) -> None:
    ((found, message),) = wrong(text)
    assert found == line
    assert part in message


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("  format: jpeg\n  quality: 80\n", 4, "JPEG cannot be transparent"),
        ("  quality: 80\n  margin: 0.1\n", 5, "a margin is kept around the subject"),
        ("  preset: shop-square\n  background: transparent\n", 5, "JPEG cannot be transparent"),
        ("  canvas:\n    size: 20\n    aspect: 1:2\n", 6, "not both"),
        ("  preset: shop-square\n  canvas: {size: 100x2000}\n", 5, "a margin of 0.075 leaves nothing of 100x2000"),
    ],
)
def test_options_that_contradict_each_other_are_reported_at_the_telling_key(text: str, line: int, part: str) -> None:
    ((found, message),) = wrong(FOLDER + text)
    assert found == line
    assert part in message


def test_several_contradictions_of_one_folder_are_all_reported() -> None:
    assert [line for line, _ in wrong(FOLDER + "  quality: 0\n  format: jpeg\n  margin: 3\n")] == [4, 5, 6]


def test_a_value_that_could_not_be_read_causes_no_second_problem() -> None:
    assert [line for line, _ in wrong(FOLDER + "  crop: subjct\n  margin: 0.1\n")] == [4]
    assert [line for line, _ in wrong(FOLDER + "  format: jpeg\n  background: whit\n")] == [5]
    assert [line for line, _ in wrong(FOLDER + "  preset: shop-sqare\n  margin: 0.1\n  quality: 0\n")] == [4, 6]


# -- what good values become


def test_the_least_configuration_has_the_defaults_of_the_dataclasses() -> None:
    settings = read(FOLDER)
    assert settings == Settings(
        file=Path("/etc/ann/alphadrop.yaml"),
        folders=(FolderSettings(input=Path("/a"), output=Path("/b"), model="u2net-int8"),),
    )
    assert settings.limits.pixels == 200_000_000
    assert settings.limits.in_flight_pixels == 40_000_000
    assert (settings.quiet, settings.history) == ("auto", 90 * 24 * 3600)
    (only,) = settings.folders
    assert (only.originals, only.finished, only.failed, only.poll) == ("keep", None, None, False)
    assert only.set_apart == (Path("/b"),)


def test_values_are_read_as_they_are_written() -> None:
    settings = read(
        """\
model: u2netp
threads: 4
provider: openvino
quiet: battery
limits: {pixels: 12.5, in_flight: 2.5}
history: 1.5d
keep_gps: on
log: {level: debug}
notifications: off
tray: on
folders:
- input: ~/in
  output: ${SHOP}/$$out
  recursive: off
  result: both
  format: webp
  png: small
  quality: 80
  edges: plain
  decontaminate: on
  smallest_part: 0.05
  fill_holes: .01
  feather: 1.5
  hardness: 0.25
  shift_edge: -3
  background: pictures/wood.jpg
  crop: subject
  margin: .1
  canvas: {aspect: 4:5, align: top}
  name: '{stem}-{ext}'
  if_exists: skip
  originals: move
  finished: done
  failed: ~/failed
  settle: 500ms
  rescan: 1m
  poll: yes
  include: '*.jpg'
  exclude: [a/*, '2024']
- {input: in, output: /o2, model: isnet-general-use, originals: delete}
"""
    )
    assert (settings.threads, settings.provider, settings.log_level) == (4, "openvino", "debug")
    assert settings.limits.pixels == 12_500_000
    assert settings.limits.in_flight_pixels == 2_500_000
    assert (settings.quiet, settings.history) == ("battery", 36 * 3600)
    assert (settings.notifications, settings.tray) == (False, True)
    assert settings.folders[0] == FolderSettings(
        input=Path("/home/ann/in"),
        output=Path("/srv/shop/$out"),
        model="u2netp",
        cut=CutOptions(
            format="webp",
            edges="plain",
            decontaminate=True,
            smallest_part=0.05,
            fill_holes=0.01,
            feather=1.5,
            hardness=0.25,
            shift_edge=-3,
            background=Path("/etc/ann/pictures/wood.jpg"),
            crop="subject",
            margin=0.1,
            canvas=Canvas(aspect=0.8, align="top"),
            png="small",
            quality=80,
            keep_gps=True,
        ),
        result="both",
        recursive=False,
        name="{stem}-{ext}",
        if_exists="skip",
        originals="move",
        finished=Path("/etc/ann/done"),
        failed=Path("/home/ann/failed"),
        settle=0.5,
        rescan=60,
        poll=True,
        include=("*.jpg",),
        exclude=("a/*", "2024"),
    )
    assert settings.folders[1].input == Path("/etc/ann/in")
    assert settings.folders[1].model == "isnet-general-use"
    assert settings.folders[1].originals == "delete"


@pytest.mark.parametrize("written", ["90d", "90 D", "'90d'", "2160h", "7776000", "7776000s"])
def test_a_duration_has_many_spellings(written: str) -> None:
    assert read(f"history: {written}\n{FOLDER}").history == 7_776_000


def test_where_originals_go_is_set_apart_and_changes_no_picture() -> None:
    plain = folder("")
    moved = folder("  originals: move\n  finished: /a/done\n  failed: /a/failed\n  poll: on\n")
    assert moved.set_apart == (Path("/b"), Path("/a/done"), Path("/a/failed"))
    assert moved.fingerprint() == plain.fingerprint()
    assert folder("  failed: /f\n").set_apart == (Path("/b"), Path("/f"))


@pytest.mark.parametrize("size", ["1600x2000", "'1600x2000'", "[1600, 2000]"])
def test_a_size_has_three_spellings(size: str) -> None:
    assert folder(f"  canvas: {{size: {size}}}\n").cut.canvas.size == (1600, 2000)


@pytest.mark.parametrize("colour", ["white", "'#ffffff'", "'#fff'", "rgb(255,255,255)", "White"])
def test_a_colour_has_many_spellings(colour: str) -> None:
    assert folder(f"  background: {colour}\n").cut.background == (255, 255, 255)


def test_a_preset_is_changed_by_the_keys_beside_it_in_any_order() -> None:
    assert folder("  preset: shop-square\n").cut == PRESETS["shop-square"]
    changed = replace(PRESETS["shop-square"], format="png", background=None)
    assert folder("  format: png\n  preset: shop-square\n  background: transparent\n").cut == changed
    assert folder("  preset: square\n  canvas: {align: top}\n").cut.canvas == Canvas(size=(2000, 2000), align="top")
    assert folder("  preset: square\n  canvas: {aspect: 1:1}\n").cut.canvas == Canvas(aspect=1.0)


def test_models_of_ones_own_have_the_usual_defaults() -> None:
    settings = read("models:\n- {name: mine, file: mine.onnx, scale: 255, std: [1, 1, 1]}\nmodel: mine\n" + FOLDER)
    assert settings.models == (
        ModelSpec(
            name="mine",
            file="/etc/ann/mine.onnx",
            input_size=320,
            scale="255",
            mean=(0.485, 0.456, 0.406),
            std=(1.0, 1.0, 1.0),
            activation="none",
            licence="unknown",
            commercial=None,
        ),
    )
    assert settings.folders[0].model == "mine"


def test_a_bad_row_of_models_is_not_reported_again_where_it_is_used() -> None:
    assert [line for line, _ in wrong("models:\n- name: mine\n  fiel: x\nmodel: mine\n")] == [2, 3]


def test_shared_keys_come_in_by_alias_and_are_overridden() -> None:
    text = "folders:\n- &a\n  input: /a\n  output: /b\n  format: webp\n- <<: *a\n  input: /c\n  quality: 100\n"
    first, second = read(text).folders
    assert second == replace(first, input=Path("/c"), cut=replace(first.cut, quality=100))


def test_what_is_missing_is_a_warning_with_its_line_and_nothing_is_created(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "file").touch()
    text = (
        "folders:\n- input: in\n  output: out\n  background: wood.jpg\n- input: file\n  output: in\n"
        "models:\n- {name: u2netp, file: mine.onnx}\n"
    )
    file = tmp_path / "alphadrop.yaml"
    settings = read(text, file)
    lines = [int(warning.removeprefix(f"{file}:").split(":")[0]) for warning in settings.warnings]
    assert sorted(lines) == [3, 4, 5, 8, 8]
    assert any("there is no such folder" in warning for warning in settings.warnings)
    assert not (tmp_path / "out").exists()


def warnings(text: str, part: str) -> list[int]:
    """The lines of the warnings that say this."""
    found = (warning.split(":", 2) for warning in read(text).warnings)
    return [int(line) for _, line, message in found if part in message]


def test_missing_folders_for_originals_are_warnings(tmp_path: Path) -> None:
    places = f"  originals: move\n  finished: {tmp_path}/done\n  failed: {tmp_path}/failed\n"
    assert warnings(FOLDER + places, "no such folder") == [2, 3, 5, 6]
    assert os.listdir(tmp_path) == []
    (tmp_path / "done").mkdir()
    (tmp_path / "failed").touch()
    assert warnings(FOLDER + places, "no such folder") == [2, 3]
    assert warnings(FOLDER + places, "not a folder") == [6]


@pytest.mark.parametrize("originals", ["", "  originals: keep\n", "  originals: delete\n"])
def test_a_folder_for_finished_originals_that_none_goes_to_is_a_warning(originals: str) -> None:
    assert warnings(FOLDER + "  finished: /d\n" + originals, "does nothing without `originals: move`") == [4]
    assert warnings(FOLDER + "  failed: /d\n" + originals, "does nothing") == []


def test_no_folder_is_a_warning() -> None:
    assert "no folder is watched" in read("threads: 1\n").warnings[0]


# -- folders against each other


def test_an_output_that_is_the_input_is_refused_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    ((line, message),) = wrong(f"folders:\n- input: {tmp_path}/real\n  output: {tmp_path}/link/../real/\n")
    assert (line, "the output is the input" in message) == (3, True)
    assert len(wrong(f"folders:\n- input: {tmp_path}/real\n  output: {tmp_path}/link\n")) == 1


def test_two_folders_with_one_input_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    text = f"folders:\n- input: {tmp_path}/real\n  output: /b\n- input: {tmp_path}/link\n  output: /c\n"
    ((line, message),) = wrong(text)
    assert (line, message.endswith("watched twice; first in line 2")) == (4, True)


def test_a_folder_for_originals_that_is_the_input_or_output_is_refused_by_its_real_path(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / f"to-{name}").symlink_to(name)
    text = f"folders:\n- input: {tmp_path}/in\n  output: {tmp_path}/out\n  originals: move\n"
    text += f"  finished: {tmp_path}/to-in\n  failed: {tmp_path}/to-out\n"
    found = wrong(text)
    assert [line for line, _ in found] == [5, 6]
    assert "`finished` is the input" in found[0][1]
    assert "`failed` is the output" in found[1][1]


def test_finished_and_failed_may_be_one_folder_inside_the_input() -> None:
    assert folder("  originals: move\n  finished: /a/done\n  failed: /a/done\n").finished == Path("/a/done")


def chain(*steps: tuple[str, str]) -> str:
    return "folders:\n" + "".join(f"- input: {source}\n  output: {target}\n" for source, target in steps)


def test_a_chain_is_allowed_and_a_circle_is_named() -> None:
    assert len(read(chain(("/a", "/b"), ("/b", "/c"), ("/c", "/d"))).folders) == 3
    ((line, message),) = wrong(chain(("/x", "/a"), ("/a", "/b"), ("/b", "/c"), ("/c", "/a")))
    assert line == 9
    assert "/a -> /b -> /c -> /a" in message


def test_every_circle_is_named() -> None:
    found = wrong(chain(("/a", "/b"), ("/b", "/a"), ("/c", "/d"), ("/d", "/c")))
    assert [line for line, _ in found] == [5, 9]


def test_an_output_inside_its_own_input_is_allowed_and_a_circle_through_it_is_not() -> None:
    assert read(chain(("/a", "/a/out"))).folders
    assert "/a -> /b -> /a" in wrong(chain(("/a", "/b"), ("/b", "/a/deep/out")))[0][1]
    flat = chain(("/a", "/b"), ("/b", "/a/deep/out")).replace("- input: /a\n", "- input: /a\n  recursive: no\n")
    assert len(read(flat).folders) == 2


@pytest.mark.parametrize(
    ("moved", "key"), [("  originals: move\n  finished: /a/deep\n", "finished"), ("  failed: /a\n", "failed")]
)
def test_a_circle_through_originals_is_named_at_the_key_that_closes_it(moved: str, key: str) -> None:
    text = chain(("/a", "/b"), ("/b", "/c")) + moved
    ((line, message),) = wrong(text)
    assert text.splitlines()[line - 1].strip().startswith(key)
    assert "would go round for ever: /a -> /b -> /a; send them elsewhere" in message


def test_every_key_that_closes_a_circle_is_named() -> None:
    text = chain(("/a", "/b"), ("/b", "/a/x")) + "  failed: /a/y\n"
    assert [line for line, _ in wrong(text)] == [5, 6]


def test_a_folder_that_no_original_goes_to_closes_no_circle() -> None:
    assert read(chain(("/a", "/b"), ("/b", "/c")) + "  finished: /a\n").folders
    moved = "  originals: move\n  finished: /a/done\n"
    assert read(chain(("/a/done", "/b"), ("/a", "/c")) + moved).folders


def test_what_is_set_apart_from_an_input_closes_no_circle() -> None:
    text = "folders:\n- input: /a\n  output: /b\n  failed: /a/failed\n- input: /b\n  output: /a/failed/again\n"
    assert len(read(text).folders) == 2
    assert len(wrong(text.replace("/a/failed/again", "/a/again"))) == 1


NESTED = chain(("/a", "/x"), ("/a/b/c", "/y"))


@pytest.mark.parametrize(
    ("outer", "lines"),
    [
        ("", [4]),
        ("recursive: yes", [4]),
        ("recursive: no", []),
        ("exclude: b/*", []),
        ("exclude: 'B/C/*'", []),
        ("exclude: ['b/*.png', 'c/*', '*-draft.*']", [4]),
        ("include: '*.jpg'", [4]),
        ("include: b/*", [4]),
        ("include: [new/*, old/*.jpg]", []),
        ("failed: /a/b", []),
        ("finished: /a/b/c", []),
        ("failed: /a/b/c/d", [4]),
        ("failed: /", [4]),
    ],
)
def test_an_input_inside_another_is_a_warning_where_its_photographs_are_cut_twice(outer: str, lines: list[int]) -> None:
    text = NESTED.replace("- input: /a\n", f"- input: /a\n  {outer}\n") if outer else NESTED
    told = "lies inside the input of line 2: its photographs are cut twice"
    assert warnings(text, told) == [line + bool(outer) for line in lines]


def test_an_input_inside_a_hidden_folder_or_an_output_of_another_is_no_warning() -> None:
    assert warnings(chain(("/a", "/a/out"), ("/a/out", "/y")), "lies inside") == []
    assert warnings(chain(("/a", "/x"), ("/a/.b/c", "/y")), "lies inside") == []
    assert warnings(chain(("/a", "/x"), ("/ab", "/y")), "lies inside") == []


def test_inputs_inside_each_other_are_found_by_their_real_paths(tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("outer/inner")
    text = chain((f"{tmp_path}/link", "/x"), (f"{tmp_path}/outer", "/y"))
    assert warnings(text, "lies inside the input of line 4") == [2]


def test_thousands_of_folders_in_a_circle_are_checked_quickly() -> None:
    started = time.monotonic()
    assert len(wrong(chain(*((f"/{step}", f"/{(step + 1) % 3000}") for step in range(3000))))) == 1
    assert time.monotonic() - started < 30


# -- the default, the documentation, and back again


def test_the_default_configuration_loads_and_every_key_is_mentioned_in_it() -> None:
    settings = load(paths.default_config(), known=KNOWN)
    only = FolderSettings(
        input=Path("~/Pictures/Alphadrop/In").expanduser(),
        output=Path("~/Pictures/Alphadrop/Out").expanduser(),
        model="u2net-int8",
    )
    assert settings == Settings(file=paths.default_config(), folders=(only,))
    text = paths.default_config().read_text("utf-8")
    for table in SECTIONS.values():
        for key in table:
            assert re.search(rf"^[ #-]*{key}:", text, re.MULTILINE), f"{key} is not mentioned"


ALONE = SECTIONS["the top of the file"].keys() | SECTIONS["a folder"].keys()
ALONE -= {"input", "output", "finished", "failed", "preset", "include", "exclude", "canvas"}
ALONE -= {"folders", "limits", "log", "models", "web", "keys"}
ALONE -= {"decontaminate"}  # it goes by the edges where it is not said
EXAMPLE_HASH = "6a27d89c4b8f7a5d3e3a4d8a3a6b5f0b1e1c9c6c5b5a7d4f2e0b9a8c7d6e5f41"
TOGETHER = [
    "(canvas|align)",
    "(limits|pixels|in_flight)",
    "(log|level)",
    "(web|enabled|port)",
    f"(keys|models|- name|{'|'.join([*SECTIONS['a row of `models`'], 'sha256'])})",
]


@pytest.mark.parametrize("keys", [*sorted(ALONE), *TOGETHER])
def test_a_setting_shown_in_a_note_of_the_default_is_the_default(keys: str) -> None:
    text = paths.default_config().read_text("utf-8")
    changed = uncommented(f"{keys}:")
    own = read("models: [{name: my-model, file: ~/models/my-model.onnx}]").models if "models" in keys else ()
    assert changed != text
    others = (NamedKey("my-shop", EXAMPLE_HASH),) if "keys" in keys else ()
    assert read(changed) == replace(read(text), models=own, keys=others)


def test_every_note_of_the_default_can_be_made_a_setting() -> None:
    text = uncommented(r"(- )?[a-z0-9_]+:").replace("  size: 2000", "  # size")
    settings = read(text)
    assert len(settings.folders) == 2
    assert settings.folders[0].cut.format == "png"
    assert settings.folders[0].failed == Path("/home/ann/Pictures/Failed")
    assert settings.folders[1].cut == PRESETS["shop-square"]


def examples() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_documentation_has_examples() -> None:
    assert len(examples()) >= 5


@pytest.mark.parametrize("text", examples())
def test_the_examples_of_the_documentation_load_and_survive_being_shown(text: str) -> None:
    settings = read(text)
    assert settings.folders
    assert read(as_yaml(settings)) == settings


def test_the_documentation_names_every_key_value_and_preset() -> None:
    text = DOCS.read_text("utf-8")
    for table in SECTIONS.values():
        for key in table.keys() - {"limits", "log", "canvas", "web"}:
            assert re.search(rf"^\| `(\w+: )?{key}` \|", text, re.MULTILINE), f"{key} has no row"
    for name in PRESETS:
        assert f"| `{name}` |" in text


def test_the_problems_that_the_documentation_shows_are_the_real_ones() -> None:
    text = "folders:\n  - input: a\n    ouput: b\n    output: b\n    format: gif\n"
    shown = re.search(r"^```text\n(.*?)^```$", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert shown is not None
    with pytest.raises(ConfigError) as caught:
        parse(text, Path("alphadrop.yaml"), known=KNOWN)
    assert [str(problem) for problem in caught.value.problems] == shown[1].splitlines()


def test_what_is_shown_loads_to_the_same_settings() -> None:
    settings = read(
        """\
model: mine
threads: 3
provider: cuda
quiet: never
limits: {pixels: 0.5e2, in_flight: 1e4}
history: 3650d
keep_gps: yes
log: {level: error}
notifications: no
tray: yes
web: {enabled: off, port: 65535}
keys: [{name: '12', sha256: 'ONES'}, {name: b.c, sha256: EES}]
allow_origins: ['http://localhost:3000', 'moz-extension://0a-1']
models:
- {name: mine, file: '/m/2024 $$.onnx', input_size: 512, scale: 255, mean: [0, 0.1, 1e-6], licence: '12'}
folders:
- {input: '/2024: #1', output: '/ä $$HOME', preset: shop-portrait, settle: 0.01ms, include: ['*', '!x'], model: u2netp,
   originals: move, finished: '/2024: #1/$$done', failed: 'no: #', poll: on,
   decontaminate: off, smallest_part: 1e-5, fill_holes: 1, feather: 0.1, hardness: 0.3333333333333333, shift_edge: -100}
- {input: "/it's", output: '- x', background: 'rgb(1,2,3)', canvas: {aspect: '1:3'}, name: '{stem}'}
- {input: 'yes', output: '~/null', background: '/$$ wood.jpg', rescan: 1.5h, result: mask, originals: delete}
""".replace("ONES", "1" * 64).replace("EES", "e" * 64)
    )
    shown = as_yaml(settings)
    assert read(shown) == settings
    assert set(yaml.safe_load(shown)) == set(SECTIONS["the top of the file"])
    assert set(yaml.safe_load(shown)["folders"][0]) == set(SECTIONS["a folder"]) - {"preset"}


@pytest.mark.parametrize("pictures", ["Bilder", "Mes photos: été #1", "$HOME's", "写真", "- x", "{a}", "*"])
def test_the_default_is_written_for_the_localised_pictures_folder(
    pictures: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "config" / "deep" / "alphadrop.yaml"
    assert create_default(file, tmp_path / pictures) == file
    settings = load(file, known=KNOWN)
    assert settings.warnings == ()
    assert settings.folders[0].input == tmp_path / pictures / "Alphadrop" / "In"
    assert settings.folders[0].output == tmp_path / pictures / "Alphadrop" / "Out"
    assert settings.folders[0].output.is_dir()
    assert "input: " in file.read_text("utf-8")
    assert str(tmp_path) not in file.read_text("utf-8")


def test_the_default_never_replaces_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "alphadrop.yaml"
    file.write_text("mine")
    with pytest.raises(TargetExists):
        create_default(file, tmp_path / "Pictures")
    assert file.read_text() == "mine"
    assert os.listdir(tmp_path) == ["alphadrop.yaml"]


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "Pictures").touch()
    with pytest.raises(CannotWrite):
        create_default(tmp_path / "alphadrop.yaml", tmp_path / "Pictures")


# -- keys and origins


def test_keys_and_origins_are_read() -> None:
    settings = read(
        f"""\
web: {{port: 9000}}
keys:
- name: shop
  sha256: {"AB" * 32}
allow_origins: [https://example.org, 'http://[::1]:8080', chrome-extension://abc]
"""
    )
    assert settings.web == Web(enabled=True, port=9000)
    assert settings.keys == (NamedKey("shop", "ab" * 32),)
    assert settings.allow_origins == ("https://example.org", "http://[::1]:8080", "chrome-extension://abc")


@pytest.mark.parametrize("port", ["0", "80", "1023", "65536", "'7878'", "first"])
def test_a_port_that_no_user_may_have_is_refused(port: str) -> None:
    ((line, _),) = wrong(f"web:\n  port: {port}\n")
    assert line == 2


@pytest.mark.parametrize(
    "origin",
    [
        "'*'", "https://*.example.org", "https://example.org/", "https://example.org/page", "example.org", "null",
        "https://Example.org", "https://user@example.org", "https://example.org:0", "https://example.org:70000",
        "https://example.org:443", "http://example.org:80", "file:///", "https://", "'https://example.org '",
        "ftp://example.org", "https://example.org?x", "https://exämple.org", "[]",
    ],
)  # fmt: skip
def test_an_origin_is_exact_or_refused_in_its_line(origin: str) -> None:
    ((line, _),) = wrong(f"allow_origins:\n- https://example.org\n- {origin}\n")
    assert line == 3


def test_a_usual_port_is_refused_because_browsers_leave_it_out() -> None:
    ((_, message),) = wrong("allow_origins: ['https://example.org:443']")
    assert message.endswith("; write it without :443")


def test_everything_wrong_with_keys_is_said_with_its_line() -> None:
    text = f"""\
keys:
- name: shop
- sha256: {"a" * 64}
- name: a shop
  sha256: {"b" * 63}
- name: twice
  sha256: {"c" * 64}
- name: twice
  sha256: {"C" * 64}
- key: secret
  name: z
  sha256: {"d" * 64}
- word
"""
    assert [line for line, _ in wrong(text)] == [2, 3, 4, 5, 8, 9, 10, 13]
    assert "secret" not in str(wrong(text))


def test_a_key_is_random_and_known_by_its_hash() -> None:
    key, row = make_key("shop")
    assert row == NamedKey("shop", sha256_of(key.encode()))
    assert make_key("shop")[0] != key
    assert len(key) >= 43
    assert read(f"keys: [{{name: {row.name}, sha256: '{row.sha256}'}}]").keys == (row,)


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a/b", "a\nb", "ä", "x" * 65])
def test_what_is_no_name_for_a_key(name: str) -> None:
    with pytest.raises(BadOptions, match="no name for a key"):
        make_key(name)


# -- hostile files


def test_a_file_that_cannot_be_read_is_a_typed_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("missing", ".", "pipe", "loop", "x" * 300):
        with pytest.raises(CannotRead):
            load(tmp_path / name, known=KNOWN)


def test_a_file_without_permission_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CannotRead, match="give yourself read permission"):
        load(tmp_path / "a", known=KNOWN)


@pytest.mark.parametrize(
    ("raw", "line", "part"),
    [
        (b"a: 1\nb: \xe9t\xe9\n", 2, "not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "not UTF-8"),
        (b"a: 1\n\n\0\n", 3, "U+0000"),
        (b"#" * 1_000_001, 1, "larger than 1 MB"),
    ],
)
def test_bytes_that_are_no_configuration(raw: bytes, line: int, part: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "a.yaml", known=KNOWN)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert part in problem.message


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + FOLDER.replace("\n", "\r\n").encode())
    assert load(tmp_path / "a.yaml", known=KNOWN).folders


def laughs() -> str:
    rows = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)]
    return "\n".join([*rows, "limits: *a39"])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 400_000,
        "{a: " * 200_000,
        "- " * 300_000,
        "a: &a [*a]\nfolders: *a\n",
        "folders: &f\n- *f\n",
        "limits: &l\n  <<: *l\n",
        "limits: &l {pixels: *l}\n",
        "a: &a\n" + "b: *a\n" * 200_000,
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)) + "folders: *a59\n",
        laughs(),
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 3000)) + "limits: *a2999\n",
        "folders:\n- &f {" + ", ".join(f"k{n}: 1" for n in range(5000)) + "}\n" + "- *f\n" * 5000,
        "x" * 900_000 + ": 1\n",
        "".join(f"folderz{n}: 1\n" for n in range(9000)),
        "threads: " + "9" * 900_000,
        "threads: !!python/object/apply:os.system [id]\n",
        "a: !!binary x\nthreads: !!int x\nkeep_gps: !!bool x\n",
        "%YAML 3.0\n---\na: 1\n",
        '"\\ud800": 1\n',
        "<<: 1\n",
        "<<: [1, {<<: 2}]\n",
        "folders: [[[[]]]]\n",
        "null: null\n~: 1\n",
    ],
    ids=range(23),
)
def test_hostile_text_ends_soon_in_a_typed_error(text: str) -> None:
    started = time.monotonic()
    assert wrong(text)
    assert time.monotonic() - started < 20


def settings_or_error(text: str) -> Settings | ConfigError:
    try:
        return read(text)
    except ConfigError as error:
        return error


def test_any_change_of_a_good_file_gives_settings_or_a_typed_error() -> None:
    chance = random.Random(20240917)
    seeds = [
        *examples(),
        paths.default_config().read_text("utf-8"),
        uncommented(r"(- )?[a-z_]+:"),
        as_yaml(read(FOLDER)),
    ]
    pieces = [
        *"\t\n:#'\"{}[]*&!|>%@-~$,0 \\",
        "\0",
        "é",
        "\u2028",
        "<<: *a",
        "&a ",
        "null",
        "1e999",
        "0x1f",
        "2024-01-01",
        "- ",
        "? ",
    ]
    good = 0
    for _ in range(1500):
        text = chance.choice(seeds)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(text) + 1)
            end = min(len(text), start + chance.choice([0, 0, 1, 5, 40]))
            text = text[:start] + chance.choice(pieces) * chance.choice([1, 1, 3]) + text[end:]
        outcome = settings_or_error(text)
        if isinstance(outcome, ConfigError):
            assert all(1 <= problem.line <= len(text.splitlines()) + 1 for problem in outcome.problems)
        else:
            good += 1
            assert read(as_yaml(outcome)) == outcome
    assert good > 50


# -- apart from the file


def test_the_registry_is_asked_for_the_models(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: auto\n" + FOLDER + "  model: no-such-model\n")
    with pytest.raises(ConfigError, match="no model is called `no-such-model`") as caught:
        load(tmp_path / "a.yaml")
    assert len(caught.value.problems) == 1


def test_importing_it_loads_nothing_heavy() -> None:
    script = "import sys, alphadrop.config; print({'numpy', 'PIL', 'onnxruntime', 'platformdirs'} & set(sys.modules))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "set()"
