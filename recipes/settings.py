"""How it learns: one TOML per kind of machine, and the typed settings that they fill in.

    # a name in recipes/, or the path of a TOML file
    recipe = load("nano", ["climb.cycles=20", "seed=3"])
    recipe = load("auto", [])                                # by what the machine has

A recipe file gives the values it wants changed; everything else keeps the default written here.
Unknown keys and wrong types are refused with the key's full path (`climb.cycels`) and the nearest
right name.
"""

import copy
import difflib
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from recipes.bounds import (
    AtLeast,
    Day,
    MoreThan,
    NotEmpty,
    NotNegative,
    OneOf,
    Positive,
    Several,
    Share,
    ShareUpTo,
    Word,
    reason,
)
from recipes.rollouts.engines import AUTO, ENGINES
from sandbox.errors import UsageError
from sandbox.tasks.kinds import KINDS
from sandbox.tasks.styles import FIM, STYLES

FOLDER = Path(__file__).parent
LOADERS = ("auto", "unsloth", "transformers")
BASELINE = "the baseline is the mean of the other rollouts"
METHODS = ("none", "selfdistil", "replay", "average", "kl")
OTHERS = ("practice", "instructions")
FEEDBACK = 256
"""Tokens for which there is room between two replies, unless a recipe says how long an episode
is."""


@dataclass(frozen=True)
class StudentSettings:
    """Which model learns, and the adapter that it learns in."""

    model: str = "nano"
    """`nano` or `nano-fim` (made on the spot; the second fills in the middle), a Hugging Face hub
    id, a local `save_pretrained` folder, the path of a GGUF file, or `package:NAME`, the GGUF file
    in an installed Python package."""
    loader: Annotated[str, OneOf(LOADERS)] = "auto"
    """What loads it on a card: `unsloth`, `transformers`, or `auto`: unsloth where it is installed,
    unless one step of each, measured when the run begins, shows transformers to be faster."""
    lora_rank: Positive[int] = 16
    """Rank r of the LoRA matrices (Hu et al. 2021, arXiv:2106.09685)."""
    lora_alpha: Positive[int] = 16
    """LoRA scale: the update is multiplied by alpha / rank."""
    max_prompt: Positive[int] = 2048
    """Tokens. A prompt is built to fit: it shows as much of the file as there is room for
    (`sandbox/tasks/prompts.py`)."""
    max_new: Positive[int] = 512
    """Tokens. A reply that has not ended by then is `truncated`."""
    turns: Positive[int] = 1
    """Replies of an episode, at most. With more than one the student is told what the tests that it
    was shown say of a reply that fails them, and tries again."""
    max_episode: NotNegative[int] = 0
    """Tokens of an episode behind its prompt: replies, and what is told between; 0: room for
    `turns` replies of full length and FEEDBACK tokens between two. An episode that has used them up
    ends."""
    threads: NotNegative[int] = 1
    """CPU threads for torch and llama.cpp when there is no CUDA card; 0: as many as this machine is
    fastest with when the run begins, which the run then keeps. Sums depend on it: same seed, same
    threads, same bytes."""

    @property
    def episode(self) -> int:
        """Tokens that may stand behind a prompt."""
        full = self.turns * self.max_new + (self.turns - 1) * FEEDBACK
        return self.max_episode or full

    @property
    def longest(self) -> int:
        """Tokens that a prompt and what stands behind it may have together."""
        return self.max_prompt + self.episode


@dataclass(frozen=True)
class PromptSettings:
    """What the student is shown and told to write."""

    style: Annotated[str, OneOf(STYLES)] = "blocks"
    """`blocks`: function, visible tests and as much of the file as fits, answered with whole
    functions (or, where a task is about whole files, SEARCH/REPLACE); `compact`, for a small
    student: function and visible tests, and one sentence of what to write; `body`: signature and
    docstring alone, answered with the bare function body (for a student too small for anything
    else); `rewrite`: the same, with the body as it stands where it has a mistake; `fim`, for a
    student whose tokenizer has fill-in-the-middle tokens (`recipes/learning/fim.py`): the file
    before the body and behind it, as an editor asks an autocompletion, answered with what stands
    between, to the letter. No chat template is filled in, there is one turn, and tasks that are not
    about one function are left out."""


