"""One question, one answer: how coldstart's student is asked, too."""

import verifiers.v1 as vf
from openai import AsyncOpenAI


class OneQuestion(vf.Harness[vf.HarnessConfig]):
    """Sends the task's prompt and ends. It runs no program, so it needs no container and no tools."""

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
        async with AsyncOpenAI(base_url=endpoint, api_key=secret) as client:
            await client.chat.completions.create(model=ctx.model, messages=messages)
        return vf.ProgramResult(exit_code=0, stdout="", stderr="")
