"""A whole cycle (sample, judge, update) of a climb: coldstart's, and that of TRL with a reward
function that runs pytest on a copy.

    pip install -r requirements-bench.txt
    python coldstart.py demo practice && python coldstart.py bootstrap --repo practice
    python tests/bench_cycle.py --run runs/latest [--cycles 2] [--engines model,llama.cpp] [--trainers RLOO,GRPO]
                                [--bases float32,nf4] [--rows 24,192] [--threads 1]

Both begin where the run's bootstrap ended and do the recipe's number of rollouts a cycle, with its
group size, temperature, learning rate and longest completion, on the same tasks in the same order
with the same prompts. One cycle is not counted: in it the jails start and the caches fill.

coldstart's cycle is `recipes.learning.reinforce.cycle` as `climb` calls it, with no verdict
remembered from before. TRL's is a step of `trainer.train()`: its own generation, rewards, loss and
optimiser, without gradient checkpointing and without a KL term (both cost it time), with --rows
rows at a time in the update, on the student's base in float32 or, with `nf4`, on coldstart's own
student, which is slower. The reward function is what anybody would write: the repository is copied
to a temporary folder, the edit is written there, and `python -m pytest -q` runs the tests that the
task names, in a process of its own with a limit of time; the reward is 1.0 where its exit code is
0. So many run at a time as there are cores. It has no jail, believes what the judged code says of
itself, and asks for no twins, no fresh inputs and no second opinion.

Every line is measured in a process of its own. Seconds are the mean of the cycles; `CPU s` is the
processor time of the process and all that it started, which other work on the machine changes less.
`sample` is the time inside the sampler, `judge` how long the cycle waits for verdicts that were not
ready when the last completion was, `update` the rest.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

TIMEOUT = 20.0
"""Seconds for a run of pytest; the recipe gives a verdict 10 and ten times what the tests took."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of a run whose bootstrap has ended"
    )
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--engines", default="model,llama.cpp")
    parser.add_argument("--trainers", default="RLOO,GRPO")
    parser.add_argument("--bases", default="float32", help="of TRL's student: float32, nf4")
    parser.add_argument(
        "--rows", default="24", help="rows that TRL is given at a time in the update"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--groups", type=int, help="groups a cycle [default: the recipe's]")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--tasks", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments, Path(scratch))


def compare(arguments, scratch: Path) -> None:
    from tests.bootstrapped import copy_of

    def told(side: str, run: Path) -> dict:
        now = measured(side, run, scratch / "tasks.json", arguments)
        show(side, now)
        return now

    print(
        f"{'seconds of a cycle':24}{'all':>8}{'sample':>8}{'judge':>8}{'update':>8}{'CPU s':>8}{'reward':>8}",
        flush=True,
    )
    ours, trl = {}, {}
    for engine in arguments.engines.split(","):
        run = copy_of(arguments.run, scratch / engine, engine)
        run.content["recipe"]["student"]["threads"] = arguments.threads
        run.content["recipe"]["climb"]["groups"] = arguments.groups or run.recipe.climb.groups
        run.write()
        ours[engine] = told(f"coldstart {engine}", run.folder)
    for trainer in arguments.trainers.split(","):
        for base in arguments.bases.split(","):
            for rows in arguments.rows.split(","):
                trl[trainer, base, rows] = told(f"TRL {trainer} {base} {rows}", run.folder)
    fastest, least = min(t["all"] for t in trl.values()), min(t["cpu"] for t in trl.values())
    for engine, now in ours.items():
        print(
            f"{engine}: {fastest / now['all']:.1f} times as fast as TRL where TRL is fastest; "
            f"{least / now['cpu']:.1f} times less "
            f"processor time than TRL where it takes least",
            flush=True,
        )


def measured(side: str, run: Path, tasks: Path, arguments) -> dict:
    """`measure` in a process of its own."""
    threads = str(arguments.threads)
    flags = [
        "--run",
        str(run),
        "--tasks",
        str(tasks),
        "--threads",
        threads,
        "--cycles",
        str(arguments.cycles),
    ]
    done = subprocess.run(
        [sys.executable, __file__, "--only", side, *flags],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": threads},
    )
    if done.returncode:
        sys.exit(f"{side} ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def show(name: str, now: dict) -> None:
    print(
        f"{name:24}"
        + "".join(
            f"{now[key]:8.2f}" for key in ("all", "sample", "judge", "update", "cpu", "reward")
        ),
        flush=True,
    )


def measure(arguments) -> dict:
    """{"all", "sample", "judge", "update", "cpu" (seconds a cycle), "reward" (its mean)} of one
    side."""
    from recipes.runfolder.run import Run

    side, *details = arguments.only.split()
    with Run.open(arguments.run) as run:
        return (
            measure_ours(run, arguments)
            if side == "coldstart"
            else measure_trl(run, arguments, *details)
        )


@dataclass
class Clock:
    """When the cycles began and what they did, one entry each."""

    began: list[tuple[float, float]] = field(default_factory=list)
    """Seconds, and processor seconds, at the start of each cycle and at the end of the last."""
    spans: list[dict[str, float]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def tick(self) -> None:
        """A cycle begins here, and the one before ends."""
        self.began.append((time.perf_counter(), tree_seconds(os.getpid())))
        self.spans.append({"sample": 0.0, "judge": 0.0})

    def timed(self, name: str, function):
        """`function`, its time added to the span `name`."""

        def call(*args, **kwargs):
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spans[-1][name] += time.perf_counter() - started

        return call

    def result(self) -> dict:
        """The means of all cycles but the first."""
        cycles = len(self.began) - 2
        whole, cpu = ((end - start) / cycles for start, end in zip(self.began[1], self.began[-1]))
        sample, judge = (
            sum(span[name] for span in self.spans[1:-1]) / cycles for name in ("sample", "judge")
        )
        return {
            "all": whole,
            "sample": sample,
            "judge": judge,
            "update": whole - sample - judge,
            "cpu": cpu,
            "reward": sum(self.rewards[1:]) / cycles,
        }


def tree_seconds(root: int) -> float:
    """Processor time of a process and all that it started, seconds; of those that have ended what
    their parents have asked for."""
    children, used = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            values = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        children.setdefault(int(values[1]), []).append(int(folder.name))
        used[int(folder.name)] = sum(map(int, values[11:15]))
    waiting, ticks = [root], 0
    while waiting:
        process = waiting.pop()
        ticks += used.get(process, 0)
        waiting += children.get(process, ())
    return ticks / os.sysconf("SC_CLK_TCK")


# ---- coldstart -----------------------------------------------------------------------------------


def measure_ours(run, arguments) -> dict:
    """Cycles as `climb` does them. Writes the tasks that they chose to --tasks, for the others."""
    from coldstart import open_screen
    from recipes.learning.reinforce import ClimbState, cycle
    from recipes.session import Session, open_judge

    emit = open_screen(as_json=True).emit
    clock, chosen, state = Clock(), [], ClimbState()
    with open_judge(run, emit) as judge:
        session = Session(run, judge, emit)
        session.student.restore(run.checkpoint("last"))
        train, engine, student = session.by_split("train"), session.engine, session.student
        stream, snapshot, sampled = engine.stream, student.snapshot, [0.0]

        def timed_stream(*args):
            parts = stream(*args)
            while part := clock.timed("sample", next)(parts, None):
                sampled[0] = time.perf_counter()
                yield part

        def timed_snapshot():
            clock.spans[-1]["judge"] += (
                time.perf_counter() - sampled[0]
            )  # the first thing that a cycle does after judging
            return snapshot()

        engine.stream, student.snapshot = timed_stream, timed_snapshot
        for _ in range(1 + arguments.cycles):
            clock.tick()
            result = cycle(engine, train, session.prompts, state, run.recipe, session.judge_replies)
            clock.rewards.append(result.metrics["reward/mean"])
            chosen += dict.fromkeys(r.instance_id for r in result.rollouts)
        clock.tick()
        engine.close()
    arguments.tasks.write_text(json.dumps(chosen))
    return clock.result()


# ---- TRL -----------------------------------------------------------------------------------------


def measure_trl(run, arguments, trainer_name: str, base: str, rows: str) -> dict:
    """Steps of TRL's trainer on the tasks that coldstart's cycles chose."""
    import torch
    import trl
    from datasets import Dataset
    from transformers import TrainerCallback

    from recipes.learning.tokens import budget_of
    from sandbox.tasks.prompts import build

    climb, clock, budget = run.recipe.climb, Clock(), budget_of(run.recipe)[0]
    tasks = {t.instance_id: t for t in run.tasks}
    data = [
        {
            "instance_id": name,
            "prompt": build(
                tasks[name], run.repository.snapshot, run.recipe.prompt.style, budget
            ).messages,
        }
        for name in json.loads(arguments.tasks.read_text())
    ]
    model, tokenizer = trl_student(run, base)
    torch.use_deterministic_algorithms(False)

    class Ticks(TrainerCallback):
        def on_train_begin(self, *_, **__):
            clock.tick()

        def on_step_end(self, *_, **__):
            clock.tick()

    rollouts = climb.groups * climb.group_size
    with tempfile.TemporaryDirectory() as scratch:
        settings = getattr(trl, f"{trainer_name}Config")(
            output_dir=scratch,
            per_device_train_batch_size=int(rows),
            gradient_accumulation_steps=rollouts // int(rows),
            num_generations=climb.group_size,
            max_completion_length=run.recipe.student.max_new,
            temperature=climb.temperature,
            learning_rate=climb.lr,
            max_grad_norm=climb.clip,
            beta=0.0,
            max_steps=1 + arguments.cycles,
            shuffle_dataset=False,
            gradient_checkpointing=False,
            use_cpu=True,
            bf16=False,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = getattr(trl, f"{trainer_name}Trainer")(
            model=model,
            reward_funcs=PytestReward(run, tasks, clock),
            args=settings,
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer,
            callbacks=[Ticks()],
        )
        for parameter in (
            trainer.model.parameters()
        ):  # it has made those on NF4 bfloat16, which a CPU is slow at
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        trainer._generate = clock.timed("sample", trainer._generate)
        trainer._calculate_rewards = clock.timed("judge", trainer._calculate_rewards)
        trainer.train()
    return clock.result()


def trl_student(run, base: str) -> tuple:
    """(PEFT model with the bootstrapped adapter, tokenizer)"""
    from recipes.learning.student import Student

    path = run.recipe.student.model
    student = Student.load(run.recipe, path, run.recipe.seed, run.checkpoint("last"))
    if base == "nf4":
        student.policy.model.config._name_or_path = ""
        return student.policy.model, student.tokens.tokenizer

    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return PeftModel.from_pretrained(
        plain, run.checkpoint("last"), is_trainable=True
    ), student.tokens.tokenizer


class PytestReward:
    """1.0 where pytest ends with exit code 0 on a copy of the repository with the edit in it, else
    0.0.
    """

    __name__ = "pytest"

    def __init__(self, run, tasks: dict, clock: Clock) -> None:
        self.tree, self.python, self.style = (
            run.repository.snapshot,
            run.repository.python,
            run.recipe.prompt.style,
        )
        self.tasks, self.clock = tasks, clock

    def __call__(self, completions: list, instance_id: list[str], **_) -> list[float]:
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            rewards = list(pool.map(self.one, completions, instance_id))
        self.clock.rewards.append(sum(rewards) / len(rewards))
        return rewards

    def one(self, completion: list[dict], instance_id: str) -> float:
        from sandbox.judge.edits import from_reply
        from sandbox.judge.gate import InvalidEdit

        task = self.tasks[instance_id]
        try:
            edit = from_reply(completion[0]["content"], task, task.broken(self.tree), self.style)
        except InvalidEdit:
            return 0.0
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "repository"
            shutil.copytree(self.tree, copy)
            for path, text in edit.items():
                (copy / path).write_text(text)
            try:
                done = subprocess.run(
                    [self.python, "-m", "pytest", "-q", *task.tests],
                    cwd=copy,
                    capture_output=True,
                    timeout=TIMEOUT,
                )
            except subprocess.TimeoutExpired:
                return 0.0
        return float(done.returncode == 0)


if __name__ == "__main__":
    main()
