"""A server of ours for a client's checks: started on a port or a socket, ready when it says so, stopped."""

import os
import re
import signal
import subprocess
import tempfile
import time

READY_SECONDS = 10.0
END_SECONDS = 30.0


class Server:
    """`BIN --listen URL` in a home and a working directory of its own choice."""

    def __init__(self, binary: str, listen: str, home: str, cwd: str):
        self.log = tempfile.TemporaryFile("w+")
        env = {**os.environ, "APP_SERVER_HOME": home, "RUST_LOG": os.environ.get("RUST_LOG", "info")}
        self.process = subprocess.Popen(
            [binary, "--listen", listen],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
        )
        self.url = self.ready(listen)

    def ready(self, listen: str) -> str:
        """Its address once it listens."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            found = re.search(r"listening on: (\S+)", self.said())
            if found:
                return found.group(1)
            time.sleep(0.01)
        raise SystemExit(f"FAILED: `--listen {listen}` did not come up:\n{self.said()}")

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def tell_to_stop(self) -> None:
        """The first SIGTERM: no new turns, and those that run are awaited."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(END_SECONDS)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            # Twice: nobody waits for turns at the end of a check.
            self.tell_to_stop()
            self.tell_to_stop()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
