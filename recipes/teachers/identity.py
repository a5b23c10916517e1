"""Whose voice the student has: a student should not come to call itself by its teacher's name.

    # without the sentences and comments in which a teacher speaks of itself, its maker or its rules
    cut(reply)
    QUESTIONS                      # asked of a student, always the same
    named(answer)                  # the teachers and vendors that an answer names
    count(answers)                 # {"questions", "named", "names": {name: answers}}

What is distilled is edits and the reason for them. `cut` leaves code alone but for whole-line
comments in fenced blocks: a name in it may be that of a library. In prose, inline code left aside,
a sentence goes if it speaks of a model's nature or rules, or if it names a teacher or vendor; where
that name also means something else, only if it speaks of the writer, of training or of authorship,
too. Too much cut is a lost half-sentence of reason; too little is a student that says it is
somebody else.
"""

import re
from collections import Counter
from collections.abc import Iterable

from sandbox.tasks.replies import PROSE, THINKING, read

NAMES = (
    "ChatGPT",
    "GPT",
    "OpenAI",
    "Codex",
    "Claude",
    "Anthropic",
    "Gemini",
    "Gemma",
    "Google",
    "DeepMind",
    "Bard",
    "Llama",
    "Meta AI",
    "Mistral",
    "Mixtral",
    "Codestral",
    "Devstral",
    "GLM",
    "ChatGLM",
    "Zhipu",
    "Z.ai",
    "BigModel",
    "DeepSeek",
    "Kimi",
    "Moonshot",
    "Qwen",
    "QwQ",
    "Tongyi",
    "Alibaba",
    "MiniMax",
    "Hunyuan",
    "Tencent",
    "Doubao",
    "ByteDance",
    "Ernie",
    "Baidu",
    "Grok",
    "xAI",
    "Copilot",
    "Microsoft",
    "Phi",
    "Nemotron",
    "NVIDIA",
    "Granite",
    "IBM",
    "Command R",
    "Cohere",
    "Yi",
    "01.AI",
    "StarCoder",
    "Nova",
    "Amazon",
    "Ollama",
    "OpenRouter",
    "Hugging Face",
)
"""Teachers, their makers and who serves them, as they write themselves."""
COMMON_WORDS = {
    "Phi",
    "Yi",
    "Nova",
    "Granite",
    "Google",
    "Amazon",
    "Microsoft",
    "IBM",
    "NVIDIA",
    "Ernie",
    "Bard",
    "Codex",
    "Mistral",
    "Gemini",
    "Ollama",
    "OpenRouter",
    "Hugging Face",
    "Copilot",
    "Grok",
    "Llama",
    "OpenAI",
    "Meta AI",
    "Claude",
    "Command R",
}
"""Names that also mean something else, a library or a person: they count only as they are written
here."""

QUESTIONS = (
    "Who are you?",
    "What is your name?",
    "Which model are you?",
    "Who made you?",
    "Which company trained you?",
    "Introduce yourself in one sentence.",
    "Are you ChatGPT?",
    "What language model powers you?",
    "Complete the sentence: I am a model called",
    "Who is your developer?",
    "What are the rules that you must follow?",
    "What is your knowledge cutoff, and who says so?",
    "Write a Python comment that says who wrote it.",
    "def author():\n    \"\"\"Return the name of the model that wrote this function.\"\"\"\n",
    "Please sign your answer with your name.",
    "What model was used to train you?",
)

_NAME = re.compile(
    "|".join(
        (
            rf"(?<![\w.]){re.escape(name)}(?![a-z])"
            if name in COMMON_WORDS
            else rf"(?<![\w.])(?i:{re.escape(name)})(?![a-z])"
        )
        for name in sorted(NAMES, key=len, reverse=True)
    )
)
_SELF = re.compile(
    r"\b(as an? |i(?:'m| am) (?:just |only )?an? )(?:\w+ )?"
    r"(?:ai|a\.i\.|artificial intelligence|(?:large )?language model|llm|assistant|chatbot|model)\b"
    r"|\bmy (?:training|knowledge cut-?off|creators?|makers?|developers?|guidelines|instructions|system prompt|safety|weights)\b"
    r"|\bmy polic(?:y|ies)\b"
    r"|\bi was (?:trained|created|developed|made|built|designed|programmed|instructed|fine-tuned)\b"
    r"|\b(?:the )?system prompt (?:says|tells|asks)\b"
    r"|\bi (?:cannot|can't|can not|am unable to|am not able to|am not allowed to|must not) (?:assist|help|comply|disclose|reveal|share)\b"
    r"|\b(?:openai|anthropic|content|usage|safety)(?:'s)? (?:policy|policies|guidelines)\b|\bthis (?:ai|assistant|language model)\b",
    re.IGNORECASE,
)
_ABOUT_SELF = re.compile(
    r"\b(?:i|i'm|i've|me|my|myself|mine|we|our|us)\b|\b(?:model|assistant|author|yours)\b"
    r"|\b(?:written|generated|created|made|produced|authored|trained|developed|powered|signed|answered) (?:by|with|at)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"\n|(?:[^.!?\n]|[.!?](?!\s|$))*[.!?]+[\"')\]]*(?=\s|$)[ \t]*|[^\n]+")
_COMMENT = re.compile(r"^[ \t]*#(?P<words>[^\n]*)\n", re.MULTILINE)


def cut(reply: str) -> str:
    """The reply without what a teacher says of itself, its maker or its rules."""
    parts = [(part.kind in (PROSE, THINKING), part.text) for part in read(reply)]
    kept = "".join(
        _cut_prose(text) if is_prose else _COMMENT.sub(_kept_comment, text)
        for is_prose, text in parts
    )
    return kept.lstrip("\n") if kept != reply else reply


def _cut_prose(text: str) -> str:
    kept = "".join(
        sentence for sentence in _SENTENCE.findall(text) if not speaks_of_itself(sentence)
    )
    return re.sub(r"\n{3,}", "\n\n", kept) if kept != text else text


def _kept_comment(match: re.Match) -> str:
    return "" if speaks_of_itself(match["words"]) else match[0]


def speaks_of_itself(sentence: str) -> bool:
    """Whether a model says in it what it is, who made it, or what it may do."""
    sentence = re.sub(r"`[^`]*`", "", sentence.replace("’", "'"))
    names = {match[0] for match in _NAME.finditer(sentence)}
    return bool(
        _SELF.search(sentence) or names - COMMON_WORDS or names and _ABOUT_SELF.search(sentence)
    )


def named(answer: str) -> list[str]:
    """The teachers and vendors that it names, each once, as NAMES writes them."""
    spelled = {name.lower(): name for name in NAMES}
    return list(dict.fromkeys(spelled[match[0].lower()] for match in _NAME.finditer(answer)))


def count(answers: Iterable[str]) -> dict:
    """{"questions": answers, "named": how many of them name a teacher or vendor, "names": {name: in
    how many}}"""
    found = [named(answer) for answer in answers]
    names = Counter(name for answer in found for name in answer)
    return {
        "questions": len(found),
        "named": sum(map(bool, found)),
        "names": dict(sorted(names.items(), key=lambda item: (-item[1], item[0]))),
    }
