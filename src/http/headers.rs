//! What stands in headers: who asks, which request it is, and what protects browsers and those who use them.

use super::problem::Refusal;
use crate::access::{SESSION_COOKIE, Secret, secret};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

/// The secret that came with a request, and how.
pub(super) struct Credentials {
    pub(super) secret: Secret,
    /// By a cookie, which a browser sends whoever has made it do so.
    pub(super) by_cookie: bool,
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The header `Authorization: Bearer`, else the session's cookie.
pub(super) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    if let Some(value) = text(headers, "authorization") {
        let (scheme, secret) = value.split_once(' ')?;
        let fits = scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty();
        return fits.then(|| Credentials { secret: Secret::given(secret), by_cookie: false });
    }
    let ours = cookie(text(headers, "cookie")?, SESSION_COOKIE)?;
    Some(Credentials { secret: Secret::given(ours), by_cookie: true })
}

/// One of the cookies in their header.
pub(super) fn cookie<'c>(cookies: &'c str, name: &str) -> Option<&'c str> {
    let mut all = cookies.split(';').filter_map(|c| c.trim().split_once('='));
    all.find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// Refuses what a page of another site has made a browser send. `by_cookie`: where a browser says nothing, it is refused too.
pub(super) fn refuse_cross_site(method: &Method, headers: &HeaderMap, by_cookie: bool) -> Result<(), Refusal> {
    if method.is_safe() {
        return Ok(());
    }
    let allowed = match (text(headers, "sec-fetch-site"), text(headers, "origin")) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(headers, "host")
        }
        (None, None) => !by_cookie,
    };
    if allowed { Ok(()) } else { Err(Refusal::CrossSite) }
}

/// The key of a request, where it has one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > 128 || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let why = "is 1 to 128 letters, digits and signs without blanks, such as a UUID";
        return Err(Refusal::BadHeader { name: "Idempotency-Key", why });
    }
    Ok(Some(key.to_owned()))
}

/// A header's text.
pub(super) fn maybe(headers: &HeaderMap, name: &str) -> Option<String> {
    text(headers, name).map(ToOwned::to_owned)
}

/// Where a request comes from. Each proxy adds at the right of `X-Forwarded-For` whom it was asked by, so that is read from the right, for as
/// long as those who say it are proxies of ours; anything further left, the sender may have made up.
pub(super) fn place(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[IpAddr]) -> String {
    let Some(mut place) = peer.map(|peer| peer.ip().to_canonical()) else { return String::new() };
    let said: Vec<&str> = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
    for one in said.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Some(earlier) = one.trim().parse::<IpAddr>().ok().filter(|_| trusted.contains(&place)) else { break };
        place = earlier.to_canonical();
    }
    place.to_string()
}

/// The id that the sender gave the request, where it can be one; else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let fits = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if let Some(id) = text(headers, "x-request-id").filter(fits) {
        return id.to_owned();
    }
    let bytes = secret::random::<12>().unwrap_or_default();
    format!("req_{}", crate::db::seal::hex(&bytes))
}

/// On every answer.
const PROTECTING: [(&str, &str); 9] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
];

/// Puts what belongs on every answer there, unless the answer says otherwise.
pub(super) fn protect(headers: &mut HeaderMap, request_id: &str) {
    static MADE: LazyLock<Vec<(HeaderName, HeaderValue)>> = LazyLock::new(|| {
        let made = PROTECTING.iter();
        made.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    });
    for (name, value) in MADE.iter() {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// Text as it stands in a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What a percent-encoded part of a path or query says; `None` where it cannot be text.
pub(super) fn decoded(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_blank => b' ',
            other => other,
        });
    }
    // No code and no name has it, and PostgreSQL takes no text with it.
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_header_comes_before_a_cookie_and_a_cookie_is_ours_only() {
        let both = headers(&[("authorization", "bearer abc"), ("cookie", "__Host-tributary=def")]);
        assert_eq!(
            credentials(&both).map(|c| (c.secret.reveal().to_owned(), c.by_cookie)),
            Some(("abc".to_owned(), false))
        );
        let cookie = headers(&[("cookie", "a=b; __Host-tributary=def")]);
        assert_eq!(credentials(&cookie).map(|c| c.by_cookie), Some(true));
        assert!(credentials(&headers(&[("cookie", "tributary=def")])).is_none());
        assert!(credentials(&headers(&[("authorization", "Basic abc"), ("cookie", "__Host-tributary=d")])).is_none());
    }

    #[test]
    fn only_proxies_of_ours_say_where_a_request_comes_from() {
        let ours: Vec<IpAddr> = ["127.0.0.1", "10.0.0.2"].map(|ip| ip.parse().expect("an address")).to_vec();
        let from = |peer: &str, said: &'static str| {
            place(
                Some(SocketAddr::new(peer.parse().expect("an address"), 1)),
                &headers(&[("x-forwarded-for", said)]),
                &ours,
            )
        };
        assert_eq!(from("127.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(from("::ffff:127.0.0.1", "203.0.113.7"), "203.0.113.7");
        // What stands left of the first that is not ours was made up, perhaps.
        assert_eq!(from("127.0.0.1", "1.2.3.4, 203.0.113.7, 10.0.0.2"), "203.0.113.7");
        assert_eq!(from("203.0.113.7", "1.2.3.4"), "203.0.113.7");
        assert_eq!(from("127.0.0.1", "nonsense"), "127.0.0.1");
        assert_eq!(place(None, &headers(&[]), &ours), "");
    }

    #[test]
    fn a_cookie_changes_nothing_from_another_site() {
        let may = |of: &[(&'static str, &'static str)], cookie| {
            refuse_cross_site(&Method::POST, &headers(of), cookie).is_ok()
        };
        assert!(may(&[("sec-fetch-site", "same-origin")], true) && may(&[], false));
        assert!(may(&[("origin", "https://t.example"), ("host", "t.example")], true));
        for from in
            [&[("sec-fetch-site", "cross-site")][..], &[("sec-fetch-site", "same-site")], &[("origin", "null")], &[]]
        {
            assert!(!may(from, true), "{from:?}");
        }
        assert!(!may(&[("sec-fetch-site", "cross-site")], false));
        assert!(refuse_cross_site(&Method::GET, &headers(&[("sec-fetch-site", "cross-site")]), true).is_ok());
    }

    #[test]
    fn what_is_encoded_is_decoded_and_what_cannot_be_text_is_not() {
        for text in ["de-eur/tiktok/de/operating", "a b+c%", "ü€"] {
            assert_eq!(decoded(&encoded(text), true).as_deref(), Some(text));
        }
        assert_eq!(decoded("a+b", false).as_deref(), Some("a+b"));
        for wrong in ["%", "%4", "%zz", "%ff", "a%00b"] {
            assert_eq!(decoded(wrong, false), None, "{wrong}");
        }
    }
}
