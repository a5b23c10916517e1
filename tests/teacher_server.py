"""An endpoint on loopback that speaks the chat-completions protocol, counts what it bills, and
misbehaves on purpose.

    with TeacherServer(tmp_path, answers={"needle in the prompt": ["a reply", "another"]}, script=["500", ""]) as server:
        ... server.url ...
        server.log()  # one record a request, in the order they came

`script` names what happens to the first, second, ... try of each request (the same body is the same
request); what comes after it is answered. `rate` and `seed` instead draw a fault for each try. As a
process of its own, for clients that are killed:

    # reads FOLDER/server.json, writes FOLDER/port and FOLDER/log.jsonl
    python tests/teacher_server.py FOLDER
"""

import hashlib
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STATUSES = {
    "401": 401,
    "402": 402,
    "403": 403,
    "404": 404,
    "400": 400,
    "408": 408,
    "429": 429,
    "429-after": 429,
    "429-date": 429,
    "429-quota": 429,
    "500": 500,
    "502": 502,
    "503": 503,
    "503-ms": 503,
    "504": 504,
    "529": 529,
    "307": 307,
}
WITHIN = {
    "error-200": {"error": {"message": "Rate limit exceeded for {key}", "code": 429}},
    "error-200-text": {"error": "the model is being loaded"},
    "error-200-list": [{"error": {"code": 503, "message": "The model is overloaded."}}],
    "error-200-bare": {"object": "error", "message": "The engine is not ready.", "code": 50001},
    "error-200-choice": {
        "choices": [
            {
                "message": {"content": ""},
                "finish_reason": "error",
                "error": {"code": 502, "message": "Provider went away"},
            }
        ]
    },
    "no-choice-bare": {"choices": []},
    "empty-whole": {
        "choices": [{"message": {"content": None}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0},
    },
}
"""Bodies of replies with status 200 that are errors of the endpoint, or nothing."""
BILLED = (
    "500",
    "502",
    "504",
    "stall",
    "stall-late",
    "reset-late",
    "cut",
    "cut-clean",
    "bad-json",
    "odd-json",
    "error-inside",
    "endless",
    "no-choice",
    "error-finish",
    "error-end",
)
"""Faults after which this endpoint sends a bill all the same: the meanest it can be."""
AGAIN = (
    "429",
    "429-after",
    "429-date",
    "408",
    "500",
    "502",
    "503",
    "504",
    "529",
    "reset",
    "reset-late",
    "stall",
    "stall-late",
    "cut",
    "cut-clean",
    "bad-json",
    "odd-json",
    "error-inside",
    "no-choice",
    "error-first",
    "error-finish",
    "error-end",
    "empty",
    "page",
    *WITHIN,
)
"""Faults that another try can mend."""
ODD_REPLIES = (
    "no-usage",
    "cut-late",
    "length",
    "content_filter",
    "two-choices",
    "whole",
    "reasoning",
    "parts",
    "whole-parts",
    "thinking-tags",
    "reasoning-field",
    "message-in-stream",
    "as-text",
)


THOUGHT = "First I think."


def tokens(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // 4 + 1


def whole(content, usage: dict) -> dict:
    """A chat completion that is not streamed."""
    choice = {"index": 0, "message": {"content": content}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": usage}


class TeacherServer:
    """The endpoint in a thread of this process; see the module's docstring."""

    def __init__(
        self,
        folder: Path,
        answers: dict[str, list[str]] | None = None,
        default: str = "I do not know.",
        script: list[str] | None = None,
        rate: float = 0.0,
        faults: tuple[str, ...] = AGAIN,
        seed: int = 0,
        delay: float = 0.0,
        after: float = 0.2,
        key: str = "",
        port: int = 0,
        repaired: dict[str, list[str]] | None = None,
        stall: float = 3.0,
        always: dict[str, str] | None = None,
        counts: int | None = None,
        code: str = "",
    ):
        """`delay`: seconds that an answer takes; `after`: what Retry-After says; `key`: the one
        that is accepted ("": any); `repaired`: answers once the conversation holds a failure;
        `always`: {needle in the prompt: what happens to it each time}; `counts`: tokens that it
        counts in every prompt; `code`: that of "error-200-code"."""
        self.always, self.counts, self.code = always or {}, counts, code
        self.folder, self.answers, self.default, self.script = (
            folder,
            answers or {},
            default,
            script or [],
        )
        self.rate, self.faults, self.seed, self.delay, self.after, self.key = (
            rate,
            faults,
            seed,
            delay,
            after,
            key,
        )
        self.repaired, self.stall = repaired or {}, stall
        self.tries, self.lock, self.open, self.most = Counter(), threading.Lock(), 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "log.jsonl"
        if self.log_file.exists():
            for record in self.log():
                self.tries[record["request"]] += 1
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", port), type("Handler", (_Handler,), {"teacher": self})
        )
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def log(self) -> list[dict]:
        return (
            [json.loads(line) for line in self.log_file.read_text().splitlines()]
            if self.log_file.exists()
            else []
        )

    def write(self, record: dict) -> None:
        with self.lock, open(self.log_file, "a") as file:
            file.write(json.dumps(record) + "\n")

    def fault(self, request: str, prompt: str) -> str:
        """What happens to this try of the request."""
        with self.lock:
            number = self.tries[request]
            self.tries[request] += 1
        if fault := next((f for needle, f in self.always.items() if needle in prompt), ""):
            return fault
        if self.script:
            return self.script[number] if number < len(self.script) else ""
        draw = random.Random(f"{self.seed}/{request}/{number}")
        return draw.choice(self.faults) if draw.random() < self.rate else ""

    def reply(self, body: dict) -> str:
        prompt = body["messages"][0]["content"]
        table = self.repaired if len(body["messages"]) > 1 and self.repaired else self.answers
        for needle, replies in table.items():
            if needle in prompt:
                return replies[int(body.get("seed") or 0) % len(replies)]
        return self.default


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    teacher: TeacherServer

    def log_message(self, *_):
        pass

    def do_POST(self):
        teacher = self.teacher
        raw = self.rfile.read(int(self.headers["content-length"]))
        body = json.loads(raw)
        request = hashlib.sha256(raw).hexdigest()
        fault = teacher.fault(request, body["messages"][0]["content"])
        if teacher.key and self.headers.get("authorization") != f"Bearer {teacher.key}":
            fault = "401"
        text = teacher.reply(body)
        usage = {
            "prompt_tokens": tokens("".join(m["content"] for m in body["messages"])),
            "completion_tokens": tokens(text),
        }
        usage["prompt_tokens"] = teacher.counts or usage["prompt_tokens"]
        usage["prompt_tokens_details"] = {"cached_tokens": usage["prompt_tokens"] // 3}
        billed = usage if not fault or fault in BILLED or fault in ODD_REPLIES else None
        record = {
            "request": request,
            "path": self.path,
            "body": body,
            "headers": dict(self.headers),
            "fault": fault,
            "at": time.time(),
            "billed": billed
            and [usage["prompt_tokens"], usage["prompt_tokens"] // 3, usage["completion_tokens"]],
        }
        teacher.write(record)
        with teacher.lock:
            teacher.open += 1
            teacher.most = max(teacher.most, teacher.open)
        try:
            time.sleep(teacher.delay)
            self.close_connection = True
            self._answer(fault, text, usage, body)
        except OSError:
            pass  # the client went away
        finally:
            with teacher.lock:
                teacher.open -= 1

    def _answer(self, fault: str, text: str, usage: dict, body: dict) -> None:
        teacher = self.teacher
        if fault in STATUSES:
            return self._status(fault, body)
        if fault == "reset":
            return self._reset()
        if fault == "stall":
            time.sleep(self.teacher.stall)
            return self._reset()
        if fault in WITHIN:
            key = self.headers.get("authorization", "").removeprefix("Bearer ")
            return self._send(json.dumps(WITHIN[fault]).replace("{key}", key).encode())
        if fault == "error-200-code":
            error = {"message": "No.", "type": "invalid_request_error", "code": teacher.code}
            return self._json({"error": error})
        if fault == "error-200-after":
            return self._json(WITHIN["error-200"], headers={"Retry-After": str(teacher.after)})
        if fault == "error-200-quoted":
            reset = str(int(1000 * (time.time() + teacher.after)))
            quoted = {"headers": {"X-RateLimit-Reset": reset}, "raw": "not for an hour"}
            return self._json({"error": {"message": "Wait", "code": 429, "metadata": quoted}})
        if fault == "page":
            page = b"<html><title>Back soon</title></html>"
            return self._send(page, headers={"content-type": "text/html"})
        if fault in ("whole", "whole-parts") or not body.get("stream"):
            parts = [{"type": "reasoning", "text": THOUGHT}, {"type": "text", "text": text}]
            return self._json(whole(parts if fault == "whole-parts" else text, usage))
        self.send_response(200)
        kind = "text/plain" if fault == "as-text" else "text/event-stream"
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._chunk(
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
            if fault != "no-choice"
            else {"choices": []}
        )
        half = len(text) // 2
        if fault == "error-first":
            self._chunk({"error": {"message": "Too many requests", "type": "rate_limit_error"}})
            return self._end()
        if fault == "empty":
            self._chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self._raw(b"data: [DONE]\n\n")
            return self._end()
        if fault == "message-in-stream":
            self._chunk(whole(text, usage))
            return self._end()
        thought = {
            "parts": {
                "content": [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}]
            },
            "thinking-tags": {"content": f"<think>\n{THOUGHT}\n</think>\n\n"},
            "reasoning-field": {"reasoning": THOUGHT},
            "reasoning": {"reasoning_content": THOUGHT},
        }
        if fault in thought:
            self._chunk({"choices": [{"index": 0, "delta": thought[fault]}]})
        if fault != "no-choice":
            self._chunk({"choices": [{"index": 0, "delta": {"content": text[:half]}}]})
        if fault == "stall-late":
            time.sleep(self.teacher.stall)
            return self._reset()
        if fault == "reset-late":
            return self._reset()
        if fault == "cut":
            return self.wfile.flush()  # closed without the end of the transfer
        if fault == "cut-clean":
            return self._end()  # ended by the book, and yet not whole
        if fault == "endless":
            while True:
                self._chunk({"choices": [{"index": 0, "delta": {"content": "x"}}]})
                time.sleep(0.02)
        if fault == "bad-json":
            self._raw(b"data: {\"choices\": [{\"ind\n\n")
            return self._end()
        if fault == "odd-json":
            self._raw(b"data: {\"choices\": 17}\n\n")
            return self._end()
        if fault == "error-inside":
            self._raw(b"data: {\"error\": {\"message\": \"the model has crashed\"}}\n\n")
            return self._end()
        if fault != "no-choice":
            ends = {"length": fault, "content_filter": fault, "error-finish": "error"}
            finish = ends.get(fault, "stop")
            self._chunk(
                {
                    "choices": [
                        {"index": 0, "delta": {"content": text[half:]}, "finish_reason": finish}
                    ]
                }
            )
        if fault in ("error-finish", "error-end"):
            if fault == "error-end":
                self._chunk({"error": {"message": "the model has crashed"}})
            return self._end()
        if fault == "cut-late":
            return self.wfile.flush()  # all but the count was sent
        if fault == "two-choices":
            self._chunk(
                {
                    "choices": [
                        {
                            "index": 1,
                            "delta": {"content": "another choice"},
                            "finish_reason": "stop",
                        }
                    ]
                }
            )
        if fault != "no-usage":
            self._chunk({"choices": [], "usage": usage})
        self._raw(b"data: [DONE]\n\n")
        self._end()

    def _status(self, fault: str, body: dict) -> None:
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        words = {
            "429-quota": "You exceeded your current quota",
            "401": f"Incorrect API key provided: {key}",
            "404": f"no model {body['model']}",
            "307": "elsewhere",
        }.get(fault, f"no luck with {key[:12]}")
        headers = {
            "429-after": {"Retry-After": str(self.teacher.after)},
            "429-date": {"Retry-After": formatdate(time.time() + 2, usegmt=True)},
            "503-ms": {"Retry-After-Ms": str(1000 * self.teacher.after)},
            "307": {"Location": "http://127.0.0.1:9/v1"},
        }.get(fault, {})
        self._json(
            {"error": {"message": words, "type": "error", "code": fault}}, STATUSES[fault], headers
        )

    def _json(self, data: dict, status: int = 200, headers: dict | None = None) -> None:
        self._send(json.dumps(data).encode(), status, headers)

    def _send(self, content: bytes, status: int = 200, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "content-type": "application/json",
            "content-length": str(len(content)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _chunk(self, data: dict) -> None:
        self._raw(
            b"data: "
            + json.dumps(
                {"id": "x", "object": "chat.completion.chunk", "model": "m", "created": 1, **data}
            ).encode()
            + b"\n\n"
        )

    def _raw(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _reset(self) -> None:
        """Close so that the other side gets a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class ServerProcess:
    """The endpoint in a process of its own, so that its log is complete whoever is killed beside
    it."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.json").write_text(json.dumps(settings))

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, __file__, str(self.folder)])
        deadline = time.monotonic() + 30
        while not (self.folder / "port").exists():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{(self.folder / 'port').read_text()}/v1"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def log(self) -> list[dict]:
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    folder = Path(sys.argv[1])
    with TeacherServer(folder, **json.loads((folder / "server.json").read_text())) as server:
        (folder / ".port").write_text(str(server.server.server_address[1]))
        (folder / ".port").rename(folder / "port")
        threading.Event().wait()


if __name__ == "__main__":
    main()
