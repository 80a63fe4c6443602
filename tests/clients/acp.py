"""The unmodified ACP adapter on the release binary, as an editor uses it: BIN and CODEX_ACP as arguments.

The small editor here speaks the Agent Client Protocol to `codex-acp`, which starts BIN by `CODEX_PATH` and
speaks this server's protocol to it. The offline model answers.
"""

import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

from checks import check

ANSWER_SECONDS = 30.0


class Editor:
    """One adapter process; keeps what a session is told and answers permission requests as it was told to."""

    def __init__(self, binary: str, adapter: str, home: str):
        env = {**os.environ, "CODEX_PATH": binary, "APP_SERVER_HOME": home, "NO_BROWSER": "1"}
        # Whoever runs this may have a key, which is none of the check's business.
        env = {name: value for name, value in env.items() if not name.endswith("_API_KEY")}
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [adapter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env, text=True
        )
        self.arrived: queue.Queue = queue.Queue()
        self.updates: list[dict] = []
        self.permissions: list[dict] = []
        self.choose = "allow_once"
        self.next_id = 0
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.arrived.put(json.loads(line))
        self.arrived.put(None)

    def send(self, message: dict) -> None:
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def next(self, what: str) -> dict:
        """The next message; what the adapter asks for on the way is answered."""
        try:
            message = self.arrived.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            message = None
        if message is None:
            self.log.seek(0)
            check(f"{what} is answered in {ANSWER_SECONDS:.0f} s", False, self.log.read()[-4000:])
        if message.get("method") == "session/update":
            self.updates.append(message["params"]["update"])
        elif message.get("method") == "session/request_permission":
            self.permissions.append(message["params"])
            kinds = {option["kind"]: option["optionId"] for option in message["params"]["options"]}
            outcome = {"outcome": "selected", "optionId": kinds[self.choose]}
            self.send({"id": message["id"], "result": {"outcome": outcome}})
        elif "method" in message and "id" in message:
            self.send({"id": message["id"], "error": {"code": -32601, "message": "not in this editor"}})
        return message

    def begin(self, method: str, params: dict) -> int:
        self.next_id += 1
        self.send({"id": self.next_id, "method": method, "params": params})
        return self.next_id

    def finish(self, number: int, method: str) -> dict:
        while True:
            message = self.next(method)
            if message.get("id") == number and "method" not in message:
                check(f"{method} is answered without an error", "result" in message, message)
                return message["result"]

    def request(self, method: str, params: dict) -> dict:
        return self.finish(self.begin(method, params), method)

    def prompt(self, session: str, text: str) -> int:
        self.updates.clear()
        return self.begin("session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": text}]})

    def said(self, kind: str = "agent_message_chunk") -> list[str]:
        texts = (update["content"].get("text", "") for update in self.updates if update["sessionUpdate"] == kind)
        return list(texts)

    def tools(self) -> list[dict]:
        return [update for update in self.updates if update["sessionUpdate"].startswith("tool_call")]

    def close(self) -> int:
        self.process.stdin.close()
        code = self.process.wait(ANSWER_SECONDS)
        self.reader.join()
        return code


def opened(binary: str, adapter: str, home: str) -> Editor:
    editor = Editor(binary, adapter, home)
    capabilities = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
    answer = editor.request("initialize", {"protocolVersion": 1, "clientCapabilities": capabilities})
    check("the adapter can load sessions", answer["agentCapabilities"].get("loadSession") is True, answer)
    return editor


def first(editor: Editor, project: str) -> str:
    session = editor.request("session/new", {"cwd": project, "mcpServers": []})["sessionId"]

    done = editor.finish(editor.prompt(session, "tell me about the sea"), "session/prompt")
    check("the prompt's turn ends", done["stopReason"] == "end_turn", done)
    check("the answer streams", len(editor.said()) > 3 and "about the sea" in "".join(editor.said()), editor.updates)

    done = editor.finish(editor.prompt(session, "escalate: echo allowed-$((40+2))"), "session/prompt")
    check("a command asks for permission", len(editor.permissions) == 1, editor.updates)
    check("what is allowed runs", "allowed-42" in json.dumps(editor.tools()), editor.tools())
    statuses = [tool.get("status") for tool in editor.tools()]
    check("its tool call completes", "completed" in statuses and done["stopReason"] == "end_turn", statuses)

    editor.choose = "reject_once"
    done = editor.finish(editor.prompt(session, "escalate: echo refused-$((40+2))"), "session/prompt")
    check("the second command asks again", len(editor.permissions) == 2, editor.permissions)
    check("what is refused does not run", "refused-42" not in json.dumps(editor.updates), editor.updates)

    done = editor.finish(editor.prompt(session, "/compact"), "session/prompt")
    check("/compact ends its turn", done["stopReason"] == "end_turn", done)
    done = editor.finish(editor.prompt(session, "/status"), "session/prompt")
    check("/status names the model", "offline" in "".join(editor.said()), editor.updates)

    turn = editor.prompt(session, "slow: 300ms\nan answer that is far too long for anybody to wait for its end")
    while not editor.said():
        editor.next("the first words")
    editor.send({"method": "session/cancel", "params": {"sessionId": session}})
    done = editor.finish(turn, "session/prompt")
    check("session/cancel ends the turn as cancelled", done["stopReason"] == "cancelled", done)
    return session


def second(editor: Editor, session: str, project: str) -> None:
    editor.request("session/load", {"sessionId": session, "cwd": project, "mcpServers": []})
    asked = "".join(editor.said("user_message_chunk"))
    check("a loaded session shows what the user said", "tell me about the sea" in asked, editor.updates)
    check("and what was answered", "You said: tell me about the sea" in "".join(editor.said()), editor.updates)
    done = editor.finish(editor.prompt(session, "and once more"), "session/prompt")
    check("a loaded session goes on", done["stopReason"] == "end_turn" and "once more" in "".join(editor.said()), done)
    listed = editor.request("session/list", {"cwd": project})
    check("session/list names it", session in [entry["sessionId"] for entry in listed["sessions"]], listed)


def main() -> None:
    binary, adapter = (str(pathlib.Path(word).absolute()) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as project:
        editor = opened(binary, adapter, home)
        session = first(editor, project)
        check("the adapter ends with its input", editor.close() == 0)
        editor = opened(binary, adapter, home)
        second(editor, session, project)
        check("and so does the second one", editor.close() == 0)
    print("ACP adapter: all checks passed")


main()