@dataclass(frozen=True)
class TaskSettings:
    """Which tasks are mined."""

    kinds: Annotated[tuple[str, ...], NotEmpty(), OneOf(tuple(KINDS))] = ("blank",)
    """Kinds of task, as in `sandbox/tasks/kinds`; `tasks --help` says what is wrong in each."""
    since: Annotated[str, Day()] = ""
    """For `revert`: only commits since this day (YYYY-MM-DD, UTC) are undone; empty: all."""
    heldout: Share = 0.2
    """Share of the functions whose tasks are never trained on and never sent to a teacher."""
    limit: NotNegative[int] = 0
    """At most this many tasks of each repository, chosen by the seed; 0: all."""


@dataclass(frozen=True)
class JudgeSettings:
    """Limits of the sandbox."""

    workers: NotNegative[int] = 0
    """Jails that judge at the same time; 0: one per CPU core."""
    timeout: Positive[float] = 10.0
    """Seconds that a verdict may take beside ten times what the intact tests took."""
    memory_mb: Positive[int] = 2048
    """Memory that a verdict may use, all its processes together, MiB."""
    recheck: Positive[float] = 0.02
    """Share of the fast verdicts that a fresh process repeats; a difference makes fresh processes
    judge the task for the rest of the run."""


@dataclass(frozen=True)
class ProbeSettings:
    """How a student is measured."""

    k: Positive[int] = 8
    """Samples a task; pass@1 and pass@k are estimated from these (Chen et al. 2021,
    arXiv:2107.03374)."""
    temperature: Positive[float] = 0.7
    """Sampling temperature of probes."""
    stops_early: bool = True
    """Whether the first probe goes on to the next task where the first half of a task's samples
    were all cut off. The others count as unsolved, and how many there are is said. No other probe
    does."""


@dataclass(frozen=True)
class RolloutSettings:
    """What samples."""

    engine: Annotated[str, OneOf((AUTO, *ENGINES))] = AUTO
    """One of `recipes/rollouts/engines`. `llama.cpp`: a copy of the student in llama.cpp, fast;
    `model`: the training model itself; `auto`: the first of these that can sample this student and
    fits into memory beside it. A run keeps the engine that it began with."""


@dataclass(frozen=True)
class TeacherSettings:
    """How much the teacher is asked, and how. All but `share` is about API teachers; the command
    line says which one, and its cap."""

    share: Share = 1.0
    """Share of the cold train tasks that the teacher may answer; the rest have only their tests."""
    solutions: Positive[int] = 2
    """Verified answers that are wanted of a task; they must differ by more than layout, comments
    and docstrings."""
    max_prompt: Positive[int] = 8192
    """Tokens, at three bytes a token: how much a prompt shows it, as for the student."""
    attempts: Positive[int] = 4
    """Conversations that are begun about a task, at most."""
    repairs: NotNegative[int] = 2
    """Times that a failed answer is answered with what the visible tests say of it."""
    temperatures: Several[float] = (0.2, 0.6, 0.9, 1.0)
    """Sampling temperature of the first, second, ... conversation; the last one goes for all that
    follow."""
    reasoning: bool = False
    """Whether what the teacher thought aloud is learned, too, between <think> and </think>. It is
    kept in the ledger in any case."""
    concurrency: Positive[int] = 8
    """Conversations at the same time."""
    stall: Positive[float] = 120.0
    """Seconds without a byte after which a reply is given up."""
    command_seconds: Positive[float] = 600.0
    """Seconds after which a program that is to answer is ended."""
    tries: Positive[int] = 6
    """Times that a request is sent, at most, before it is given up."""
    pause: Positive[float] = 1.0
    """Seconds before the second try; doubles from try to try."""


@dataclass(frozen=True)
class DistilSettings:
    """The supervised phase on verified trajectories."""

    steps: Positive[int] = 100
    """Optimiser steps; at most, where `epochs` is given."""
    epochs: NotNegative[float] = 0.0
    """Times that each trajectory is seen, so that few of them take fewer steps; 0: as often as
    `steps` allow."""
    batch: Positive[int] = 16
    """Trajectories a step."""
    lr: Positive[float] = 2e-4
    """Peak learning rate of AdamW, warmed up linearly, then falling linearly."""
    warmup: NotNegative[int] = 5
    """Steps until the peak."""
    final_lr: Share = 0.1
    """Share of the peak that is left at the last step."""
    clip: Positive[float] = 1.0
    """Largest norm of the gradient."""
    save_every: Positive[int] = 25
    """Steps between checkpoints."""
    last_turn_only: bool = True
    """Of a conversation of several turns the last reply alone is learned, which the tests verified;
    the replies before it are read, and not imitated."""
    replay: Annotated[float, AtLeast(0), ShareUpTo(0.9)] = 0.2
    """Share of the examples that are the student's own: its resolved rollouts on tasks that it
    solved before, so that it does not unlearn them. As many as there are, where there are fewer; at
    most 0.9."""


