"""Whether a teacher answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from recipes.reporting.checks.machine import Check, fault, ok
from sandbox.errors import UsageError

TEACHER_SECONDS = 30.0


def check_teacher(find: Callable[[], Any], keys: dict[str, str]) -> Check:
    """One call of one token to the endpoint that `find()` gives: is it there, and does it take the
    key?"""
    import asyncio

    from recipes.teachers.client import Client, Fault
    from recipes.teachers.endpoint import fit_key
    from recipes.teachers.ledger import usd

    async def ask(endpoint: Any, key: str) -> None:
        client = Client(endpoint, key, TEACHER_SECONDS, TEACHER_SECONDS)
        try:
            await client.send(endpoint.body([{"role": "user", "content": "Say yes."}], 0.0, 0))
        finally:
            await client.close()

    try:
        endpoint = replace(find(), max_output=1)
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
    words = f"{endpoint.name} answers as {endpoint.model}, and takes the key ({price})"
    return ok("teacher", words)
