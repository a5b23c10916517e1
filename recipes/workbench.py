"""The steps of both loops on one run: the student and its sampler, the court that judges, the teacher that is hired, at work together.

    with open_judge(run, screen) as court:                        # court.py
        bench = Workbench(run, court, screen, hired)
        bench.probe("before"); bench.teach(); bench.distil(); bench.climb(cycles=50, minutes=None)

Each step leaves off where it was cut off, and does nothing where it is done. `screen` is whoever shows a person what happens: it has
`say(sentence)`, `progress(what, done, total)`, and `patience()`, a context manager whose `check()` raises KeyboardInterrupt between two
parts of a step where the person wants it to end.
"""
import time
from collections import Counter
from functools import cached_property
from pathlib import Path

from recipes import export as exporting
from recipes import facts
from sandbox.errors import UsageError

PROBE_CHUNK = 24
"""Tasks that are sampled and judged between two records of a probe on the disk."""


class Workbench:
    """The student at work on one run: loads it when it is first needed, and takes the steps of both loops."""

    def __init__(self, run, court, screen, hired=None) -> None:
        self.run, self.court, self.screen, self.recipe, self.hired = run, court, screen, run.recipe, hired
        self.tree, self.tasks = run.repository.snapshot, run.tasks
        self._student = self._prompts = self._engine = None

    # -------------------------------------------------------------------------------- the student and its prompts

    @property
    def student(self):
        if self._student is None:
            from recipes.student import Student

            self._student = Student.load(self.recipe, self._model_path(), self.recipe.seed)
        while self._student.notes:                 # some come later, when memory has run out
            self.screen.say(self._student.notes.pop(0))
        return self._student

    def _model_path(self) -> Path | str:
        if self.recipe.student.model != "nano":
            return self.recipe.student.model
        from recipes.nano import make_student
        from sandbox.repo import cache_folder

        with self.run.timed("student"):
            return make_student(cache_folder() / "students", self.recipe.seed, on_progress=self.screen.progress)

    @property
    def prompts(self) -> dict[str, list[int]]:
        """{instance_id: prompt ids} of the tasks whose prompt is short enough for the recipe."""
        if self._prompts is None:
            from recipes.prompts import messages

            ids = {t.instance_id: self.student.prompt_ids(messages(t, self.tree, self.recipe.prompt.style)) for t in self.tasks}
            self._prompts = {name: p for name, p in ids.items() if len(p) <= self.recipe.student.max_prompt}
            if left_out := len(ids) - len(self._prompts):
                self.screen.say(f"{left_out} tasks are left out: their prompt is longer than {self.recipe.student.max_prompt} tokens.")
            if not self._prompts:
                raise UsageError(f"Every task's prompt is longer than {self.recipe.student.max_prompt} tokens. "
                                 "Raise it with --set student.max_prompt=N, or choose another recipe.")
        return self._prompts

    @property
    def engine(self):
        """What samples; the run keeps the one that it began with, so that a continued run writes the same."""
        if self._engine is None:
            from recipes import engines
            from sandbox.repo import cache_folder

            name = self.run.content.get("engine")
            if name is None:
                name, why = engines.choose(self.student, self.recipe)
                self.screen.say(why)
                self.run.content["engine"] = name
                self.run.write()
            for note in engines.notes(name, self.student):
                self.screen.say(note)
            self._engine = engines.open_engine(name, self.student, self.recipe, cache_folder() / "gguf", self.screen.progress)
        return self._engine

    def _check_policy(self) -> None:
        """Refuse to go on where what samples is not what is trained; with the adapter as it is now."""
        from recipes.engines import check_policy

        check_policy(self.engine, list(self.prompts.values()), self.recipe)

    def by_split(self, split: str) -> list:
        return [t for t in self.tasks if t.split == split and t.instance_id in self.prompts]

    def judge_replies(self, pairs: list, style: str | None = None) -> list:
        """Verdicts for (task, reply text) pairs, written in the student's style if no other is named."""
        from sandbox.edits import InvalidEdit, from_reply

        edits = {}                                 # a student often writes the same thing again

        def edit(task, reply):
            if (key := (task.instance_id, reply)) not in edits:
                try:
                    edits[key] = from_reply(reply, task, task.broken(self.tree), style or self.recipe.prompt.style)
                except InvalidEdit as error:
                    edits[key] = error
            return edits[key]

        # One after the other, so that the gate finds the syntax tree of what was just made still at hand.
        return self.court.judge_many((task, edit(task, reply)) for task, reply in pairs)

    # -------------------------------------------------------------------------------- measuring

    def probe(self, phase: str) -> None:
        """k rollouts of every task: probe.jsonl and rollouts.jsonl, a chunk at a time."""
        from recipes.measure import probe

        if self.run.is_done(phase):
            return
        if phase != "before":
            self.student.restore(self.run.checkpoint("best"))
        known = {r["instance_id"] for r in self.run.read("probe.jsonl") if r["phase"] == phase}
        self._drop_rollouts(lambda r: r["phase"] == phase and r["instance_id"] not in known)
        wanted = [t for t in self.tasks if t.instance_id in self.prompts]
        pending = [(t, self.prompts[t.instance_id]) for t in wanted if t.instance_id not in known]
        settings, done = self.recipe.probe, len(known)
        with self.screen.patience() as patience, self.run.step(phase):
            self._check_policy()
            self.screen.progress(f"probing ({phase})", done, len(wanted))
            for chunk in probe(self.engine, pending, settings.k, settings.temperature, self.recipe.student.max_new, self.recipe.seed,
                               self.judge_replies, PROBE_CHUNK):
                self.run.append("rollouts.jsonl", [{"phase": phase, **r.record()} for _, group in chunk for r in group])
                self.run.append("probe.jsonl", [{"phase": phase, "temperature": settings.temperature, "instance_id": p.instance_id,
                                                 "k": p.k, "resolved": p.resolved, "truncated": p.truncated} for p, _ in chunk])
                done += len(chunk)
                self.screen.progress(f"probing ({phase})", done, len(wanted))
                patience.check()

    def evaluate(self, checkpoint: str, split: str, k: int, temperature: float, voice: bool) -> dict:
        """Base and checkpoint on the same tasks and seeds: eval.jsonl, a chunk at a time, and voice.jsonl. What is known is not measured
        again."""
        from recipes import evaluation
        from recipes.voice import count

        folder, spoken = self.run.checkpoint(checkpoint), {}
        chosen = evaluation.choose([t for t in self.tasks if t.instance_id in self.prompts], split)
        measured = []
        for name, adapter in ((evaluation.BASE, evaluation.BASE), (checkpoint, evaluation.name_of(folder))):
            if adapter != evaluation.BASE:
                self.student.restore(folder)
            known = evaluation.read(self.run, adapter, k, temperature)
            self._measure(adapter, name, [t for t in chosen if t.instance_id not in known], k, temperature)
            known = evaluation.read(self.run, adapter, k, temperature)
            measured.append([known[t.instance_id] for t in chosen])
            if voice:
                spoken[name] = count(self._ask_who_it_is(adapter, k, temperature))
        return {**evaluation.compare(self.run, *measured, temperature), **({"voice": spoken} if voice else {})}

    def _measure(self, adapter: str, name: str, tasks: list, k: int, temperature: float) -> None:
        """Lines of eval.jsonl for the student as it is."""
        from recipes import evaluation
        from recipes.measure import probe

        pending, done = [(t, self.prompts[t.instance_id]) for t in tasks], 0
        with self.screen.patience() as patience:
            self.screen.progress(f"measuring {name}", done, len(pending))
            for chunk in probe(self.engine, pending, k, temperature, self.recipe.student.max_new, self.recipe.seed + evaluation.SEED_STEP,
                               self.judge_replies, PROBE_CHUNK):
                self.run.append(evaluation.FILE, [evaluation.record(adapter, k, temperature, p) for p, _ in chunk])
                done += len(chunk)
                self.screen.progress(f"measuring {name}", done, len(pending))
                patience.check()

    def export(self, target: str, checkpoint: str, folder: Path, quantisation: str, count: int) -> dict | None:
        """Write the files of a model export to `folder` and replay `count` tasks through them and through the checkpoint, greedily; what
        `exporting.compare` says of that, None where nothing is to be replayed."""
        from recipes import model_export
        from recipes.model_card import write_card
        from recipes.model_engine import ModelEngine
        from recipes.prompts import messages
        from sandbox.repo import cache_folder

        source, found = self.run.checkpoint(checkpoint), None
        self.student.restore(source)
        model_export.write(target, self.student, source, folder, cache_folder() / "gguf", self.recipe, quantisation, self.screen.progress)
        if count:
            chosen = exporting.choose_tasks(self.run, [t for t in self.tasks if t.instance_id in self.prompts], count)
            own = self._replay(ModelEngine(self.student), [(t, self.prompts[t.instance_id]) for t in chosen])
            with model_export.opened(target, self.student, folder, self.recipe) as engine:
                asked = [(t, model_export.engine_prompt(engine, self.student, messages(t, self.tree, self.recipe.prompt.style)))
                         for t in chosen]
                found = exporting.compare(own, self._replay(engine, asked))
        if target == "peft":
            write_card(folder, self.run, checkpoint, found)
        return found

    def _replay(self, engine, pairs: list[tuple]) -> list:
        """The likeliest reply to each (task, prompt ids), judged: one Rollout a task."""
        from recipes.measure import probe

        chunks = probe(engine, pairs, 1, 0.0, self.recipe.student.max_new, self.recipe.seed, self.judge_replies, PROBE_CHUNK)
        return [rollout for chunk in chunks for _, group in chunk for rollout in group]

    def _ask_who_it_is(self, adapter: str, k: int, temperature: float) -> list[str]:
        """k answers to each of the questions about itself, added to voice.jsonl."""
        from recipes.measure import derived_seed
        from recipes.voice import QUESTIONS, named

        prompts = [self.student.prompt_ids([{"role": "user", "content": question}]) for question in QUESTIONS]
        seeds = [derived_seed("voice", self.recipe.seed, question) for question in QUESTIONS]
        groups = self.engine.sample(prompts, k, temperature, self.recipe.student.max_new, seeds)
        answers = [(question, self.student.text(c.ids)) for question, group in zip(QUESTIONS, groups) for c in group]
        self.run.append("voice.jsonl", [{"adapter": adapter, "temperature": temperature, "question": question, "answer": answer,
                                         "names": named(answer)} for question, answer in answers])
        return [answer for _, answer in answers]

    def _drop_rollouts(self, cut_off) -> None:
        """Drop the lines of a step that was cut off before they counted."""
        rollouts = self.run.read("rollouts.jsonl")
        kept = [r for r in rollouts if not cut_off(r)]
        if len(kept) < len(rollouts):
            self.run.keep_only("rollouts.jsonl", kept)

    def summary(self, phase: str) -> dict:
        return facts.probe_summary(self.run, phase)

    def anything_solved(self, phase: str) -> bool:
        """Whether a task for training was solved at least once: what REINFORCE needs."""
        train = {t.instance_id for t in self.tasks if t.split == "train"}
        return any(r["resolved"] for r in self.run.read("probe.jsonl") if r["phase"] == phase and r["instance_id"] in train)

    # -------------------------------------------------------------------------------- bootstrap

    def cold_for_teacher(self) -> list:
        """The reference teacher is the gold edit: where there is none, it has nothing to say."""
        from recipes.teacher import choose_cold

        states = {p.instance_id: p.state for p in facts.read_probes(self.run, "before")}
        is_model = self.hired or self.run.content.get("teacher")
        return choose_cold([t for t in self.tasks if t.patch or is_model], states, self.recipe.teacher.share, self.recipe.seed)

    def dry_run(self) -> dict:
        """Say what the API teacher would be sent and what it would cost, write the prompts to RUN/prompts, and return the same as data."""
        planned = self._plan()
        folder = self.run.folder / "prompts"
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.txt"):
            old.unlink()
        for name, prompt in planned.prompts.items():
            (folder / f"{name}.txt").write_text(prompt[0]["content"], encoding="utf-8", errors="replace")
        self.screen.say(f"Nothing was sent. What would be sent first of all is in {folder}.")
        return {"name": self.hired.endpoint.name, "model": self.hired.endpoint.model, "requests": 0, "usd": 0.0, "asked": 0, "verified": 0,
                "plan": {**planned.to_dict(), "max_usd": self.hired.max_usd}}

    def _plan(self):
        from recipes.hiring import plan

        planned = plan(self.cold_for_teacher(), self.tree, self.hired.endpoint, self.recipe.teacher, self._guard)
        for line in planned.lines(self.hired):
            self.screen.say(line)
        return planned

    @cached_property
    def _guard(self):
        from recipes.outgoing import Guard

        return Guard(self.run.repository)

    def teach(self) -> None:
        """Ask the teacher for the cold tasks; what the tests verify becomes trajectories.jsonl, beside rollouts of the student's own."""
        if self.run.is_done("teach"):
            return
        chosen = self.cold_for_teacher()
        if self.hired is None:
            self.screen.say("No API teacher is named, so the reference teacher answers: with the repository's own code, verified like any "
                            "other.")
        with self.screen.patience() as patience, self.run.step("teach"):
            asked = self._ask_reference(chosen, patience) if self.hired is None else self._ask_api_teacher(chosen, patience)
            self._add_replay()
        self.screen.say(f"{asked} cold tasks were given to the teacher; the tests verified {len(self._taught())} answers.")

    def _taught(self) -> list[dict]:
        """The verified answers of teachers."""
        return [r for r in self.run.read("trajectories.jsonl") if r["source"] != "student"]

    def _ask_reference(self, chosen: list, patience) -> int:
        """Ask for the gold edits of all tasks; returns how many these are."""
        from recipes.prompts import messages
        from recipes.teacher import ReferenceTeacher

        known = {r["instance_id"] for r in self.run.read("trajectories.jsonl")}
        teacher = ReferenceTeacher(self.tree, self.recipe.prompt.style)
        pending = [t for t in chosen if t.instance_id not in known]
        self.run.append("trajectories.jsonl", [])
        for start in range(0, len(pending), PROBE_CHUNK):
            asked = [(t, messages(t, self.tree, self.recipe.prompt.style)) for t in pending[start:start + PROBE_CHUNK]]
            replies = [(t, m, teacher.reply(t, m)) for t, m in asked]
            verdicts = self.judge_replies([(t, reply) for t, _, reply in replies])
            self.run.append("trajectories.jsonl", [
                {"messages": [*m, {"role": "assistant", "content": reply}], "instance_id": t.instance_id, "source": teacher.source,
                 "reward": verdict.reward} for (t, m, reply), verdict in zip(replies, verdicts) if verdict.status == "resolved"])
            self.screen.progress("asking the teacher", start + len(asked), len(pending))
            patience.check()
        return len(chosen)

    def _ask_api_teacher(self, chosen: list, patience) -> int:
        """Hold conversations about all tasks that may be sent, as far as the money goes, and return how many these are. Those of a run that
        was cut off are held again, at no cost."""
        from recipes.endpoint import Asker, Client
        from recipes.ledger import Ledger, Replies, as_pico, read_summary
        from recipes.teacher import ApiTeacher, Bench
        from sandbox.repo import cache_folder

        recipe, settings, planned, lessons = self.recipe, self.recipe.teacher, self._plan(), {}
        bench = Bench(self.judge_replies, lambda task, files: self.court.run(
            {"files": files, "ids": list(task.shown), "text": True, "timeout": self.court.limits.timeout + 10 * task.test_seconds}),
            self.court.stop)
        with Replies(cache_folder() / "teacher") as replies, Ledger.open(self.run.folder / "teacher.sqlite", replies) as ledger:
            asker = Asker(Client(self.hired.endpoint, self.hired.key, settings.stall), ledger, replies, as_pico(self.hired.max_usd),
                          settings.tries, settings.pause, recipe.seed, lambda: patience.asked)
            teacher = ApiTeacher(asker, settings, recipe.prompt.style, recipe.seed, self.tree, bench, self._guard)
            for lesson in teacher.teach([t for t in chosen if t.instance_id in planned.prompts], planned.prompts):
                lessons[lesson.task.instance_id] = lesson
                self.screen.progress("asking the teacher", len(lessons), len(planned.prompts))
        patience.check()
        self.run.keep_only("trajectories.jsonl", [
            {"messages": dialogue, "instance_id": t.instance_id, "source": teacher.source, "reward": 1.0}
            for t in chosen if t.instance_id in lessons for dialogue in lessons[t.instance_id].dialogues])
        if unsolved := Counter(lesson.why for lesson in lessons.values() if not lesson.dialogues):
            self.screen.say(f"Without a verified answer: {facts.counted(unsolved)}.")
        spent = read_summary(self.run.folder)
        self.screen.say(f"{self.hired.endpoint.name} was sent {spent['requests']} requests, for ${spent['usd']:.4f} of at most "
                        f"${self.hired.max_usd:.2f}.")
        return len(lessons)

    def _add_replay(self) -> None:
        """Rollouts that the student itself got right before, so that learning from the teacher does not cost it what it could do."""
        from recipes.prompts import messages
        from recipes.teacher import choose_replay

        taught, tasks = self._taught(), {t.instance_id: t for t in self.tasks}
        rollouts = [r for r in self.run.read("rollouts.jsonl") if r["phase"] == "before"]
        own = choose_replay(self.tasks, rollouts, len(taught), self.recipe.distil.replay, self.recipe.seed)
        if own:
            self.run.keep_only("trajectories.jsonl", taught + [
                {"messages": [*messages(tasks[r["instance_id"]], self.tree, self.recipe.prompt.style),
                              {"role": "assistant", "content": r["text"]}],
                 "instance_id": r["instance_id"], "source": "student", "reward": 1.0} for r in own])

    def teacher_facts(self) -> dict:
        """{"name", "requests", "usd", "asked", "verified"}"""
        from recipes.ledger import read_summary

        asked, named = len(self.cold_for_teacher()), self.run.content.get("teacher")
        verified = len({r["instance_id"] for r in self._taught()})
        if named is None:
            return {"name": "reference", "requests": asked, "usd": 0.0, "asked": asked, "verified": verified}
        spent = read_summary(self.run.folder)
        return {"name": named["endpoint"]["name"], "model": named["endpoint"]["model"], "requests": spent["requests"], "usd": spent["usd"],
                "asked": len(spent["by_task"]), "verified": verified}

    def distil(self) -> None:
        """Fine-tune on the verified trajectories."""
        from recipes.distil import distil
        from recipes.student import Sample

        if self.run.is_done("distil"):
            return
        trajectories = self.run.read("trajectories.jsonl")
        pairs = [Sample(tuple(self.student.prompt_ids(t["messages"][:-1])),
                        tuple(self.student.completion_ids(t["messages"][-1]["content"]))) for t in trajectories]
        examples = [e for e in pairs if len(e.completion) <= self.recipe.student.max_new]
        if len(examples) < len(pairs):
            self.screen.say(f"{len(pairs) - len(examples)} verified answers are longer than the {self.recipe.student.max_new} tokens that "
                            "the student may write, and are left out.")
        folder = self.run.folder / "checkpoints"
        start = self.student.restore(self.run.checkpoint("last"))["step"] if "last" in self.run.content["checkpoints"] else 0
        with self.screen.patience() as patience, self.run.step("distil"):
            if not examples:
                self.screen.say("No verified answer is left, so there is nothing to distil: the student stays as it is.")
            for now in distil(self.student, examples, self.recipe.distil, self.recipe.seed, start) if examples else ():
                self.screen.progress("fine-tuning", now.step, now.steps)
                if (now.step % self.recipe.distil.save_every == 0 or patience.asked) and now.step < now.steps:
                    name = f"distil-{now.step:04d}"
                    self.student.save(folder / name, {"step": now.step})
                    self.run.name_checkpoints(last=name)
                    patience.check()
            self.student.save(folder / "distilled", {"step": self.recipe.distil.steps})
            self.run.name_checkpoints(distilled="distilled", last="distilled", best="distilled")

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
        started, train = time.monotonic(), self.by_split("train")
        self._check_policy()
        if state.best_pass_at_1 is None and (found := self._heldout()):
            state.is_best(found["pass_at_1"])
        with self.screen.patience() as patience, run.timed("climb"):
            self.screen.progress("climbing", state.cycle, cycles)
            while state.cycle < cycles and (minutes is None or time.monotonic() - started < 60 * minutes):
                result = cycle(self.engine, train, self.prompts, state, recipe, self.judge_replies)
                line, name, best = dict(result.metrics), f"cycle-{result.cycle:04d}", False
                if result.cycle % recipe.climb.eval_every == 0 or result.cycle == cycles:
                    found = self._heldout()
                    line["heldout/pass_at_1"] = found and found["pass_at_1"]
                    line["heldout/low"], line["heldout/high"] = found["ci95"] if found else (None, None)
                    best = found is None or state.is_best(found["pass_at_1"])
                run.append("rollouts.jsonl", [{"phase": "climb", "cycle": result.cycle, **r.record()} for r in result.rollouts])
                self.student.save(run.folder / "checkpoints" / name, {"climb": state.to_dict(), "metrics": line})
                run.name_checkpoints(last=name, **({"best": name} if best else {}))
                run.append("metrics.jsonl", [line])
                words = in_words(result)
                if line.get("heldout/pass_at_1") is not None:
                    words += f"; held-out pass@1 {line['heldout/pass_at_1']:.3f}" + (", the best so far" if best else "")
                self.screen.say(words)
                self.screen.progress("climbing", result.cycle, cycles)
                patience.check()
        return state.cycle

    def _forget_after(self, cycle: int, line: dict | None) -> None:
        """Bring metrics.jsonl and rollouts.jsonl in step with the checkpoint that climbing goes on from."""
        self._drop_rollouts(lambda r: r["phase"] == "climb" and r["cycle"] > cycle)
        metrics = [m for m in self.run.read("metrics.jsonl") if m["cycle"] < cycle]
        if line is not None:
            self.run.keep_only("metrics.jsonl", [*metrics, line])

    def _heldout(self) -> dict | None:
        """How good it is on the held-out tasks, always on the same seeds, which are not those of the probes; None without such tasks."""
        from recipes.measure import probe, summarise

        pairs = [(t, self.prompts[t.instance_id]) for t in self.by_split("heldout")]
        settings, found = self.recipe.probe, []
        for chunk in probe(self.engine, pairs, settings.k, settings.temperature, self.recipe.student.max_new, self.recipe.seed + 1,
                           self.judge_replies, PROBE_CHUNK):
            found += [p for p, _ in chunk]
        return summarise(found, settings.temperature, self.recipe.seed) if found else None
