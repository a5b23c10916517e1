"""Log-probabilities of completions, and their gradient, without computing anything twice; and the
divergence to another adapter on the same base.

    for indices, logp_N, reference_N in passes(policy, samples, temperature, kl=False, sharing):
        (-(weight_N * logp_N).sum()).backward()  # of every part, before the next one is asked for
    for indices, kl_N in divergences(policy, samples, temperature, sharing):
        kl_N.sum().backward()  # the same

Two paths give the same numbers up to rounding:

*plain*: samples of like length side by side, padded on the right, prompt and completion in one
forward pass;

*shared*: completions of one prompt share it. The prompt is read once, with gradient, and its keys
and values are cut off from the graph: the completions are read on them, some at a time, each part's
backward pass adds to the gradient at the cut, and the prompt's own backward pass goes from there,
once. So memory holds one prompt and one part of its completions, however many there are. Several
completions of a prompt lie in a row as a trie: what they have in common from the beginning (an
episode's first turn and what was said to it, the first tokens of a reply) is read once, and a mask
lets each token see the prompt and what stands before it in its own completions. So the cache is
repeated for a row and not for a completion.

`plan` chooses between them by the samples' tokens alone, so the same samples take the same path on
every machine.

The decoder gives hidden states, and the head (`head.py`) is applied to the positions before the
tokens that the student wrote alone, on the shared path once where completions have them in common.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache as remember
from functools import cached_property
from typing import Any

import torch

from recipes.learning.head import head_divergence, head_logprobs
from recipes.learning.limits import is_out_of_memory
from recipes.learning.policy import Policy

SHARE_BELOW = 0.7
"""A batch of samples takes the shared path if it then computes at most this share of the tokens:
the second pass and its masks cost something, too."""

LEAST_BOUND, TIMES_NOISE, MOST_NOISE = 1e-3, 4.0, 0.1
"""The shared path's gradient may differ from the plain one's by four times the plain one's own
rounding, a thousandth at least (random models: shared 0.7 to 2.3 % in bfloat16, 0.00004 % in
float32). A gradient that is wrong differs by tens of per cent; where rounding alone comes near to
that nothing can be told."""

UNABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What an attention raises that was not made for this. What a compiler raises is none of them."""

LEAST_PART = 256
"""Padded tokens. Completions are read on their prompts' cache in parts of a quarter of the prompts'
size, or of so many tokens: then they add little to the memory that the prompts take, and a part is
not so small that unpacking the 4-bit weights for it weighs more than its products."""

WIDER_BELOW = 0.95
"""Rows and parts are wider than usual, as far as the limit allows, where that leaves at most this
share of the work, as it does where completions have much in common or are longer than their prompt.
Else it would cost memory for nothing."""

PARITY = 2000.0
"""`Sharing.parity` of SmolLM2, roughly. Small models have less, large ones 10,000 and more."""


@dataclass(frozen=True)
class Sample:
    """Token ids of one prompt and one completion. Raises ValueError where one of them has no token,
    and for a mask of another length or by which the student wrote nothing."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    mask: tuple[bool, ...] | None = None
    """Of each token of the completion, whether the student wrote it, which alone is learned; None:
    all."""

    def __post_init__(self) -> None:
        if not (self.prompt and self.completion):
            raise ValueError("a prompt and a completion need at least one token each")
        if self.mask is None:
            return
        if len(self.mask) != len(self.completion):
            raise ValueError(
                f"the mask has {len(self.mask)} values for {len(self.completion)} tokens"
            )
        if not any(self.mask):
            raise ValueError("the student wrote none of the completion's tokens: nothing to learn")

    @cached_property
    def written(self) -> Sequence[int]:
        """Positions within the completion of the tokens that the student wrote, rising."""
        if self.mask is None:
            return range(len(self.completion))
        return tuple(t for t, wrote in enumerate(self.mask) if wrote)

    @cached_property
    def read(self) -> tuple[int, ...]:
        """What is read behind all but the prompt's last token: the last of it predicts the last
        token that the student wrote, and what follows nothing that is asked for."""
        return self.prompt[-1:] + self.completion[: self.written[-1]]


@dataclass(frozen=True)
class Sharing:
    """Sizes that decide what is read together, tokens."""

    limit: int
    """Padded, of one pass; a single sample may have more."""
    longest: int
    """Of the prompt and completion of samples that share the work on their prompt; 0: none do."""
    parity: float = PARITY
    """Looking at so many others costs a token as much as everything else (`Shape.parity`)."""


@dataclass(frozen=True)
class Plain:
    """Samples that are read side by side, by their indices."""

    indices: list[int]


@dataclass(frozen=True)
class Row:
    """Completions of one prompt that are read as a trie."""

    prompt: int
    """Position in `Shared.prompts`."""
    indices: list[int]
    """Of the samples, by what is read of them: so each has most in common with one beside it."""
    width: int
    """Tokens; those in common count once."""


@dataclass(frozen=True)
class Shared:
    """Samples that are read on the cache of their prompts."""

    prompts: list[tuple[int, ...]]
    """Read together, the longest first. Only what lies before a prompt's last token is cached; that
    token is the root of each row, so that the position which predicts a completion's first token
    is like all others."""
    parts: list[list[Row]]
    """Rows that are read together, the widest first."""


# ---- what is read together -----------------------------------------------------------------------


def micro_batches(
    samples: Sequence[Sample], limit: int, indices: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Indices of `samples` (or those of them in `indices`) by falling length, cut so that rows x
    longest stays within `limit` tokens (or is one row).

    Rows of like length share a batch, so little of it is padding; the longest first, so that too
    little memory shows at once.
    """
    chosen = range(len(samples)) if indices is None else indices
    return _batches(
        sorted(chosen, key=lambda i: (-_length(samples[i]), i)),
        lambda i: _length(samples[i]),
        limit,
    )


