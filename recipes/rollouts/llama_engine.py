"""Rollouts by llama.cpp: a copy of the student as GGUF (`gguf.py`).

    engine = LlamaEngine(student, base_file, longest=2048 + 512, threads=2)
    # [prompt][index]
    completions = engine.sample(prompts, n=8, temperature=0.7, max_new=512, seeds=[...])

A prompt is read once into a sequence of its own, and its part of the key/value cache is shared by
the completions of its group, which are sequences of one unified cache. Completions of a group that
have written the same so far are one row: it is computed and kept once, and becomes several where
they part. Batching is continuous: in every step one token of each of up to SLOTS rows is computed,
and where there are fewer, the next completions in line begin: prompt after prompt as they were
given, and completion after completion.

Token ids go in and out. A completion is drawn (`draws`) with random numbers of its own, whose seed
derives from the group's seed and the completion's index, so which others share its batch matters by
rounding alone. The log-probability kept is that of the chosen token at the sampling temperature.

An episode's sequence lives on between its turns: behind the answer, of which nothing stands in the
cache yet, it reads the end token and the answer, in the step in which the other rows read one token
each. Until then its row is *paused*, first in, first out, and holds its cells. Where slots are
free, completions that have not begun come first, unless as many rows are paused as there are slots,
and then the row that has been paused longest, whose answer is waited for: which row that is depends
on tokens alone, so when an answer comes changes nothing. It is left alone for PAUSE steps while
others go on, for answers take a while. A completion begins when there are cells for its whole
episode and a sequence of its own, so a paused row wants nothing that another one holds, and nothing
waits for ever.

Attention looks at all cells of the cache and masks those of others, so a prompt that is held costs
time. A completion that is young counts as a row of its own, for it may soon be one: so no more
prompts are read than the rows that come of them have room for.

The adapter is read from the student at each call. If it is another one than llama.cpp holds, it
goes there through a file in memory: as a GGUF LoRA, or, for a model small enough to be written as
F16, as a whole model with the adapter added in, in place of the one before. There a LoRA's two
products more for each matrix cost a quarter of a step's time; the nano student is written and
loaded in 0.04 seconds. A call begins with an empty cache and depends on nothing that went before,
so on the CPU, with the same number of threads, the same call gives the same bytes.
"""

import ctypes
import hashlib
import os
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np

from recipes.learning.measure import derived_seed
from recipes.learning.shape import cached_values
from recipes.rollouts.engine import (
    Completion,
    Engine,
    ReadStudent,
    Turns,
    check_arguments,
    count_nothing,
)
from recipes.rollouts.llama_files import OTHERWISE, last_message, load_file, metadata
from recipes.rollouts.sampling import Draws
from recipes.rollouts.writing import Answers, Writing
from sandbox.errors import HarnessError, UsageError

SLOTS = {"cpu": 8, "cuda": 64}
"""Rows computed together, at most. On the CPU more do not pay: with 16 the nano student is a fifth
slower, and 12 layers of 896 are no faster. The number for a card is a guess, for none has run
this."""

YOUNG = 4
"""Tokens within which the completions of a group part, most of those that ever do."""

CACHE_BYTES = 1 << 30
"""Size of the key/value cache, unless the longest prompt and completion alone need more. A
constant, not a share of what happens to be free, so that batches depend on the arguments alone."""

WRITERS = {"cpu": 56, "cuda": 192}
"""Completions that have begun and not ended, at most. Those that have written the same so far are
one row, so there may be many more of them than slots; each needs a sequence of its own once it
parts from the others. llama.cpp has 256 sequences at most, and its buffers are for a multiple of
their number: so slots and writers together divide MICRO_BATCH."""

PAUSE = 4
"""Steps for which a row that waits for an answer is left alone while others go on."""

BATCH_TOKENS = 2048
"""Tokens given to llama.cpp at a time while prompts are read; it takes them MICRO_BATCH at a time.
"""

MICRO_BATCH = {"cpu": 256, "cuda": 512}
"""On the CPU the attention scores of so many stay in its cache: a prompt of 2048 is read 5 % faster
than with 512."""


@dataclass
class _Group:
    """A prompt that is being answered."""

    index: int
    prompt: Sequence[int]
    sequence: int
    """Where the prompt lies in the cache until its last completion has begun."""
    left: int
    """Completions that have not begun."""
    alive: int = 0
    """Completions that have begun and not ended."""
    logits_V: np.ndarray | None = None
    """Of its last token; None until the prompt has been read."""
    done: dict[int, Completion] = field(default_factory=dict)
    """By index."""


