"""One photograph from end to end: the real network on real photographs, the library's two functions, the options."""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

import alphadrop
from alphadrop import cut_file, cut_out
from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Engine, EngineRecipe
from alphadrop.engine.edge import adjusted
from alphadrop.engine.masks import near
from alphadrop.engine.models import ModelSpec, registry
from alphadrop.engine.options import (
    EDGES,
    FORMATS,
    PRESETS,
    Canvas,
    CutOptions,
    Edges,
    format_of,
    from_preset,
    options_from,
    parse_aspect,
    parse_background,
    parse_size,
    suffix_of,
)
from alphadrop.engine.photo import from_image
from alphadrop.engine.straight import REACH
from alphadrop.errors import (
    AlphadropError,
    BadOptions,
    CannotRead,
    CannotWrite,
    DamagedPhoto,
    DiskFull,
    EmptyPhoto,
    ModelMissing,
    NoSubject,
    PhotoTooLarge,
    TargetExists,
    UnknownModel,
    UnsupportedFormat,
)
from fake_segmenter import FakeEngine, FakeSegmenter
from icc_profiles import SRGB, grey_profile, wide_profile

NAMES = ["astronaut", "cat", "coffee", "rocket"]
TOLERANCE: dict[Edges, float] = {"plain": 0.02, "refined": 0.025}
"""Mean absolute difference of alpha from the reference; refined edges differ from it on purpose."""


def maker() -> Any:
    """The script that makes the references, as a module."""
    path = Path(__file__).with_name("make_references.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alpha_of(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.getchannel("A"))


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean() / 255)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


# The real network


@pytest.fixture(scope="module", params=["committed", "computed"])
def references(request: pytest.FixtureRequest, photographs: dict[str, Path]) -> dict[str, Image.Image]:
    """Saliency maps of the FP32 network, as committed, and as it says now where `ALPHADROP_U2NET` names its file."""
    if request.param == "committed":
        folder = Path(__file__).with_name("references")
        return {name: Image.fromarray(np.asarray(Image.open(folder / f"{name}.png"))) for name in NAMES}
    network = os.environ.get("ALPHADROP_U2NET")
    if not network:
        pytest.skip("ALPHADROP_U2NET is not set: it names the FP32 u2net.onnx, which is not in the repository")
    make = maker()
    session = make.session_of(network)
    return {name: Image.fromarray(make.saliency_map(session, Image.open(photographs[name]))) for name in NAMES}


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("name", NAMES)
def test_alpha_agrees_with_the_full_precision_network(
    photographs: dict[str, Path], references: dict[str, Image.Image], name: str, edges: Edges
) -> None:
    alpha = alpha_of(cut_out(photographs[name], edges=edges))
    wanted = np.asarray(references[name].resize(alpha.shape[::-1], Image.Resampling.BICUBIC))
    assert difference(alpha, wanted) < TOLERANCE[edges]
    assert difference(alpha, 255 - wanted) > 0.5, "a test that anything passes proves nothing"


def test_references_are_small() -> None:
    files = {path.stem: path for path in Path(__file__).with_name("references").iterdir()}
    assert sorted(files) == NAMES
    for path in files.values():
        assert path.stat().st_size < 30_000
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (320, 320))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("edges", EDGES)
def test_opaque_pixels_of_a_photograph_are_unchanged(astronaut: NDArray[np.uint8], mode: str, edges: Edges) -> None:
    photograph = Image.fromarray(astronaut).convert(mode)
    result = cut_out(photograph, edges=edges)
    assert result.mode == ("RGBA" if mode == "RGB" else "LA")
    opaque = alpha_of(result) == 255
    assert opaque.mean() > 0.3
    own = np.atleast_3d(np.asarray(photograph))
    np.testing.assert_array_equal(np.asarray(result)[..., :-1][opaque], own[opaque])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cut_out_of_a_turned_photograph_is_that_of_the_upright_one(
    astronaut: NDArray[np.uint8], orientation: int
) -> None:
    photograph = Image.fromarray(astronaut).crop((60, 0, 380, 280))
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    turned = photograph if stored is None else photograph.transpose(stored)
    exif = Image.Exif()
    exif[274] = orientation
    result = cut_out(encoded(turned, exif=exif))
    assert result.size == photograph.size
    np.testing.assert_array_equal(np.asarray(result), np.asarray(cut_out(photograph)))


