"""The next tokens of a small student on the CPU, faster than its own forward pass gives them.

    decoder = DenseDecoder(student)                                  # the policy as it is now
    # B prompts, padded on the left
    logits_BV = decoder.read(tokens_BS, mask_BS, rows=64, max_new=64)
    logits_RV = decoder.step(tokens_R, sources_R)  # row r: this token after prompt sources_R[r]
    logits_RV = decoder.step(tokens_R, sources_R)  # ... after row sources_R[r] of the step before
    histories = decoder.kept(rows)                 # before those rows are forgotten
    # The end token and the answer behind each, padded as prompts are
    logits_BV = decoder.go_on(histories, tokens_BA, mask_BA, rows=64, max_new=64)

The same model, float32 like its own forward pass and equal to it but for rounding. What makes it
faster (a third of the time for the nano student, `tests/bench_rollout.py`):

- Each matrix is dequantised once, with the adapter added in (`weights`), and not in every step; the
  norms' weights are multiplied into the matrices behind them; matrices that read the same vector
  are one.
- A prompt's keys are read once for all rows that continue it (as Juravsky et al. 2024, "Hydragen",
  arXiv:2402.05099), and its values through `embedding_bag`, which sums rows of a table where they
  lie.
- A row that several rows continue is computed and kept once, until they part.

Between two turns of an episode the prompts stay as they are, and what each row has behind its
prompt is moved to where the next turn's rows lie, with what was answered behind it.

Decoders built like Llama's whose tokens see all before them: Llama, Mistral, Qwen2, Qwen3, Gemma.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F

from recipes.learning.shape import head_width, key_heads
from recipes.learning.weights import is_small, weights
from recipes.rollouts.engine_kind import TrainedStudent
from recipes.rollouts.gguf import ARCHITECTURES, unsupported

DROP_SHARE = 0.25
"""Places of rows that have ended are given up once they are this share: that copies the cache,
keeping them computes for nothing."""


def fits(student: TrainedStudent, longest: int) -> bool:
    """Whether this student can be decoded so. `longest`: the most that prompt and completion have
    together, tokens."""
    return (
        student.device.type == "cpu"
        and is_small(student)
        and not unsupported(student, longest)
        and not ARCHITECTURES[student.config.model_type].sliding
    )


@dataclass(frozen=True)
class _Linear:
    """y = x @ matrix + bias."""

    matrix: torch.Tensor
    """[in, out]."""
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix if self.bias is None else torch.addmm(self.bias, x, self.matrix)

    def added(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """y + x @ matrix + bias."""
        return torch.addmm(y if self.bias is None else y + self.bias, x, self.matrix)


@dataclass(frozen=True)
class _Layer:
    """One layer's weights."""

    qkv: _Linear
    output: _Linear
    gate_up: _Linear
    down: _Linear
    qk_norm_D: tuple[torch.Tensor, torch.Tensor] | None
    """Of each head's query and key, where the model has one (Qwen3)."""


@dataclass
class _Memory:
    """One layer's keys and values: of B prompts of S tokens, and of T tokens in each of P places; K
    heads of D values."""

    all_keys: torch.Tensor
    """Of the prompts, [B, K, S, D]."""
    prompt_keys: torch.Tensor
    """Of those that rows continue, [live * K, S, D]."""
    keys: torch.Tensor
    """[P, K, T, D]."""
    table: torch.Tensor
    """All values: [B * K * S + P * K * T, D]."""
    values: torch.Tensor
    """Those of the places, as a part of the table: [P, K, T, D]."""


@dataclass(frozen=True)
class History:
    """A row's keys and values, layer by layer: those of its prompt, by number, and what is behind
    them, [K, tokens, D]."""

    prompt: int
    keys: list[torch.Tensor]
    values: list[torch.Tensor]


