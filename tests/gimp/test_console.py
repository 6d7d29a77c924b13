"""The GIMP plug-in as it is, in a real GIMP without a screen, with a real daemon: compared with the library's own."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alphadrop.engine.cutout import Engine
from alphadrop.engine.foreground import cleaned
from alphadrop.engine.options import CutOptions, Edges
from alphadrop.engine.photo import from_image
from daemon_process import Home, running
from gimp_process import Gimp

pytestmark = pytest.mark.timeout(2400)
AT_ONCE = 20
"""Cases in one GIMP."""

PRECISIONS = (
    *("U8_LINEAR", "U8_NON_LINEAR", "U8_PERCEPTUAL", "U16_LINEAR", "U16_NON_LINEAR", "U32_LINEAR", "U32_NON_LINEAR"),
    *("HALF_LINEAR", "HALF_NON_LINEAR", "FLOAT_LINEAR", "FLOAT_NON_LINEAR", "DOUBLE_LINEAR", "DOUBLE_NON_LINEAR"),
)
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "rgb": ({"kind": "rgb", "export": True}, "mask new-layer erase"),
    "alpha": ({"kind": "rgb", "of": {"picture": "transparent"}}, "mask erase"),
    "deep_alpha": ({"kind": "deep", "of": {"precision": "U32_LINEAR", "picture": "transparent"}}, "erase"),
    "grey": ({"kind": "grey"}, "mask erase"),
    "grey_alpha": ({"kind": "grey", "of": {"alpha": True}}, "new-layer"),
    "grey_deep": ({"kind": "deep", "of": {"precision": "U16_LINEAR", "picture": "small-grey"}}, "erase"),
    "indexed": ({"kind": "indexed"}, "mask new-layer erase"),
    "wide": ({"kind": "profile", "of": {"icc": "wide.icc"}}, "erase"),
    "grey_profile": ({"kind": "profile", "of": {"icc": "grey.icc", "picture": "grey"}}, "erase"),
    "offset": ({"kind": "offset"}, "mask new-layer"),
    "in_group": ({"kind": "in_group"}, "new-layer"),
    "two_layers": ({"kind": "two_layers"}, "mask new-layer erase"),
    "masked": ({"kind": "masked"}, "mask erase"),
    "mask_chosen": ({"kind": "masked", "of": {"choose_mask": True}}, "mask"),
    "group": ({"kind": "group"}, "mask new-layer"),
    "masked_group": ({"kind": "group", "of": {"mask": True}}, "new-layer"),
    "selection_ignored": ({"kind": "selected"}, "mask"),
    "selection": ({"kind": "selected", "of": {"moved": True}, "arguments": {"selection": True}}, "erase"),
    "feathered": ({"kind": "selected", "of": {"shape": "ellipse"}, "arguments": {"selection": True}}, "mask erase"),
    "no_selection": ({"kind": "rgb", "arguments": {"selection": True}}, "mask"),
    **{
        name: ({"kind": "deep", "of": {"precision": name}}, "mask new-layer erase" if name == "U32_LINEAR" else "erase")
        for name in PRECISIONS
    },
}
"""What is cut, and the results that are asked for."""
CUT = {
    f"{name}-{result}": {**case, "arguments": {**case.get("arguments", {}), "result": result}}
    for name, (case, results) in KINDS.items()
    for result in results.split()
}
LINKS: dict[str, dict[str, Any]] = {
    f"link-{result}": {"kind": "link", "arguments": {"result": result}} for result in ("mask", "new-layer", "erase")
}
"""What only GIMP 3.2 has."""
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "channel": ({"kind": "channel"}, "“red” is not a layer."),
    "group-erase": ({"kind": "group", "arguments": {"result": "erase"}}, "“group” is a layer group"),
    "locked_pixels": (
        {"kind": "locked", "of": {"content": True}, "arguments": {"result": "erase"}},
        "The pixels of “Background” are locked.",
    ),
    "locked_alpha": (
        {"kind": "locked", "of": {"alpha": True}, "arguments": {"result": "erase"}},
        "The alpha channel of “Background” is locked.",
    ),
    "locked_visibility": (
        {"kind": "locked", "of": {"visibility": True}, "arguments": {"result": "new-layer"}},
        "The visibility of “Background” is locked.",
    ),
    "selection_elsewhere": (
        {"kind": "selected", "of": {"shape": "elsewhere", "moved": True}, "arguments": {"selection": True}},
        "The selection does not touch “Background”.",
    ),
    "model_unknown": ({"kind": "rgb", "arguments": {"model": "nobody"}}, "no model is called"),
}
OTHERS: dict[str, dict[str, Any]] = {
    "nothing": {"kind": "rgb", "of": {"picture": "nothing"}, "arguments": {"result": "erase"}},
    "plain": {"kind": "rgb", "arguments": {"edges": "plain"}},
    "model": {"kind": "rgb", "arguments": {"model": "u2net-int8"}},
    "last_values": {"kind": "rgb", "arguments": {"mode": "WITH_LAST_VALS"}},
    "text": {"kind": "text", "arguments": {"result": "erase"}},
}


@pytest.fixture(scope="module")
def answers(gimp: Gimp, gimp_daemon: int) -> dict[str, Any]:
    """What became of each image, in GIMPs that find the daemon without being told where."""
    refused = {name: case for name, (case, _) in REFUSED.items()}
    links = LINKS if gimp.suite != "trixie" else {}
    answered: dict[str, Any] = {}
    log = ""
    cases = list({**CUT, **OTHERS, **refused, **links}.items())
    for first in range(0, len(cases), AT_ONCE):
        answered |= gimp.run("cases", run_folder="", cases=dict(cases[first : first + AT_ONCE]))
        log += answered["log"]
    return answered | {"log": log}


@dataclass(frozen=True)
class Layer:
    """A layer before and after, and what it should have become."""

    before: NDArray[np.uint8]
    """As stored: (H, W, components, bytes of one)."""
    after: NDArray[np.uint8]
    seen_before: NDArray[np.uint8]
    """R'G'B'A u8."""
    seen_after: NDArray[np.uint8]
    matte: NDArray[np.uint8]
    """Of the engine, for the same pixels; 0 outside of what was searched."""
    alpha: NDArray[np.float64]
    """0..255: the matte, times all else that hides a pixel."""
    mask: NDArray[np.uint8] | None
    searched: tuple[slice, slice]
    """Rows and columns that the daemon saw."""