def test_photograph_in_another_colour_space_gives_nearly_the_same_alpha(astronaut: NDArray[np.uint8]) -> None:
    photograph, profile = Image.fromarray(astronaut), wide_profile()
    srgb, wide = (ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (SRGB, profile))
    converted = ImageCms.profileToProfile(photograph, srgb, wide)
    assert converted is not None
    result = cut_out(encoded(converted, icc_profile=profile))
    assert result.info["icc_profile"] == profile
    assert difference(alpha_of(result), alpha_of(cut_out(photograph))) < 0.005
    opaque = alpha_of(result) == 255
    np.testing.assert_array_equal(np.asarray(result)[opaque][:, :3], np.asarray(converted)[opaque])


def test_existing_transparency_is_never_filled(astronaut: NDArray[np.uint8]) -> None:
    photograph = Image.fromarray(astronaut).convert("RGBA")
    own = np.full(astronaut.shape[:2], 255, np.uint8)
    own[:, 220:] = 100
    own[300:] = 0
    photograph.putalpha(Image.fromarray(own))
    alpha = alpha_of(cut_out(photograph))
    assert (alpha <= own).all()
    assert (alpha == 100).any(), "where the subject is sure its own transparency stays"
    assert (alpha == 255).any()


NOTHING = {
    "white": Image.new("RGB", (300, 200), "white"),
    "grey": Image.new("RGB", (300, 200), (128, 128, 128)),
    "black": Image.new("L", (300, 200), 0),
    "noise": Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)),
    "a pixel": Image.new("RGB", (1, 1), (9, 99, 199)),
    "nothing but transparency": Image.new("RGBA", (64, 64), (255, 0, 0, 0)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_picture_of_nothing_has_no_subject(tmp_path: Path, name: str) -> None:
    source, target = tmp_path / "nothing.png", tmp_path / "cutout.png"
    NOTHING[name].save(source)
    with pytest.raises(NoSubject, match="nothing"):
        cut_out(source)
    report = cut_file(source, target)
    assert (report.outcome, report.target, report.size) == ("no_subject", None, NOTHING[name].size)
    assert not target.exists()


def test_four_threads_get_the_same_bytes(photographs: dict[str, Path], tmp_path: Path) -> None:
    names = ["astronaut", "rocket"]
    for name in names:
        cut_file(photographs[name], tmp_path / f"{name}-alone.png")
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def cut(number: int) -> None:
        try:
            start.wait()
            for name in names if number % 2 else reversed(names):
                cut_file(photographs[name], tmp_path / f"{name}-{number}.png")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=cut, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for name in names:
        contents = {(tmp_path / f"{name}-{which}.png").read_bytes() for which in ("alone", 0, 1, 2, 3)}
        assert len(contents) == 1


# Engines and what they keep


def test_engine_of_a_recipe_does_the_same(photographs: dict[str, Path], engine: Engine) -> None:
    again = Engine.of(engine.recipe)
    assert again is not engine
    assert again.recipe == engine.recipe == EngineRecipe()
    data = photographs["cat"].read_bytes()
    first, second = (each.cut(io.BytesIO(data), "cat", CutOptions()) for each in (engine, again))
    np.testing.assert_array_equal(first.alpha, second.alpha)


def test_recipe_holds_all_that_an_engine_is_made_of(tmp_path: Path) -> None:
    own = replace(registry()["u2net-int8"], name="own", file=str(tmp_path / "own.onnx"))
    made = Engine("own", own_models=[own], threads=3, provider="cuda", max_pixels=5)
    assert made.recipe == EngineRecipe("own", (own,), 3, "cuda", 5)
    again = Engine.of(pickle.loads(pickle.dumps(made.recipe)))
    assert (again.recipe, again.model, again.threads, again.max_pixels) == (made.recipe, "own", 3, 5)
    with pytest.raises(ModelMissing, match="own"):
        again.warm()  # its row came along, its file is nowhere


@dataclass
class Loading:
    """Fakes that are loaded, and the order in which they were."""

    loaded: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, spec: ModelSpec, threads: int) -> FakeSegmenter:
        self.loaded.append((spec.name, threads))
        return FakeSegmenter(spec)