class DenseDecoder:
    """A copy of a student's policy with the cache of one batch."""

    @torch.no_grad()
    def __init__(self, student: TrainedStudent) -> None:
        """`student` is one that `fits`."""
        config = student.config
        self._kv_heads = key_heads(config)
        self._shared, self._width = config.num_attention_heads // self._kv_heads, head_width(config)
        self._epsilon = config.rms_norm_eps
        causal = student.policy.model.get_base_model()
        self._embed, self._rotary = causal.get_input_embeddings(), causal.base_model.rotary_emb
        self._activation = causal.base_model.layers[0].mlp.act_fn
        tensors, shift = (
            {name: make() for name, _, make in weights(student, merged=True)},
            ARCHITECTURES[config.model_type].norm_shift,
        )
        self._layers = [
            _layer(tensors, f"model.layers.{i}.", shift) for i in range(config.num_hidden_layers)
        ]
        head, norm = student.policy.head, tensors["model.norm.weight"] + shift
        self._head = _Linear((head.weight.float() * norm).T, head.bias)

    @torch.no_grad()
    def read(
        self, tokens_BS: torch.Tensor, mask_BS: torch.Tensor, rows: int, max_new: int
    ) -> np.ndarray:
        """Logits [B, vocabulary] behind B prompts padded on the left (`mask_BS` is 1 for real
        tokens), which then are gone on from with at most `rows` rows at a time, at least B, of at
        most `max_new` tokens."""
        (prompts, width), self._real_BS = tokens_BS.shape, mask_BS.bool()
        self._prompt_width, self._lengths_B = width, mask_BS.sum(dim=1).numpy()
        self._all_bias_BS = torch.zeros(prompts, width).masked_fill_(~self._real_BS, -torch.inf)
        self._know_positions(width + max_new)
        seen_B1SS = self._real_BS[:, None, None] & torch.ones(width, width, dtype=torch.bool).tril()
        turn = self._turn((mask_BS.cumsum(dim=1) - 1).clamp(min=0).flatten())
        self._memories, x_NH = [], self._embed(tokens_BS.flatten())
        for layer in self._layers:
            queries, keys, values = self._of_texts(layer, x_NH, turn, prompts)
            self._memories.append(_remembered(keys, values, rows, max_new))
            x_NH = self._seen(layer, x_NH, queries, keys, values, seen_B1SS)
        self._begin(np.arange(prompts), np.zeros(prompts, np.int64), None, rows)
        return self._head(self._normed(x_NH.view(prompts, width, -1)[:, -1])).numpy()

    def kept(self, rows: np.ndarray) -> list[History]:
        """What there is of these rows (of the prompts, before the first step), to `go_on` with."""
        return [
            History(
                int(self._prompt_P[place]),
                [memory.keys[place, :, first : self._filled].clone() for memory in self._memories],
                [
                    memory.values[place, :, first : self._filled].clone()
                    for memory in self._memories
                ],
            )
            for place, first in zip(self._place_R[rows], self._empty_P[self._place_R[rows]])
        ]

    @torch.no_grad()
    def go_on(
        self,
        histories: list[History],
        tokens_BA: torch.Tensor,
        mask_BA: torch.Tensor,
        rows: int,
        max_new: int,
    ) -> np.ndarray:
        """`read`, where each prompt is a history, which is not read again, and these tokens behind
        it. The histories are those of one batch, which ends with this."""
        (texts, new), fresh_BA = tokens_BA.shape, mask_BA.bool()
        before_B: np.ndarray = np.array([history.keys[0].shape[1] for history in histories])
        own_B = before_B + mask_BA.sum(dim=1).numpy()
        prompt_B: np.ndarray = np.array([history.prompt for history in histories])
        filled = max(int(own_B.max()), new)
        room = filled + max_new
        # What is behind a prompt ends in the same column in all rows, so the first are empty.
        empty_B = filled - own_B
        real_BT = torch.arange(filled) >= torch.from_numpy(empty_B)[:, None]
        self._know_positions(self._prompt_width + room)
        causal_AT = torch.ones(filled, filled, dtype=torch.bool).tril()[filled - new :]
        seen_B1AS = torch.cat(
            [self._real_BS[prompt_B][:, None].expand(-1, new, -1), real_BT[:, None] & causal_AT],
            dim=2,
        )[:, None]
        behind_BA = (real_BT.cumsum(dim=1) - 1)[:, filled - new :]
        position_BA = torch.from_numpy(self._lengths_B[prompt_B])[:, None] + behind_BA
        turn, x_NH = self._turn(position_BA.flatten()), self._embed(tokens_BA.flatten())
        for index, (layer, memory) in enumerate(zip(self._layers, self._memories)):
            queries, *fresh = self._of_texts(layer, x_NH, turn, texts)
            prompts = memory.all_keys, _prompt_values(memory)
            self._memories[index] = memory = _remembered(*prompts, rows, room)
            whole = []
            for prompts_BKSD, places, part, kept in (
                (prompts[0], memory.keys, fresh[0], [h.keys[index] for h in histories]),
                (prompts[1], memory.values, fresh[1], [h.values[index] for h in histories]),
            ):
                own_BKTD = places[:texts, :, :filled]
                own_BKTD.zero_()
                for row_KTD, first, own_KTD in zip(own_BKTD, empty_B.tolist(), kept):
                    row_KTD[:, first : first + own_KTD.shape[1]] = own_KTD
                last_BKAD = own_BKTD[:, :, filled - new :]
                last_BKAD.copy_(torch.where(fresh_BA[:, None, :, None], part, last_BKAD))
                whole.append(torch.cat([prompts_BKSD[prompt_B], own_BKTD], dim=2))
            x_NH = self._seen(layer, x_NH, queries, whole[0], whole[1], seen_B1AS)
        self._begin(prompt_B, empty_B, real_BT, rows)
        return self._head(self._normed(x_NH.view(texts, new, -1)[:, -1])).numpy()

    def _know_positions(self, count: int) -> None:
        cos_1SD, sin_1SD = self._rotary(torch.zeros(1), torch.arange(count)[None])
        half = self._width // 2
        self._cos_SD, self._sin_SD = (
            cos_1SD[0],
            torch.cat([-sin_1SD[0, :, :half], sin_1SD[0, :, half:]], dim=1),
        )

    def _of_texts(
        self, layer: _Layer, x_NH: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor], texts: int
    ) -> list[torch.Tensor]:
        """Queries, keys and values of texts of like width, [B, heads, width, D]."""
        return [
            part.view(texts, len(x_NH) // texts, -1, self._width).transpose(1, 2)
            for part in self._heads(layer, x_NH, turn)
        ]

    def _seen(
        self,
        layer: _Layer,
        x_NH: torch.Tensor,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        seen: torch.Tensor,
    ) -> torch.Tensor:
        """The rest of a layer of texts, its attention included; `seen`: [B, 1, queries, keys]."""
        values_NC = (
            F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=seen, scale=1.0, enable_gqa=True
            )
            .transpose(1, 2)
            .flatten(2)
        )
        return self._passed(layer, x_NH, values_NC.flatten(0, 1))

    def _begin(
        self, prompt_R: np.ndarray, empty_R: np.ndarray, real_RT: torch.Tensor | None, rows: int
    ) -> None:
        """The first places, each behind a prompt, of which the first columns may be empty."""
        used = len(prompt_R)
        self._room = self._memories[0].keys.shape[2]
        self._filled = 0 if real_RT is None else real_RT.shape[1]
        self._place_R: np.ndarray = np.arange(used)
        self._prompt_P: np.ndarray = np.zeros(rows, np.int64)
        self._empty_P: np.ndarray = np.zeros(rows, np.int64)
        self._prompt_P[:used], self._empty_P[:used] = prompt_R, empty_R
        self._own_bias_PT: torch.Tensor | None = None
        if real_RT is not None:
            self._own_bias_PT = torch.zeros(rows, self._filled)
            self._own_bias_PT[:used].masked_fill_(~real_RT, -torch.inf)
        self._bias_BS = self._all_bias_BS
        self._live_B: np.ndarray = np.arange(len(self._lengths_B))
        self._forget_prompts(used)
        self._arrange(used)

    @torch.no_grad()
    def step(self, tokens_R: np.ndarray, sources_R: np.ndarray) -> np.ndarray:
        """Logits [R, vocabulary] behind these tokens, each put after the prompt (in the first step)
        or row of the last step named by `sources_R`. Rows that nothing continues are forgotten."""
        self._follow(sources_R)
        token_P = torch.zeros(self._used, dtype=torch.long)
        token_P[self._place_R] = torch.from_numpy(tokens_R)
        turn = self._turn(
            torch.from_numpy(
                self._lengths_B[self._prompt_P[: self._used]]
                + self._filled
                - self._empty_P[: self._used]
            )
        )
        self._filled += 1
        index_N = (
            torch.cat([self._prompt_index, self._index_PKT[:, :, : self._filled]], dim=2)
            .repeat_interleave(self._shared, dim=1)
            .flatten()
        )
        bags = index_N, torch.arange(0, len(index_N), self._prompt_width + self._filled)
        x_PH = self._embed(token_P)
        for layer, memory in zip(self._layers, self._memories):
            query_PED, key_PKD, value_PKD = self._heads(layer, x_PH, turn)
            memory.keys[: self._used, :, self._filled - 1] = key_PKD
            memory.values[: self._used, :, self._filled - 1] = value_PKD
            x_PH = self._passed(layer, x_PH, self._attended(memory, query_PED, bags))
        return self._head(self._normed(x_PH[self._place_R])).numpy()

    def _normed(self, x: torch.Tensor) -> torch.Tensor:
        """x by its root mean square (Zhang & Sennrich 2019, arXiv:1910.07467); the weights are in
        the matrix behind."""
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        return x * square.mul_(1 / x.shape[-1]).add_(self._epsilon).rsqrt_()

    def _turn(self, position_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """By what queries and keys at these positions are turned (Su et al. 2021,
        arXiv:2104.09864): [N, 1, D] each."""
        return self._cos_SD[position_N][:, None], self._sin_SD[position_N][:, None]

    def _heads(
        self, layer: _Layer, x_NH: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, [N, heads, D], turned to their positions; the queries are
        scaled."""
        queries, kv_heads = self._kv_heads * self._shared, self._kv_heads
        heads_NED = layer.qkv(self._normed(x_NH)).view(len(x_NH), -1, self._width)
        turned_NED = heads_NED[:, : queries + kv_heads]
        if layer.qk_norm_D is not None:
            parts = turned_NED.split([queries, kv_heads], dim=1)
            turned_NED = torch.cat(
                [self._normed(part) * weight_D for part, weight_D in zip(parts, layer.qk_norm_D)],
                dim=1,
            )
        cos_N1D, sin_N1D = turn
        turned_NED = turned_NED * cos_N1D + turned_NED.roll(self._width // 2, dims=2) * sin_N1D
        return (
            turned_NED[:, :queries] * self._width**-0.5,
            turned_NED[:, queries:],
            heads_NED[:, queries + kv_heads :],
        )

    def _passed(self, layer: _Layer, x_NH: torch.Tensor, values_NC: torch.Tensor) -> torch.Tensor:
        """The rest of a layer, behind its attention."""
        x_NH = layer.output.added(values_NC, x_NH)
        gate_NI, up_NI = layer.gate_up(self._normed(x_NH)).chunk(2, dim=1)
        return layer.down.added(self._activation(gate_NI) * up_NI, x_NH)

    def _attended(
        self, memory: _Memory, query_PED: torch.Tensor, bags: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """The values that the new tokens attend to, [P, query heads * D]."""
        query_PKQD = query_PED.view(self._used, self._kv_heads, self._shared, self._width)
        keys_MTD = memory.keys.view(-1, self._room, self._width)[
            : self._used * self._kv_heads, : self._filled
        ]
        own_MQT = torch.bmm(
            query_PKQD.view(-1, self._shared, self._width), keys_MTD.transpose(1, 2)
        )
        if self._own_bias_PT is not None:
            before = self._own_bias_PT.shape[1]
            own_MQT.view(self._used, -1, self._filled)[:, :, :before].add_(
                self._own_bias_PT[: self._used, None]
            )
        scores_MQS = torch.cat([self._prompt_scores(memory.prompt_keys, query_PKQD), own_MQT], 2)
        return F.embedding_bag(
            bags[0],
            memory.table,
            bags[1],
            mode="sum",
            per_sample_weights=scores_MQS.softmax(dim=2).view(-1),
        ).view(self._used, -1)

    def _prompt_scores(self, keys_NSD: torch.Tensor, query_PKQD: torch.Tensor) -> torch.Tensor:
        """[P * K, Q, S]: the queries of a prompt's places side by side, so that its keys are read
        once."""
        used, kv_heads, shared, width = query_PKQD.shape
        prompts, most = len(self._live_B), len(self._place_G) // len(self._live_B)
        query_NQD = (
            query_PKQD[self._place_G].view(prompts, most, kv_heads, shared, width).transpose(1, 2)
        )
        scores_NQS = torch.bmm(
            query_NQD.reshape(prompts * kv_heads, most * shared, width), keys_NSD.transpose(1, 2)
        )
        scores_NQS.view(prompts, -1, self._prompt_width).add_(self._bias_BS[:, None])
        scores_GKQS = (
            scores_NQS.view(prompts, kv_heads, most, shared, -1)
            .transpose(1, 2)
            .reshape(prompts * most, kv_heads, shared, -1)
        )
        return scores_GKQS[self._group_P].view(used * kv_heads, shared, -1)

    # ---- places ----------------------------------------------------------------------------------

    def _follow(self, sources_R: np.ndarray) -> None:
        """Find a place for each row: the first that continues a row takes its place, the others get
        a copy of what is there."""
        came_R = self._place_R[sources_R]
        firsts = np.unique(came_R, return_index=True)[1]
        self._place_R = came_R.copy()
        changed = len(firsts) < len(came_R)
        if changed:
            others = np.setdiff1d(np.arange(len(came_R)), firsts)
            free = np.setdiff1d(np.arange(len(self._prompt_P)), came_R)[: len(others)]
            self._copy(came_R[others], free)
            self._place_R[others] = free
        used = max(self._used, int(self._place_R.max()) + 1)
        if len(came_R) <= (1 - DROP_SHARE) * used:
            order = np.argsort(self._place_R)
            self._copy(self._place_R[order], np.arange(len(order)))
            self._place_R[order] = np.arange(len(order))
            changed, used = True, len(order)
            self._forget_prompts(used)
        if changed:
            self._arrange(used)

    def _copy(self, sources: np.ndarray, targets: np.ndarray) -> None:
        for of_places in (self._prompt_P, self._empty_P):
            of_places[targets] = of_places[sources]
        if self._own_bias_PT is not None:
            self._own_bias_PT[targets] = self._own_bias_PT[sources]
        for memory in self._memories:
            for kept in (memory.keys, memory.values):
                kept[targets, :, : self._filled] = kept[sources, :, : self._filled]

    def _forget_prompts(self, used: int) -> None:
        """Keep the keys of those prompts alone that rows continue."""
        live_B = np.unique(self._prompt_P[:used])
        if len(live_B) == len(self._live_B):
            return
        keep = np.searchsorted(self._live_B, live_B)
        for memory in self._memories:
            memory.prompt_keys = memory.prompt_keys.view(
                len(self._live_B), -1, *memory.prompt_keys.shape[1:]
            )[keep].flatten(0, 1)
        self._bias_BS, self._live_B = self._bias_BS[keep], live_B

    def _arrange(self, used: int) -> None:
        """What follows from which places are used for which prompts."""
        self._used = used
        prompt_P: np.ndarray = self._prompt_P[:used]
        lane_P = cast(np.ndarray, np.searchsorted(self._live_B, prompt_P))
        counts_B: np.ndarray = np.bincount(lane_P, minlength=len(self._live_B))
        order = np.argsort(lane_P, kind="stable")
        most = int(counts_B.max())
        group_P: np.ndarray = np.empty(used, np.int64)
        group_P[order] = (
            lane_P[order] * most
            + np.arange(used)
            - np.repeat(counts_B.cumsum() - counts_B, counts_B)
        )
        place_G: np.ndarray = np.zeros(len(self._live_B) * most, np.int64)
        place_G[group_P] = np.arange(used)
        self._group_P, self._place_G = torch.from_numpy(group_P), torch.from_numpy(place_G)
        heads, steps = np.arange(self._kv_heads)[:, None], np.arange(self._room)
        base = len(self._lengths_B) * self._kv_heads * self._prompt_width
        self._prompt_index = torch.from_numpy(
            (prompt_P[:, None, None] * self._kv_heads + heads) * self._prompt_width
            + np.arange(self._prompt_width)
        )
        self._index_PKT = torch.from_numpy(
            base + (np.arange(used)[:, None, None] * self._kv_heads + heads) * self._room + steps
        )


def _layer(tensors: dict[str, torch.Tensor], prefix: str, shift: float) -> _Layer:
    """The one whose tensors have transformers' names with this prefix; `shift` is added to the
    weights of norms."""

    def linear(*names: str, norm: str = "") -> _Linear:
        matrix = torch.cat([tensors[f"{prefix}{name}.weight"] for name in names])
        if norm:
            matrix = matrix * (tensors[f"{prefix}{norm}.weight"] + shift)
        biases = [
            tensors[f"{prefix}{name}.bias"] for name in names if f"{prefix}{name}.bias" in tensors
        ]
        return _Linear(matrix.T.contiguous(), torch.cat(biases) if biases else None)

    norms = [f"{prefix}self_attn.{half}_norm.weight" for half in "qk"]
    return _Layer(
        qkv=linear(*(f"self_attn.{part}_proj" for part in "qkv"), norm="input_layernorm"),
        output=linear("self_attn.o_proj"),
        gate_up=linear("mlp.gate_proj", "mlp.up_proj", norm="post_attention_layernorm"),
        down=linear("mlp.down_proj"),
        qk_norm_D=tuple(tensors[name] + shift for name in norms) if norms[0] in tensors else None,
    )


def _prompt_values(memory: _Memory) -> torch.Tensor:
    """[B, K, S, D]."""
    shape = memory.all_keys.shape
    return memory.table[: memory.all_keys.numel() // shape[3]].view(shape)


def _remembered(
    keys_BKSD: torch.Tensor, values_BKSD: torch.Tensor, rows: int, max_new: int
) -> _Memory:
    """Of B prompts, with room for rows of new tokens."""
    kv_heads, width = keys_BKSD.shape[1], keys_BKSD.shape[3]
    first = values_BKSD.numel() // width
    # Memory that no row comes to need is never touched, so it costs nothing.
    table = values_BKSD.new_empty(first + rows * kv_heads * max_new, width)
    table[:first].view(values_BKSD.shape).copy_(values_BKSD)
    prompt_keys = keys_BKSD.flatten(0, 1)
    return _Memory(
        all_keys=prompt_keys.view(keys_BKSD.shape),
        prompt_keys=prompt_keys,
        keys=keys_BKSD.new_empty(rows, kv_heads, max_new, width),
        table=table,
        values=table[first:].view(rows, kv_heads, max_new, width),
    )
