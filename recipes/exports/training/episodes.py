"""Episodes of several turns as a rollout function of TRL's GRPOTrainer.

    GRPOTrainer(..., rollout_func=play_episodes(opened, tokens))

TRL's `environment_factory` speaks to models by tool calls. This student writes an answer and is
told what the tests that its prompt shows say of it, so the turns are played here: what is said is
appended as tokens, as climb appends it, and left out of the loss (`env_mask`).
"""

from collections.abc import Callable
from typing import Any

from reward import reply_of

Play = Callable[[list[list[dict]], Any], dict[str, Any]]
"""(prompts, trainer) -> what TRL asks of a rollout function, and more columns for the reward."""


def play_episodes(opened: Any, tokens: Any) -> Play:
    """Plays one episode for each prompt of this process; a prompt's last message says which task it
    is of. `opened`: the `OpenRun`; `tokens`: the student's `StudentTokens`."""
    from recipes.rollouts.writing import Answers, Writing

    def play(prompts: list[list[dict]], trainer: Any) -> dict[str, Any]:
        tasks = [opened.tasks[prompt[-1]["instance_id"]] for prompt in prompts]
        places = {task.instance_id: i for i, task in enumerate(tasks)}
        asked = [tokens.prompt_ids(prompt) for prompt in prompts]
        written, going, sampled = [Writing() for _ in prompts], list(range(len(prompts))), None
        with opened.conversations(tokens) as talk:
            answers = Answers(talk.about(tasks), opened.recipe.student.max_new)

            def answer(i: int) -> Any:
                return answers.wait(places[tasks[i].instance_id], written[i].ids)

            while going:
                turns, sampled = trainer._generate_single_turn(
                    [asked[i] + written[i].ids for i in going], None, {}, num_generations=1
                )
                for row, i in enumerate(going):
                    room = answers.limit(len(written[i].ids)) - len(written[i].ids)
                    written[i].ids += turns[row][:room]
                    written[i].logprobs += sampled[row][:room] if sampled else []
                going = [i for i in going if written[i].ids[-1] in tokens.end_ids]
                for i in going:  # several jails look at them side by side
                    answers.ask(places[tasks[i].instance_id], written[i].ids)
                told = {i: answer(i) for i in going}
                going = [i for i in going if told[i]]
                for i in going:
                    written[i].hear(told[i])
            done = [one.completion(tokens.end_ids) for one in written]
            failures = [talk.failure(task, one) for task, one in zip(tasks, done)]
        return {
            "prompt_ids": asked,
            "completion_ids": [list(one.ids) for one in done],
            "logprobs": [_spread(one) for one in done] if sampled else None,
            "env_mask": [_mask(one) for one in done],
            "reply": [reply_of(tokens, one.ids[slice(*one.turns[-1])]) for one in done],
            "turns": [len(one.turns) for one in done],
            "failure": failures,
        }

    return play


def _mask(completion: Any) -> list[int]:
    """1 for each token that the student wrote, 0 for what it was told."""
    return list(map(int, completion.mask or [True] * len(completion.ids)))


def _spread(completion: Any) -> list[float]:
    """The log-probability of each token; 0 of what the student was told."""
    of_written = iter(completion.logprobs)
    return [next(of_written) if wrote else 0.0 for wrote in _mask(completion)]