def test_of_each_model_one_network_is_kept_for_the_threads_asked_for_last() -> None:
    load = Loading()
    engine = Engine(threads=4, load=load)
    assert engine.warm() is engine.warm(threads=4) is engine.warm("u2net-int8")
    one = engine.warm(threads=1)
    assert engine.warm() is one, "who does not mind gets what there is"
    assert engine.warm(threads=4) is not one
    assert load.loaded == [("u2net-int8", 4), ("u2net-int8", 1), ("u2net-int8", 4)]


def test_network_that_was_not_used_longest_is_let_go() -> None:
    load = Loading()
    engine = Engine(threads=4, load=load)
    first, second, third = list(registry())[:3]
    kept = engine.warm(first)
    engine.warm(second)
    assert engine.warm(first) is kept
    engine.warm(third)
    assert list(engine.loaded) == [first, third]
    assert engine.warm(first) is kept
    assert load.loaded == [(first, 4), (second, 4), (third, 4)]
    engine.warm(second)
    assert load.loaded[3:] == [(second, 4)]
    assert list(engine.loaded) == [first, second]


def test_network_that_cannot_be_loaded_leaves_the_others() -> None:
    load = Loading()
    engine = Engine(threads=4, load=load)
    kept = engine.warm()
    with pytest.raises(UnknownModel):
        engine.warm("no such")
    assert engine.warm() is kept
    assert list(engine.loaded) == ["u2net-int8"]


def test_network_is_gone_before_another_is_loaded_in_its_place() -> None:
    made: list[weakref.ref[FakeSegmenter]] = []

    def load(spec: ModelSpec, threads: int) -> FakeSegmenter:
        assert not any(fake() for fake in made)
        fake = FakeSegmenter(spec)
        made.append(weakref.ref(fake))
        return fake

    engine = Engine(threads=4, load=load)
    engine.warm(threads=1)
    engine.warm(threads=4)

    @contextmanager
    def turn() -> Iterator[None]:
        engine.warm(threads=1)  # as somebody does who comes before
        yield

    engine.look(from_image(Image.new("RGB", (8, 8))), threads=4, turn=turn())
    assert len(made) == 4


# A second opinion


@dataclass
class Said:
    """What a network says of every picture."""

    spec: ModelSpec
    value: float
    """Of the quarter in the middle; everything else is nothing."""
    device: str = "fake"
    runs: list[bool] = field(default_factory=list)
    """Of each, whether it was sparing."""

    def saliency(
        self, view: NDArray[np.uint8], cancellation: Cancellation | None = None, *, sparing: bool = False
    ) -> NDArray[np.float32]:
        self.runs.append(sparing)
        found = np.zeros(view.shape[:2], np.float32)
        found[80:240, 80:240] = self.value
        return found

    def rest(self) -> None:
        pass


@pytest.mark.parametrize(
    ("first", "second", "asked", "taken"),
    [
        (0.99, 0.99, False, "u2net-int8"),
        (0.93, 1.0, False, "u2net-int8"),
        (0.7, 0.95, True, "u2netp"),
        (0.7, 0.74, True, "u2netp"),
        (0.7, 0.71, True, "u2net-int8"),
        (0.7, 0.6, True, "u2net-int8"),
        (0.7, 0.12, True, "u2net-int8"),
        (0.3, 1.0, False, "u2net-int8"),
    ],
)
def test_where_a_network_is_unsure_of_a_subject_the_surer_of_two_counts(
    first: float, second: float, asked: bool, taken: str
) -> None:
    says = {"u2net-int8": first, "u2netp": second}
    made: dict[str, Said] = {}

    def load(spec: ModelSpec, threads: int) -> Said:
        return made.setdefault(spec.name, Said(spec, says[spec.name]))

    engine = Engine(load=load)
    look = engine.look(from_image(Image.new("RGB", (90, 60))))
    assert look.model == taken
    assert look.saliency.max() == pytest.approx(says[taken])
    assert made["u2net-int8"].runs == [False]
    assert ("u2netp" in made) == asked
    if asked:
        assert made["u2netp"].runs == [True], "a network that is seldom asked keeps no memory"
        assert set(engine.seconds) == set(says)


