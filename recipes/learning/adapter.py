"""The LoRA adapter in which everything is learned, in memory and as PEFT's files.

adapter = Adapter(peft_model, "nano")
adapter.tensors()             # {PEFT's name: tensor}
adapter.write(folder); adapter.load(adapter.read(folder))
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from recipes.learning.loading import first_line
from recipes.learning.policy import REFERENCE, TRAINED
from recipes.runfolder import checkpoint
from recipes.runfolder.checkpoint import ADAPTER, CONFIG
from sandbox.errors import UsageError

Tensors = dict[str, torch.Tensor]


class Adapter:
    """The trained adapter of a PEFT model, and beside it the frozen reference, if there is one."""

    def __init__(self, model: Any, name: str) -> None:
        """`name`: of the base, as files record it."""
        self._model, self._name = model, name

    def tensors(self, which: str = TRAINED) -> Tensors:
        """The adapter's tensors under PEFT's file names; they share memory with the model."""
        from peft import get_peft_model_state_dict

        return get_peft_model_state_dict(
            self._model, adapter_name=which, save_embedding_layers=False
        )

    @torch.no_grad()
    def load(self, tensors: Tensors, which: str = TRAINED) -> None:
        """Take these values. In place, so that the optimiser goes on holding the same
        parameters."""
        for key, parameter in self.tensors(which).items():
            parameter.copy_(tensors[key])

    def read(self, folder: Path) -> Tensors:
        """The tensors of a checkpoint whose digests were right. Raises UsageError where they are
        damaged, or of another model or rank."""
        try:
            tensors = load_file(folder / ADAPTER)
        except (SafetensorError, OSError) as error:
            raise UsageError(
                f"Checkpoint {folder} is damaged ({ADAPTER}: {first_line(error)})."
            ) from None
        ours = {key: value.shape for key, value in self.tensors().items()}
        if {key: value.shape for key, value in tensors.items()} != ours:
            raise UsageError(
                f"Checkpoint {folder} was made for another model or another student.lora_rank than "
                "this recipe's."
            )
        return tensors

    def write(self, folder: Path) -> None:
        """The two files that `PeftModel.from_pretrained` loads."""
        save_file(
            {k: v.contiguous().cpu() for k, v in self.tensors().items()},
            folder / ADAPTER,
            metadata={"format": "pt"},
        )
        (folder / CONFIG).write_text(self._config_text(), encoding="utf-8")

    def freeze_reference(self, folder: Path) -> None:
        """Hold the adapter of checkpoint `folder` beside the trained one, frozen, for the KL term.
        Raises UsageError."""
        checkpoint.read(folder)
        tensors = self.read(folder)
        if REFERENCE not in self._model.peft_config:
            self._model.add_adapter(REFERENCE, deepcopy(self._model.peft_config[TRAINED]))
            self._model.set_adapter(TRAINED)  # PEFT lets the active adapter alone be trained
        self.load(tensors, REFERENCE)

    @property
    def alpha(self) -> float:
        """The LoRA scale times the rank."""
        return float(self._model.peft_config[TRAINED].lora_alpha)

    @property
    def scale(self) -> float:
        """What the product of the two matrices is multiplied by."""
        config = self._model.peft_config[TRAINED]
        return config.lora_alpha / config.r

    def _config_text(self) -> str:
        """PEFT's adapter_config.json, the same bytes in every run and on every machine."""
        config = self._model.peft_config[TRAINED].to_dict()
        # Which classes of which library the base has here is nothing to who loads it elsewhere.
        config.update(inference_mode=True, base_model_name_or_path=self._name, auto_mapping=None)
        for key, value in config.items():
            if isinstance(value, (set, frozenset)):  # its order changes with the hash seed
                config[key] = sorted(value)
        return json.dumps(config, indent=2, sort_keys=True, default=str) + "\n"
