"""A model provider for a client's checks: speaks the Responses API on loopback, and keeps what it was asked."""

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator

# What a test answers with: a text, a tool and its arguments, or a status and a body.
Answer = str | tuple[str, dict] | tuple[int, dict]


class MockModel:
    """Answers each request with what `answer` makes of its body."""

    def __init__(self, answer: Callable[[dict], Answer]):
        self.answer = answer
        self.asked: list[dict] = []
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                model.asked.append(body)
                answer = model.answer(body)
                if isinstance(answer, str):
                    status, kind, data = 200, "text/event-stream", said(answer, len(model.asked))
                elif isinstance(answer[0], str):
                    status, kind, data = 200, "text/event-stream", called(*answer, len(model.asked))
                else:
                    status, kind, data = answer[0], "application/json", json.dumps(answer[1]).encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def settings(self) -> tuple[str, ...]:
        """`--config` values that have a server use it."""
        table = "model_providers.mock"
        return (
            'model="mock-model"',
            'model_provider="mock"',
            f'{table}.name="Mock"',
            f'{table}.base_url="http://127.0.0.1:{self.server.server_address[1]}/v1"',
            f'{table}.wire_api="responses"',
            f"{table}.request_max_retries=0",
            f"{table}.stream_max_retries=0",
        )

    def said(self, at: int) -> str:
        """All that the conversation of this request says, as JSON."""
        return json.dumps(self.asked[at]["input"])


def said(text: str, number: int) -> bytes:
    """An answer that says `text`, word by word."""
    message = {"type": "message", "role": "assistant", "id": f"msg_{number}"}
    deltas = [
        {"type": "response.output_text.delta", "item_id": message["id"], "content_index": 0, "delta": part}
        for part in re.findall(r"\S+\s*", text)
    ]
    added = {"type": "response.output_item.added", "item": {**message, "content": []}}
    return answered(number, [added, *deltas], {**message, "content": [{"type": "output_text", "text": text}]})


def called(tool: str, arguments: dict, number: int) -> bytes:
    """An answer that calls a tool."""
    call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": tool}
    return answered(number, [], {**call, "arguments": json.dumps(arguments)})


def answered(number: int, before: list[dict], item: dict) -> bytes:
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    told = [
        {"type": "response.created", "response": {"id": f"resp_{number}"}},
        *before,
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"id": f"resp_{number}", "usage": usage}},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in told).encode()


@contextlib.contextmanager
def mock_model(answer: Callable[[dict], Answer]) -> Iterator[MockModel]:
    model = MockModel(answer)
    worker = threading.Thread(target=model.server.serve_forever, kwargs={"poll_interval": 0.05})
    worker.start()
    try:
        yield model
    finally:
        model.server.shutdown()
        model.server.server_close()
        worker.join()