@pytest.mark.parametrize(("value", "warned"), [(1.0, False), (0.91, False), (0.89, True), (0.6, True)])
def test_a_vague_subject_is_cut_out_with_a_warning(value: float, warned: bool) -> None:
    engine = Engine(load=lambda spec, threads: Said(spec, value))
    cut = engine.cut_photo(from_image(Image.new("RGB", (90, 60))), options_from())
    assert cut.subject
    assert any("unsure of the subject" in warning for warning in cut.warnings) == warned


_SPARING = """
import numpy as np, psutil
from alphadrop.engine.cutout import Engine
view = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
engine, process = Engine(), psutil.Process()
first, second = engine.warm(), engine.warm("u2netp")
kept = first.saliency(view)
said = second.saliency(view)
before = process.memory_info().rss
spared = second.saliency(view, sparing=True)
print(before - process.memory_info().rss)
assert np.array_equal(spared, said)
assert np.array_equal(first.saliency(view), kept)
"""


def test_a_sparing_run_says_the_same_and_keeps_no_memory() -> None:
    """In a process of its own: networks of other tests share the arena with these."""
    ran = subprocess.run([sys.executable, "-c", _SPARING], capture_output=True, text=True, check=True, timeout=300)
    assert int(ran.stdout) > 100_000_000


# What `cut_out` takes and gives


def test_every_kind_of_input_gives_the_same(photographs: dict[str, Path], astronaut: NDArray[np.uint8]) -> None:
    path = photographs["astronaut"]
    wanted = np.asarray(cut_out(path))
    for image in (str(path), path.read_bytes(), Image.fromarray(astronaut), astronaut):
        np.testing.assert_array_equal(np.asarray(cut_out(image)), wanted)
    with Image.open(path) as lazy:
        np.testing.assert_array_equal(np.asarray(cut_out(lazy)), wanted)


def test_array_of_grey_gives_grey(astronaut: NDArray[np.uint8]) -> None:
    grey = np.asarray(Image.fromarray(astronaut).convert("L"))
    assert cut_out(grey).mode == "LA"
    assert cut_out(grey, background="white").mode == "L"
    assert cut_out(grey, background="red").mode == "RGB"


@pytest.mark.parametrize(("mode", "profile"), [("RGB", SRGB), ("L", grey_profile(2.2))])
def test_profile_and_resolution_come_back(astronaut: NDArray[np.uint8], mode: str, profile: bytes) -> None:
    photograph = Image.fromarray(astronaut).convert(mode)
    result = cut_out(encoded(photograph, icc_profile=profile, dpi=(300, 300)))
    assert result.info["icc_profile"] == profile
    assert result.info["dpi"] == pytest.approx((300, 300), abs=0.02)
    again = Image.open(io.BytesIO(encoded(result)))
    assert again.info["icc_profile"] == profile


def test_input_in_memory_is_left_as_it_was(astronaut: NDArray[np.uint8]) -> None:
    before = astronaut.copy()
    photograph = Image.fromarray(astronaut)
    cut_out(astronaut)
    cut_out(photograph, background="white")
    np.testing.assert_array_equal(astronaut, before)
    np.testing.assert_array_equal(np.asarray(photograph), before)


def test_cut_out_takes_the_options_of_a_picture(astronaut: NDArray[np.uint8]) -> None:
    result = cut_out(astronaut, preset="shop-square", format="png")
    assert (result.mode, result.size) == ("RGB", (2000, 2000))
    assert result.getpixel((3, 3)) == (255, 255, 255)
    assert cut_out(astronaut, crop="subject", size=(200, 100)).size == (200, 100)