@dataclass(frozen=True)
class ClimbSettings:
    """REINFORCE on the student's own rollouts."""

    cycles: Positive[int] = 50
    """Cycles when `--cycles` is not given."""
    groups: Positive[int] = 16
    """Tasks a cycle."""
    group_size: Annotated[int, MoreThan(0), AtLeast(2, BASELINE)] = 8
    """Rollouts a task (G)."""
    temperature: Positive[float] = 1.0
    """Sampling temperature of the rollouts, and of the policy that is updated. Higher than the
    probe's: groups then differ more."""
    lr: Positive[float] = 3e-5
    """Peak learning rate of AdamW, constant after the warm-up."""
    warmup: NotNegative[int] = 5
    """Cycles until the peak."""
    clip: Positive[float] = 0.5
    """Largest norm of the gradient."""
    floor: NotNegative[float] = 0.05
    """Added to p(1-p) when tasks are drawn, so that cold and mastered ones are seen again."""
    discount: Share = 0.9
    """What is left of an episode's reward by each turn that it took: a solution in the first turn
    is worth more than one in the third."""
    kl: NotNegative[float] = 0.0
    """Weight of the KL term to the adapter that bootstrap left; 0: off."""
    max_ratio: Positive[float] = 2.0
    """Truncation of the importance weight between trainer and sampler (truncated importance
    sampling)."""
    max_drift: Positive[float] = 0.2
    """Nats a token: a cycle whose trainer and sampler differ by more in the mean is undone and the
    learning rate halved."""
    entropy_band: Annotated[tuple[float, float], NotEmpty()] = (0.0, 10.0)
    """Nats a token: a cycle that leaves this band of mean sampling entropy is undone and the
    learning rate halved."""
    eval_every: Positive[int] = 10
    """Cycles between two measurements of the held-out tasks; the best checkpoint is chosen by
    these."""


@dataclass(frozen=True)
class SelfDistilSettings:
    """On-policy distillation from an earlier checkpoint of the same run."""

    steps: Positive[int] = 50
    """Optimiser steps when `--steps` is not given."""
    batch: Positive[int] = 16
    """Prompts a step, with one completion each."""
    temperature: Positive[float] = 1.0
    """Sampling temperature, and of the two policies that are compared."""
    lr: Positive[float] = 1e-4
    """Peak learning rate of AdamW, constant after the warm-up."""
    warmup: NotNegative[int] = 5
    """Steps until the peak."""
    clip: Positive[float] = 1.0
    """Largest norm of the gradient."""
    save_every: Positive[int] = 10
    """Steps between checkpoints."""


@dataclass(frozen=True)
class StageSettings:
    """A stage of climb: a `[[stage]]` of the recipe. They are climbed one after the other."""

    name: Annotated[str, Word()] = ""
    """What it is called."""
    kinds: Annotated[tuple[str, ...], OneOf(tuple(KINDS))] = ()
    """The kinds of its tasks, of those that are mined (`tasks.kinds`); none: all of them."""
    others: Annotated[tuple[str, ...], OneOf(OTHERS)] = ()
    """Tasks beside these that are not of the repository: `practice`, the training tasks of the
    repository that `forgetting.other` names; `instructions`, plain ones whose answers a program can
    check (`recipes/others/instructions.py`)."""
    turns: NotNegative[int] = 0
    """As `student.turns`; 0: that."""
    cycles: Positive[int] = 20
    """Cycles of climb."""
    temperature: NotNegative[float] = 0.0
    """As `climb.temperature`; 0: that."""
    lr: NotNegative[float] = 0.0
    """As `climb.lr`; 0: that."""
    earlier: Annotated[float, AtLeast(0), ShareUpTo(0.9)] = 0.0
    """Share of a cycle's tasks that is drawn from those of earlier stages; at most 0.9."""


@dataclass(frozen=True)
class RetentionSettings:
    """What keeps a stage from undoing what earlier ones taught, from the second one on."""

    method: Annotated[str, OneOf(METHODS)] = "replay"
    """After the stage: `replay`, fine-tuning on the student's own solved rollouts of the tasks of
    all stages before it, which kept most where it was measured (docs/measurements.md);
    `selfdistil`, on-policy distillation from the best adapter of the stage before it, on the
    prompts of these; `average`, of the stage's adapter and that one. While it is climbed: `kl`, a
    KL term to that one. `none`: nothing. Steps, batch and learning rate are those of
    `[selfdistil]`."""
    kl: NotNegative[float] = 0.05
    """Weight of the KL term of `kl`."""
    share: Share = 0.5
    """Share of the earlier adapter in the mean of `average`."""


