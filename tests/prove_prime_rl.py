"""As much of prime-rl as runs without a card, on an environment that was exported: its own settings,
environment server, orchestrator's client and inference pool, against any chat-completions server.

    python coldstart.py export --to verifiers --out ENVIRONMENT
    python coldstart.py export --to gguf --out MODEL
    python -m llama_cpp.server --model MODEL/*.gguf --n_ctx 1024 --port 8000
    PYTHONPATH=PRIME_RL/src:PRIME_RL/packages/prime-rl-configs/src:ENVIRONMENT \\
        python tests/prove_prime_rl.py coldstart-NAME --url http://127.0.0.1:8000/v1 --model MODEL

PRIME_RL is a checkout of github.com/PrimeIntellect-ai/prime-rl. Without its cards it needs verifiers
0.4, msgspec, wandb, setproctitle, torch for the CPU, and what the exported pyproject.toml names; in an
environment of its own, for verifiers wants an older openai than coldstart.

What is shown, a line each:

1. a source of training tasks and one of held-out ones are valid settings of prime-rl's orchestrator;
2. prime-rl's environment server loads the environment, and its orchestrator reads the tasks;
3. the orchestrator's inference pool finds the server, and its client samples an episode of each task
   there by way of the environment server;
4. the reward of each is the verdict that coldstart has on the same reply.

What is not run: vLLM and the client that gives it tokens, with which prime-rl samples what it trains
on (here it is the one with which it evaluates), the trainer, and the broadcast of weights.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("environment", help="its id, such as coldstart-calc")
    parser.add_argument("--url", required=True, help="of a chat-completions server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--split", choices=("train", "heldout"), default="train")
    parser.add_argument("--tasks", type=int, default=4)
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    source = source_of(options, address)
    print(f"1. valid settings (verifiers {version('verifiers')}): {source.env.env_id}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "server.toml"
        settings.write_text(
            f'[env.taskset]\nid = "{options.environment}"\nsplit = "{options.split}"\n'
            '[env.agent.runtime]\ntype = "subprocess"\n'
            f'[serve]\naddress = "{address}"\n[serve.pool]\ntype = "static"\nnum_workers = 1\n'
        )
        server = subprocess.Popen(
            [sys.executable, "-m", "prime_rl.entrypoints.env_server", "@", str(settings)],
            cwd=folder,
        )
        try:
            asyncio.run(prove(options, source, address))
        finally:
            server.terminate()
            server.wait(30)


def source_of(options: argparse.Namespace, address: str):
    """The source that is evaluated, after one to train on was found valid, too."""
    from prime_rl.configs.orchestrator import EvalSourceConfig, TrainConfig

    def env(split: str) -> dict:
        return {
            "taskset": {"id": options.environment, "split": split},
            "agent": {"runtime": {"type": "subprocess"}},
        }

    TrainConfig.model_validate({"source": [{"name": "train", "env": env("train")}]})
    return EvalSourceConfig.model_validate(
        {
            "name": "measured",
            "env": env(options.split),
            "serve": {"address": address},
            "num_examples": options.tasks,
            "sampling": {"temperature": 0.0},
        }
    )


async def prove(options: argparse.Namespace, source, address: str) -> None:
    from prime_rl.configs.shared import ClientConfig
    from prime_rl.orchestrator.envs import EvalEnvs
    from prime_rl.utils.client import InferencePool

    envs = EvalEnvs([source], {("eval", source.resolved_name): address})
    await envs.start()
    env = envs.get(source.resolved_name)
    print(f"2. the environment server answers; {env.num_tasks} tasks were read", flush=True)
    pool = InferencePool(ClientConfig(base_url=options.url, api_key_var="NO_KEY"), options.model)
    await pool.wait_for_ready(options.model, timeout=60)
    judged = import_module(f"{options.environment.replace('-', '_')}.verdict").verdict
    solved = 0
    for task in env.examples:
        episode = await env.run(
            pool.eval_client, options.model, None, task.data.model_dump(mode="json")
        )
        (trace,) = episode.traces
        assert episode.ok and trace.ok, episode.errors
        reply = trace.assistant_messages[-1].content or ""
        status, reward = await asyncio.to_thread(
            judged, task.data.coldstart, task.data.run, task.data.id, reply
        )
        cut_off = trace.is_truncated
        assert trace.reward == (0.0 if cut_off else reward), (trace.reward, status)
        solved += trace.reward == 1.0
        line = {"task": task.data.id, "reward": trace.reward, "status": status, "cut off": cut_off}
        print(f"3. and 4. {json.dumps(line)}", flush=True)
    print(f"{solved} of {len(env.examples)} solved, each reward is coldstart's verdict", flush=True)
    await pool.stop()


if __name__ == "__main__":
    main()
