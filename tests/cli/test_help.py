"""Every command explains itself, at once, and a word too few is answered with help."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alphadrop import __version__
from alphadrop.cli import main

COMMANDS = [
    "run", "status", "pause", "resume", "stop", "jobs", "retry", "undo", "cut", "explain", "web", "tray", "models",
    "config", "gimp", "doctor",
]  # fmt: skip
ACTIONS = {
    "models": ["list", "pull", "verify", "quantize"],
    "config": ["init", "check", "show", "key"],
    "gimp": ["install", "uninstall", "status"],
}
EVERY = [[name] for name in COMMANDS] + [[name, action] for name, actions in ACTIONS.items() for action in actions]


@pytest.mark.parametrize("command", [[], *EVERY], ids=" ".join)
def test_every_command_answers_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    told = capsys.readouterr()
    assert ended.value.code == 0
    assert told.out.startswith(f"usage: alphadrop{''.join(f' {word}' for word in command)}")
    assert told.err == ""


def test_the_help_names_every_command_and_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(f"\n    {name} " in told for name in COMMANDS)
    assert all(f"{number} " in told.partition("exit status:")[2] for number in range(5))


@pytest.mark.parametrize("command", [[], ["models"], ["config"]], ids=["nothing", "models", "config"])
def test_a_word_too_few_is_answered_with_help_and_bad_usage(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"usage: alphadrop{''.join(f' {word}' for word in command)}")


@pytest.mark.parametrize(
    "command", [["nonsense"], ["run", "--nonsense"], ["cut"], ["config", "nonsense"]], ids=" ".join
)
def test_what_nobody_understands_is_bad_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "usage: alphadrop" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"alphadrop {__version__}\n"


@pytest.mark.parametrize("command", [[], ["cut"], ["explain"], ["status"], ["pause"], ["jobs"]], ids=str)
def test_help_loads_nothing_large(command: list[str]) -> None:
    program = (
        "import sys\nfrom alphadrop.cli import main\ntry:\n  main(sys.argv[1:])\nfinally:\n"
        "  large = {'numpy', 'PIL', 'onnxruntime', 'fastapi', 'uvicorn', 'pydantic', 'yaml', 'watchdog', 'tqdm'}\n"
        "  print(sorted(large & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_python_m_alphadrop_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alphadrop", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"alphadrop {__version__}\n"
