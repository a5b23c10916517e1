"""The steps of both loops on one run: the student and its sampler, the court that judges, the
teacher that is hired, at work together.

    with open_judge(run, screen) as court:                        # court.py
        bench = Workbench(run, court, screen, hired)
        for stage in stages.left(run.content["done"]): bench.take(stage)     # stages.py
        bench.climb(cycles=50, minutes=None)

Each stage goes on where it was cut off, and does nothing where it is done. `screen` is whoever
shows a person what happens: it has `say(sentence)`, `progress(what, done, total)`, and
`patience()`, a context manager whose `check()` raises KeyboardInterrupt between two parts of a step
where the person wants it to end.
"""

import time
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from recipes import export as exporting
from recipes import facts, stages
from recipes.alarm import alarm
from recipes.rollout import TOLERATED
from sandbox.errors import HarnessError, UsageError
from sandbox.reasons import counted

CHUNK = 24
"""Tasks whose rollouts are sampled together, at most."""
CHUNK_TOKENS = 12_288
"""The same in tokens, on the CPU. A probe that is cut off begins its last chunk again, so that its
draws are those of a probe that was not: a chunk is to take no more than about a minute."""


class _Rollouts:
    """A bar that counts rollouts as they are written, from the first one on."""

    def __init__(self, screen, what: str, total: int, done: int = 0) -> None:
        self._screen, self._what, self._total, self._done = screen, f"{what}, rollouts", total, done
        self.add(0)

    def add(self, ended: int) -> None:
        """The last one counts when all are judged (`end`)."""
        self._done += ended
        self._screen.progress(self._what, max(0, min(self._done, self._total - 1)), self._total)

    def end(self) -> None:
        self._screen.progress(self._what, self._total, self._total)