def test_edge_controls_change_the_matte_that_was_found(astronaut: NDArray[np.uint8]) -> None:
    controls: dict[str, Any] = {"shift_edge": -3, "feather": 2, "hardness": 0.25, "smallest_part": 0.1}
    found = alpha_of(cut_out(astronaut))
    wanted = adjusted(found, CutOptions(**controls))
    assert not np.array_equal(found, wanted)
    np.testing.assert_array_equal(alpha_of(cut_out(astronaut, **controls)), wanted)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("options", [{}, {"edges": "plain"}, {"background": (9, 8, 7), "crop": "subject"}])
def test_the_callers_picture_is_left_as_it_was(fake: Engine, mode: str, options: dict[str, Any]) -> None:
    picture = Image.effect_noise((80, 90), 90).convert(mode)
    before, chosen = picture.tobytes(), CutOptions(**options)
    cut = fake.cut_photo(from_image(picture), chosen)
    for drawn in (fake.draw(cut, chosen), fake.draw_mask(cut, chosen)):
        assert b"".join(drawn)
        assert picture.tobytes() == before


def test_edge_controls_leave_the_photographs_own_transparency_alone(fake: Engine) -> None:
    controls: dict[str, Any] = {"shift_edge": 9, "feather": 2, "edges": "plain"}
    pixels = np.full((80, 90, 4), 255, np.uint8)
    pixels[:, :40, 3] = 0
    pixels[:, 40:50, 3] = 128
    opaque = fake.cut_photo(from_image(Image.fromarray(pixels[..., :3])), CutOptions(**controls))
    cut = fake.cut_photo(from_image(Image.fromarray(pixels)), CutOptions(**controls))
    np.testing.assert_array_equal(cut.matte, opaque.alpha)
    np.testing.assert_array_equal(cut.alpha[:, 50:], opaque.alpha[:, 50:])
    assert not cut.alpha[:, :40].any()
    assert cut.alpha[40, 45] == 128


@pytest.mark.parametrize("edges", EDGES)
def test_decontaminate_goes_by_the_edges_unless_it_is_said(astronaut: NDArray[np.uint8], edges: Edges) -> None:
    unset, on, off = (np.asarray(cut_out(astronaut, edges=edges, decontaminate=each)) for each in (None, True, False))
    np.testing.assert_array_equal(unset, on if edges == "refined" else off)
    np.testing.assert_array_equal(on[..., 3], off[..., 3])
    seen = near(off[..., 3] > 0, REACH)
    np.testing.assert_array_equal(off[..., :3][seen], astronaut[seen])
    assert not np.array_equal(on, off)


def test_that_nothing_is_left_is_said(fake: Engine, source: Path, tmp_path: Path) -> None:
    report = cut_file(source, tmp_path / "out.png", engine=fake, shift_edge=-100)
    assert (report.outcome, report.warnings) == ("done", ("the edge controls left nothing of the subject",))


def test_the_front_door_is_these_functions() -> None:
    assert alphadrop.cut_out is cut_out
    assert alphadrop.cut_file is cut_file


# Refusals


@pytest.fixture
def fake() -> Engine:
    """An engine that finds a square in the middle of everything."""
    return FakeEngine().engine


