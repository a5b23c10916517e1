"""Configurations of the students that the recipes name, as their publishers give them; no
weights."""

SHAPES = {
    "Qwen/Qwen2.5-Coder-1.5B-Instruct": dict(
        model_type="qwen2",
        vocab_size=151936,
        hidden_size=1536,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        intermediate_size=8960,
        tie_word_embeddings=True,
    ),
    "Qwen/Qwen2.5-Coder-7B-Instruct": dict(
        model_type="qwen2",
        vocab_size=152064,
        hidden_size=3584,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        intermediate_size=18944,
        tie_word_embeddings=False,
    ),
    "Qwen/Qwen2.5-Coder-14B-Instruct": dict(
        model_type="qwen2",
        vocab_size=152064,
        hidden_size=5120,
        num_hidden_layers=48,
        num_attention_heads=40,
        num_key_value_heads=8,
        intermediate_size=13824,
        tie_word_embeddings=False,
    ),
    "Qwen/Qwen3-4B-Instruct-2507": dict(
        model_type="qwen3",
        vocab_size=151936,
        hidden_size=2560,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size=9728,
        tie_word_embeddings=True,
    ),
}
