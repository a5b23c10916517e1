"""Hiring an API teacher: what is settled and said before anything is sent.

hired = hire_teacher(run, keys, TeacherOptions("glm-5.2"))         # endpoint, cap, terms, key
planned = plan(cold_tasks, tree, hired.endpoint, settings, guard)  # prompts and their cost
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from recipes.runfolder.run import Run
from recipes.settings import TeacherSettings
from recipes.stages import TEACH
from recipes.teachers.endpoint import Endpoint, changed, find_endpoint, fit_key
from recipes.teachers.ledger import usd
from recipes.teachers.secrets import Guard
from sandbox.errors import UsageError
from sandbox.tasks.prompts import BYTES_PER_TOKEN, Budget, build
from sandbox.tasks.task import Task

MAX_USD = 1.0
"""What an API teacher may cost in a run for which nothing else is said."""
TYPICAL_OUT = 600
"""Tokens that an answer of a few words and one function has, for the lower end of an estimate."""
REPAIR_TOKENS = 1000
"""That a failure adds to a conversation at most, beside the reply that failed."""


@dataclass(frozen=True)
class Hired:
    """An API teacher as a run has named it."""

    endpoint: Endpoint
    max_usd: float
    """What it may cost in the whole run."""
    terms_acknowledged: bool
    """Whether the person knows what the provider's terms say of training on what its model writes.
    """
    key: str = field(default="", repr=False)

    def to_dict(self) -> dict:
        """Plain data for run.json, without the key."""
        return {
            "endpoint": self.endpoint.to_dict(),
            "max_usd": self.max_usd,
            "terms_acknowledged": self.terms_acknowledged,
        }


@dataclass(frozen=True)
class TeacherOptions:
    """What a person says of the teacher on the command line; None is what was not said."""

    teacher: str | None = None
    """A name in recipes/teachers.toml, the URL of an endpoint, or `reference`."""
    model: str | None = None
    """The model that answers, where it is not the preset's."""
    price: str | None = None
    """`IN,OUT` or `IN,CACHED,OUT` in US dollars per million tokens."""
    max_usd: float | None = None
    """What the API teacher may cost in the whole run, in US dollars."""
    terms_acknowledged: bool = False
    """Whether the person knows what the provider's terms say of training on its answers."""
    dry_run: bool = False
    """Nothing is to be sent: no key, no terms and no price are needed."""

    @property
    def names_api_teacher(self) -> bool:
        return self.teacher not in (None, "reference")

    @property
    def means_api_teacher(self) -> bool:
        """Whether something is said that makes no sense of the reference teacher."""
        said = self.model or self.price or self.max_usd is not None
        return bool(said or self.terms_acknowledged or self.dry_run)


def hire(known: dict | None, keys: dict[str, str], options: TeacherOptions) -> Hired | None:
    """The API teacher that the options name, or else the one of the run (`known`, as `to_dict` gave
    it); None for the reference teacher. `keys`: {environment variable: key}. Raises UsageError
    where something is missing that must be there before anything is sent."""
    if not options.names_api_teacher and (options.teacher or not known):
        if options.means_api_teacher:
            raise UsageError(
                "The reference teacher is the repository itself: nothing is sent and nothing is "
                "paid. Name an API teacher with --teacher."
            )
        return None
    hired = _named(known or {}, options)
    if options.dry_run:
        return hired
    return replace(hired, key=_key_for(hired, keys))


def _named(known: dict, options: TeacherOptions) -> Hired:
    """The API teacher without its key. `known`: that of the run, {} where it has none yet."""
    if options.teacher is None:
        named = Endpoint.from_dict(known["endpoint"])
        endpoint = changed(named, options.model, options.price)
    else:
        endpoint = find_endpoint(options.teacher, options.model, options.price)
    max_usd = known.get("max_usd", MAX_USD) if options.max_usd is None else options.max_usd
    # Terms are a provider's: what was said of another one says nothing.
    same = bool(known) and known["endpoint"]["base_url"] == endpoint.base_url
    acknowledged = options.terms_acknowledged or same and known["terms_acknowledged"]
    return Hired(endpoint, max_usd, acknowledged)


