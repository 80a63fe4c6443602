"""The unmodified PyPI package `codex-app-server-client` (not by the protocol's makers) against the release
binary: BIN as the only argument.

It ends the server by SIGTERM and leaves stdin open, and its asyncio half reads no line above 64 KiB.
"""

import asyncio
import os
import pathlib
import sys
import tempfile
import time

from checks import check
from codex_app_server_client import CodexAppServer, SyncCodexAppServer
from codex_app_server_client.thread import EventAction

# An answer as long as answers usually get at most; far more than one pipe buffer with all its events.
LONG = " ".join(f"word{number}" for number in range(2000))


def blocking(binary: str, env: dict[str, str]) -> str:
    with SyncCodexAppServer(codex_bin=binary, env=env) as server:
        check("start() tells who answers", "/0.169.0" in server.server_info.user_agent, server.server_info)
        thread = server.start_thread()
        result = thread.run("tell me about the sea", timeout_s=30)
        check("a turn is answered", result.status == "completed" and "the sea" in result.final_response, result)
        check("the deltas are the answer", result.streamed_response == result.final_response, result)
        started = time.monotonic()
    took = time.monotonic() - started
    # Its own patience before it kills is 5 s.
    check("close() by SIGTERM with stdin open ends the server", took < 4.5, f"{took:.1f} s")
    return thread.id


async def asynchronous(binary: str, env: dict[str, str], thread_id: str) -> None:
    async with CodexAppServer(codex_bin=binary, env=env) as server:
        thread = await server.resume_thread(thread_id)
        result = await thread.run("and about whales", timeout_s=30)
        check("a resumed thread is answered", "about whales" in result.final_response, result)
        result = await thread.run(LONG, timeout_s=60)
        check("a long prompt's events fit its lines", LONG in result.final_response, len(result.final_response))

        def stop(method: str, _event: object) -> EventAction:
            return EventAction.INTERRUPT if method == "item/agentMessage/delta" else EventAction.CONTINUE

        result = await thread.run("slow: 500ms\nnobody waits for the end of this", timeout_s=30, on_event=stop)
        check("an interrupted turn ends as interrupted", result.status == "interrupted", result)


def main() -> None:
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as home:
        os.chdir(home)
        env = {**os.environ, "APP_SERVER_HOME": home}
        thread_id = blocking(binary, env)
        asyncio.run(asynchronous(binary, env, thread_id))
    print("codex-app-server-client: all checks passed")


main()
