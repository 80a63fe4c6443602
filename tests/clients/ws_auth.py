"""Who gets in by WebSocket: the binary (BIN as the only argument) against tokens made by PyJWT, an
implementation that is not ours, and against the `websockets` client.

The texts are the reference's. Refusals are read from a raw socket, so that status, headers and body are what
was on the wire. Every check says what it expected; the first that does not hold ends the run with a failure.
"""

import contextlib
import hashlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import jwt
from websockets.sync.client import connect

SECRET = "a secret that is not known to anyone, 32 bytes or more"
TOKEN = "correct-horse-battery-staple"
PATIENCE_S = 20


def check(what: str, holds: bool, found: object = "") -> None:
    print(f"{'ok' if holds else 'FAILED'}: {what}", found if not holds else "", flush=True)
    if not holds:
        sys.exit(1)


@contextlib.contextmanager
def serving(binary: str, home: str, *flags: str) -> Iterator[int]:
    """A server on a port of its own; gives the port."""
    server = subprocess.Popen(
        [binary, "--listen", "ws://127.0.0.1:0", "--require-auth", *flags],
        env={"APP_SERVER_HOME": home},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield port_of(server)
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE_S)


def port_of(server: subprocess.Popen[str]) -> int:
    said = ""
    for line in server.stderr:
        said += line
        if found := re.search(r"ws://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    check("the server says where it listens", False, said)
    raise AssertionError


def ask(port: int, *headers: str, target: str = "/", upgrade: bool = True) -> tuple[int, dict[str, str], str]:
    """One raw request: the answer's status, headers and body. Of a WebSocket only the head is read."""
    lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    if upgrade:
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    request = "\r\n".join([*lines, *headers, "", ""])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as stream:
        stream.sendall(request.encode())
        answer = stream.makefile("rb")
        status = int(answer.readline().split()[1])
        fields = {}
        while line := answer.readline().decode().strip():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        body = "" if status == 101 else answer.read().decode()
    return status, fields, body


def check_refused(what: str, port: int, text: str, *headers: str) -> None:
    status, fields, body = ask(port, *headers)
    found = (status, body, fields.get("www-authenticate"), fields.get("content-length"))
    check(f"{what}: 401 {text!r}", found == (401, text, "Bearer", str(len(text))), found)


def check_admitted(what: str, port: int, *headers: str) -> None:
    status, _, body = ask(port, *headers)
    check(f"{what}: 101", status == 101, (status, body))


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def check_session(what: str, port: int, token: str) -> None:
    """A real client, as far as `initialize`."""
    with connect(f"ws://127.0.0.1:{port}/rpc", additional_headers={"Authorization": f"Bearer {token}"}) as client:
        params = {"clientInfo": {"name": "ws_auth", "version": "1"}}
        client.send(json.dumps({"id": 1, "method": "initialize", "params": params}))
        answer = json.loads(client.recv(timeout=PATIENCE_S))
        check(what, answer.get("id") == 1 and "userAgent" in answer.get("result", {}), answer)


def check_every_policy(port: int, good: str) -> None:
    """What holds for capability tokens and signed ones."""
    missing, other = "missing websocket bearer token", "invalid authorization header"
    check_refused("no Authorization", port, missing)
    check_refused("another scheme", port, other, f"Authorization: Basic {good}")
    check_refused("no scheme", port, other, f"Authorization: {good}")
    check_refused("an empty token", port, other, "Authorization: Bearer ")
    check_refused("two Authorization headers", port, other, bearer(good), bearer(good))
    for scheme in ["bearer", "BEARER", "bEaReR"]:
        check_admitted(f"the scheme as {scheme}", port, f"Authorization: {scheme} {good}")
    check_admitted("white space around the token", port, f"authorization:   Bearer   {good}  ")
    status, _, body = ask(port, bearer(good), "Origin: http://127.0.0.1")
    check("Origin and a good token: 403", status == 403, (status, body))
    status, fields, body = ask(port, "Origin: null")
    check("Origin and no token: 403, and no hint of auth", (status, "www-authenticate" in fields) == (403, False), fields)
    for probe in ["/readyz", "/healthz"]:
        status, fields, body = ask(port, target=probe, upgrade=False)
        found = (status, body, fields.get("content-length"))
        check(f"{probe} needs no token", found == (200, "", "0"), found)
        status, _, _ = ask(port, "Origin: http://localhost", target=probe, upgrade=False)
        check(f"{probe} with Origin: 403", status == 403, status)
    status, _, body = ask(port, upgrade=False)
    check("a plain GET without a token: 400, not 401", status == 400, (status, body))
    check_session("a good token can initialize", port, good)


def capability(binary: str, folder: pathlib.Path) -> None:
    file = folder / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    policies = {
        "a token file with a line end": ["--ws-token-file", str(file)],
        "a sha256": ["--ws-token-sha256", digest],
        "a sha256 in upper case": ["--ws-token-sha256", digest.upper()],
    }
    invalid = "invalid websocket bearer token"
    for name, flags in policies.items():
        print(f"-- {name}", flush=True)
        with serving(binary, str(folder), "--ws-auth", "capability-token", *flags) as port:
            check_every_policy(port, TOKEN)
            check_refused("a wrong token", port, invalid, bearer("wrong"))
            check_refused("a longer token", port, invalid, bearer(f"{TOKEN}x"))
            check_refused("a shorter token", port, invalid, bearer(TOKEN[:-1]))
            check_refused("the token in another case", port, invalid, bearer(TOKEN.upper()))
            check_refused("the digest instead of the token", port, invalid, bearer(digest))


def sign(claims: dict[str, object], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, None if algorithm == "none" else secret, algorithm=algorithm)


def signed(binary: str, folder: pathlib.Path) -> None:
    file = folder / "secret"
    file.write_text(f"\n{SECRET}\n")
    file.chmod(0o600)
    flags = ["--ws-auth", "signed-bearer-token", "--ws-shared-secret-file", str(file)]
    skew = ["--ws-max-clock-skew-seconds", "1"]
    print("-- signed tokens, skew 1 s", flush=True)
    with serving(binary, str(folder), *flags, *skew) as port:
        now = int(time.time())
        good = {"exp": now + 3600}
        check_every_policy(port, sign(good))
        check_forms(port, good)
        check_times(port, now)
        check_admitted("iss and aud are not asked for", port, bearer(sign(good | {"iss": "anyone", "aud": "anything"})))
    print("-- signed tokens, the usual skew", flush=True)
    with serving(binary, str(folder), *flags) as port:
        now = int(time.time())
        check_admitted("expired 20 s ago", port, bearer(sign({"exp": now - 20})))
        check_admitted("valid in 20 s", port, bearer(sign({"exp": now + 60, "nbf": now + 20})))
        check_refused("expired 40 s ago", port, "expired websocket jwt", bearer(sign({"exp": now - 40})))
    print("-- signed tokens, issuer and audience", flush=True)
    with serving(binary, str(folder), *flags, *skew, "--ws-issuer", "us", "--ws-audience", "app-server") as port:
        check_names(port, {"exp": int(time.time()) + 3600, "iss": "us", "aud": "app-server"})


def check_forms(port: int, good: dict[str, object]) -> None:
    invalid = "invalid websocket jwt"
    token = sign(good)
    header, payload, signature = token.split(".")
    later = sign(good | {"exp": 4_000_000_000}).split(".")[1]
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    table = {
        "another key": sign(good, "another secret, which has its 32 bytes as well"),
        "HS384": sign(good, algorithm="HS384"),
        "HS512": sign(good, algorithm="HS512"),
        "alg none": sign(good, algorithm="none"),
        "alg none in the header, signature kept": f"{sign(good, algorithm='none').split('.')[0]}.{payload}.{signature}",
        "a changed payload": f"{header}.{later}.{signature}",
        "a changed signature": f"{header}.{payload}.{flipped}",
        "no signature": f"{header}.{payload}.",
        "two parts": f"{header}.{payload}",
        "four parts": f"{token}.{signature}",
        "garbage": "garbage",
        "garbage with points": "a.b.c",
        "only points": "..",
        "no exp": sign({"sub": "me"}),
        "exp with a fraction": sign({"exp": 4_000_000_000.5}),
        "no claims object": jwt.api_jws.encode(b"[1]", SECRET, algorithm="HS256"),
        "claims that are not JSON": jwt.api_jws.encode(b"exp", SECRET, algorithm="HS256"),
    }
    for what, bad in table.items():
        check_refused(what, port, invalid, bearer(bad))
    check_admitted("typ and iat are not looked at", port, bearer(jwt.encode(good | {"iat": 4_000_000_000}, SECRET, headers={"typ": None})))


def check_times(port: int, now: int) -> None:
    later = now + 3600
    check_refused("expired 30 s ago", port, "expired websocket jwt", bearer(sign({"exp": now - 30})))
    check_refused("valid in 30 s", port, "websocket jwt is not valid yet", bearer(sign({"exp": later, "nbf": now + 30})))
    check_admitted("valid since 30 s", port, bearer(sign({"exp": later, "nbf": now - 30})))


def check_names(port: int, good: dict[str, object]) -> None:
    def but(**claims: object) -> str:
        merged = {name: value for name, value in (good | claims).items() if value is not None}
        return bearer(sign(merged))

    issuer, audience = "websocket jwt issuer mismatch", "websocket jwt audience mismatch"
    check_admitted("issuer and audience fit", port, but())
    check_admitted("the audience is in a list", port, but(aud=["other", "app-server"]))
    check_refused("another issuer", port, issuer, but(iss="them"))
    check_refused("no issuer", port, issuer, but(iss=None))
    check_refused("another audience", port, audience, but(aud="other"))
    check_refused("no audience", port, audience, but(aud=None))
    check_refused("a list without the audience", port, audience, but(aud=["other", "app-server2"]))
    check_refused("an empty list", port, audience, but(aud=[]))


def main() -> None:
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        capability(binary, pathlib.Path(folder))
        signed(binary, pathlib.Path(folder))
    print("WebSocket auth: all checks passed")


main()
