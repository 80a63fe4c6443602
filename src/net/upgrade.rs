//! What a request gets: a plain answer, or a WebSocket.
//!
//! Pure decisions on a [`Head`]; it touches no socket. The order is the reference's: `Origin`, probes, the
//! form of the upgrade, and authorization last.

use tungstenite::handshake::derive_accept_key;

use super::head::Head;
use super::http::Answer;
use super::readiness::Phase;

/// Where a request without authorization leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Here is the answer.
    Answer(Answer),
    /// The numbers of the process.
    Metrics,
    /// A well-formed request for a WebSocket; here is its `Sec-WebSocket-Accept`.
    Upgrade(String),
}

/// Decides on a request.
pub(crate) fn route(head: &Head, phase: Phase) -> Route {
    // A browser sends `Origin` with every WebSocket request: a page from anywhere must not reach this server.
    if head.has_origin {
        return Route::Answer(Answer::new(/*status*/ 403, ""));
    }
    match head.path() {
        "/readyz" => Route::Answer(probe(head, phase == Phase::Ready)),
        "/healthz" => Route::Answer(probe(head, /*good*/ true)),
        "/metrics" => Route::Metrics,
        _ => match accept(head) {
            Ok(accept) => Route::Upgrade(accept),
            Err(answer) => Route::Answer(answer),
        },
    }
}

fn probe(head: &Head, good: bool) -> Answer {
    match &*head.method {
        "GET" | "HEAD" if good => Answer::new(/*status*/ 200, ""),
        "GET" | "HEAD" => Answer::new(/*status*/ 503, "").with("Retry-After", "1"),
        _ => Answer::new(/*status*/ 405, "").with("Allow", "GET,HEAD"),
    }
}

/// Checks the client's half of the handshake (RFC 6455, section 4.2.1).
fn accept(head: &Head) -> Result<String, Answer> {
    let refuse = |what: &str| {
        let hint = "this is a WebSocket endpoint; the probes are at /readyz and /healthz";
        Err(Answer::new(/*status*/ 400, format!("{what}; {hint}\n")))
    };
    if &*head.method != "GET" {
        return Err(Answer::new(/*status*/ 405, "only GET with a WebSocket upgrade is served here\n")
            .with("Allow", "GET"));
    }
    if head.minor < 1 {
        return refuse("a WebSocket needs HTTP/1.1");
    }
    if !head.connection_upgrade {
        return refuse("Connection header did not include 'upgrade'");
    }
    if !head.upgrade_websocket {
        return refuse("Upgrade header did not include 'websocket'");
    }
    if !head.version_13 {
        let text = "only version 13 of the WebSocket protocol is served\n";
        return Err(Answer::new(/*status*/ 426, text).with("Sec-WebSocket-Version", "13"));
    }
    if head.has_body {
        return refuse("a WebSocket request has no body");
    }
    match &head.key {
        Some(key) if is_key(key) => Ok(derive_accept_key(key.as_bytes())),
        Some(_) => refuse("Sec-WebSocket-Key is not 16 bytes in base64"),
        None => refuse("Sec-WebSocket-Key header is missing"),
    }
}

/// The server's half of the handshake. Offers of extensions and subprotocols are met with silence, which
/// declines them.
pub(crate) fn switching(accept: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// 16 bytes in base64: 22 digits and two signs of padding.
fn is_key(key: &str) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with("==") && key.as_bytes()[..22].iter().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Head {
        Head {
            method: "GET".into(),
            target: "/any?thing".into(),
            minor: 1,
            connection_upgrade: true,
            upgrade_websocket: true,
            version_13: true,
            key: Some("dGhlIHNhbXBsZSBub25jZQ==".into()),
            ..Head::default()
        }
    }

    fn status(head: &Head, phase: Phase) -> u16 {
        match route(head, phase) {
            Route::Answer(answer) => answer.status,
            Route::Upgrade(_) => 101,
            Route::Metrics => 200,
        }
    }

    #[test]
    fn the_accept_key_is_the_one_of_the_rfc() {
        assert_eq!(route(&good(), Phase::Ready), Route::Upgrade("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into()));
    }

    #[test]
    fn each_defect_of_an_upgrade_has_its_answer() {
        type Spoil = fn(&mut Head);
        let table: [(Spoil, u16, &str); 10] = [
            (|head| head.method = "POST".into(), 405, "GET"),
            (|head| head.minor = 0, 400, "HTTP/1.1"),
            (|head| head.connection_upgrade = false, 400, "Connection header did not include 'upgrade'"),
            (|head| head.upgrade_websocket = false, 400, "Upgrade header did not include 'websocket'"),
            (|head| head.version_13 = false, 426, "13"),
            (|head| head.has_body = true, 400, "body"),
            (|head| head.key = None, 400, "Sec-WebSocket-Key"),
            (|head| head.key = Some("short".into()), 400, "Sec-WebSocket-Key"),
            (|head| head.key = Some("dGhlIHNhbXBsZSBub25jZQ!=".into()), 400, "Sec-WebSocket-Key"),
            (|head| head.has_origin = true, 403, ""),
        ];
        for (spoil, status, text) in table {
            let mut head = good();
            spoil(&mut head);
            let Route::Answer(answer) = route(&head, Phase::Ready) else { panic!("{head:?} passed") };
            assert_eq!(answer.status, status, "{head:?}");
            assert!(answer.text.contains(text), "{answer:?}");
        }
    }

    #[test]
    fn probes_answer_by_phase_and_method() {
        let probe = |method: &str, target: &str, phase| {
            status(&Head { method: method.into(), target: target.into(), ..Head::default() }, phase)
        };
        for (phase, ready) in [(Phase::Starting, 503), (Phase::Ready, 200), (Phase::Draining, 503)] {
            assert_eq!(probe("GET", "/readyz", phase), ready);
            assert_eq!(probe("HEAD", "/readyz?x", phase), ready);
            assert_eq!(probe("GET", "/healthz", phase), 200);
        }
        assert_eq!(probe("POST", "/healthz", Phase::Ready), 405);
        assert_eq!(probe("GET", "/other", Phase::Ready), 400);
        let mut page = Head { method: "GET".into(), target: "/healthz".into(), ..Head::default() };
        page.has_origin = true;
        assert_eq!(status(&page, Phase::Ready), 403);
    }
}