class Workbench:
    """The student at work on one run: loads it when it is first needed, and takes the steps of both
    loops."""

    def __init__(self, run, court, screen, hired=None) -> None:
        self.run, self.court, self.screen, self.recipe, self.hired = (
            run,
            court,
            screen,
            run.recipe,
            hired,
        )
        self.tree, self._all_tasks = run.repository.snapshot, run.tasks
        self._student = self._engine = None
        self.prompt_facts: dict = {}
        """How much the prompts show (`prompts.summary`), once they have been built."""

    # ------------------------------------------------------------------ the student and its prompts

    @property
    def student(self):
        if self._student is None:
            from recipes.student import Student

            # The memory is planned with the engine that the run began with.
            engine = self.run.content.get("engine", self.recipe.rollout.engine)
            recipe = replace(self.recipe, rollout=replace(self.recipe.rollout, engine=engine))
            self._student = Student.load(recipe, self._model_path(), self.recipe.seed)
        while self._student.notes:  # some come later, when memory has run out
            self.screen.say(self._student.notes.pop(0))
        return self._student

    def _model_path(self) -> Path | str:
        if self.recipe.student.model != "nano":
            return self.recipe.student.model
        from recipes.nano import make_student
        from recipes.tokens import nano_folder
        from sandbox.cache import make_room

        with self.run.timed(stages.STUDENT):
            made = make_student(
                nano_folder(self.recipe.seed).parent,
                self.recipe.seed,
                on_progress=self.screen.progress,
            )
        make_room(self.screen.say)
        return made

    @property
    def tasks(self) -> list:
        """The tasks of the run, but for those that have been set aside."""
        return [t for t in self._all_tasks if t.instance_id not in self.run.set_aside]

    @cached_property
    def chats(self) -> dict[str, list[dict]]:
        """{instance_id: messages} of the tasks that can be put within the recipe's longest prompt."""
        from recipes.prompts import Budget, build, extents_in_words, summary

        settings, budget, built = (
            self.recipe.prompt,
            Budget.of(self.student, self.recipe.student.max_prompt),
            {},
        )
        for task in self._all_tasks:
            built[task.instance_id] = build(task, self.tree, settings.style, budget)
            self.screen.progress("building prompts", len(built), len(self._all_tasks))
        self.prompt_facts = summary(list(built.values()), budget.tokens)
        if self.prompt_facts != self.run.content.get("prompts"):
            self.screen.say(extents_in_words(list(built.values()), budget.tokens))
        chats = {name: prompt.messages for name, prompt in built.items() if prompt}
        if lost := [name for name in built if name not in chats]:
            self.screen.say(
                f"Left out, because not even the function itself fits into {budget.tokens} tokens: "
                f"{', '.join(lost)}. "
                "--set student.max_prompt=N gives a new run more room."
            )
        if not chats:
            raise UsageError(
                f"No task's function fits into a prompt of {budget.tokens} tokens. Give a new run "
                "more with "
                "--set student.max_prompt=N, or choose another recipe."
            )
        return chats

    @cached_property
    def prompts(self) -> dict[str, list[int]]:
        """{instance_id: prompt ids} of the same."""
        return {name: self.student.prompt_ids(messages) for name, messages in self.chats.items()}

    @property
    def engine(self):
        """What samples; the run keeps the one that it began with, so that a continued run writes
        the same."""
        if self._engine is None:
            from recipes import engines
            from sandbox.cache import cache_folder, make_room

            name = self.run.content.get("engine")
            if name is None:
                name, why = engines.choose(self.student, self.recipe)
                self.screen.say(why)
                self.run.content["engine"] = name
                self.run.write()
            for note in engines.notes(name, self.student):
                self.screen.say(note)
            self._engine = engines.open_engine(
                name, self.student, self.recipe, cache_folder() / "gguf", self.screen.progress
            )
            make_room(self.screen.say)
        return self._engine

    def _check_policy(self) -> None:
        """Refuse to go on where what samples is not what is trained; with the adapter as it is now."""
        from recipes.engines import check_policy

        check_policy(self.engine, list(self.prompts.values()), self.recipe)

    def by_split(self, split: str) -> list:
        return [t for t in self.tasks if t.split == split and t.instance_id in self.prompts]

    def judge_replies(self, pairs: list, style: str | None = None) -> list:
        """Verdicts for (task, reply text) pairs, written in the student's style if no other is
        named; a HarnessError in the place of each that the jail failed on again and again."""
        from sandbox.episode import judge_replies

        return judge_replies(self.court, pairs, style or self.recipe.prompt.style)

    def take(self, stage: stages.Stage) -> None:
        """One stage of bootstrap, but for mining, which comes before a student is at work: a probe,
        or else the method of its name."""
        if stage.is_probe:
            self.probe(stage.name)
        else:
            getattr(self, stage.name)()

    # -------------------------------------------------------------------------------- measuring

    def probe(self, phase: str) -> None:
        """k rollouts of every task: probe.jsonl and rollouts.jsonl, task by task as they are
        judged."""
        from recipes.measure import probe

        if self.run.is_done(phase):
            return
        if phase != stages.BEFORE.name:
            self.student.restore(self.run.checkpoint("best"))
        settings = self.recipe.probe
        wanted = [t for t in self.tasks if t.instance_id in self.prompts]
        self.run.content["prompts"] = self.prompt_facts
        known = self._keep_whole_chunks(phase, wanted)
        pending = [(t, self.prompts[t.instance_id]) for t in wanted if t.instance_id not in known]
        with self.screen.patience() as patience, self.run.step(phase):
            self._check_policy()
            bar, unmeasured = (
                _Rollouts(
                    self.screen,
                    f"probing ({phase})",
                    settings.k * len(wanted),
                    settings.k * len(known),
                ),
                [],
            )
            for found, group in probe(
                self.engine,
                pending,
                settings.k,
                settings.temperature,
                self.recipe.student.max_new,
                self.recipe.seed,
                self.judge_replies,
                self._chunk(settings.k),
                bar.add,
            ):
                self.run.append("rollouts.jsonl", [{"phase": phase, **r.record()} for r in group])
                if found:
                    self.run.append(
                        "probe.jsonl",
                        [
                            {
                                "phase": phase,
                                "temperature": settings.temperature,
                                "instance_id": found.instance_id,
                                "k": found.k,
                                "resolved": found.resolved,
                                "truncated": found.truncated,
                            }
                        ],
                    )
                else:
                    unmeasured.append(group)
                patience.check()
            bar.end()
            self._set_aside(unmeasured)
        if phase == stages.BEFORE.name:
            train = {t.instance_id for t in self.by_split("train")}
            words = facts.cut_off_sentence(
                [p for p in facts.read_probes(self.run, phase) if p.instance_id in train],
                self.recipe.student.max_new,
            )
            if words:
                self.screen.say(words)

    def _chunk(self, k: int) -> int:
        """Tasks that are sampled together."""
        if self.student.device.type == "cuda":
            return CHUNK
        return max(1, min(CHUNK, CHUNK_TOKENS // (k * self.recipe.student.max_new)))

    def _keep_whole_chunks(self, phase: str, wanted: list) -> set[str]:
        """The tasks that are measured already. What was recorded of a chunk that was cut off is
        dropped, and will be sampled again beside the same other tasks: so it comes out the same, to
        the last bit."""
        recorded = {r["instance_id"] for r in self.run.read("probe.jsonl") if r["phase"] == phase}
        size, known = self._chunk(self.recipe.probe.k), set()
        for start in range(0, len(wanted), size):
            chunk = {t.instance_id for t in wanted[start : start + size]}
            if not chunk <= recorded:
                break
            known |= chunk
        for file in ("probe.jsonl", "rollouts.jsonl"):
            self._drop(file, lambda r: r["phase"] == phase and r["instance_id"] not in known)
        return known

    def _set_aside(self, groups: list) -> None:
        """The run goes on without the tasks whose rollouts the jail could not judge. Only at the
        end of a step: if that ends early because the machine is at fault, the tasks are not."""
        from recipes.rollout import failures_of

        if failures := failures_of(groups):
            self.run.content["set_aside"] = {**self.run.set_aside, **failures}
            self.run.write()
        for name, why in failures.items():
            self.screen.say(f"{name} is set aside for the rest of this run: {why}")

    def evaluate(
        self, checkpoint: str, split: str, k: int, temperature: float, voice: bool
    ) -> dict:
        """Base and checkpoint on the same tasks and seeds: eval.jsonl, task by task, and
        voice.jsonl. What is known is not measured again; a task that could not be measured for both
        is left out."""
        from recipes import evaluation
        from recipes.voice import count

        folder, spoken = self.run.checkpoint(checkpoint), {}
        chosen = evaluation.choose([t for t in self.tasks if t.instance_id in self.prompts], split)
        measured = []
        for name, adapter in (
            (evaluation.BASE, evaluation.BASE),
            (checkpoint, evaluation.name_of(folder)),
        ):
            if adapter != evaluation.BASE:
                self.student.restore(folder)
            known = evaluation.read(self.run, adapter, k, temperature)
            self._measure(
                adapter, name, [t for t in chosen if t.instance_id not in known], k, temperature
            )
            measured.append(evaluation.read(self.run, adapter, k, temperature))
            if voice:
                spoken[name] = count(self._ask_who_it_is(adapter, k, temperature))
        both = [t.instance_id for t in chosen if all(t.instance_id in known for known in measured)]
        compared = evaluation.compare(
            self.run, *([known[name] for name in both] for known in measured), temperature
        )
        return {**compared, **({"voice": spoken} if voice else {})}

    def _measure(self, adapter: str, name: str, tasks: list, k: int, temperature: float) -> None:
        """Lines of eval.jsonl for the student as it is."""
        from recipes import evaluation
        from recipes.measure import probe

        pending = [(t, self.prompts[t.instance_id]) for t in tasks]
        bar = _Rollouts(self.screen, f"measuring {name}", k * len(pending))
        with self.screen.patience() as patience:
            for found, group in probe(
                self.engine,
                pending,
                k,
                temperature,
                self.recipe.student.max_new,
                self.recipe.seed + evaluation.SEED_STEP,
                self.judge_replies,
                self._chunk(k),
                bar.add,
            ):
                if found:
                    self.run.append(
                        evaluation.FILE, [evaluation.record(adapter, k, temperature, found)]
                    )
                else:
                    self.screen.say(
                        f"{group[0].instance_id} is left out: "
                        f"{next(r.failure for r in group if r.failure)}"
                    )
                patience.check()
        bar.end()

    def export(
        self, target: str, checkpoint: str, folder: Path, quantisation: str, count: int
    ) -> dict | None:
        """Write the files of a model export to `folder` and replay `count` tasks through them and
        through the checkpoint, greedily; what `exporting.compare` says of that, None where nothing
        is to be replayed."""
        from recipes import model_export
        from recipes.model_card import write_card
        from recipes.model_engine import ModelEngine
        from sandbox.cache import cache_folder, make_room

        source, found = self.run.checkpoint(checkpoint), None
        self.student.restore(source)
        model_export.write(
            target,
            self.student,
            source,
            folder,
            cache_folder() / "gguf",
            self.recipe,
            quantisation,
            self.screen.progress,
        )
        make_room(self.screen.say)
        if count:
            chosen = exporting.choose_tasks(
                self.run, [t for t in self.tasks if t.instance_id in self.prompts], count
            )
            own = self._replay(
                ModelEngine(self.student), [(t, self.prompts[t.instance_id]) for t in chosen]
            )
            with model_export.opened(target, self.student, folder, self.recipe) as engine:
                asked = [
                    (t, model_export.engine_prompt(engine, self.student, self.chats[t.instance_id]))
                    for t in chosen
                ]
                found = exporting.compare(own, self._replay(engine, asked))
        if target == "peft":
            write_card(folder, self.run, checkpoint, found)
        return found

    def _replay(self, engine, pairs: list[tuple]) -> list:
        """The likeliest reply to each (task, prompt ids), judged: one Rollout a task."""
        from recipes.measure import probe

        found = probe(
            engine,
            pairs,
            1,
            0.0,
            self.recipe.student.max_new,
            self.recipe.seed,
            self.judge_replies,
            CHUNK,
        )
        by_name = {group[0].instance_id: group for _, group in found}
        return [rollout for task, _ in pairs for rollout in by_name[task.instance_id]]

    def _ask_who_it_is(self, adapter: str, k: int, temperature: float) -> list[str]:
        """k answers to each of the questions about itself, added to voice.jsonl."""
        from recipes.measure import derived_seed
        from recipes.voice import QUESTIONS, named

        prompts = [
            self.student.prompt_ids([{"role": "user", "content": question}])
            for question in QUESTIONS
        ]
        seeds = [derived_seed("voice", self.recipe.seed, question) for question in QUESTIONS]
        groups = self.engine.sample(prompts, k, temperature, self.recipe.student.max_new, seeds)
        answers = [
            (question, self.student.text(c.ids))
            for question, group in zip(QUESTIONS, groups)
            for c in group
        ]
        self.run.append(
            "voice.jsonl",
            [
                {
                    "adapter": adapter,
                    "temperature": temperature,
                    "question": question,
                    "answer": answer,
                    "names": named(answer),
                }
                for question, answer in answers
            ],
        )
        return [answer for _, answer in answers]

    def _drop(self, file: str, cut_off) -> None:
        """Drop the lines of a step that was cut off before they counted."""
        records = self.run.read(file)
        kept = [r for r in records if not cut_off(r)]
        if len(kept) < len(records):
            self.run.keep_only(file, kept)

    def summary(self, phase: str) -> dict:
        return facts.probe_summary(self.run, phase)

    def anything_solved(self, phase: str) -> bool:
        """Whether a task for training was solved at least once: what REINFORCE needs."""
        train = {t.instance_id for t in self.tasks if t.split == "train"}
        return any(p.resolved for p in facts.read_probes(self.run, phase) if p.instance_id in train)

    # -------------------------------------------------------------------------------- bootstrap

    def cold_for_teacher(self) -> list:
        """The reference teacher is the gold edit: where there is none, it has nothing to say."""
        from recipes.teacher import choose_cold

        states = {p.instance_id: p.state for p in facts.read_probes(self.run, stages.BEFORE.name)}
        is_model = self.hired or self.run.content.get("teacher")
        return choose_cold(
            [t for t in self.tasks if t.patch or is_model],
            states,
            self.recipe.teacher.share,
            self.recipe.seed,
        )

    def dry_run(self) -> dict:
        """Say what the API teacher would be sent and what it would cost, write the prompts to
        RUN/prompts, and return the same as data."""
        planned = self._plan()
        folder = self.run.folder / "prompts"
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.txt"):
            old.unlink()
        for name, prompt in planned.prompts.items():
            (folder / f"{name}.txt").write_text(prompt[0]["content"], encoding="utf-8")
        self.screen.say(f"Nothing was sent. What would be sent first of all is in {folder}.")
        return {
            "name": self.hired.endpoint.name,
            "model": self.hired.endpoint.model,
            "requests": 0,
            "usd": 0.0,
            "asked": 0,
            "verified": 0,
            "plan": {**planned.to_dict(), "max_usd": self.hired.max_usd},
        }

    def _plan(self):
        from recipes.hiring import plan

        planned = plan(
            self.cold_for_teacher(),
            self.tree,
            self.hired.endpoint,
            self.recipe.teacher,
            self._guard,
        )
        for line in planned.lines(self.hired):
            self.screen.say(line)
        return planned

    @cached_property
    def _guard(self):
        from recipes.outgoing import Guard

        return Guard(self.run.repository)

    def teach(self) -> None:
        """Ask the teacher for the cold tasks; what the tests verify becomes trajectories.jsonl,
        beside rollouts of the student's own."""
        if self.run.is_done(stages.TEACH.name):
            return
        chosen = self.cold_for_teacher()
        if self.hired is None:
            self.screen.say(
                "No API teacher is named, so the reference teacher answers: with the repository's "
                "own code, verified like any "
                "other."
            )
        with self.screen.patience() as patience, self.run.step(stages.TEACH.name):
            asked = (
                self._ask_reference(chosen, patience)
                if self.hired is None
                else self._ask_api_teacher(chosen, patience)
            )
            self._add_replay()
        self.screen.say(
            f"{asked} cold tasks were given to the teacher; the tests verified "
            f"{len(self._taught())} answers."
        )

    def _taught(self) -> list[dict]:
        """The verified answers of teachers."""
        return [r for r in self.run.read("trajectories.jsonl") if r["source"] != "student"]

    def _ask_reference(self, chosen: list, patience) -> int:
        """Ask for the gold edits of all tasks; returns how many these are."""
        from recipes.teacher import ReferenceTeacher

        known = {r["instance_id"] for r in self.run.read("trajectories.jsonl")}
        teacher = ReferenceTeacher(self.tree, self.recipe.prompt.style)
        pending = [t for t in chosen if t.instance_id not in known]
        self.run.append("trajectories.jsonl", [])
        unjudged: dict[str, str] = {}
        for start in range(0, len(pending), CHUNK):
            asked = [(t, self.chats[t.instance_id]) for t in pending[start : start + CHUNK]]
            replies = [(t, m, teacher.reply(t, m)) for t, m in asked]
            verdicts = self.judge_replies([(t, reply) for t, _, reply in replies])
            self.run.append(
                "trajectories.jsonl",
                [
                    {
                        "messages": [*m, {"role": "assistant", "content": reply}],
                        "instance_id": t.instance_id,
                        "source": teacher.source,
                        "reward": verdict.reward,
                    }
                    for (t, m, reply), verdict in zip(replies, verdicts)
                    if not isinstance(verdict, HarnessError) and verdict.status == "resolved"
                ],
            )
            unjudged |= {
                t.instance_id: str(v)
                for (t, _, _), v in zip(replies, verdicts)
                if isinstance(v, HarnessError)
            }
            self._say_unjudged(unjudged, len(pending))
            self.screen.progress("asking the teacher", start + len(asked), len(pending))
            patience.check()
        return len(chosen)

    def _say_unjudged(self, unjudged: dict[str, str], asked: int) -> None:
        """Name the tasks whose answers the jail could not judge. Raises HarnessError where they are
        more than a tenth of those asked."""
        if len(unjudged) > TOLERATED * asked:
            raise HarnessError(
                f"The jail failed on the teacher's answers to {len(unjudged)} of {asked} tasks, so "
                "this stops here: "
                f"{next(iter(unjudged.values()))} What was done is kept."
            )
        for name, why in unjudged.items():
            self.screen.say(f"{name} is not taught: {why}")
        unjudged.clear()

    def _ask_api_teacher(self, chosen: list, patience) -> int:
        """Hold conversations about all tasks that may be sent, as far as the money goes, and return
        how many these are. Those of a run that was cut off are held again, at no cost."""
        from recipes.endpoint import Asker, Client
        from recipes.ledger import Ledger, Replies, as_pico, read_summary
        from recipes.teacher import ApiTeacher, Bench
        from sandbox.cache import cache_folder

        recipe, settings, planned, lessons = self.recipe, self.recipe.teacher, self._plan(), {}
        bench = Bench(
            self.judge_replies,
            lambda task, files: self.court.run(
                {
                    "files": files,
                    "ids": list(task.shown),
                    "text": True,
                    "timeout": self.court.limits.timeout + 10 * task.test_seconds,
                }
            ),
            self.court.stop,
        )
        with (
            Replies(cache_folder() / "teacher") as replies,
            Ledger.open(self.run.folder / "teacher.sqlite", replies) as ledger,
        ):
            asker = Asker(
                Client(self.hired.endpoint, self.hired.key, settings.stall),
                ledger,
                replies,
                as_pico(self.hired.max_usd),
                settings.tries,
                settings.pause,
                recipe.seed,
                lambda: patience.asked,
                self.screen.say,
            )
            teacher = ApiTeacher(
                asker,
                settings,
                recipe.prompt.style,
                recipe.seed,
                self.tree,
                bench,
                self._guard,
                self.chats,
            )
            for lesson in teacher.teach(
                [t for t in chosen if t.instance_id in planned.prompts], planned.prompts
            ):
                lessons[lesson.task.instance_id] = lesson
                self.screen.progress("asking the teacher", len(lessons), len(planned.prompts))
            patience.check()
            asker.check()
        self._say_unjudged(
            {name: lesson.why for name, lesson in lessons.items() if lesson.unjudged}, len(lessons)
        )
        self.run.keep_only(
            "trajectories.jsonl",
            [
                {
                    "messages": dialogue,
                    "instance_id": t.instance_id,
                    "source": teacher.source,
                    "reward": 1.0,
                }
                for t in chosen
                if t.instance_id in lessons
                for dialogue in lessons[t.instance_id].dialogues
            ],
        )
        if unsolved := Counter(lesson.why for lesson in lessons.values() if not lesson.dialogues):
            self.screen.say(f"Without a verified answer: {counted(unsolved)}.")
        spent = read_summary(self.run.folder)
        self.screen.say(
            f"{self.hired.endpoint.name} was sent {spent['requests']} requests, for "
            f"${spent['usd']:.4f} of at most "
            f"${self.hired.max_usd:.2f}."
        )
        return len(lessons)

    def _add_replay(self) -> None:
        """Rollouts that the student itself got right before, so that learning from the teacher does
        not cost it what it could do."""
        from recipes.teacher import choose_replay

        taught = self._taught()
        rollouts = [r for r in self.run.read("rollouts.jsonl") if r["phase"] == stages.BEFORE.name]
        own = choose_replay(
            self.tasks, rollouts, len(taught), self.recipe.distil.replay, self.recipe.seed
        )
        if own:
            self.run.keep_only(
                "trajectories.jsonl",
                taught
                + [
                    {
                        "messages": [
                            *self.chats[r["instance_id"]],
                            {"role": "assistant", "content": r["text"]},
                        ],
                        "instance_id": r["instance_id"],
                        "source": "student",
                        "reward": 1.0,
                    }
                    for r in own
                ],
            )

    def teacher_facts(self) -> dict:
        """{"name", "requests", "usd", "asked", "verified"}"""
        from recipes.ledger import read_summary

        asked, named = len(self.cold_for_teacher()), self.run.content.get("teacher")
        verified = len({r["instance_id"] for r in self._taught()})
        if named is None:
            return {
                "name": "reference",
                "requests": asked,
                "usd": 0.0,
                "asked": asked,
                "verified": verified,
            }
        spent = read_summary(self.run.folder)
        return {
            "name": named["endpoint"]["name"],
            "model": named["endpoint"]["model"],
            "requests": spent["requests"],
            "usd": spent["usd"],
            "asked": len(spent["by_task"]),
            "verified": verified,
        }

    def distil(self) -> None:
        """Fine-tune on the verified trajectories."""
        from recipes.distil import distil
        from recipes.student import Sample

        if self.run.is_done(stages.DISTIL.name):
            return
        trajectories = self.run.read("trajectories.jsonl")
        pairs = [
            Sample(
                tuple(self.student.prompt_ids(t["messages"][:-1])),
                tuple(self.student.completion_ids(t["messages"][-1]["content"])),
            )
            for t in trajectories
        ]
        examples = [e for e in pairs if len(e.completion) <= self.recipe.student.max_new]
        if len(examples) < len(pairs):
            self.screen.say(
                f"{len(pairs) - len(examples)} verified answers are longer than the "
                f"{self.recipe.student.max_new} tokens that "
                "the student may write, and are left out."
            )
        folder = self.run.folder / "checkpoints"
        start = (
            self.student.restore(self.run.checkpoint("last"))["step"]
            if "last" in self.run.content["checkpoints"]
            else 0
        )
        with self.screen.patience() as patience, self.run.step(stages.DISTIL.name):
            if not examples:
                self.screen.say(
                    "No verified answer is left, so there is nothing to distil: the student stays "
                    "as it is."
                )
            for now in (
                distil(self.student, examples, self.recipe.distil, self.recipe.seed, start)
                if examples
                else ()
            ):
                self.screen.progress("fine-tuning", now.step, now.steps)
                if (
                    now.step % self.recipe.distil.save_every == 0 or patience.asked
                ) and now.step < now.steps:
                    name = f"distil-{now.step:04d}"
                    self.student.save(folder / name, {"step": now.step})
                    self.run.name_checkpoints(last=name)
                    patience.check()
            name = stages.checkpoint_after(0)
            self.student.save(folder / name, {"step": self.recipe.distil.steps})
            self.run.name_checkpoints(distilled=name, last=name, best=name)

    # -------------------------------------------------------------------------------- climb

    def climb(self, cycles: int, minutes: float | None) -> int:
        """REINFORCE until the run has `cycles` cycles; returns how many it has."""
        from recipes.reinforce import ClimbState, cycle, in_words

        run, recipe = self.run, self.recipe
        counters = self.student.restore(run.checkpoint("last"))
        state = ClimbState.from_dict(counters.get("climb", {}))
        self._forget_after(state.cycle, counters.get("metrics"))
        if recipe.climb.kl:
            self.student.freeze_reference(run.checkpoint("distilled"))
        started = time.monotonic()
        self._check_policy()
        if state.best_pass_at_1 is None and (found := self._heldout()):
            state.is_best(found["heldout"]["pass_at_1"])
        with self.screen.patience() as patience, run.timed(stages.CLIMB.name):
            while state.cycle < cycles and (
                minutes is None or time.monotonic() - started < 60 * minutes
            ):
                train = self.by_split("train")
                if not train:
                    raise HarnessError(
                        "Every task for training has been set aside, because the jail failed on it."
                    )
                of_cycle = recipe.climb.group_size * min(recipe.climb.groups, len(train))
                bar = _Rollouts(self.screen, "climbing", of_cycle * cycles, of_cycle * state.cycle)
                result = cycle(
                    self.engine, train, self.prompts, state, recipe, self.judge_replies, bar.add
                )
                self._set_aside([result.rollouts])
                line, best = dict(result.metrics), False
                name = stages.checkpoint_after(result.cycle)
                if result.cycle % recipe.climb.eval_every == 0 or result.cycle == cycles:
                    found = self._heldout()
                    line |= facts.heldout_metrics(found)
                    best = not found or state.is_best(found["heldout"]["pass_at_1"])
                run.append(
                    "rollouts.jsonl",
                    [
                        {"phase": stages.CLIMB.name, "cycle": result.cycle, **r.record()}
                        for r in result.rollouts
                    ],
                )
                self.student.save(
                    run.folder / "checkpoints" / name, {"climb": state.to_dict(), "metrics": line}
                )
                run.name_checkpoints(last=name, **({"best": name} if best else {}))
                before = alarm(run.read("metrics.jsonl"))
                run.append("metrics.jsonl", [line])
                self.screen.say(in_words(result) + facts.heldout_words(line, best))
                if (warning := alarm(run.read("metrics.jsonl"))) and not before:
                    self.screen.say(warning)
                patience.check()
        return state.cycle

    def _forget_after(self, cycle: int, line: dict | None) -> None:
        """Bring metrics.jsonl and rollouts.jsonl in step with the checkpoint that climbing goes on
        from."""
        self._drop(
            "rollouts.jsonl", lambda r: r["phase"] == stages.CLIMB.name and r["cycle"] > cycle
        )
        metrics = [m for m in self.run.read("metrics.jsonl") if m["cycle"] < cycle]
        if line is not None:
            self.run.keep_only("metrics.jsonl", [*metrics, line])

    def _heldout(self) -> dict:
        """How good it is on the held-out tasks, always on the same seeds, which are not those of
        the probes: {group: summary} for `heldout` and its hard and soft ones; {} without such
        tasks."""
        from recipes.measure import probe, summarise

        pairs = [(t, self.prompts[t.instance_id]) for t in self.by_split("heldout")]
        if not pairs:
            return {}
        settings, found, unmeasured = self.recipe.probe, [], []
        bar = _Rollouts(self.screen, "measuring held-out tasks", settings.k * len(pairs))
        for measured, group in probe(
            self.engine,
            pairs,
            settings.k,
            settings.temperature,
            self.recipe.student.max_new,
            self.recipe.seed + 1,
            self.judge_replies,
            self._chunk(settings.k),
            bar.add,
        ):
            if measured:
                found.append(measured)
            else:
                unmeasured.append(group)
        bar.end()
        self._set_aside(unmeasured)
        groups = facts.grouped(self.run, sorted(found, key=lambda p: p.instance_id))
        return {
            name: summarise(groups[name], settings.temperature, self.recipe.seed)
            for name in ("heldout", *facts.APART["heldout"])
        }
