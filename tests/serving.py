"""llama.cpp's own server on the loopback, with a GGUF file as its model."""

import os
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


@contextmanager
def served(model: Path, folder: Path, context: int) -> Iterator[str]:
    """Base URL of `python -m llama_cpp.server` with this file, for the time of the block; its log
    goes to `folder`."""
    pytest.importorskip("starlette_context", reason="needs requirements-dev.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "llama_cpp.server",
                "--model",
                str(model),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--n_ctx",
                str(context),
                "--n_threads",
                "1",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=dict(os.environ),
        )
    try:
        url, until = f"http://127.0.0.1:{port}/v1", time.monotonic() + 60
        while not _answers(url):
            assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/models", timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False
