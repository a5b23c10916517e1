"""Hiring an API teacher: what is settled and said before anything is sent.

hired = hire_teacher(run, keys, TeacherOptions("glm-5.2"))         # endpoint, cap, terms, key
planned = plan(cold_tasks, tree, hired.endpoint, settings, guard)  # prompts and their cost
"""

from dataclasses import dataclass, field, replace

from recipes.phases import TEACH
from recipes.runfolder.run import Run
from recipes.teachers.endpoint import Endpoint, changed, find_endpoint, fit_key
from sandbox.errors import UsageError

MAX_USD = 1.0
"""What an API teacher may cost in a run for which nothing else is said."""
MAX_REQUESTS = 100
"""How often a program may be asked in such a run."""


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
    max_requests: int | None = None
    """How often it may be asked in the whole run; None: as often as the money allows."""

    def to_dict(self) -> dict:
        """Plain data for run.json, without the key."""
        return {
            "endpoint": self.endpoint.to_dict(),
            "max_usd": self.max_usd,
            "terms_acknowledged": self.terms_acknowledged,
            "max_requests": self.max_requests,
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
    max_requests: int | None = None
    """How often the teacher may be asked in the whole run."""
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
        said = self.model or self.price or self.max_usd is not None or self.max_requests
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
    most = options.max_requests or known.get("max_requests") if same else options.max_requests
    if most is None and endpoint.is_command:
        most = MAX_REQUESTS
    return Hired(endpoint, max_usd, acknowledged, max_requests=most)


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
            f"{endpoint.owner} belongs to somebody else. Whether its terms allow training a model "
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