def _layers(gimp: Gimp, engine: Engine, name: str, answer: dict[str, Any], *, edges: Edges = "refined") -> list[Layer]:
    case = {**CUT, **OTHERS, **LINKS}[name]
    found = []
    for number, (was, now) in enumerate(zip(answer["from"], answer["to"], strict=True)):
        path = gimp.shared / f"{name}-{number}"
        width, height = was["size"]
        seen = np.fromfile(f"{path}.before.rgba", np.uint8).reshape(height, width, 4)
        hiding = np.ones((height, width)) if name.endswith("-mask") else seen[..., 3] / 255
        if "masked" in name or "mask_chosen" in name:
            hiding = hiding * np.array([255 * x // (width - 1) for x in range(width)]) / 255
        rows, columns = slice(0, height), slice(0, width)
        if case.get("arguments", {}).get("selection"):
            selection = _on_layer(gimp, name, answer, was)
            hiding = hiding * selection / 255
            if selection.any():
                places = np.argwhere(selection)
                (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0) + 1
                rows, columns = slice(top, bottom), slice(left, right)
        matte = np.zeros((height, width), np.uint8)
        matte[rows, columns] = _matte(engine, _sent(seen, was)[rows, columns], edges)
        mask = Path(f"{path}.mask")
        found.append(
            Layer(
                before=_stored(Path(f"{path}.before.own"), was),
                after=_stored(Path(f"{path}.after.own"), now),
                seen_before=seen,
                seen_after=np.fromfile(f"{path}.after.rgba", np.uint8).reshape(height, width, 4),
                matte=matte,
                alpha=matte * hiding,
                mask=np.fromfile(mask, np.uint8).reshape(height, width) if mask.exists() else None,
                searched=(rows, columns),
            )
        )
    return found


def _on_layer(gimp: Gimp, name: str, answer: dict[str, Any], was: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the selection in a layer's coordinates; all of it where there is none."""
    (width, height), (x, y) = was["size"], was["offsets"]
    image_width, image_height = answer["before"]["size"]
    selection = np.fromfile(gimp.shared / f"{name}.selection", np.uint8).reshape(image_height, image_width)
    if not selection.any():
        return np.full((height, width), 255, np.uint8)
    around = np.pad(selection, ((height, height), (width, width)))
    return around[height + y : 2 * height + y, width + x : 2 * width + x]


def _sent(seen: NDArray[np.uint8], was: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the pixels with the channels that the layer has."""
    colours = seen[..., :1] if was["format"].startswith("Y") else seen[..., :3]
    return np.squeeze(np.concatenate([colours, seen[..., 3:]], axis=-1) if was["alpha"] else colours)


def _stored(file: Path, described: dict[str, Any]) -> NDArray[np.uint8]:
    width, height = described["size"]
    found = re.match(r"([RGBYA'~]+) (u8|u16|u32|half|float|double)", described["format"])
    if found is None:
        return np.fromfile(file, np.uint8).reshape(height, width, -1, 1)  # an index
    size = {"u8": 1, "u16": 2, "half": 2, "u32": 4, "float": 4, "double": 8}[found[2]]
    return np.fromfile(file, np.uint8).reshape(height, width, len(re.sub("['~]", "", found[1])), size)


_mattes: dict[tuple[bytes, tuple[int, ...], Edges], NDArray[np.uint8]] = {}


def _matte(engine: Engine, pixels: NDArray[np.uint8], edges: Edges) -> NDArray[np.uint8]:
    same = (pixels.tobytes(), pixels.shape, edges)
    if same not in _mattes:
        cut = engine.cut_photo(from_image(Image.fromarray(pixels)), CutOptions(edges=edges))
        assert cut.subject
        _mattes[same] = cut.matte
    return _mattes[same]


def _foreground(layer: Layer, was: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the colours that the engine gives the soft edge, shape (H, W, 3)."""
    colours = layer.seen_before[..., : 1 if was["format"].startswith("Y") else 3].copy()
    seen = colours[layer.searched]
    image = cleaned(Image.fromarray(np.squeeze(seen).copy()), layer.matte[layer.searched]).whole()
    seen[:] = np.asarray(image).reshape(seen.shape)
    return np.broadcast_to(colours, (*colours.shape[:2], 3))


def _bare(layers: list[dict[str, Any]], *without: str) -> list[dict[str, Any]]:
    """Return descriptions of layers without some of what they say."""
    kept = [{key: value for key, value in layer.items() if key not in without} for layer in layers]
    return [{**layer, "layers": _bare(layer["layers"], *without)} for layer in kept]


@pytest.mark.parametrize("name", [name for name in CUT if name.endswith("-mask")])
def test_mask_is_the_matte_and_nothing_else_is_changed(
    name: str, gimp: Gimp, answers: dict[str, Any], engine: Engine
) -> None:
    answer = answers[name]
    assert (answer["status"], answer["message"]) == ("success", "")
    for layer in _layers(gimp, engine, name, answer):
        assert 0.02 < layer.matte.mean() / 255 < 0.98
        assert layer.mask is not None
        assert np.abs(layer.mask - layer.alpha).mean() < 1
    assert answer["before"] != answer["after"]
    assert _bare(answer["before"]["layers"], "mask") == _bare(answer["after"]["layers"], "mask")
    assert answer["before"]["selection"] == answer["after"]["selection"]


@pytest.mark.parametrize("name", [name for name in CUT if not name.endswith("-mask")])
def test_alpha_is_the_matte_and_only_the_soft_edge_gets_other_colours(
    name: str, gimp: Gimp, answers: dict[str, Any], engine: Engine
) -> None:
    answer = answers[name]
    assert (answer["status"], answer["message"]) == ("success", "")
    for layer, was in zip(_layers(gimp, engine, name, answer), answer["from"], strict=True):
        assert layer.mask is None
        alpha = layer.seen_after[..., 3]
        if "indexed" in name:
            assert set(np.unique(alpha)) == {0, 255}
            assert np.abs(alpha - np.where(layer.alpha > 127, 255.0, 0.0)).mean() < 1
            assert np.array_equal(layer.after[..., 0, :], layer.before[..., 0, :])
            continue
        assert np.abs(alpha - layer.alpha).mean() < 1
        soft = (layer.matte > 0) & (layer.matte < 255) & (layer.alpha > 0)
        assert 0 < soft.mean() < 0.5
        if "group" not in name or name.startswith("in_group"):
            colours = layer.before.shape[2] - was["alpha"]
            same = (layer.before[:, :, :colours] == layer.after[:, :, :colours]).all(axis=(2, 3))
            assert same[~soft].all()
            if was["alpha"] and not name.startswith("masked"):
                kept = layer.matte == 255
                assert np.array_equal(layer.before[kept][:, -1], layer.after[kept][:, -1])
        expected = _foreground(layer, was)[soft].astype(float)
        assert np.abs(layer.seen_after[..., :3][soft] - expected).mean() < 1
        assert np.abs(layer.seen_before[..., :3][soft] - expected).mean() > 2


@pytest.mark.parametrize("name", [name for name in CUT if name.endswith("-new-layer")])
def test_new_layer_lies_on_its_original_which_is_hidden(name: str, answers: dict[str, Any]) -> None:
    answer = answers[name]
    before, after = answer["before"]["layers"], answer["after"]["layers"]
    if name.startswith("in_group"):
        (before,), (after,) = ([group["layers"] for group in groups] for groups in (before, after))
    assert len(after) == 2 * len(before)
    for original, hidden, made in zip(before, after[1::2], after[::2], strict=True):
        assert original["visible"]
        assert not hidden["visible"]
        assert made["visible"]
        assert _bare([original], "visible") == _bare([hidden], "visible")


@pytest.mark.parametrize("name", [name for name in CUT if name.endswith("-erase")])
def test_erasing_changes_the_pixels_of_the_layer_itself_only(name: str, answers: dict[str, Any]) -> None:
    answer = answers[name]
    changed = ("pixels", "alpha", "format", "mask")
    assert _bare(answer["before"]["layers"], *changed) == _bare(answer["after"]["layers"], *changed)
    assert answer["before"]["selection"] == answer["after"]["selection"]


@pytest.mark.parametrize("result", ["erase", "new-layer"])
def test_exported_png_is_that_of_the_command(result: str, gimp: Gimp, answers: dict[str, Any]) -> None:
    home = Home(gimp.shared)
    cut = gimp.shared / f"astronaut-cut-{result}.png"
    ended = home.alphadrop("cut", gimp.shared / "astronaut.png", "-o", cut)
    assert ended.returncode == 0, ended.stderr
    with Image.open(cut) as ours, Image.open(gimp.shared / f"rgb-{result}-exported.png") as theirs:
        expected, exported = (np.asarray(image.convert("RGBA")).astype(float) for image in (ours, theirs))
    assert np.abs(expected[..., 3] - exported[..., 3]).mean() < 1
    seen = expected[..., 3] > 0
    assert np.abs(expected[seen] - exported[seen]).mean() < 1


@pytest.mark.parametrize(("kind", "picture"), [("rgb", "astronaut"), ("offset", "astronaut"), ("grey", "grey")])
def test_pixels_reach_the_daemon_as_they_are_in_the_file(
    kind: str, picture: str, gimp: Gimp, answers: dict[str, Any]
) -> None:
    was = answers[f"{kind}-mask"]["from"][0]
    width, height = was["size"]
    seen = np.fromfile(gimp.shared / f"{kind}-mask-0.before.rgba", np.uint8).reshape(height, width, 4)
    with Image.open(gimp.shared / f"{picture}.png") as opened:
        assert np.array_equal(_sent(seen, was), np.asarray(opened))


def test_a_layer_without_a_subject_is_left_alone_and_that_is_said(answers: dict[str, Any]) -> None:
    answer = answers["nothing"]
    assert answer["status"] == "success"
    assert answer["before"] == answer["after"]
    assert "no subject was found" in answers["log"]


def test_an_indexed_image_brings_a_warning(answers: dict[str, Any]) -> None:
    assert answers["log"].count("This image is indexed") == 3


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_change_nothing(name: str, answers: dict[str, Any]) -> None:
    answer = answers[name]
    assert answer["status"] == "execution-error"
    assert answer["message"].startswith(REFUSED[name][1])
    assert len(answer["message"].splitlines()) == 2
    assert answer["before"] == answer["after"]


def test_plain_edges_are_another_matte(gimp: Gimp, answers: dict[str, Any], engine: Engine) -> None:
    (plain,) = _layers(gimp, engine, "plain", answers["plain"], edges="plain")
    (refined,) = _layers(gimp, engine, "plain", answers["plain"])
    assert plain.mask is not None
    assert np.abs(plain.mask - plain.alpha).mean() < 1
    assert np.abs(plain.mask - refined.alpha).mean() > 1


@pytest.mark.parametrize("name", ["model", "last_values"])
def test_a_named_model_and_the_last_values_do_too(
    name: str, gimp: Gimp, answers: dict[str, Any], engine: Engine
) -> None:
    assert answers[name]["status"] == "success"
    (layer,) = _layers(gimp, engine, name, answers[name])
    assert layer.mask is not None
    assert np.abs(layer.mask - layer.alpha).mean() < 1


@pytest.mark.parametrize(
    "gimp", [pytest.param("forky", id="3.2", marks=pytest.mark.long)], indirect=True, scope="module"
)
@pytest.mark.parametrize("name", LINKS)
def test_link_layers(name: str, gimp: Gimp, answers: dict[str, Any], engine: Engine) -> None:
    if name.endswith("-mask"):
        test_mask_is_the_matte_and_nothing_else_is_changed(name, gimp, answers, engine)
    else:
        test_alpha_is_the_matte_and_only_the_soft_edge_gets_other_colours(name, gimp, answers, engine)


def test_a_text_layer_can_be_erased(answers: dict[str, Any]) -> None:
    assert answers["text"]["status"] == "success"
    assert answers["text"]["before"] != answers["text"]["after"]


def _alone(gimp: Gimp, run_folder: str, picture: str = "small", *, network: bool = False) -> dict[str, Any]:
    """What became of one image, with the daemon looked for in a folder of its own."""
    cases = {"alone": {"kind": "rgb", "of": {"picture": picture}}}
    answer: dict[str, Any] = gimp.run("cases", run_folder=run_folder, network=network, cases=cases)["alone"]
    return answer


NOT_RUNNING = "Alphadrop is not running.\nStart it in a terminal with: alphadrop run"


def test_without_a_daemon_it_says_how_to_start_one(gimp: Gimp) -> None:
    answer = _alone(gimp, "/mnt/nowhere")
    assert (answer["status"], answer["message"]) == ("execution-error", NOT_RUNNING)
    assert answer["before"] == answer["after"]


def test_what_a_crashed_daemon_left_leads_nowhere(gimp: Gimp) -> None:
    folder = gimp.shared / "stale"
    folder.mkdir()
    (folder / "daemon.lock").touch()
    with socket.create_server(("127.0.0.1", 0)) as somebody_else:
        endpoint = {"api": 1, "socket": None, "port": somebody_else.getsockname()[1], "token": "secret"}
        (folder / "endpoint.json").write_text(json.dumps(endpoint))
        assert _alone(gimp, "/mnt/stale")["message"] == NOT_RUNNING


@pytest.mark.long
def test_a_daemon_without_a_socket_is_reached_by_its_port(gimp: Gimp) -> None:
    too_long_for_a_socket = gimp.shared / ("l" * 110)
    home = Home(too_long_for_a_socket)
    home.configure()
    with running(home):
        assert not (home.run / "api.sock").exists()
        answer = _alone(gimp, f"/mnt/{too_long_for_a_socket.name}/r", "astronaut", network=True)
    assert answer["status"] == "success", answer
    assert answer["before"] != answer["after"]


@pytest.mark.long
def test_what_the_daemon_refuses_is_said_in_its_own_words(gimp: Gimp) -> None:
    home = Home(gimp.shared / "s")
    home.configure(top="limits: {pixels: 1}")
    with running(home):
        answer = _alone(gimp, "/mnt/s/r", "large")
    assert answer["status"] == "execution-error"
    assert answer["message"].splitlines()[0] == "2000 x 1500 pixels are more than the limit of 1 megapixels"
    assert answer["before"] == answer["after"]


@pytest.mark.long
def test_a_daemon_of_another_version_is_named(gimp: Gimp) -> None:
    folder = gimp.shared / "v"
    folder.mkdir()
    (folder / "endpoint.json").write_text('{"api": 2}')
    answer = _alone(gimp, "/mnt/v")
    assert answer["status"] == "execution-error"
    assert answer["message"].startswith("The daemon speaks version 2 of the API, this plug-in version 1.")