@dataclass(frozen=True)
class ForgettingSettings:
    """What is measured before and after a stage, beside the held-out tasks of all stages so far."""

    mastered: NotNegative[int] = 16
    """Training tasks that were mastered when climb began, at most so many, drawn by the seed."""
    other: str = "practice"
    """A repository that the student never trains on (a stage with `others = ["practice"]` trains on
    half of its functions): `practice`, or the path of a git repository; empty: none."""
    tasks: Positive[int] = 12
    """Held-out tasks of that repository, at most."""
    text: NotNegative[int] = 2048
    """Tokens of plain English whose cross-entropy is measured; 0: none."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a run learns; `run.json` keeps the resolved one."""

    name: str = "custom"
    """The file it came from."""
    seed: NotNegative[int] = 0
    """All randomness flows from this."""
    student: StudentSettings = field(default_factory=StudentSettings)
    """See `StudentSettings`."""
    prompt: PromptSettings = field(default_factory=PromptSettings)
    """See `PromptSettings`."""
    tasks: TaskSettings = field(default_factory=TaskSettings)
    """See `TaskSettings`."""
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    """See `JudgeSettings`."""
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    """See `ProbeSettings`."""
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    """See `RolloutSettings`."""
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    """See `TeacherSettings`."""
    distil: DistilSettings = field(default_factory=DistilSettings)
    """See `DistilSettings`."""
    climb: ClimbSettings = field(default_factory=ClimbSettings)
    """See `ClimbSettings`."""
    selfdistil: SelfDistilSettings = field(default_factory=SelfDistilSettings)
    """See `SelfDistilSettings`."""
    stage: tuple[StageSettings, ...] = ()
    """See `StageSettings`; none: climb is one stage, of all tasks."""
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    """See `RetentionSettings`."""
    forgetting: ForgettingSettings = field(default_factory=ForgettingSettings)
    """See `ForgettingSettings`."""

    @property
    def roomy(self) -> "Recipe":
        """With as many turns as its stages take, which memory and engine are planned for."""
        most = max(self.student.turns, *(s.turns for s in self.stage), 1)
        return replace(self, student=replace(self.student, turns=most))

    def to_dict(self) -> dict:
        """Plain nested data, as `from_dict` takes it back."""
        return asdict(self)


def names() -> list[str]:
    """The recipes that come with the program."""
    return sorted(p.stem for p in FOLDER.glob("*.toml") if p.stem != "teachers")


def load(name: str = "auto", overrides: tuple[str, ...] | list[str] = ()) -> Recipe:
    """The recipe `name` (`auto`, a name in recipes/, or a TOML file's path) with `key.path=value`
    overrides.

    Raises UsageError for an unknown recipe, a file that is not TOML, an unknown key or a value of
    the wrong type.
    """
    if name == "auto":
        name = fitting_recipe()
    path = FOLDER / f"{name}.toml"
    if name not in names():
        path = Path(name)
        if path.suffix != ".toml" or not path.is_file():
            raise UsageError(
                f"There is no recipe {name!r}. Known: auto, {', '.join(names())}, or the path of a "
                "TOML file."
            )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from None
    data["name"] = path.stem
    return changed(data, overrides, where=str(path))


def changed(data: dict, overrides: tuple[str, ...] | list[str], where: str) -> Recipe:
    """The recipe of this plain data with `key.path=value` overrides. Raises UsageError as
    `load`."""
    data = copy.deepcopy(data)
    for item in overrides:
        _override(data, item)
    return from_dict(data, where=where)


def from_dict(data: dict, where: str = "recipe") -> Recipe:
    """A Recipe from nested plain data; raises UsageError naming the key's full path."""
    recipe: Recipe = _fill(Recipe, data, "", where)
    _check(recipe, "", where)
    _check_stages(recipe, where)
    if recipe.prompt.style == FIM and recipe.roomy.student.turns > 1:
        raise UsageError(
            f"{where}: 'prompt.style' is {FIM!r}, and what fills in the middle of a file has one "
            "turn. Set 'student.turns' to 1, and that of each stage."
        )
    return recipe


