"""One photograph from end to end, and the library's two functions.

from alphadrop import cut_file, cut_out

cut_out("cat.jpg").save("cat.png")
cut_file("shoe.jpg", "shoe-white.jpg", background="white", crop="subject", margin=0.1)
"""

from __future__ import annotations

import io
import statistics
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alphadrop import atomic, paths
from alphadrop.engine import checksums, models, providers
from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.compose import cutout_picture, enlargement, mask_picture
from alphadrop.engine.cpus import usable_cpus
from alphadrop.engine.edge import adjusted
from alphadrop.engine.encode import encoded
from alphadrop.engine.fastest import Machine, fastest, speeds
from alphadrop.engine.matte import alpha_matte
from alphadrop.engine.models import AUTO, ModelSpec
from alphadrop.engine.options import (
    CutOptions,
    Format,
    Provider,
    format_of,
    options_from,
)
from alphadrop.engine.photo import DEFAULT_MAX_PIXELS, Photo, decode, from_image
from alphadrop.engine.segmenter import Segmenter
from alphadrop.engine.subject import SURER, UNSURE, clearness, has_subject
from alphadrop.errors import BadOptions, NoSubject, printable, reading_failed

__all__ = [
    "DEFAULT_MODEL",
    "Cut",
    "CutReport",
    "Engine",
    "EngineRecipe",
    "Look",
    "cut_file",
    "cut_out",
    "write_cut",
]

DEFAULT_MODEL = "u2net-int8"
_LOADED_AT_MOST = 2
_NOTABLE = 1.05
"""Times that a subject is enlarged, beyond which it is said."""
_RUNS_KEPT = 9
"""Of each network, to say how long one takes."""

Outcome = Literal["done", "no_subject"]


@dataclass(frozen=True, slots=True)
class Look:
    """A photograph and what a network saw in it."""

    photo: Photo
    saliency: NDArray[np.float32]
    """Shape (S, S), 0..1."""
    model: str
    seconds: Mapping[str, float]
    """Wall time of each stage."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A photograph and its matte, before anything is drawn."""

    photo: Photo
    matte: NDArray[np.uint8]
    """What was found, its edge as the options ask for; shape (H, W), all zero where there is no subject."""
    alpha: NDArray[np.uint8]
    """The matte, times the transparency the photograph came with."""
    subject: bool
    model: str
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    """Wall time of each stage so far."""


@dataclass(frozen=True, slots=True)
class CutReport:
    """What became of one file."""

    source: Path
    target: Path | None
    """None where there was no subject, and so no output."""
    outcome: Outcome
    size: tuple[int, int]
    """Width and height of the photograph."""
    model: str
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    """Wall time of each stage."""


@dataclass(frozen=True, slots=True)
class EngineRecipe:
    """What an engine is made of; another process can make one that does the same."""

    model: str = DEFAULT_MODEL
    own_models: tuple[ModelSpec, ...] = ()
    threads: int = 0
    provider: Provider = "cpu"
    max_pixels: int = DEFAULT_MAX_PIXELS