@dataclass(kw_only=True)
class _Writing(Writing):
    """A completion that is being written."""

    index: int
    generator: random.Random


@dataclass
class _Row:
    """Completions that have written the same so far."""

    group: _Group
    sequence: int
    members: list[_Writing]
    limit: int
    """Tokens behind the prompt at which its turn is cut off."""
    start: int = 0
    """Tokens behind the prompt when its turn began."""
    unread: int = 1
    """Of its last tokens, how many llama.cpp has not read yet."""
    paused: int = 0
    """The step in which its turn ended."""

    @property
    def ids(self) -> list[int]:
        """What stands behind the prompt."""
        return self.members[0].ids

    @property
    def expected(self) -> int:
        """Rows that it is, or may soon be."""
        return len(self.members) if len(self.ids) - self.start < YOUNG else 1


class LlamaEngine(Engine):
    """Samples through llama.cpp. Holds a copy of the student's base until `close`."""

    def __init__(self, student: ReadStudent, base: Path, longest: int, threads: int) -> None:
        """`base` is the student's `export_base`; `longest` is what a prompt and its completion, of
        all its turns, may have together, tokens.

        Raises UsageError when llama.cpp cannot load the file or make room for the cache.
        """
        self.student, self.threads = student, threads
        device = student.device.type
        self.slots, self.writers, self.cells = (
            SLOTS[device],
            WRITERS[device],
            room(cached_values(student.config), device, longest),
        )
        self._digest = ""
        self._context: Any = None
        self._model: Any = None
        self._adapter: Any = None
        self.memory: Any = None
        self._batch = _Batch(BATCH_TOKENS)
        self._load(base)
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))

    def _load(self, path: Path) -> None:
        """Sample from the model of this file in place of the one before."""
        self.close()
        self._model = load_file(path, gpu=self.student.device.type == "cuda")
        self._context = llama.llama_init_from_model(self._model, self._settings())
        if not self._context:
            self.close()
            raise UsageError(
                f"llama.cpp cannot make room for rollouts ({last_message()}). {OTHERWISE}"
            )
        self.memory = llama.llama_get_memory(self._context)

    def _settings(self) -> llama.llama_context_params:
        settings = llama.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = (
            self.cells,
            BATCH_TOKENS,
            MICRO_BATCH[self.student.device.type],
        )
        settings.n_seq_max = sequences(self.student.device.type)
        settings.n_outputs_max = (
            settings.n_seq_max
        )  # the least that it takes; else there is room for the logits of a whole batch
        settings.n_threads = settings.n_threads_batch = self.threads
        settings.kv_unified = settings.swa_full = settings.no_perf = True
        if self.student.device.type == "cpu":
            # Measured: a third slower with it, on the nano student and on 12 layers of 896.
            settings.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return settings

    def close(self) -> None:
        """Give the memory back."""
        if self._context:
            llama.llama_free(self._context)
        if self._model:
            llama.llama_model_free(self._model)  # and the adapter with it
        self._digest, self._context, self._model, self._adapter = "", None, None, None

    def stream(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        max_new: int,
        seeds: Sequence[int],
        on_ended: Callable[[int], None] = count_nothing,
        turns: Turns | None = None,
    ) -> Iterator[dict[int, list[Completion]]]:
        check_arguments(prompts, n, max_new, seeds, turns)
        answers = Answers(turns, max_new)
        if max(map(len, prompts), default=0) + answers.most > self.cells:
            raise ValueError(f"a prompt and its completion do not fit into {self.cells} tokens")
        if turns is not None:
            self.require_turns()
        self._swap_adapter()
        llama.llama_memory_clear(self.memory, False)
        yield from _Sampling(self, prompts, n, temperature, answers, seeds, on_ended).run()

    def require_turns(self) -> None:
        """Raise UsageError for a model whose sequences llama.cpp cannot go on with: what has a
        state (a recurrent model, or one of some such layers) cannot be given cell by cell to
        several completions, so each turn would be read anew. (Sliding windows are kept whole:
        `swa_full`.)
        """
        if not (
            llama.llama_model_is_recurrent(self._model) or llama.llama_model_is_hybrid(self._model)
        ):
            return
        kind = metadata(self._model, "general.architecture")
        raise UsageError(
            "Rollouts of several turns are not possible by llama.cpp with models of architecture "
            f"{kind!r}: they keep a state in place of a cache, so each turn would be read anew "
            "from its first token. Set turns = 1."
        )

    def _swap_adapter(self) -> None:
        """Bring llama.cpp's adapter in step with the student's."""
        # Needs torch, which an adapter in a file does not.
        from recipes.learning.weights import is_small
        from recipes.rollouts.gguf import adapter_tensors, write_adapter, write_merged

        tensors = adapter_tensors(self.student)
        digest = hashlib.blake2b(
            b"".join(array.tobytes() for array in tensors.values())
        ).hexdigest()
        if digest == self._digest:
            return
        descriptor = os.memfd_create("adapter")  # a file that nobody has to remove
        try:
            path = Path(f"/proc/self/fd/{descriptor}")
            if is_small(self.student):
                write_merged(self.student, path)
                self._load(path)
            else:
                write_adapter(self.student, path, tensors)
                self.use_adapter(path)
        finally:
            os.close(descriptor)
        self._digest = digest

    def use_adapter(self, path: Path) -> None:
        """Sample with the GGUF LoRA of this file in place of the one before. Raises HarnessError
        where llama.cpp does not take it."""
        fresh = llama.llama_adapter_lora_init(self._model, str(path).encode())
        if not fresh or llama.llama_set_adapters_lora(
            self._context,
            (llama.llama_adapter_lora_p_ctypes * 1)(fresh),
            1,
            (ctypes.c_float * 1)(1.0),
        ):
            raise HarnessError(
                f"llama.cpp does not take the student's adapter ({last_message()}). {OTHERWISE}"
            )
        if self._adapter:
            llama.llama_adapter_lora_free(self._adapter)
        self._adapter = fresh

    def decode(
        self, tokens: list[int], positions: list[int], sequences: list[int], wanted: list[bool]
    ) -> np.ndarray:
        """Read the tokens, each at a position of a sequence: the logits of the wanted ones, [W,
        vocabulary], valid until the next call."""
        self._batch.fill(tokens, positions, sequences, wanted)
        if code := llama.llama_decode(self._context, self._batch.structure):
            raise HarnessError(
                f"llama.cpp failed while sampling (code {code}: {last_message()}). {OTHERWISE}"
            )
        if not any(wanted):
            return np.empty((0, self.vocabulary), np.float32)
        return np.ctypeslib.as_array(
            llama.llama_get_logits(self._context), (sum(wanted), self.vocabulary)
        )


