"""Real MCP servers, made with the `mcp` package, behind this server: over pipes and over streamable HTTP.

usage: mcp_real.py PATH_OF_APP_SERVER
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

BINARY = sys.argv[1]
SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mcp_server.py")


class Client:
    def __init__(self, config):
        self.home = tempfile.TemporaryDirectory()
        with open(os.path.join(self.home.name, "config.toml"), "w") as file:
            file.write(config)
        self.process = subprocess.Popen(
            [BINARY, "--home", self.home.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.next = 0
        self.heard = []
        self.request("initialize", clientInfo={"name": "mcp_real", "version": "1"})
        self.thread = self.request("thread/start")["thread"]["id"]

    def send(self, **message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def receive(self, fits):
        for line in self.process.stdout:
            message = json.loads(line)
            self.heard.append(message)
            if message.get("method") == "mcpServer/elicitation/request":
                is_approval = "codex_approval_kind" in (message["params"].get("_meta") or {})
                content = {} if is_approval else {"name": "Bob"}
                self.send(id=message["id"], result={"action": "accept", "content": content})
            if fits(message):
                return message
        raise SystemExit("the server ended")

    def request(self, method, **params):
        self.next += 1
        self.send(id=self.next, method=method, params=params)
        answer = self.receive(lambda message: message.get("id") == self.next and "method" not in message)
        assert "result" in answer, answer
        return answer["result"]

    def call(self, tool, **arguments):
        """A call by the model, in a turn."""
        prompt = f"call: mcp__real__{tool} {json.dumps(arguments)}"
        self.request("turn/start", threadId=self.thread, input=[{"type": "text", "text": prompt}])
        is_end = lambda message: message.get("method") == "item/completed"  # noqa: E731
        item = {}
        while item.get("type") != "mcpToolCall":
            item = self.receive(is_end)["params"]["item"]
        self.receive(lambda message: message.get("method") == "turn/completed")
        assert item["status"] == "completed", item
        return item["result"]["content"][0]["text"]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.home.cleanup()


def check(name, config):
    client = Client(config)
    try:
        (status,) = client.request("mcpServerStatus/list")["data"]
        assert status["serverInfo"]["name"] == "real", status
        assert sorted(status["tools"]) == ["add", "greet", "steps", "write"], status
        assert client.call("add", a=2, b=3) == "5"
        assert client.call("write", text="it") == "wrote it"
        assert client.call("steps") == "all"
        assert client.call("greet") == "hello Bob"
        asked = [m["params"]["message"] for m in client.heard if m.get("method") == "mcpServer/elicitation/request"]
        assert asked == ['Allow the real MCP server to run tool "write"?', "Who are you?"], asked
        told = [m["params"]["message"] for m in client.heard if m.get("method") == "item/mcpToolCall/progress"]
        assert told == ["half"], told
        direct = client.request(
            "mcpServer/tool/call", threadId=client.thread, server="real", tool="add", arguments={"a": 1, "b": 1}
        )
        assert direct["structuredContent"] == {"result": 2}, direct
        read = client.request("mcpServer/resource/read", server="real", uri="real://note")
        assert read["contents"][0]["text"] == "the note", read
    finally:
        client.close()
    print(f"ok: a real MCP server over {name}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# Importing `mcp` takes its time on a busy machine.
check(
    "pipes",
    f'[mcp_servers.real]\ncommand = "{sys.executable}"\nargs = ["{SERVER}", "stdio"]\nstartup_timeout_sec = 60\n',
)

port = free_port()
service = subprocess.Popen([sys.executable, SERVER, "streamable-http", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    else:
        raise SystemExit("the MCP server does not listen")
    check("streamable HTTP", f'[mcp_servers.real]\nurl = "http://127.0.0.1:{port}/mcp"\nstartup_timeout_sec = 60\n')
finally:
    service.terminate()
    service.wait()
