"""How coldstart's student is asked, too: one question, and after a reply that fails the tests that
the prompt shows what these say of it, as often as the run's recipe has turns."""

import asyncio

import verifiers.v1 as vf
from openai import AsyncOpenAI

from .verdict import answer


class Episode(vf.Harness[vf.HarnessConfig]):
    """Sends the task's prompt, answers replies, and ends. It runs no program, so it needs no
    container and no tools."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self, ctx, trace, runtime, endpoint, secret, mcp_urls, data
    ) -> vf.ProgramResult:
        system, prompt = self.resolve_prompt(data)
        messages = [
            {"role": role, "content": content}
            for role, content in (("system", system), ("user", prompt))
            if content
        ]
        replies: list[str] = []
        async with AsyncOpenAI(base_url=endpoint, api_key=secret) as client:
            while True:
                reply = await client.chat.completions.create(model=ctx.model, messages=messages)
                choice = reply.choices[0]
                replies.append(choice.message.content or "")
                if choice.finish_reason == "length":
                    break
                said = await asyncio.to_thread(answer, data.coldstart, data.run, data.id, replies)
                if said is None:
                    break
                messages += [
                    {"role": "assistant", "content": replies[-1]},
                    {"role": "user", "content": said},
                ]
        return vf.ProgramResult(exit_code=0, stdout="", stderr="")