class _Sampling:
    """One call of `LlamaEngine.stream`."""

    def __init__(
        self,
        engine: LlamaEngine,
        prompts: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        answers: Answers,
        seeds: Sequence[int],
        on_ended: Callable[[int], None],
    ) -> None:
        self.on_ended = on_ended
        self.engine, self.prompts, self.n, self.temperature, self.answers, self.seeds = (
            engine,
            prompts,
            n,
            temperature,
            answers,
            seeds,
        )
        self.waiting = deque((g, i) for g in range(len(prompts)) for i in range(n))
        self.rows: list[_Row] = []
        self.paused: deque[_Row] = deque()
        """Rows whose turn has ended, by when it did."""
        self.steps = 0
        self.writing = 0
        """Completions that have begun and not ended."""
        self.done: dict[int, list[Completion]] = {}
        """Groups all of whose completions have ended, since the last ones were handed out."""
        self.free = deque(range(engine.writers))
        self.homes = deque(range(engine.writers, engine.writers + engine.slots))
        self.cells = engine.cells
        """Of the cache, not yet promised to a prompt or a completion."""
        self.group: _Group | None = None
        """The one whose completion began last."""
        self.draws = Draws(engine.vocabulary, engine.slots)

    def run(self) -> Iterator[dict[int, list[Completion]]]:
        while self.waiting or self.rows or self.paused:
            begun = self._begin()
            self._read([row.group for row in begun if row.group.logits_V is None])
            for row in begun:
                llama.llama_memory_seq_cp(
                    self.engine.memory, row.group.sequence, row.sequence, -1, -1
                )
            if begun:
                self.rows += self._take(begun, np.stack([row.group.logits_V for row in begun]))
            for group in {row.group.index: row.group for row in begun}.values():
                if not group.left:  # the prompt lives on in the sequences of its completions
                    llama.llama_memory_seq_rm(self.engine.memory, group.sequence, -1, -1)
                    self.homes.append(group.sequence)
            self._resume()
            if self.rows:
                self._step()
            if self.done:
                done, self.done = self.done, {}
                yield done

    @property
    def expected(self) -> int:
        """Rows that there are, or may soon be."""
        return sum(row.expected for row in self.rows)

    def _begin(self) -> list[_Row]:
        """The next completions in line, while there are slots, sequences and cells for them: all of
        a group, for those that begin together share what they write. Fewer begin only where none
        would otherwise. None begins where as many rows as there are slots are paused: every row
        pays for the cells that these hold."""
        begun: list[_Row] = []
        expected, most = self.expected, self.answers.most
        if len(self.paused) >= self.engine.slots:
            return begun
        while self.waiting and expected < self.engine.slots:
            g, i = self.waiting[0]
            read = len(self.prompts[g]) if i == 0 else 0
            count = min(self.n - i, self.engine.writers - self.writing, (self.cells - read) // most)
            if count < (min(self.n - i, self.engine.writers) if self.writing else 1):
                break
            self.writing += count
            expected += count
            self.cells -= read + count * most
            if i == 0:
                self.group = _Group(g, self.prompts[g], self.homes.popleft(), self.n)
            assert self.group is not None
            self.group.left -= count
            self.group.alive += count
            indices = [self.waiting.popleft()[1] for _ in range(count)]
            members = [
                _Writing(
                    index=index,
                    generator=random.Random(derived_seed("sampler", self.seeds[g], index)),
                )
                for index in indices
            ]
            begun.append(
                _Row(self.group, self.free.popleft(), members, limit=self.answers.limit(0))
            )
        return begun

    def _resume(self) -> None:
        """Go on with the rows that have been paused longest, while there are slots for them."""
        if not self.paused:
            return
        expected, others = self.expected, bool(self.rows)
        while self.paused and expected < self.engine.slots:
            row = self.paused[0]
            if others and self.steps - row.paused < PAUSE:
                break
            self.paused.popleft()
            answer = self.answers.wait(row.group.index, row.ids)
            if not answer:
                for one in row.members:
                    self._end(row.group, one)
                self._forget(row.sequence)
                continue
            for one in row.members:
                one.hear(answer)
            row.start, row.unread = len(row.ids), 1 + len(answer)
            row.limit = self.answers.limit(row.start)
            self.rows.append(row)
            expected += row.expected

    def _read(self, groups: list[_Group]) -> None:
        """Read the prompts of these groups (some named more than once) and keep the logits of their
        last tokens."""
        if not groups:
            return
        groups = list({group.index: group for group in groups}.values())
        logits_GV = self._decode([(group.prompt, 0, group.sequence) for group in groups])
        for group, logits_V in zip(groups, logits_GV):
            group.logits_V = logits_V.copy()

    def _step(self) -> None:
        """One token more for every row, or for the first of them if they are more than the
        slots."""
        rows, others = self.rows[: self.engine.slots], self.rows[self.engine.slots :]
        logits_RV = self._decode(
            [
                (
                    row.ids[-row.unread :],
                    len(row.group.prompt) + len(row.ids) - row.unread,
                    row.sequence,
                )
                for row in rows
            ]
        )
        for row in rows:
            row.unread = 1
        self.steps += 1
        self.rows = self._take(rows, logits_RV) + others

    def _decode(self, parts: Sequence[tuple[Sequence[int], int, int]]) -> np.ndarray:
        """Read the tokens of each part, (tokens, position of the first, sequence), BATCH_TOKENS at
        a time: the logits behind its last, [parts, vocabulary]."""
        entries = [
            (token, first + place, sequence, place == len(ids) - 1)
            for ids, first, sequence in parts
            for place, token in enumerate(ids)
        ]
        found = []
        for start in range(0, len(entries), BATCH_TOKENS):
            tokens, positions, sequences, wanted = zip(*entries[start : start + BATCH_TOKENS])
            found.append(
                self.engine.decode(list(tokens), list(positions), list(sequences), list(wanted))
            )
            if len(entries) > BATCH_TOKENS:  # the next call overwrites it
                found[-1] = found[-1].copy()
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _take(self, rows: list[_Row], logits_RV: np.ndarray) -> list[_Row]:
        """Draw the next token of each completion of these rows. Returns the rows that go on."""
        writing = [(number, one) for number, row in enumerate(rows) for one in row.members]
        tokens, logprobs = self.draws.draw(
            logits_RV,
            self.temperature,
            [one.generator.random() for _, one in writing],
            [number for number, _ in writing],
        )
        end_ids = self.engine.student.end_ids
        going_on: list[dict[int, list[_Writing]]] = [{} for _ in rows]
        for (number, one), token, logprob in zip(writing, tokens.tolist(), logprobs.tolist()):
            one.ids.append(token)
            one.logprobs.append(logprob)
            is_over = (
                not self.answers.goes_on if token in end_ids else len(one.ids) == rows[number].limit
            )
            if is_over:
                self._end(rows[number].group, one)
            else:
                going_on[number].setdefault(token, []).append(one)
        branches = [
            branch
            for row, parts in zip(rows, going_on)
            for branch in self._branches(row, list(parts.values()))
        ]
        for row in branches:
            if row.ids[-1] in end_ids:
                row.paused = self.steps
                self.answers.ask(row.group.index, row.ids)
                self.paused.append(row)
        return [row for row in branches if row.ids[-1] not in end_ids]

    def _branches(self, row: _Row, parts: list[list[_Writing]]) -> list[_Row]:
        """What has become of a row: a row for each part of its completions. The first goes on in
        its place."""
        branches = [
            replace(
                row, sequence=row.sequence if number == 0 else self.free.popleft(), members=part
            )
            for number, part in enumerate(parts)
        ]
        for branch in branches[1:]:
            llama.llama_memory_seq_cp(self.engine.memory, row.sequence, branch.sequence, -1, -1)
        if not branches:
            self._forget(row.sequence)
        return branches

    def _forget(self, sequence: int) -> None:
        llama.llama_memory_seq_rm(self.engine.memory, sequence, -1, -1)
        self.free.append(sequence)

    def _end(self, group: _Group, one: _Writing) -> None:
        """Keep a completion that has ended, and give its cells back."""
        group.done[one.index] = one.completion(self.engine.student.end_ids)
        if len(group.done) == self.n:
            self.done[group.index] = [group.done[i] for i in range(self.n)]
            self.answers.forget(group.index)
        group.alive -= 1
        self.writing -= 1
        self.on_ended(1)
        self.cells += self.answers.most + (0 if group.left or group.alive else len(group.prompt))


class _Batch:
    """llama.cpp's structure of a batch over arrays of ours, which are filled without a loop."""

    def __init__(self, size: int) -> None:
        self._token: np.ndarray = np.ones(size, dtype=np.int32)
        self._pos: np.ndarray = np.ones(size, dtype=np.int32)
        self._count: np.ndarray = np.ones(size, dtype=np.int32)
        self._sequence: np.ndarray = np.ones(size, dtype=np.int32)
        self._wanted: np.ndarray = np.zeros(size, dtype=np.int8)
        # A token may belong to several sequences, so llama.cpp wants a list of them; here each list
        # is one entry of `_sequence`.
        self._lists: np.ndarray = self._sequence.ctypes.data + 4 * np.arange(size, dtype=np.uintp)
        self.structure = llama.llama_batch(
            token=self._pointer(self._token, ctypes.c_int32),
            pos=self._pointer(self._pos, ctypes.c_int32),
            n_seq_id=self._pointer(self._count, ctypes.c_int32),
            logits=self._pointer(self._wanted, ctypes.c_int8),
            seq_id=self._pointer(self._lists, ctypes.POINTER(ctypes.c_int32)),
        )

    @staticmethod
    def _pointer(array: np.ndarray, kind: Any) -> Any:
        return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))

    def fill(
        self, tokens: list[int], positions: list[int], sequences: list[int], wanted: list[bool]
    ) -> None:
        count = self.structure.n_tokens = len(tokens)
        self._token[:count], self._pos[:count], self._sequence[:count], self._wanted[:count] = (
            tokens,
            positions,
            sequences,
            wanted,
        )


def room(values: int, device: str, longest: int) -> int:
    """Cells (tokens) of the key/value cache, each of so many values (`cached_values`): for the
    completions of all slots, each with a prompt of its own, within CACHE_BYTES; at least for one.
    """
    most = CACHE_BYTES // (2 * values)
    return -(-min(SLOTS[device] * longest, max(longest, most)) // 256) * 256


def sequences(device: str) -> int:
    """Of llama.cpp's cache: one for each completion, and for the prompts of those that begin
    together."""
    return WRITERS[device] + SLOTS[device]


def fastest_matrices(device: str) -> str:
    """The type of a large model's matrices (`gguf.export_base`) by which llama.cpp samples
    fastest here. Measured with 12 layers of 896 on a Zen 4 core: prompts are read a quarter faster
    by BF16 than by Q8_0, a step of eight is 5 % faster."""
    return (
        "BF16"
        if device == "cpu" and b"AVX512_BF16 = 1" in llama.llama_print_system_info()
        else "Q8_0"
    )