class Engine:
    """Loaded networks and the way through them; safe to use from several threads."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        own_models: Sequence[ModelSpec] = (),
        threads: int = 0,
        provider: Provider = "cpu",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        load: Callable[[ModelSpec, int], Segmenter] | None = None,
    ) -> None:
        """Make an engine; nothing is loaded until it is needed or `warm` is called.

        Args:
            model: the registry's name of the model used where none is named; `auto` is the fastest that cuts as well
                as the embedded one, as it was measured here.
            own_models: rows that are added to the registry.
            threads: for one run and one encode; 0 means one for each CPU this process may use.
            provider: what runs the networks.
            max_pixels: refuse larger photographs.
            load: how a network is made from its row for a number of threads; by default with the provider.
        """
        self.recipe = EngineRecipe(model, tuple(own_models), threads, provider, max_pixels)
        self.threads = threads or usable_cpus()
        self.max_pixels = max_pixels
        self._known = models.registry(own_models)
        self._provider: Provider = provider
        self.model = self._named(model)
        self._load = load or self._load_of_provider
        self._took: dict[str, deque[float]] = {}
        self._loaded: OrderedDict[str, tuple[int, Segmenter]] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @classmethod
    def of(cls, recipe: EngineRecipe) -> Engine:
        """Make an engine from its recipe."""
        return cls(
            recipe.model,
            own_models=recipe.own_models,
            threads=recipe.threads,
            provider=recipe.provider,
            max_pixels=recipe.max_pixels,
        )

    def warm(self, model: str | None = None, threads: int | None = None) -> Segmenter:
        """Return a network, loading it where it is not loaded yet; the least used of many is let go.

        Args:
            model: the registry's name; None for the engine's own.
            threads: for one run, one network being kept of each model; None for however many it has, and for the
                engine's own number where it has to be loaded.

        Raises:
            ModelError: unknown, missing, damaged, or its provider is not to be had.
        """
        name = self._named(model)
        with self._loading:  # a lock of its own: whoever asks what is loaded need not wait
            with self._lock:
                count, segmenter = self._loaded.get(name, (0, None))
                if segmenter is not None and threads in (None, count):
                    self._loaded.move_to_end(name)
                    return segmenter
                self._loaded.pop(name, None)
            del segmenter  # it must be gone before the other one is loaded, or that takes memory of its own
            count = threads or self.threads
            segmenter = self._load(models.find_spec(name, self._known), count)
            with self._lock:
                self._loaded[name] = count, segmenter
                while len(self._loaded) > _LOADED_AT_MOST:
                    self._loaded.popitem(last=False)
            return segmenter

    def rest(self) -> None:
        """Give back the memory that only runs of networks need, as none are asked for now."""
        with self._lock:
            resting = [segmenter for _, segmenter in self._loaded.values()]
        for segmenter in resting:
            segmenter.rest()

    @property
    def loaded(self) -> Mapping[str, str]:
        """The models in memory and the device each runs on."""
        with self._lock:
            return {name: segmenter.device for name, (_, segmenter) in self._loaded.items()}

    @property
    def seconds(self) -> Mapping[str, float]:
        """Of one run of each network that has run: the median of the last runs."""
        with self._lock:
            return {name: statistics.median(took) for name, took in self._took.items()}

    @property
    def known(self) -> Mapping[str, ModelSpec]:
        """Every network that is known by name."""
        return self._known

    def cut(self, stream: BinaryIO, name: str, options: CutOptions, *, model: str | None = None) -> Cut:
        """Decode a photograph and find its matte.

        Args:
            stream: the encoded file, seekable, at its start.
            name: how errors call it.
            options: of the cut-out.
            model: the registry's name of a model; None for the engine's own.

        Raises:
            PhotoError: the photograph cannot be opened.
            ModelError: the model cannot be used.
        """
        started = time.perf_counter()
        photo = decode(stream, name, max_pixels=self.max_pixels, keep_gps=options.keep_gps)
        return self.cut_photo(photo, options, model=model, decoding=time.perf_counter() - started)

    def cut_photo(self, photo: Photo, options: CutOptions, *, model: str | None = None, decoding: float = 0) -> Cut:
        """Find the matte of a photograph that is already decoded; see `cut`."""
        return self.find_matte(self.look(photo, model=model), options, decoding=decoding)

    def look(
        self,
        photo: Photo,
        *,
        model: str | None = None,
        threads: int | None = None,
        turn: AbstractContextManager[None] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Look:
        """Let a network look at a photograph, and where it is unsure of the subject its second too: the surer counts.

        Args:
            photo: decoded.
            model: the registry's name of a model; None for the engine's own.
            threads: for the run of the network, as for `warm`.
            turn: entered while the network is loaded, where that is needed, and runs.
            cancellation: by which another thread may end the run.

        Raises:
            ModelError: the model cannot be used.
            Cancelled: it was ended.
        """
        spec = models.find_spec(self._named(model), self._known)
        clock = _Clock()
        view = photo.view(spec.input_size)
        prepared = clock.lap()
        with turn or nullcontext():
            clock.lap()
            # Not sooner, and not for longer: who waits for his turn would keep a network that is to be replaced.
            saliency = self._run(spec.name, view, threads, cancellation)
            if spec.second is not None and has_subject(saliency) and clearness(saliency) < UNSURE:
                second = models.find_spec(spec.second, self._known)
                other = self._run(second.name, photo.view(second.input_size), threads, cancellation, sparing=True)
                if has_subject(other) and clearness(other) > clearness(saliency) + SURER:
                    spec, saliency = second, other
        return Look(photo, saliency, spec.name, {"prepare": prepared, "network": clock.lap()})

    def _run(
        self,
        model: str,
        view: NDArray[np.uint8],
        threads: int | None,
        cancellation: Cancellation | None,
        *,
        sparing: bool = False,
    ) -> NDArray[np.float32]:
        segmenter = self.warm(model, threads)
        started = time.perf_counter()
        saliency = segmenter.saliency(view, cancellation, sparing=sparing)
        took = time.perf_counter() - started
        with self._lock:
            self._took.setdefault(model, deque(maxlen=_RUNS_KEPT)).append(took)
        return saliency

    def find_matte(self, look: Look, options: CutOptions, *, decoding: float = 0) -> Cut:
        """Turn what the network saw into the alpha matte of the photograph.

        Raises:
            BadOptions: the finished picture would have more pixels on a side than may be.
        """
        clock = _Clock()
        photo, saliency = look.photo, look.saliency
        subject = has_subject(saliency)
        width, height = photo.size
        warnings = photo.warnings
        if subject:
            found = alpha_matte(saliency, photo.image, options.edges)
            matte = adjusted(found, options)
            if clearness(saliency) < UNSURE:
                warnings = (*warnings, "the network is unsure of the subject: look at this cut-out before you use it")
            if matte is not found and not matte.any():
                warnings = (*warnings, "the edge controls left nothing of the subject")
        else:
            matte = np.zeros((height, width), np.uint8)
        alpha = matte if photo.alpha is None else _multiplied(matte, np.asarray(photo.alpha))
        seconds = {"decode": decoding, **look.seconds, "matte": clock.lap()}
        with _naming(photo.name):
            enlarged = enlargement(alpha, options) if subject else 1.0
        if enlarged > _NOTABLE:
            warnings = (*warnings, f"the subject was enlarged {enlarged:.1f} times")
        return Cut(photo, matte, alpha, subject, look.model, warnings, seconds)

    def draw(
        self, cut: Cut, options: CutOptions, *, xmp: bytes | None = None, threads: int | None = None
    ) -> Iterator[bytes]:
        """Return the pieces of the encoded cut-out as they are made, with an XMP packet where one is given."""
        threads = threads or self.threads
        with _naming(cut.photo.name):
            picture = replace(cutout_picture(cut.photo, cut.alpha, options), xmp=xmp)
            return encoded(picture, options.format, png=options.png, quality=options.quality, threads=threads)

    def draw_mask(
        self,
        cut: Cut,
        options: CutOptions,
        format: Format = "png",
        *,
        xmp: bytes | None = None,
        threads: int | None = None,
    ) -> Iterator[bytes]:
        """Return the pieces of the encoded matte: a grey picture, framed like the cut-out, lossless but for JPEG."""
        with _naming(cut.photo.name):
            picture = replace(mask_picture(cut.photo, cut.alpha, options), xmp=xmp)
            return encoded(picture, format, png=options.png, quality=100, threads=threads or self.threads)

    def _named(self, model: str | None) -> str:
        """Return the registry's name of the model that is meant: None is the engine's own."""
        if model is None:
            return self.model
        if model != AUTO:
            return model
        return self._fastest

    @cached_property
    def _fastest(self) -> str:
        measured = speeds(paths.speeds_file(), Machine.here(self._provider))
        return fastest(DEFAULT_MODEL, self._known, measured)

    def _load_of_provider(self, spec: ModelSpec, threads: int) -> Segmenter:
        path = models.locate(spec)
        checksums.verify(spec, path)
        compiled = paths.compiled_folder()
        return providers.load(spec, path, threads=threads, provider=self._provider, compiled=compiled)


def cut_out(
    image: Image.Image | NDArray[np.uint8] | bytes | str | Path, *, model: str | None = None, **options: Any
) -> Image.Image:
    """Cut the subject out of a picture.

    Args:
        image: a Pillow image, an array of shape (H, W, 3) or (H, W) with uint8 sRGB values, an encoded file's bytes, or
            a file's path.
        model: the registry's name of a model (`alphadrop models list`); the default is the embedded one.
        **options: as in `options_from`; `format` and `quality` make no difference here.

    Returns:
        A new image, mode RGBA or LA with straight alpha (RGB or L over a background), with the picture's ICC profile.

    Raises:
        NoSubject: nothing stands out.
        PhotoError, FileError, ModelError, BadOptions: see `alphadrop.errors`.
    """
    chosen = options_from(**options)
    engine = _shared_engine()
    if isinstance(image, (str, Path)):
        name = printable(image)
        cut = engine.cut(io.BytesIO(_read(Path(image))), name, chosen, model=model)
    elif isinstance(image, bytes):
        name = "image"
        cut = engine.cut(io.BytesIO(image), name, chosen, model=model)
    else:
        name = "image"
        cut = engine.cut_photo(from_image(_picture(image)), chosen, model=model)
    if not cut.subject:
        raise NoSubject(f"{name}: no subject was found", "choose a picture in which something stands out")
    finished = cutout_picture(cut.photo, cut.alpha, chosen)
    pixels = np.asarray(finished.pixels)
    result = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])
    if finished.icc:
        result.info["icc_profile"] = finished.icc
    if finished.dpi:
        result.info["dpi"] = finished.dpi
    return result


def cut_file(
    source: str | Path,
    target: str | Path,
    *,
    model: str | None = None,
    mask: bool = False,
    overwrite: bool = True,
    engine: Engine | None = None,
    **options: Any,
) -> CutReport:
    """Cut the subject out of a file into another, which appears whole or not at all.

    Args:
        source: the photograph.
        target: the cut-out; its suffix chooses the format where `format` is not given.
        model: the registry's name of a model; the default is the embedded one.
        mask: write the matte as a grey picture instead of the cut-out.
        overwrite: whether a file of the target's name may be replaced; the source never is.
        engine: the engine to use; the default is one that is kept for the whole process.
        **options: as in `options_from`.

    Returns:
        What became of it. No subject is an outcome, not an error; nothing is written then.

    Raises:
        PhotoError, FileError, ModelError, BadOptions: see `alphadrop.errors`.
    """
    source, target = Path(source), Path(target)
    format = format_of(target)
    if options.get("format", format) != format and not mask:
        raise BadOptions(
            f"{printable(target)}: its suffix says {format}, and the format asked for is {options['format']}",
            "give the file the suffix of its format",
        )
    chosen = options_from(**options) if mask else options_from(**{"format": format, **options})
    if _same_file(source, target):
        raise BadOptions(f"{printable(target)}: an input is never overwritten", "choose another name")
    return write_cut(source, target, chosen, engine or _shared_engine(), model=model, mask=mask, overwrite=overwrite)


def write_cut(
    source: Path,
    target: Path,
    options: CutOptions,
    engine: Engine,
    *,
    model: str | None = None,
    mask: bool = False,
    overwrite: bool = False,
) -> CutReport:
    """Do what `cut_file` does, with options that are made already."""
    name = printable(source)
    clock = _Clock()
    with io.BytesIO(_read(source)) as stream:
        cut = engine.cut(stream, name, options, model=model)
    clock.lap()
    if cut.subject:
        pieces = engine.draw_mask(cut, options, format_of(target)) if mask else engine.draw(cut, options)
        drawn = clock.lap()
        timed = _Timed(pieces)
        atomic.write(target, timed, replace=overwrite)
        seconds = {**cut.seconds, "encode": drawn + timed.seconds, "write": clock.lap() - timed.seconds}
        return CutReport(source, target, "done", cut.photo.size, cut.model, cut.warnings, seconds)
    return CutReport(source, None, "no_subject", cut.photo.size, cut.model, cut.warnings, cut.seconds)


def _picture(image: object) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
        if image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4)):
            return Image.fromarray(image)
        raise BadOptions(
            f"an array of shape {image.shape} is no picture", "its shape is (H, W), (H, W, 3) or (H, W, 4)"
        )
    raise BadOptions(
        f"{type(image).__name__} is nothing that can be cut",
        "give a Pillow image, an array of uint8, the bytes of a file, or a path",
    )


@cache
def _shared_engine() -> Engine:
    return Engine()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Name the photograph in errors of options that turn out not to fit it."""
    try:
        yield
    except BadOptions as error:
        raise BadOptions(f"{name}: {error.message}", error.hint) from None


class _Clock:
    """Wall time between two looks at it."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        return elapsed


class _Timed:
    """Pieces, and the wall time for which they were waited for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.seconds = 0.0

    def __iter__(self) -> Iterator[bytes]:
        clock = _Clock()
        for piece in self._pieces:
            self.seconds += clock.lap()
            yield piece
            clock.lap()
        self.seconds += clock.lap()


def _multiplied(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    product = first.astype(np.uint16) * second
    return ((product + 127) // 255).astype(np.uint8)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise reading_failed(path, error) from error


def _same_file(source: Path, target: Path) -> bool:
    try:
        return target.samefile(source)
    except OSError:
        return False
