"""Whether a teacher answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from recipes.reporting.checks.machine import Check, fault, ok
from sandbox.errors import UsageError

TEACHER_SECONDS = 30.0
COMMANDS_START = 4
"""A program may load a model first: so many times as long."""


def check_teacher(find: Callable[[], Any], keys: dict[str, str]) -> Check:
    """One call of one token to the endpoint that `find()` gives: is it there, and does it take the
    key?"""
    import asyncio

    from recipes.settings import TeacherSettings
    from recipes.teachers.client import Fault
    from recipes.teachers.endpoint import fit_key
    from recipes.teachers.ledger import usd
    from recipes.teachers.senders import sender_of

    async def ask(endpoint: Any, key: str) -> None:
        seconds = TEACHER_SECONDS * (
            COMMANDS_START if endpoint.is_command or endpoint.is_gguf else 1
        )
        limits = TeacherSettings(stall=TEACHER_SECONDS, command_seconds=seconds)
        client = sender_of(endpoint, key, limits)
        try:
            body = endpoint.body([{"role": "user", "content": "Say yes."}], 0.0, 0)
            async with asyncio.timeout(seconds):
                await client.send(body, "")
        except TimeoutError:
            raise Fault("no end", billed=False) from None
        finally:
            await client.close()

    try:
        endpoint = replace(find(), max_output=1)
        if endpoint.is_folder or endpoint.is_sessions:
            return ok("teacher", "what lies in the folder is read when it is needed")
        asyncio.run(ask(endpoint, fit_key(endpoint, keys)))
    except UsageError as error:
        return fault("teacher", str(error))
    except Fault as problem:
        if problem.stop:
            return fault("teacher", problem.stop)
        return fault(
            "teacher",
            f"{endpoint.name} ({endpoint.base_url}): {problem}",
            "check the address and this machine's connection; else wait, and try again",
        )
    price = (
        "what that cost is not known here"
        if endpoint.price is None
        else f"for at most ${usd(endpoint.worst({'messages': []})):.6f}"
    )
    if not endpoint.has_price:
        return ok("teacher", f"{endpoint.model} answers")
    words = f"{endpoint.name} answers as {endpoint.model}, and takes the key ({price})"
    return ok("teacher", words)