@pytest.fixture
def source(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(1).integers(1, 256, (60, 80, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


BAD_FILES: dict[str, tuple[bytes, type[AlphadropError]]] = {
    "empty.jpg": (b"", EmptyPhoto),
    "text.jpg": (b"dear diary\n" * 50, UnsupportedFormat),
    "half.jpg": (encoded(Image.effect_noise((64, 64), 90), "JPEG")[:900], DamagedPhoto),
    "float.tif": (encoded(Image.new("F", (9, 9), 0.5), "TIFF"), UnsupportedFormat),
    "deep.sgi": (encoded(Image.new("RGB", (64, 64)), "SGI"), UnsupportedFormat),
    "large.png": (encoded(Image.new("1", (2000, 2000))), PhotoTooLarge),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_refused_file_is_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    data, error = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)
    engine = Engine(max_pixels=1_000_000, load=FakeEngine()._load)
    with pytest.raises(error) as caught:
        cut_file(tmp_path / name, tmp_path / "out.png", engine=engine)
    assert name in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("name", [name for name in BAD_FILES if name != "large.png"])
def test_cut_out_refuses_alike_by_path_and_by_bytes(tmp_path: Path, name: str) -> None:
    data, error = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=name.split(".")[0]):
        cut_out(tmp_path / name)
    with pytest.raises(error, match="image"):
        cut_out(data)


def test_missing_file_and_folder_are_refused(tmp_path: Path, fake: Engine) -> None:
    for path in (tmp_path / "absent.jpg", tmp_path):
        with pytest.raises(CannotRead, match=path.name):
            cut_out(path)
        with pytest.raises(CannotRead, match=path.name):
            cut_file(path, tmp_path / "out.png", engine=fake)


def test_unknown_model_names_the_nearest(source: Path) -> None:
    with pytest.raises(UnknownModel) as caught:
        cut_out(source, model="u2net-int9")
    assert "u2net-int8" in caught.value.hint


def test_side_that_a_format_cannot_say_names_the_photograph(tmp_path: Path, fake: Engine) -> None:
    Image.new("RGB", (16_384, 2)).save(tmp_path / "panorama.png")
    with pytest.raises(BadOptions, match=r"panorama\.png: 16384 x 2"):
        cut_file(tmp_path / "panorama.png", tmp_path / "out.webp", engine=fake)
    with pytest.raises(BadOptions, match=r"panorama\.png: "):
        cut_file(tmp_path / "panorama.png", tmp_path / "out.png", engine=fake, crop="subject", margin=0.4)


# Files


def content(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.png", "PNG"), ("a.PNG", "PNG"), ("a.webp", "WEBP"), ("a.tif", "TIFF"), ("a.tiff", "TIFF")],
)
@pytest.mark.parametrize("mask", [False, True], ids=["cut-out", "mask"])
def test_suffix_decides_the_format(
    source: Path, tmp_path: Path, fake: Engine, name: str, format: str, mask: bool
) -> None:
    report = cut_file(source, tmp_path / name, engine=fake, mask=mask)
    image = content(tmp_path / name)
    assert (image.format, image.size) == (format, (80, 60))
    assert image.mode == ("RGBA" if not mask else "RGB" if format == "WEBP" else "L")
    assert (report.source, report.target, report.outcome) == (source, tmp_path / name, "done")
    assert report.size == (80, 60)
    assert {"decode", "network", "matte", "encode", "write"} <= set(report.seconds)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
def test_jpeg_needs_a_background_and_a_mask_does_not(source: Path, tmp_path: Path, fake: Engine, name: str) -> None:
    with pytest.raises(BadOptions, match="JPEG"):
        cut_file(source, tmp_path / name, engine=fake)
    cut_file(source, tmp_path / name, engine=fake, background="white")
    assert content(tmp_path / name).getpixel((0, 0)) == (255, 255, 255)
    cut_file(source, tmp_path / name, engine=fake, mask=True)
    assert content(tmp_path / name).mode == "L"


def test_preset_takes_its_format_from_the_suffix(source: Path, tmp_path: Path, fake: Engine) -> None:
    cut_file(source, tmp_path / "shop.png", engine=fake, preset="shop-square")
    assert (content(tmp_path / "shop.png").format, content(tmp_path / "shop.png").size) == ("PNG", (2000, 2000))


@pytest.mark.parametrize("name", ["a.gif", "a", "a.", "png"])
def test_suffix_that_is_not_written_is_refused(source: Path, tmp_path: Path, fake: Engine, name: str) -> None:
    with pytest.raises(BadOptions, match="suffix"):
        cut_file(source, tmp_path / name, engine=fake)


def test_what_is_written_is_what_the_library_gives(source: Path, tmp_path: Path, fake: Engine) -> None:
    for name in ("a.png", "a.tif"):
        cut_file(source, tmp_path / name, engine=fake, edges="plain")
        pixels = np.asarray(content(tmp_path / name))
        assert pixels[30, 40].tolist() == [*np.asarray(content(source))[30, 40], 255]
        assert pixels[0, 0].tolist() == [0, 0, 0, 0]


def other_names(source: Path) -> Iterator[Path]:
    yield source
    yield source.parent / "." / source.name
    link = source.with_name("link.png")
    link.symlink_to(source)
    yield link
    hard = source.with_name("hard.png")
    hard.hardlink_to(source)
    yield hard


def test_input_is_never_overwritten_whatever_it_is_called(source: Path, fake: Engine) -> None:
    before = source.read_bytes()
    for target in other_names(source):
        with pytest.raises(BadOptions, match="never overwritten"):
            cut_file(source, target, engine=fake, overwrite=True)
    assert source.read_bytes() == before


def test_existing_target_is_replaced_or_not_as_asked(source: Path, tmp_path: Path, fake: Engine) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"theirs")
    with pytest.raises(TargetExists, match="out"):
        cut_file(source, target, engine=fake, overwrite=False)
    assert target.read_bytes() == b"theirs"
    cut_file(source, target, engine=fake)
    assert content(target).size == (80, 60)


def test_full_disk_leaves_the_old_target_and_nothing_else(
    source: Path, tmp_path: Path, fake: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    for path in (target, tmp_path / "new.png"):
        with pytest.raises(DiskFull, match=path.stem):
            cut_file(source, path, engine=fake)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.png", "photo.png"]


def test_missing_folder_is_not_made(source: Path, tmp_path: Path, fake: Engine) -> None:
    with pytest.raises(CannotWrite, match="absent"):
        cut_file(source, tmp_path / "absent" / "out.png", engine=fake)
    assert not (tmp_path / "absent").exists()


def test_enlargement_is_said(source: Path, tmp_path: Path, fake: Engine) -> None:
    large = cut_file(source, tmp_path / "out.png", engine=fake, crop="subject", size=(400, 300))
    assert len(large.warnings) == 1
    assert 7 < float(large.warnings[0].removeprefix("the subject was enlarged ").removesuffix(" times")) < 10.1
    small = cut_file(source, tmp_path / "out.png", engine=fake, crop="subject", size=(40, 30))
    assert small.warnings == ()


@pytest.mark.parametrize("format", FORMATS)
def test_metadata_of_a_camera_go_into_every_format(tmp_path: Path, fake: Engine, format: str) -> None:
    exif = Image.Exif()
    exif.update({271: "Maker", 274: 6})
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 10:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0)})
    source, target = tmp_path / "camera.jpg", tmp_path / f"out{suffix_of(format)}"  # type: ignore[arg-type]
    Image.effect_noise((80, 60), 90).convert("RGB").save(source, exif=exif, dpi=(240, 240), icc_profile=SRGB)
    for keep_gps in (False, True):
        cut_file(source, target, engine=fake, background="white", keep_gps=keep_gps)
        written = content(target)
        assert written.size == (60, 80)
        assert written.info["icc_profile"] == SRGB
        found = written.getexif()
        assert found[271] == "Maker"
        assert found.get(274, 1) == 1
        assert found.get_ifd(0x8769)[0x9003] == "2024:05:01 10:00:00"
        assert (dict(found.get_ifd(0x8825)) == {1: "N", 2: (48.0, 8.0, 0.0)}) is keep_gps
        if format != "webp":
            assert written.info["dpi"] == pytest.approx((240, 240), abs=0.02)


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"format": "jpeg"},
        {"margin": 0.1},
        {"margin": 0.46, "crop": "subject"},
        {"margin": -0.01, "crop": "subject"},
        {"quality": 0},
        {"quality": 101},
        {"size": (100, 100), "aspect": 1.0},
        {"size": (0, 100)},
        {"size": (100, 30_001)},
        {"aspect": 0.0},
        {"aspect": -1.0},
        {"aspect": 21.0},
        {"aspect": float("nan")},
        {"margin": float("nan"), "crop": "subject"},
        {"size": (1000, 100), "margin": 0.05, "crop": "subject"},
        {"aspect": 0.2, "margin": 0.1, "crop": "subject"},
        {"preset": "no such"},
        {"preset": "shop-square", "background": None},
        {"background": "no such colour"},
        {"colour": "white"},
        {"edge": "plain"},
        {"canvas": Canvas(), "colour": 1},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions):
        options_from(**options)


