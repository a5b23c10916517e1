"""A run's student for a trainer that is none of ours: base and adapter as climb loads them.

model, tokens = open_student(run_folder, adapter_folder, threads=2)
optimiser, schedule = optimiser_of(model, climb)
tokenizer = templated(tokens)
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from recipes.learning.adapter import Adapter
from recipes.learning.loading import load_model
from recipes.learning.local_model import local_model
from recipes.learning.optimiser import Optimiser, warmed_up
from recipes.learning.student_tokens import PLAIN_TEMPLATE, StudentTokens
from recipes.learning.unsloth_import import TRANSFORMERS
from recipes.runfolder.run import Run
from recipes.settings import ClimbSettings


def open_student(run_folder: Path, adapter: Path, threads: int) -> tuple[Any, StudentTokens]:
    """(PEFT model in which the adapter of that folder is trained, its tokens), on the card that is
    torch's current one, or on the CPU with so many threads. Raises UsageError as `load_model`, and
    where the adapter is damaged or of another model."""
    run = Run.open(run_folder)
    settings, seed = run.recipe.student, run.recipe.seed
    source = run.content.get("loaded") or local_model(settings.model, seed)
    # unsloth patches transformers for one process on one card.
    plain = replace(settings, loader=TRANSFORMERS, threads=threads)
    loaded = load_model(replace(run.recipe, student=plain), source, seed)
    trained = Adapter(loaded.model, settings.model)
    trained.load(trained.read(adapter))
    # Libraries round the adapter of a 4-bit model to bfloat16; here it stays in 32 bits.
    loaded.model.is_loaded_in_4bit = False
    return loaded.model, StudentTokens(loaded.tokenizer, loaded.model.get_base_model())


def optimiser_of(model: Any, climb: ClimbSettings) -> tuple[Any, Any]:
    """(optimiser, schedule of its learning rate) as climb has them, with nothing learned yet."""
    trained = [p for p in model.parameters() if p.requires_grad]
    adamw = Optimiser(trained, trained[0].device).adamw
    for group in adamw.param_groups:
        group["lr"] = climb.lr
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adamw, lambda done: warmed_up(1.0, climb.warmup, done + 1)
    )
    return adamw, schedule


def templated(tokens: StudentTokens) -> Any:
    """The student's tokenizer for who knows conversations by chat templates alone."""
    tokenizer = deepcopy(tokens.tokenizer)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer
