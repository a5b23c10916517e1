"""The network that is trained and sampled: frozen base, adapter, head.

    hidden_BTH, cache = policy.forward(tokens_BT)
    logits_NV = policy.logits(hidden_NH)

Nothing here differs between machines except `forward` and `mode`, which say why.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

TRAINED, REFERENCE = "default", "reference"
"""What PEFT calls the adapter that is trained, and the frozen one that the KL term looks at."""


class Policy:
    """A causal language model with one trainable LoRA adapter, as the next token's distribution."""

    def __init__(self, model: Any, pad_id: int, unsloth: bool) -> None:
        """`model` is a PEFT model whose adapter TRAINED is trainable; `unsloth`: whether unsloth
        loaded it, which wants its own switches."""
        self.model, self.pad_id, self.on_unsloth = model, pad_id, unsloth
        self._training: bool | None = None
        causal = model.get_base_model()
        self._decoder = causal.base_model
        self.head = causal.get_output_embeddings()
        """The frozen layer that `logits` applies."""
        self.config = causal.config
        self._longest = getattr(causal, "max_seq_length", 0) if unsloth else 0
        self.vocabulary: int = self.head.weight.shape[0]
        """Rows of the head."""
        self.trainable = [p for p in model.parameters() if p.requires_grad]
        """The adapter's parameters."""
        self.device = self.trainable[0].device
        """Where the adapter is; unsloth may keep the embedding elsewhere."""

    def mode(self, training: bool) -> None:
        """Training mode (gradient checkpointing on CUDA) or inference mode. Cheap when nothing
        changes."""
        if training == self._training:
            return
        self._training = training
        if self.on_unsloth:
            from unsloth import FastLanguageModel

            (FastLanguageModel.for_training if training else FastLanguageModel.for_inference)(
                self.model
            )
        else:
            self.model.train(training)

    def forward(
        self,
        tokens_BT: torch.Tensor,
        mask_BS: torch.Tensor | None = None,
        positions_BT: torch.Tensor | None = None,
        cache: Any = None,
        filled: bool = False,
    ) -> tuple[torch.Tensor, Any]:
        """Hidden states of the last layer, [B, T, hidden], and the key/value cache (None unless one
        is asked for).

        `mask_BS` is 1 for real tokens, over the cached ones and the new ones; without it every row
        must begin with real tokens, and what follows them is padding that causality keeps from
        mattering. [B, 1, T, S] says for each token what it sees. `cache` is a transformers cache to
        fill, or what an earlier call returned with `filled=True`; `True` asks for whichever kind
        the model makes.

        unsloth's decoder needs the causal mask that its language-model class hands down, so tokens
        go in from the top (UNSLOTH_RETURN_HIDDEN_STATES makes that return hidden states). Decoding
        goes to the decoder itself: from the top, unsloth keeps a cache of its own that cannot drop
        finished rows.
        """
        columns = max(tokens_BT.shape[1], 0 if mask_BS is None else mask_BS.shape[-1])
        if self._longest and columns > self._longest:
            raise ValueError(f"{columns} tokens, and unsloth would cut them off at {self._longest}")
        asked = cache is not None
        given = None if cache is True else cache
        from_top = self.on_unsloth and not filled
        with self._autocast():
            out = (self.model if from_top else self._decoder)(
                input_ids=tokens_BT,
                attention_mask=mask_BS,
                position_ids=positions_BT,
                past_key_values=given,
                use_cache=asked,
                return_dict=True,
            )
        return (out.logits if from_top else out.last_hidden_state), (
            out.past_key_values if asked else None
        )

    def logits(
        self, hidden_NH: torch.Tensor, tokens: slice = slice(None), bias: bool = True
    ) -> torch.Tensor:
        """The head: [N, hidden] -> [N, vocabulary], or the logits of `tokens` alone, float32.
        Without `bias`: of a difference of hidden states the difference of the logits."""
        weight, added = self.head.weight[tokens], self.head.bias if bias else None
        with self._autocast():
            return F.linear(
                hidden_NH.to(weight.dtype), weight, None if added is None else added[tokens]
            ).float()

    @property
    def has_reference(self) -> bool:
        """Whether there is an adapter for the KL term."""
        return REFERENCE in self.model.peft_config

    @contextlib.contextmanager
    def as_reference(self) -> Iterator[None]:
        """The policy is the frozen adapter's for a while, without gradients."""
        self.model.set_adapter(REFERENCE)
        try:
            with torch.no_grad():
                yield
        finally:  # PEFT lets the active adapter alone be trained
            self.model.set_adapter(TRAINED)

    def _autocast(self) -> contextlib.AbstractContextManager:
        """The adapter is float32 and the base computes in bfloat16 on CUDA; on the CPU all is
        float32."""
        return (
            torch.autocast("cuda", dtype=torch.bfloat16)
            if self.device.type == "cuda"
            else contextlib.nullcontext()
        )