def test_unknown_option_is_named() -> None:
    with pytest.raises(BadOptions, match="colour"):
        options_from(colour="white")


def test_options_from_words() -> None:
    assert options_from() == CutOptions()
    wanted = CutOptions(background=(255, 255, 255), crop="subject", margin=0.1, canvas=Canvas(aspect=0.8, align="top"))
    assert options_from(background="white", crop="subject", margin=0.1, aspect=0.8, align="top") == wanted
    assert options_from(preset="square", align="left").canvas == Canvas(size=(2000, 2000), align="left")
    assert options_from(preset="shop-square", format="png", background="transparent").background is None
    assert options_from(canvas=Canvas(size=(5, 5))).canvas.size == (5, 5)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_had(name: str) -> None:
    assert from_preset(name) == PRESETS[name] == options_from(preset=name)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("transparent", None),
        (" Transparent ", None),
        ("white", (255, 255, 255)),
        ("#f0f0f0", (240, 240, 240)),
        ("#fff", (255, 255, 255)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ("wall.jpg", Path("wall.jpg")),
        ("/some where/wall.v2.png", Path("/some where/wall.v2.png")),
        ("~/wall.png", Path.home() / "wall.png"),
    ],
)
def test_background_is_read(text: str, wanted: object) -> None:
    assert parse_background(text) == wanted


