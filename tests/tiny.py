"""Students small enough to be made for a test: random weights, a byte-level tokenizer, saved as
ordinary folders."""

from dataclasses import replace
from pathlib import Path

from recipes.settings import Recipe, StudentSettings

WORDS = "def f(x, y):\n    return x + y\n    if x > y:\n        return [a for a in x]\n" * 4


def make_tiny(
    folder: Path, kind: str = "llama", seed: int = 0, vocab: int = 384, hidden: int = 32, **config
) -> Path:
    """Write a random 2-layer model of `kind` (transformers' model_type; "llama" ties its head and
    shares no keys, the others do the opposite) to `folder`; `config` changes values of its
    configuration."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        kind,
        **{
            "vocab_size": vocab,
            "hidden_size": hidden,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4 if kind == "llama" else 2,
            "intermediate_size": 2 * hidden,
            "max_position_embeddings": 512,
            "tie_word_embeddings": kind == "llama",
            "pad_token_id": 0,
            "eos_token_id": 1,
            "bos_token_id": None,
            "initializer_range": 0.3,
            **({} if kind in ("llama", "qwen2") else {"head_dim": hidden // 4}),
            **config,
        },
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return Path(folder)


def make_tokenizer(pre_tokenizer=None):
    """Byte-level BPE with <pad> = 0 and <eos> = 1 and no chat template; it splits text as GPT-2
    does unless told otherwise."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        [WORDS],
        trainers.BpeTrainer(
            vocab_size=384,
            special_tokens=["<pad>", "<eos>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>")


def tiny_recipe(**sections) -> Recipe:
    """A recipe for a tiny student; `climb={"groups": 4}` changes values of a section."""
    recipe = Recipe(
        name="tiny",
        student=StudentSettings(model="tiny", lora_rank=4, lora_alpha=8, max_prompt=64, max_new=16),
    )
    return replace(
        recipe,
        **{name: replace(getattr(recipe, name), **values) for name, values in sections.items()},
    )


def load_tiny(
    folder: Path,
    seed: int = 0,
    wake: float = 0.1,
    recipe: Recipe | None = None,
    checkpoint: Path | None = None,
):
    """A Student on `folder`; `wake` gives the adapter's zero half random values, so that the
    adapter does something."""
    import torch

    from recipes.learning.student import Student

    student = Student.load(recipe or tiny_recipe(), folder, seed, checkpoint)
    if wake and checkpoint is None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in student.policy.model.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * wake)
    return student


def adapter_bytes(student) -> bytes:
    """The trained adapter's bytes, in a fixed order."""
    return b"".join(
        tensor.detach().contiguous().cpu().numpy().tobytes()
        for _, tensor in sorted(student.adapter.tensors().items())
    )
