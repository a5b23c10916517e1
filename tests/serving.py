"""llama.cpp's own servers on the loopback, with a GGUF file as their model: the one of its Python
package, and `llama-server`, where one is installed (LLAMA_SERVER, or on the PATH)."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def served(model: Path, folder: Path, context: int):
    """Base URL of `python -m llama_cpp.server` with this file, for the time of the block; its log
    goes to `folder`."""
    pytest.importorskip("starlette_context", reason="needs requirements-dev.txt")
    command = [sys.executable, "-m", "llama_cpp.server", "--n_ctx", context, "--n_threads", 1]
    return _serving(command, model, folder, "/v1", "/models")


def infilling(model: Path, folder: Path, context: int):
    """The same of `llama-server`, which has `/infill`."""
    found = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    if not found:
        pytest.skip("llama.cpp's llama-server is not installed")
    command = [found, "--ctx-size", context, "--threads", 1, "--parallel", 1]
    return _serving(command, model, folder, "", "/health")


@contextmanager
def _serving(command: list, model: Path, folder: Path, base: str, ready: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--model", model, "--host", "127.0.0.1", "--port", port]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            list(map(str, [*command, *where])),
            cwd=folder,
            stdout=log,
            stderr=log,
            env=dict(os.environ),
        )
    try:
        url, until = f"http://127.0.0.1:{port}{base}", time.monotonic() + 60
        while not _answers(f"{url}{ready}"):
            assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False