def plan(
    samples: Sequence[Sample], limit: int, longest_shared: int, parity: float = PARITY
) -> list[Plain | Shared]:
    """Everything that `samples` need, in passes of at most `limit` padded tokens, or of one sample
    where that is more.

    `longest_shared` is the longest prompt and completion that the model can take on the shared
    path, in tokens; 0: none. `parity` is as in `Sharing`.
    """
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for i, sample in enumerate(samples):
        by_prompt.setdefault(sample.prompt, []).append(i)
    groups = {
        prompt: group
        for prompt, group in by_prompt.items()
        if len(group) > 1
        and len(prompt) > 1
        and max(_length(samples[i]) for i in group) <= longest_shared
    }
    shared, alone = (
        [],
        [i for prompt, group in by_prompt.items() if prompt not in groups for i in group],
    )
    # Half of the limit for prompts, for their completions are read beside them.
    for prompts in _batches(sorted(groups, key=len, reverse=True), len, limit // 2):
        indices = [i for prompt in prompts for i in groups[prompt]]
        work = _share(samples, {prompt: groups[prompt] for prompt in prompts}, limit, parity)
        plain = map(Plain, micro_batches(samples, limit, indices))
        if padded(samples, work) <= SHARE_BELOW * sum(padded(samples, batch) for batch in plain):
            shared.append(work)
        else:
            alone += indices
    return [*map(Plain, micro_batches(samples, limit, alone)), *shared]


def padded(samples: Sequence[Sample], work: Plain | Shared) -> int:
    """Tokens that a pass computes, padding included."""
    if isinstance(work, Plain):
        return len(work.indices) * max(_length(samples[i]) for i in work.indices)
    return len(work.prompts) * len(work.prompts[0]) + sum(
        len(part) * part[0].width for part in work.parts
    )


def longest_of(samples: Sequence[Sample]) -> int:
    """Tokens of the longest: what a pass has at least."""
    return max(map(_length, samples), default=0)


def _length(sample: Sample) -> int:
    """Up to the last token that the student wrote."""
    return len(sample.prompt) + len(sample.read)


def _batches(items: Sequence, size: Callable[[Any], int], limit: int) -> Iterator[list]:
    """`items`, the largest first, cut so that a batch padded to its first item stays within `limit`
    (or is one item)."""
    batch: list = []
    for item in items:
        if batch and (len(batch) + 1) * size(batch[0]) > limit:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _share(samples: Sequence[Sample], groups: dict, limit: int, parity: float) -> Shared:
    prompts = list(groups)
    taken = len(prompts) * len(prompts[0])
    most = max(1, limit - taken)
    room = min(most, max(LEAST_PART, taken // 4))
    packed = [_Packed(samples, group) for group in groups.values()]

    def parts(room: int, width: int) -> Shared:
        rows = [row for p, group in enumerate(packed) for row in group.rows(p, width)]
        rows.sort(key=lambda row: -row.width)
        return Shared(prompts, list(_batches(rows, lambda row: row.width, room)))

    def cost(work: Shared) -> float:
        """Tokens, and what each looks at, masked or not, by what that costs."""
        widths = ((len(part), part[0].width) for part in work.parts)
        return taken + sum(
            rows * width * (1 + (len(prompts[0]) + width) / parity) for rows, width in widths
        )

    # Up to the prompt's length, a longer row costs less in what its completions do not see of each
    # other than another copy of the cache would.
    best = parts(room, min(room, len(prompts[0])))
    while True:
        wider = parts(room, room)
        if cost(wider) <= WIDER_BELOW * cost(best):
            best = wider
        if room == most:
            return best
        room = min(2 * room, most)


class _Packed:
    """The completions of one prompt, and how much any two have in common."""

    def __init__(self, samples: Sequence[Sample], group: list[int]) -> None:
        self._order = sorted(group, key=lambda i: (samples[i].read, i))
        read = [samples[i].read for i in self._order]
        self._lengths = list(map(len, read))
        # Of two that are not neighbours: the least that neighbours between them have in common.
        beside = [_in_common(*pair) for pair in zip(read, read[1:])]
        self._common = [
            [min(beside[min(a, b) : max(a, b)], default=0) for b in range(len(read))]
            for a in range(len(read))
        ]

    def rows(self, prompt: int, width: int) -> list[Row]:
        """In rows of at most `width` tokens, or of one completion and what adds nothing to it: the
        longest first, each where it adds least."""
        rows: list[list[int]] = []
        widths: list[int] = []
        for a in sorted(range(len(self._order)), key=lambda a: (-self._lengths[a], a)):
            adds = [self._lengths[a] - max(self._common[a][b] for b in row) for row in rows]
            fitting = [r for r in range(len(rows)) if not adds[r] or widths[r] + adds[r] <= width]
            if fitting:
                r = min(fitting, key=lambda r: adds[r])
                rows[r].append(a)
                widths[r] += adds[r]
            else:
                rows.append([a])
                widths.append(self._lengths[a])
        return [
            Row(prompt, [self._order[a] for a in sorted(row)], used)
            for row, used in zip(rows, widths)
        ]


def _in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens from the beginning."""
    both = enumerate(zip(one, other))
    return next((n for n, (a, b) in both if a != b), min(len(one), len(other)))


# ---- both paths ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Read:
    """What came of reading one part."""

    indices: list[int]
    """Of its samples."""
    hidden_UH: torch.Tensor
    """Hidden states, one for each place and token that is to be predicted there: what samples have
    in common stands here once."""
    targets_U: torch.Tensor
    """These tokens."""
    places_N: torch.Tensor | None
    """Of each written token, sample after sample, which of these predicts it; None: in this
    order."""

    def of_tokens(self, value_U: torch.Tensor) -> torch.Tensor:
        """One value for each written token, [N]."""
        return value_U if self.places_N is None else value_U.index_select(0, self.places_N)


def passes(
    policy: Policy, samples: Sequence[Sample], temperature: float, kl: bool, sharing: Sharing
) -> Iterator[tuple]:
    """(indices, logp_N, reference_N) for all samples, part by part: log-probabilities of the tokens
    that the student wrote, nats, those of one sample after those of another in the order of
    `indices`; with a graph, and under the reference adapter without one (None unless `kl`).

    The caller takes the backward pass of what it makes of `logp_N` before it asks for the next
    part. Raises ValueError for temperature <= 0.
    """

    def logprobs(read: _Read) -> torch.Tensor:
        return read.of_tokens(head_logprobs(policy, read.hidden_UH, read.targets_U, temperature))

    for read, reference_N in _beside(policy, samples, sharing, logprobs if kl else None):
        yield read.indices, logprobs(read), reference_N


def divergences(
    policy: Policy, samples: Sequence[Sample], temperature: float, sharing: Sharing
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """(indices, kl_N) for all samples, part by part, as `passes` orders them: before each token
    that the student wrote, the reverse divergence to the reference adapter, over the whole
    vocabulary,

        sum_v p(v) (log p(v) - log p_reference(v)),  nats, at logits / temperature,

    with a graph where gradients are enabled. The sampling of the tokens has none (on-policy
    distillation: Agarwal et al. 2024, arXiv:2306.13649, equation 4). Costs a forward pass without
    gradient more than log-probabilities do, and in the head four products with the vocabulary for
    two; without gradients two.

    The caller as in `passes`. Raises ValueError for temperature <= 0.
    """
    for read, reference_UH in _beside(policy, samples, sharing, lambda read: read.hidden_UH):
        kl_U = head_divergence(policy, read.hidden_UH, reference_UH, temperature)
        yield read.indices, read.of_tokens(kl_U)


def _beside(
    policy: Policy,
    samples: Sequence[Sample],
    sharing: Sharing,
    kept: Callable[[_Read], torch.Tensor] | None,
) -> Iterator[tuple[_Read, Any]]:
    """All parts as the policy reads them, and what is `kept` of each as the reference adapter reads
    it (None without `kept`)."""
    for work in plan(samples, sharing.limit, sharing.longest, sharing.parity):
        reference: dict[tuple[int, ...], torch.Tensor] = {}
        if kept is not None:
            with policy.as_reference():
                reference = {
                    tuple(read.indices): kept(read)
                    for read in _parts(policy, samples, work, training=False)
                }
        for read in _parts(policy, samples, work, training=True):
            yield read, reference.get(tuple(read.indices))


def _parts(
    policy: Policy, samples: Sequence[Sample], work: Plain | Shared, training: bool
) -> Iterator[_Read]:
    """The parts of one pass; on being asked for what comes after the last one, the prompts' own
    backward pass."""
    if isinstance(work, Plain):
        yield _plain_part(policy, samples, work.indices, training)
        return
    policy.mode(training)
    prompts = PromptCache(policy, work.prompts)
    for part in work.parts:
        yield _trie_part(policy, prompts, samples, part)
    if training:
        prompts.backward()


def _plain_part(
    policy: Policy, samples: Sequence[Sample], indices: list[int], training: bool
) -> _Read:
    chosen = [samples[i] for i in indices]
    targets = [s.completion[t] for s in chosen for t in s.written]
    return _Read(
        indices,
        plain_hidden(policy, chosen, training),
        torch.tensor(targets, device=policy.device),
        None,
    )


def flat_logprobs(
    policy: Policy, samples: Sequence[Sample], temperature: float, training: bool
) -> torch.Tensor:
    """Log-probabilities of all written tokens by the plain path, sample after sample, [N]. Raises
    ValueError as `passes`."""
    read = _plain_part(policy, samples, list(range(len(samples))), training)
    return head_logprobs(policy, read.hidden_UH, read.targets_U, temperature)


def plain_hidden(policy: Policy, samples: Sequence[Sample], training: bool) -> torch.Tensor:
    """Hidden states that predict the written tokens, sample after sample, [N, hidden], by the plain
    path."""
    longest = max(map(_length, samples)) - 1
    tokens = [list(s.prompt[:-1] + s.read) for s in samples]
    tokens_BT = torch.tensor(
        [row + [policy.pad_id] * (longest - len(row)) for row in tokens], device=policy.device
    )
    policy.mode(training)
    hidden_BTH, _ = policy.forward(tokens_BT)
    flat = [b * longest + len(s.prompt) - 1 + t for b, s in enumerate(samples) for t in s.written]
    return _gather(hidden_BTH, flat)


def _gather(hidden_BTH: torch.Tensor, flat: list[int]) -> torch.Tensor:
    return hidden_BTH.reshape(-1, hidden_BTH.shape[-1]).index_select(
        0, torch.tensor(flat, device=hidden_BTH.device)
    )


# ---- the shared path -----------------------------------------------------------------------------


def _trie_part(
    policy: Policy, prompts: "PromptCache", samples: Sequence[Sample], rows: Sequence[Row]
) -> _Read:
    """What samples have in common goes through decoder and head once."""
    tries = [Trie([samples[i].read for i in row.indices]) for row in rows]
    width = max(len(trie.tokens) for trie in tries)
    # (position, token that it is to predict) -> its place among those of which there is one each
    asked: dict[tuple[int, int], int] = {}
    places = [
        asked.setdefault((r * width + trie.paths[n][t], samples[i].completion[t]), len(asked))
        for r, (row, trie) in enumerate(zip(rows, tries))
        for n, i in enumerate(row.indices)
        for t in samples[i].written
    ]
    nodes, targets = zip(*asked)
    return _Read(
        [i for row in rows for i in row.indices],
        _gather(prompts.hidden(tries, [row.prompt for row in rows]), list(nodes)),
        torch.tensor(targets, device=policy.device),
        torch.tensor(places, device=policy.device),
    )


class Trie:
    """Sequences of token ids that begin with the same one, each beginning stored once: a node a
    token, a parent before its children."""

    def __init__(self, sequences: Sequence[tuple[int, ...]]) -> None:
        """`sequences` in ascending order: then what one has in common with any before it, it has in
        common with the one before it."""
        self.tokens: list[int] = []
        self.depths: list[int] = []
        self.paths: list[list[int]] = []
        """Of each sequence, the nodes of its tokens."""
        self._branches: list[tuple[int, int, int]] = []
        """(first node, one behind the last, parent of the first; -1: none): nodes of which each is
        the parent of the next."""
        before: tuple[tuple[int, ...], list[int]] = ((), [])
        for sequence in sequences:
            common, first = _in_common(before[0], sequence), len(self.tokens)
            self.tokens += sequence[common:]
            self.depths += range(common, len(sequence))
            path = before[1][:common] + list(range(first, len(self.tokens)))
            if common < len(sequence):
                self._branches.append((first, len(self.tokens), path[common - 1] if common else -1))
            self.paths.append(path)
            before = sequence, path

    def seen(self, width: int) -> torch.Tensor:
        """Of each node, which nodes it sees, [width, width]: its ancestors and itself. Padding is a
        sequence of its own, so that no row of the attention is empty."""
        seen_QQ = torch.zeros(width, width, dtype=torch.bool)
        causal_QQ = torch.ones(width, width, dtype=torch.bool).tril()
        for first, end, parent in [*self._branches, (len(self.tokens), width, -1)]:
            if parent >= 0:
                seen_QQ[first:end] = seen_QQ[parent]
            seen_QQ[first:end, first:end] = causal_QQ[: end - first, : end - first]
        return seen_QQ


class PromptCache:
    """Keys and values of some prompts, cut off from the graph that made them: `hidden` reads tries
    of completions on them, whose backward passes leave their gradient at the cut, and `backward`
    takes it on through the prompts."""

    def __init__(self, policy: Policy, prompts: Sequence[tuple[int, ...]]) -> None:
        from transformers.cache_utils import Cache

        self._policy = policy
        self._lengths = [len(prompt) - 1 for prompt in prompts]
        longest = max(self._lengths)
        tokens_BL = torch.tensor(
            [list(p[:-1]) + [policy.pad_id] * (longest - len(p) + 1) for p in prompts],
            device=policy.device,
        )
        cache = Cache(layer_class_to_replicate=_layer_class())
        policy.forward(tokens_BL, cache=cache)
        self._made = [tensor for layer in cache.layers for tensor in layer.made]
        # float32, because what many completions send back is added up here.
        self._cut = [
            tensor.detach().float().requires_grad_(tensor.requires_grad) for tensor in self._made
        ]

    def hidden(self, tries: Sequence["Trie"], owners: list[int]) -> torch.Tensor:
        """Hidden states of the tries' nodes, [tries, nodes of the largest, hidden]; `owners`: of
        each, which prompt it is read on."""
        from transformers.cache_utils import Cache

        device, width = self._policy.device, max(len(trie.tokens) for trie in tries)
        tokens_RQ, depths_RQ = (
            torch.tensor([ids + [pad] * (width - len(ids)) for ids in rows], device=device)
            for rows, pad in (
                ([trie.tokens for trie in tries], self._policy.pad_id),
                ([trie.depths for trie in tries], 0),
            )
        )
        length_R = torch.tensor([self._lengths[owner] for owner in owners], device=device)
        own_RQQ = torch.stack([trie.seen(width) for trie in tries]).to(device)
        prompt_RL = torch.arange(max(self._lengths), device=device) < length_R[:, None]
        mask_RQS = torch.cat([prompt_RL[:, None].expand(-1, width, -1), own_RQQ], dim=2)
        hidden_RQH, _ = self._policy.forward(
            tokens_RQ,
            mask_RQS[:, None],
            length_R[:, None] + depths_RQ,
            Cache(layers=self._layers(owners)),
        )
        return hidden_RQH

    def _layers(self, owners: list[int]) -> list:
        chosen = self._cut
        if owners != list(range(len(self._lengths))):
            owner_R = torch.tensor(owners, device=self._policy.device)
            chosen = [tensor.index_select(0, owner_R) for tensor in chosen]
        typed = [tensor.to(made.dtype) for tensor, made in zip(chosen, self._made)]
        return [_layer_class()(*pair) for pair in zip(typed[::2], typed[1::2])]

    def backward(self) -> None:
        """The prompts' backward pass, from the gradient that has come to the cut."""
        reached = [
            (made, cut.grad.to(made.dtype))
            for made, cut in zip(self._made, self._cut)
            if cut.grad is not None
        ]
        if reached:
            torch.autograd.backward(*zip(*reached))


@remember
def _layer_class() -> type:
    # Made at the first use, because unsloth must be imported before transformers and this module
    # may come before both.
    from transformers.cache_utils import DynamicLayer

    class PrefixLayer(DynamicLayer):
        """One layer's keys and values of what was read before. `update` leaves them as they are, so
        it may run twice, as it does where activations are recomputed; what it was given is in
        `made`."""

        def __init__(
            self,
            keys: torch.Tensor | None = None,
            values: torch.Tensor | None = None,
            **unused: Any,
        ) -> None:
            super().__init__()
            self.made: tuple = ()
            if keys is not None:
                self.keys, self.values, self.dtype, self.device = (
                    keys,
                    values,
                    keys.dtype,
                    keys.device,
                )
                self.is_initialized = True

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            self.made = (key_states, value_states)
            if not self.is_initialized:
                return self.made
            return torch.cat([self.keys, key_states], dim=2), torch.cat(
                [self.values, value_states], dim=2
            )

    return PrefixLayer


def longest_shared(policy: Policy) -> tuple[int, str]:
    """The longest prompt and completion, in tokens, that this model can take on the shared path,
    and 0 with the reason where it can take none.

    Measured: both paths' gradients on made-up prompts, padded, with several completions in a row
    that have beginnings in common and masks, and in several parts; no list of architectures could
    know what the libraries' next version does with a cache. How far they may differ goes by how far
    the plain one differs from itself where it takes one sample at a time, which is rounding alone.
    Clears the gradient. A layer that looks back a limited number of tokens is found by the cache
    that the model makes for itself: within that number it is like any other.

    Raises OSError, subprocess.SubprocessError or a kernel library's own error where kernels cannot
    be compiled, and what says that memory ran out: that is not the model.
    """
    from transformers import DynamicCache

    # From all over the vocabulary: its first tokens are often reserved, and what no training has
    # seen makes rounding large (SmolLM2: 0.2 % of the gradient, with others 0.003 %).
    apart = policy.vocabulary // 10

    def text(*numbers: int) -> tuple[int, ...]:
        return tuple(apart * number for number in numbers)

    prompts = [text(2, 3, 4, 5, 6, 7, 8), text(3, 4, 5, 6, 7)]
    samples = [
        Sample(prompt, completion, mask)
        for prompt in prompts
        for completion, mask in (
            (text(5, 4, 7), None),
            (text(5, 4, 9, 8), (True, True, False, True)),
            (text(5, 4, 9, 3, 2), (True, True, False, False, True)),
            (text(6, 8, 5), None),
            (text(7, 3), None),
        )
    ]
    tries = Shared(
        prompts,
        [[Row(1, [5, 6, 7, 8], 7), Row(0, [0, 2], 5)], [Row(0, [1, 3, 4], 7)], [Row(1, [9], 2)]],
    )
    try:
        plain, alone, shared = (
            _gradient(policy, samples, works)
            for works in ([Plain(list(range(10)))], [Plain([i]) for i in range(10)], [tries])
        )
        windows = [
            layer.sliding_window
            for layer in DynamicCache(config=policy.config).layers
            if layer.is_sliding
        ]
    except UNABLE as error:
        if is_out_of_memory(error):
            raise
        return 0, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    finally:
        for parameter in policy.trainable:
            parameter.grad = None
    noise, difference = (float((plain - other).norm() / plain.norm()) for other in (alone, shared))
    if not difference <= max(LEAST_BOUND, TIMES_NOISE * noise) or noise > MOST_NOISE:
        return 0, (
            f"its gradient would differ by {100 * difference:.2g} %, and by {100 * noise:.2g} % "
            "where samples are read one by one"
        )
    return min(windows, default=sys.maxsize), ""


@torch.enable_grad()
def _gradient(
    policy: Policy, samples: Sequence[Sample], works: Sequence[Plain | Shared]
) -> torch.Tensor:
    for parameter in policy.trainable:
        parameter.grad = None
    for work in works:
        for read in _parts(policy, samples, work, training=True):
            logp_U = head_logprobs(policy, read.hidden_UH, read.targets_U, 1.0)
            read.of_tokens(logp_U).sum().backward()
    return torch.cat(
        [
            torch.zeros(p.numel()) if p.grad is None else p.grad.float().cpu().flatten()
            for p in policy.trainable
        ]
    )