def _check_stages(recipe: Recipe, where: str) -> None:
    """Raise UsageError for stages that have the same name, or want tasks that are not mined."""
    names = [stage.name for stage in recipe.stage]
    for stage in recipe.stage:
        if names.count(stage.name) > 1:
            raise UsageError(f"{where}: two stages are called {stage.name!r}.")
        if missing := [kind for kind in stage.kinds if kind not in recipe.tasks.kinds]:
            raise UsageError(
                f"{where}: stage {stage.name!r} wants {' and '.join(missing)} tasks, which are not "
                f"mined. Add them to 'tasks.kinds'."
            )


def _check(section: Any, path: str, where: str) -> None:
    """Raise UsageError for the first value that is not what its field says."""
    hints = get_type_hints(type(section), include_extras=True)
    for f in fields(section):
        value = getattr(section, f.name)
        if is_dataclass(value):
            _check(value, f"{path}{f.name}.", where)
        elif f.name == "stage":
            for stage in value:
                _check(stage, "stage.", where)
        elif said := reason(hints[f.name], value):
            raise UsageError(f"{where}: {path + f.name!r} {said}.")


def _values(section: Any, path: str = "") -> list[tuple[str, object]]:
    """[(full key, value)] of every setting."""
    found: list[tuple[str, object]] = []
    for f in fields(section):
        value = getattr(section, f.name)
        found += (
            _values(value, f"{path}{f.name}.") if is_dataclass(value) else [(path + f.name, value)]
        )
    return found


def fitting_recipe() -> str:
    """The name of the recipe that fits this machine: by the memory of its CUDA card, `smollm2`
    without one.

    Asks the driver's own `nvidia-smi` and so imports no torch.
    """
    memory = _cuda_memory_mib()
    fitting = [
        (need, name) for name, need in CARD_MEMORY_MIB.items() if name in names() and need <= memory
    ]
    return max(fitting)[1] if fitting else "smollm2"


CARD_MEMORY_MIB = {"rtx-8gb": 7_500, "rtx-12gb": 11_500, "rtx-16gb": 15_500, "rtx-24gb": 23_000}
"""Total memory that a card must report for each recipe; a card sold as 8 GB reports a little less
than 8,192 MiB."""


def _cuda_memory_mib() -> int:
    import subprocess

    try:
        out = subprocess.run(
            ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    sizes = (
        [int(line) for line in out.stdout.split() if line.isdigit()] if out.returncode == 0 else []
    )
    return sizes[0] if sizes else 0


def _override(data: dict, item: str) -> None:
    key, equals, text = item.partition("=")
    if not equals or not key.strip():
        raise UsageError(
            f"--set {item!r} is not of the form key.path=value, for example --set climb.cycles=20."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, leaf = key.strip().split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise UsageError(f"--set {item}: {parent!r} is a value, not a section.")
    data[leaf] = value


def _fill(cls: type, data: dict, path: str, where: str) -> Any:
    known, defaults, values = {f.name for f in fields(cls)}, cls(), {}
    hints = get_type_hints(cls)
    for key, value in data.items():
        full = f"{path}{key}"
        if key not in known:
            near = difflib.get_close_matches(
                full, [known for known, _ in _values(Recipe())], n=1, cutoff=0.5
            )
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{where}: unknown key {full!r}.{hint}")
        values[key] = _typed(getattr(defaults, key), value, full, where, get_args(hints[key]))
    return cls(**values)


def _typed(default: Any, value: Any, full: str, where: str, inside: tuple = ()) -> Any:
    """`inside`: the types in a list."""
    if is_dataclass(default):
        if not isinstance(value, dict):
            raise UsageError(f"{where}: {full!r} is a section, not a value.")
        return _fill(type(default), value, f"{full}.", where)
    wanted = type(default)
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is tuple and isinstance(value, (list, tuple)):
        inner = inside[0]
        if is_dataclass(inner) and isinstance(inner, type):
            return tuple(_item(inner, item, full, where) for item in value)
        items = [float(v) if inner is float and type(v) is int else v for v in value]
        if all(type(v) is inner for v in items):
            return tuple(items)
    if type(value) is not wanted:
        raise UsageError(f"{where}: {full!r} must be {_in_words(default)}, not {value!r}.")
    return value


def _item(cls: type, value: Any, full: str, where: str) -> Any:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {full!r} is a list of sections: write [[{full}]].")
    return _fill(cls, value, f"{full}.", where)


def _in_words(default: object) -> str:
    if type(default) is tuple:
        return f"a list such as {list(default)}" if default else "a list"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[
        type(default)
    ]
