//! Which proxy stands between here and an address: what the environment says, as other programs read it.

use std::net::IpAddr;

use ureq::{Proxy, ProxyProtocol};

/// The proxy for this address; none if it is to be reached directly.
///
/// `HTTPS_PROXY` counts for `https:` addresses and `HTTP_PROXY` for `http:` ones, `ALL_PROXY` for both, each
/// also in lower case. `NO_PROXY` lists hosts that need none: names with all that is below them, addresses,
/// networks such as `10.0.0.0/8`, and `*` for all.
///
/// # Errors
/// What is wrong with a variable that counts, without its value, which may hold a password.
pub(super) fn proxy_for(url: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    let own = if url.starts_with("https:") { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let set = |name: String| env(&name).filter(|value| !value.trim().is_empty()).map(|value| (name, value));
    let either = |name: &str| set(name.to_owned()).or_else(|| set(name.to_lowercase()));
    let Some((name, value)) = either(own).or_else(|| either("ALL_PROXY")) else { return Ok(None) };
    let host = host(url);
    if either("NO_PROXY").is_some_and(|(_, list)| list.split(',').any(|entry| covers(entry.trim(), host))) {
        return Ok(None);
    }
    let proxy = Proxy::new(value.trim())
        .map_err(|_| format!("`{name}` is not the address of a proxy, such as http://proxy.example:3128"))?;
    match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => Ok(Some(proxy)),
        _ => Err(format!("`{name}` names a SOCKS proxy; only http:// and https:// ones are supported")),
    }
}

/// The host of an address, without the brackets of IPv6.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, _)) => host,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    }
}

/// Whether an entry of `NO_PROXY` means this host.
fn covers(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(host) = host.parse::<IpAddr>() {
        let (network, bits) = entry.split_once('/').map_or((entry, None), |(at, bits)| (at, Some(bits)));
        let Ok(network) = network.trim_matches(['[', ']']).parse::<IpAddr>() else { return false };
        return match bits.map(str::parse::<u32>) {
            None => network == host,
            Some(Ok(bits)) => same_network(network, host, bits),
            Some(Err(_)) => false,
        };
    }
    let domain = entry.strip_prefix('*').unwrap_or(entry);
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let Some(at) = host.len().checked_sub(domain.len()) else { return false };
    // Bytes, because an entry need not end where a character of the host does.
    let is_end = host.as_bytes()[at..].eq_ignore_ascii_case(domain.as_bytes());
    !domain.is_empty() && is_end && (at == 0 || host.as_bytes()[at - 1] == b'.')
}

/// Whether the first `bits` bits of two addresses are the same.
fn same_network(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros() >= bits && bits <= 32
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros() >= bits && bits <= 128
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, env: &[(&str, &str)]) -> Result<Option<String>, String> {
        let env =
            |wanted: &str| env.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned());
        Ok(proxy_for(url, &env)?.map(|proxy| format!("{}:{}", proxy.host(), proxy.port())))
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2"), ("ALL_PROXY", "http://a:3")];
        assert_eq!(chosen("https://x/v1", &both), Ok(Some("s:1".to_owned())));
        assert_eq!(chosen("http://x/v1", &both), Ok(Some("p:2".to_owned())));
        assert_eq!(chosen("http://x/v1", &both[2..]), Ok(Some("a:3".to_owned())));
        assert_eq!(chosen("http://x/v1", &both[..1]), Ok(None));
        assert_eq!(chosen("https://x/v1", &[("HTTPS_PROXY", " ")]), Ok(None));
        assert_eq!(chosen("https://x", &[("https_proxy", "user:word@p:8")]), Ok(Some("p:8".to_owned())));
    }

    #[test]
    fn what_is_no_proxy_is_said_without_its_value() {
        for odd in ["http://", "gopher://secret@x", "http://a b"] {
            let error = chosen("https://x", &[("HTTPS_PROXY", odd)]).expect_err(odd);
            assert!(error.starts_with("`HTTPS_PROXY` is not") && !error.contains("secret"), "{error}");
        }
        let error = chosen("http://x", &[("all_proxy", "socks5://x:1")]).expect_err("not supported");
        assert!(error.starts_with("`all_proxy` names a SOCKS proxy"), "{error}");
    }

    #[test]
    fn some_hosts_need_none() {
        let direct = |host: &str, list: &str| {
            let env = [("HTTP_PROXY", "http://p:1"), ("NO_PROXY", list)];
            chosen(&format!("http://me:word@{host}:8080/v1?x@y"), &env).expect("a proxy").is_none()
        };
        for (host, list) in [
            ("example.com", "other, example.com"),
            ("a.b.EXAMPLE.com", "example.com"),
            ("a.example.com", ".example.com"),
            ("a.example.com", "*.example.com"),
            ("anything", "*"),
            ("127.0.0.1", "localhost,127.0.0.1"),
            ("10.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "0.0.0.0/0"),
            ("[::1]", "::1"),
            ("[fd00::7]", "fd00::/8"),
        ] {
            assert!(direct(host, list), "{host} {list}");
        }
        for (host, list) in [
            ("notexample.com", "example.com"),
            ("example.com", "a.example.com"),
            ("example.com", "é,."),
            ("11.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.0.0.0/33"),
            ("10.1.2.3", "::/0"),
            ("127.0.0.1", "0.0.1"),
            ("x", ""),
        ] {
            assert!(!direct(host, list), "{host} {list}");
        }
    }
}
