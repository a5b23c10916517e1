"""A teacher that is a GGUF file on this machine: `--teacher gguf:PATH`, run by llama.cpp in this
process, with no server.

    client = GgufClient(endpoint, context=14_000)
    reply = await client.send(endpoint.body(messages, 0.2, 0), "blank-calc.core.add")   # raises Fault

The file is loaded at the first request and let go of at the end. One request is answered at a time.
It lies on the card where there is one and the file fits there beside what else is, else in main
memory.
"""

import asyncio
from pathlib import Path
from typing import Any

from recipes.teachers.client import Fault
from recipes.teachers.endpoint import GGUF, Endpoint
from recipes.teachers.ledger import Reply
from sandbox.errors import UsageError

ROOM = 1.3
"""Memory of a loaded file with its cache, as a multiple of the file."""


class GgufClient:
    """Answers requests with one model."""

    def __init__(self, endpoint: Endpoint, context: int) -> None:
        """`context`: tokens of a prompt and a reply together, at most; less where the model was
        trained on less."""
        self.endpoint, self._context = endpoint, context
        self._path = Path(endpoint.base_url.removeprefix(GGUF))
        self._model: Any = None
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None

    def beside(self, task: str) -> str:
        """What an answer depends on beside the request: the file's size and time, for it may be
        replaced under its name."""
        facts = self._path.stat()
        return f"{facts.st_size}-{facts.st_mtime_ns}"

    async def send(self, body: dict, task: str) -> Reply:
        """What the model answers. Raises Fault; UsageError where it cannot be loaded."""
        async with self._turn:
            return await asyncio.to_thread(self._answer, body)

    def _answer(self, body: dict) -> Reply:
        if self._model is None:
            self._model = self._loaded()
        try:
            said = self._model.create_chat_completion(
                messages=body["messages"],
                max_tokens=body["max_tokens"],
                temperature=body["temperature"],
                seed=body["seed"],
            )
        except ValueError as error:  # it does not fit into the context
            words = " ".join(str(error).split())[:200]
            raise Fault(words, billed=False, again=False, particular=True) from None
        choice, usage = said["choices"][0], said["usage"]
        reply = Reply(
            choice["message"]["content"] or "",
            "",
            choice["finish_reason"],
            usage["prompt_tokens"],
            0,
            usage["completion_tokens"],
        )
        if not reply.is_answer:
            raise Fault("an empty reply", billed=False, particular=True)
        return reply

    def _loaded(self) -> Any:
        from llama_cpp import Llama, llama_cpp

        from recipes.learning.memory import available

        size = ROOM * self._path.stat().st_size
        on_card = bool(llama_cpp.llama_supports_gpu_offload()) and size < available(cuda=True)
        if not on_card and size > available(cuda=False):
            raise UsageError(
                f"{self._path} does not fit into memory beside the student: it needs about "
                f"{size / 2**30:.1f} GiB, and {available(cuda=False) / 2**30:.1f} are free."
            )
        try:
            model = Llama(
                str(self._path),
                n_ctx=self._context,
                n_gpu_layers=-1 if on_card else 0,
                verbose=False,
            )
        except ValueError as error:
            raise UsageError(f"llama.cpp cannot load {self._path} ({error}).") from None
        return model