def _key_for(hired: Hired, keys: dict[str, str]) -> str:
    """The key with which requests may be sent. Raises UsageError where the price, the terms or the
    key itself is missing."""
    endpoint = hired.endpoint
    if endpoint.price is None:
        raise UsageError(
            f"The price of {endpoint.model} at {endpoint.name} is not known here. Look it up, and "
            "say it in US dollars per million tokens: --price IN,OUT (0,0 if it costs nothing)."
        )
    if not endpoint.is_local and not hired.terms_acknowledged:
        raise UsageError(
            f"{endpoint.name} belongs to somebody else. Whether its terms allow training a model "
            "on what it writes is for you to find out; coldstart claims nothing. When you know, "
            "say so once: --terms-acknowledged"
        )
    return fit_key(endpoint, keys)


def hire_teacher(run: Run, keys: dict[str, str], options: TeacherOptions) -> Hired | None:
    """The API teacher that is named now or was named before, remembered in run.json; None for the
    reference teacher."""
    known = run.content.get("teacher")
    if run.is_done(TEACH.name):
        if options.teacher or options.dry_run:
            raise UsageError(
                f"{run.folder} has been taught already. Start a new run to ask another teacher: "
                "--new, or another folder with --run."
            )
        return None
    hired = hire(known, keys, options)
    named = hired and hired.to_dict()
    if not options.dry_run and named != known:
        run.content["teacher"] = named
        run.write()
    return hired


@dataclass(frozen=True)
class Plan:
    """What an API teacher would be sent, and what that would cost."""

    prompts: dict[str, list[dict[str, str]]]
    """{instance_id: the first message of its conversations}"""
    withheld: dict[str, str]
    """{instance_id: why nothing of it may be sent}"""
    tokens: int
    """In all prompts together, at BYTES_PER_TOKEN."""
    usd: tuple[float, float] | None
    """From every task solved at once by answers of TYPICAL_OUT tokens, to every attempt and every
    repair at its worst case. None where the price is unknown."""

    def lines(self, hired: Hired) -> list[str]:
        """For a person, before anything is sent."""
        endpoint = hired.endpoint
        said = [
            f"{len(self.prompts)} cold tasks go to {endpoint.name} ({endpoint.base_url}, model "
            f"{endpoint.model}): about "
            f"{self.tokens:,} tokens of prompts (a token for {BYTES_PER_TOKEN} bytes), and its own "
            "answers when they fail."
        ]
        if self.usd is None:
            said.append(
                "What that costs is not known: --price says it, in US dollars per million tokens."
            )
        else:
            prices = (
                " / ".join(f"${price}" for price in endpoint.price)
                + " per million tokens in / cached / out"
            )
            read = f" (read {endpoint.price_read})" if endpoint.price_read else ""
            said.append(
                f"At {prices}{read} it costs between ${self.usd[0]:.2f} and ${self.usd[1]:.2f}, "
                "and it stops at "
                f"${hired.max_usd:.2f}."
            )
        return said + [f"{name} is not sent: {why}." for name, why in self.withheld.items()]

    def to_dict(self) -> dict:
        return {
            "cold": len(self.prompts) + len(self.withheld),
            "prompts": len(self.prompts),
            "withheld": self.withheld,
            "tokens": self.tokens,
            "usd": self.usd and list(self.usd),
        }


def plan(
    tasks: list[Task], tree: Path, endpoint: Endpoint, settings: TeacherSettings, guard: Guard
) -> Plan:
    """What `tasks` would lead to."""
    prompts, withheld, budget = {}, {}, Budget.estimated(settings.max_prompt)
    for task in tasks:
        built = build(task, tree, "blocks", budget)
        if built is None:
            withheld[task.instance_id] = (
                f"its function alone does not fit into {budget.tokens} tokens (teacher.max_prompt)"
            )
            continue
        prompt = built.messages
        if why := guard.objection_to(task) or guard.objection(prompt[0]["content"]):
            withheld[task.instance_id] = why
        else:
            prompts[task.instance_id] = prompt
    sizes = {
        name: len(prompt[0]["content"].encode("utf-8", "replace")) // BYTES_PER_TOKEN
        for name, prompt in prompts.items()
    }
    costs = None
    if endpoint.price is not None:
        least = sum(
            settings.solutions * endpoint.cost(size, 0, TYPICAL_OUT) for size in sizes.values()
        )
        most = 0
        for prompt in prompts.values():
            for turn in range(settings.repairs + 1):
                before = endpoint.cost(turn * (endpoint.max_output + REPAIR_TOKENS), 0, 0)
                most += settings.attempts * (endpoint.worst(endpoint.body(prompt, 0.0, 0)) + before)
        costs = usd(least), usd(most)
    return Plan(prompts, withheld, sum(sizes.values()), costs)
