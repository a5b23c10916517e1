"""A student's tokenizer by its files alone, without torch: how many tokens a prompt has, before any
model is loaded.

    tokens = open_tokenizer("Qwen/Qwen2.5-Coder-1.5B-Instruct")    # or a folder; raises NoTokenizer
    tokens.prompt_ids([{"role": "user", "content": "..."}]); tokens.token_counts(["def f():"])
    tokens.answer_ids("That fails: ...")
    budget, note = budget_of(recipe)      # for prompts, as the student of a recipe would count

The ids are those of `Student.prompt_ids`: tokenizer.json is what transformers reads, too, and the
chat template is filled in as transformers does it (its `utils/chat_template_utils.py`: jinja2,
sandboxed, blocks trimmed).
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from recipes.learning import gguf_student
from recipes.learning.chat_format import ChatFormat
from recipes.learning.fim import halves, required_tokens
from recipes.learning.local_model import MADE, made_folder
from recipes.settings import Recipe
from sandbox.jsonl import valid
from sandbox.tasks.prompts import BYTES_PER_TOKEN, Budget

TOKENIZER, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
GENERATION = "generation_config.json"
"""Knows of models' end tokens."""


class NoTokenizer(Exception):
    """There are no such files here; `str(error)` says why, for the middle of a sentence."""


class ChatTokenizer:
    """What a model's tokenizer.json and chat template make of a conversation."""

    def __init__(self, texts: dict[str, str], model: str) -> None:
        """`texts`: {name of file: its text}, the tokenizer at the least. Raises NoTokenizer."""
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(texts[TOKENIZER])
        except Exception as error:  # the library has no class of its own for what it cannot read
            raise NoTokenizer(f"{TOKENIZER} cannot be read ({model}: {error})") from None
        try:
            config = json.loads(texts.get(CONFIG, "{}"))
        except ValueError as error:
            raise NoTokenizer(f"{CONFIG} cannot be read ({model}: {error})") from None
        try:
            generation = json.loads(texts.get(GENERATION, "{}"))
        except ValueError as error:
            raise NoTokenizer(f"{GENERATION} cannot be read ({model}: {error})") from None
        more = generation.get("eos_token_id") or []
        self._more_ends = [more] if isinstance(more, int) else more
        template = texts.get(TEMPLATE, config.get("chat_template"))
        self._tokenizer.no_truncation()
        self._config, self._model = config, model
        self._source = template if isinstance(template, str) else None

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """As `Student.prompt_ids`. Raises UsageError for a prompt to fill in the middle where there
        are no tokens for that."""
        if parts := halves(messages):
            tokens = required_tokens(self._tokenizer.token_to_id, self._model)
            return tokens.prompt(self._begin, *map(self._plain_ids, parts))
        if self._template is not None:
            return self._ids(self._render(messages))
        begin = self._special.get("bos_token")
        start = self._tokenizer.token_to_id(begin) if begin else None
        return ([] if start is None else [start]) + self._ids(
            "\n\n".join(m["content"] for m in messages)
        )

    def answer_ids(self, text: str) -> list[int]:
        """As `StudentTokens.answer_ids`."""
        end = self._special.get("eos_token", "")
        found = self._ids(end + self._format.between(text))
        return found[1:] if end else found

    def why_not_rendered_anew(self) -> str:
        """As `ChatFormat.why_not_rendered_anew`."""
        return self._format.why_not_rendered_anew()

    @property
    def _format(self) -> ChatFormat:
        end = self._special.get("eos_token")
        more = [self._tokenizer.id_to_token(number) for number in self._more_ends]
        return ChatFormat(
            None if self._template is None else self._render,
            self._source or "",
            tuple(dict.fromkeys(text for text in (end, *more) if text)),
        )

    def _render(self, messages: list[dict]) -> str:
        return self._template.render(
            messages=messages,
            add_generation_prompt=True,
            tools=None,
            documents=None,
            **self._special,
        )

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself."""
        found = self._tokenizer.encode_batch(valid(list(texts)), add_special_tokens=False)
        return [len(tokens.ids) for tokens in found]

    @property
    def _begin(self) -> list[int]:
        """As of `StudentTokens`."""
        begin = self._tokenizer.token_to_id(self._special.get("bos_token", ""))
        found = self._tokenizer.encode("").ids
        return found[:1] if begin is not None and found[:1] == [begin] else []

    def _plain_ids(self, text: str) -> list[int]:
        self._tokenizer.encode_special_tokens = True
        try:
            return self._ids(text)
        finally:
            self._tokenizer.encode_special_tokens = False

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(valid(text), add_special_tokens=False).ids

    @cached_property
    def _special(self) -> dict[str, str]:
        """{"bos_token": ..., "eos_token": ...}: what templates name."""
        tokens = {
            name: self._config.get(name)
            for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        return {
            name: token["content"] if isinstance(token, dict) else token
            for name, token in tokens.items()
            if token
        }

    @cached_property
    def _template(self) -> Any:
        if self._source is None:
            return None
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = lambda value, **options: json.dumps(
            value, ensure_ascii=False, **options
        )
        environment.globals |= {
            "raise_exception": _refuse,
            "strftime_now": lambda form: datetime.now().strftime(form),
        }
        return environment.from_string(self._source)


def open_tokenizer(model: str) -> ChatTokenizer:
    """The tokenizer of a folder, a GGUF file or a hub id; from the hub it is fetched where it is
    not here yet and there is a network. Raises NoTokenizer, and UsageError for a GGUF file that
    cannot be read."""
    if file := gguf_student.find(model):
        texts = gguf_student.tokenizer_texts(file)
    else:
        find = _in_folder if Path(model).is_dir() else _in_hub
        files = {name: find(model, name) for name in (TOKENIZER, CONFIG, TEMPLATE, GENERATION)}
        texts = {name: path.read_text(encoding="utf-8") for name, path in files.items() if path}
    if TOKENIZER not in texts:
        raise NoTokenizer(f"{model} has no file {TOKENIZER} here, and it cannot be fetched")
    found = ChatTokenizer(texts, model)
    from jinja2.exceptions import TemplateError

    try:
        found.prompt_ids([{"role": "user", "content": "A question."}])
    except TemplateError as error:
        raise NoTokenizer(
            f"its chat template cannot be filled in without transformers ({error})"
        ) from None
    return found


def budget_of(recipe: Recipe) -> tuple[Budget, str]:
    """(what a prompt of the recipe's student may hold, what a person should know of how that is
    counted or "")."""
    model = recipe.student.model
    try:
        if model in MADE:
            model = _made_folder(model, recipe.seed)
        return Budget.of(open_tokenizer(model), recipe.student.max_prompt), ""
    except NoTokenizer as error:
        return Budget.estimated(recipe.student.max_prompt), (
            f"Tokens are estimated at {BYTES_PER_TOKEN} bytes each, because {error}: "
            "the student may be shown a little more or less."
        )


def _made_folder(model: str, seed: int) -> str:
    """As `made_folder`. Raises NoTokenizer where it has not been made yet."""
    folder = made_folder(model, seed)
    if not folder.is_dir():
        raise NoTokenizer(f"the {model} student has not been made yet")
    return str(folder)


def _in_folder(folder: str, name: str) -> Path | None:
    path = Path(folder) / name
    return path if path.is_file() else None


def _in_hub(model: str, name: str) -> Path | None:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = try_to_load_from_cache(model, name)
        return Path(found if isinstance(found, str) else hf_hub_download(model, name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
        return None


def _refuse(message: str) -> NoReturn:
    from jinja2.exceptions import TemplateError

    raise TemplateError(message)