@pytest.mark.parametrize("text", ["", "wite", "#ggg", "#f0f0f0f0", "rgb(1,2)", "rgb(1,2,300)", "wall"])
def test_background_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadOptions):
        parse_background(text)


@pytest.mark.parametrize(("text", "wanted"), [("2000", (2000, 2000)), ("1600x2000", (1600, 2000)), ("8X9", (8, 9))])
def test_size_is_read(text: str, wanted: tuple[int, int]) -> None:
    assert parse_size(text) == wanted


@pytest.mark.parametrize("text", ["", "x", "x5", "big", "1.5", "1x2x3"])
def test_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadOptions):
        parse_size(text)


@pytest.mark.parametrize(("text", "wanted"), [("4:5", 0.8), ("0.8", 0.8), ("16:9", 16 / 9), ("1", 1)])
def test_aspect_is_read(text: str, wanted: float) -> None:
    assert parse_aspect(text) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", ":", "4:0", "wide", "4:5:6"])
def test_aspect_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadOptions):
        parse_aspect(text)


@pytest.mark.parametrize("format", FORMATS)
def test_suffix_and_format_agree(format: Any) -> None:
    assert format_of(Path("a").with_suffix(suffix_of(format))) == format


@pytest.mark.parametrize(
    "options",
    [
        {"edges": "foo"},
        {"crop": "bad"},
        {"png": "x"},
        {"format": "gif"},
        {"align": "up"},
        {"background": (300, 0, 0)},
        {"background": (1, 2)},
        {"size": 500},
        {"quality": "9"},
        {"shift_edge": 101},
        {"shift_edge": 2.5},
        {"shift_edge": "2"},
        {"feather": -1},
        {"feather": float("nan")},
        {"feather": "2"},
        {"hardness": 1.01},
        {"smallest_part": -0.1},
        {"fill_holes": 2},
        {"decontaminate": "off"},
    ],
)
def test_options_that_make_no_sense_are_typed_errors(options: dict[str, Any]) -> None:
    with pytest.raises(BadOptions):
        cut_out(np.zeros((8, 8, 3), np.uint8), **options)


@pytest.mark.parametrize(
    "image", [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8), np.uint8), 7]
)
def test_what_is_no_picture_is_a_typed_error(image: Any) -> None:
    with pytest.raises(BadOptions):
        cut_out(image)


def test_a_format_that_contradicts_the_suffix_is_refused(photographs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadOptions, match="webp"):
        cut_file(photographs["cat"], tmp_path / "cat.png", format="webp")
    assert not list(tmp_path.iterdir())
