"""models: what networks there are, and how they get here."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphadrop.cli.config import settings_in_force
from alphadrop.cli.terminal import DONE, SOME_FAILED, Progress, add_action, complain
from alphadrop.errors import AlphadropError, ModelMissing, printable

if TYPE_CHECKING:
    from alphadrop.engine.models import ModelSpec

__all__ = ["define_models"]


def define_models(command: argparse.ArgumentParser) -> None:
    """Say what the actions of `models` take."""
    actions = command.add_subparsers(title="actions", metavar="ACTION")

    listing = add_action(actions, "list", "say which models there are, what they are good for, and which are here")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(command=_models_list)

    pull = add_action(actions, "pull", "download a model, or go on with a download that broke off")
    pull.add_argument("name", metavar="NAME")
    pull.add_argument("--accept-licence", action="store_true", help="agree to a licence for non-commercial use")
    pull.add_argument("--url", help="fetch it from here instead; the checksum must be the same")
    pull.set_defaults(command=_models_pull)

    verify = add_action(actions, "verify", "check the files of all models that are here against their checksums")
    verify.add_argument("names", nargs="*", metavar="NAME")
    verify.set_defaults(command=_models_verify)

    quantize = add_action(
        actions,
        "quantize",
        "make an INT8 model from an FP32 one",
        "Make an INT8 model: a quarter of the size, about three times as fast, nearly as accurate.\n"
        "Needs the extra: pip install 'alphadrop[quantize]'",
        "example:\n  alphadrop models quantize u2net.onnx --calibrate photographs/ -o u2net-int8.onnx",
    )
    quantize.add_argument("source", type=Path, metavar="FP32.onnx")
    quantize.add_argument(
        "--calibrate", type=Path, required=True, metavar="DIR", help="50 to 100 photographs of the kind to be cut"
    )
    quantize.add_argument("-o", "--output", type=Path, required=True, metavar="INT8.onnx")
    quantize.add_argument(
        "--like", default="u2net", metavar="NAME", help="the model whose input the network has (u2net)"
    )
    quantize.set_defaults(command=_models_quantize)


def _known() -> dict[str, ModelSpec]:
    from alphadrop.engine import models

    return models.registry(settings_in_force(None).models)


def _models_list(chosen: argparse.Namespace) -> int:
    from alphadrop.engine import models

    rows: list[dict[str, Any]] = []
    for spec in _known().values():
        try:
            place = printable(models.locate(spec))
        except ModelMissing:
            place = ""
        rows.append(
            {
                "name": spec.name,
                "here": place,
                "size": spec.size,
                "input": spec.input_size,
                "licence": spec.licence,
                "commercial": spec.commercial,
                "description": spec.description,
            }
        )
    if chosen.json:
        print(json.dumps(rows, indent=2))
        return DONE
    for row in rows:
        size = f"{row['size'] / 1e6:.0f} MB" if row["size"] else ""
        print(f"{'*' if row['here'] else ' '} {row['name']:24} {size:>7}  {row['licence']}")
        print(f"    {row['description']}")
    print("\n* is on this machine. Fetch another with: alphadrop models pull NAME")
    return DONE


def _models_pull(chosen: argparse.Namespace) -> int:
    from alphadrop.engine import download, models

    spec = models.find_spec(chosen.name, _known())
    print(f"{spec.name}: licence {spec.licence}", file=sys.stderr)
    progress = Progress(None, "B", scale=True)
    try:
        path = download.pull(spec, accept_licence=chosen.accept_licence, progress=progress.at, url=chosen.url)
    finally:
        progress.close()
    print(f"{spec.name}: {printable(path)}, checksum right")
    return DONE


def _models_verify(chosen: argparse.Namespace) -> int:
    from alphadrop.engine import checksums, models

    known = _known()
    wanted = [models.find_spec(name, known) for name in chosen.names] or list(known.values())
    status = DONE
    for spec in wanted:
        try:
            path = models.locate(spec)
            checksums.verify(spec, path)
        except ModelMissing as error:
            if chosen.names:
                complain(error)
                status = SOME_FAILED
        except AlphadropError as error:
            complain(error)
            status = SOME_FAILED
        else:
            print(f"{spec.name}: {printable(path)}, checksum right")
    return status


def _models_quantize(chosen: argparse.Namespace) -> int:
    from alphadrop.engine import models
    from alphadrop.engine.quantize import quantize

    progress = Progress(100, "%")

    def told(step: str, part: float) -> None:
        progress.clear()
        print(f"{step} ...", file=sys.stderr)
        progress.at(round(100 * part), 100)

    try:
        report = quantize(
            chosen.source, chosen.calibrate, chosen.output, spec=models.find_spec(chosen.like, _known()), progress=told
        )
    finally:
        progress.close()
    print(f"{printable(chosen.output)}: {report.target_size / 1e6:.1f} MB, was {report.source_size / 1e6:.1f} MB")
    print(f"a run takes {report.target_cost.seconds:.3f} s, took {report.source_cost.seconds:.3f} s")
    print(f"mean difference of the saliency maps {report.difference:.4f}, on {report.compared_on} photographs")
    print(f"sha256 {report.sha256}")
    return DONE
