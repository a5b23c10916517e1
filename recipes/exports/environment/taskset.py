"""The tasks of a coldstart run, and the reward for an answer: 1 where the tests say that it
resolves the task, else 0."""

import asyncio
import json
from pathlib import Path
from typing import Literal

import verifiers.v1 as vf

from .verdict import verdict

HERE = Path(__file__).parent
ORIGIN = json.loads((HERE / "origin.json").read_text(encoding="utf-8"))


class RepositoryData(vf.TaskData):
    kind: str
    """How the task was made, as in coldstart's `--kinds`."""
    coldstart: str
    run: str
    """As of `RepositoryTaskConfig`, for the harness."""


class RepositoryTaskConfig(vf.TaskConfig):
    coldstart: str = ORIGIN["coldstart"]
    """The folder of coldstart.py."""
    run: str = ORIGIN["run"]
    """The folder of the run that the tasks come from."""


class RepositoryTask(vf.Task[RepositoryData, vf.State, RepositoryTaskConfig]):
    @property
    def key(self) -> str:
        return self.data.id

    @vf.reward(weight=1.0)
    async def resolved(self, trace: vf.Trace) -> float:
        """What was cut off by a token limit is no answer, whatever the tests would say of it."""
        if trace.is_truncated or not trace.assistant_messages:
            return 0.0
        reply = (
            trace.assistant_messages[-1].content or ""
        )  # not trace.last_reply, which has lost the indentation of its first line
        return (
            await asyncio.to_thread(
                verdict, self.config.coldstart, self.config.run, self.data.id, reply
            )
        )[1]


class RepositoryConfig(vf.TasksetConfig):
    split: Literal["train", "heldout"] = "train"
    """Held-out tasks are of functions that no training task is about."""
    task: RepositoryTaskConfig = RepositoryTaskConfig()


class RepositoryTaskset(vf.Taskset[RepositoryTask, RepositoryConfig]):
    def load(self):
        for line in (HERE / "tasks.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.pop("split") == self.config.split:
                places = {"coldstart": self.config.task.coldstart, "run": self.config.task.run}
                yield RepositoryTask(RepositoryData(**row, **places), self.config.task)
