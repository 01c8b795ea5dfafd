//! Answers of pages as a browser gets them: with an ETag, packed, and with headers that keep it from
//! running anything but our one script.

use super::super::pictures;
use super::page::PageFile;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;

/// Nothing from elsewhere, nothing inline, no frame around us.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Bytes below which packing costs more than it saves.
const PACKED_LEAST: usize = 1_000;

/// What an answer has to know of its request.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// True if the browser unpacks gzip.
    gzip: bool,
    /// The answers that the browser has.
    known: Option<String>,
}

impl RequestFacts {
    /// Reads them.
    pub fn read(headers: &HeaderMap) -> RequestFacts {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let takes = |coding: &str| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0));
            matches!(name.trim(), "gzip" | "*") && !refused
        };
        RequestFacts {
            gzip: text(header::ACCEPT_ENCODING).is_some_and(|all| all.split(',').any(takes)),
            known: text(header::IF_NONE_MATCH).map(str::to_owned),
        }
    }

    fn knows(&self, tag: &str) -> bool {
        let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        self.known.as_ref().is_some_and(|known| known.split(',').any(|k| plain(k) == plain(tag)))
    }
}

/// Writes bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A page.
pub fn html(facts: &RequestFacts, status: StatusCode, text: String) -> Response {
    self::text(facts, status, "text/html; charset=utf-8", text)
}

/// A text of some kind. One that the browser has already is not sent again.
pub fn text(
    facts: &RequestFacts,
    status: StatusCode,
    kind: &'static str,
    text: String,
) -> Response {
    // Packing may change from version to version, and the page is the same.
    let tag = format!("W/\"{}\"", hex(&Sha256::digest(text.as_bytes())[..12]));
    let known = status == StatusCode::OK && facts.knows(&tag);
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => (status, body(facts, text)).into_response(),
    };
    let headers = response.headers_mut();
    if !known {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if status == StatusCode::OK
        && let Ok(tag) = HeaderValue::from_str(&tag)
    {
        headers.insert(header::ETAG, tag);
    }
    guard(headers);
    response
}

fn body(facts: &RequestFacts, text: String) -> Response {
    if !facts.gzip || text.len() < PACKED_LEAST {
        return Body::from(text).into_response();
    }
    let mut packer = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::new(5));
    match packer.write_all(text.as_bytes()).and_then(|()| packer.finish()) {
        Ok(packed) => ([(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
        // Memory takes every byte, so this does not happen; the plain text is as good.
        Err(_) => Body::from(text).into_response(),
    }
}

/// A file that the browser keeps.
pub fn file(facts: &RequestFacts, file: PageFile) -> Response {
    let mut response = text(facts, StatusCode::OK, file.kind, file.text);
    if response.status() == StatusCode::OK {
        pictures::kept_as_file(response.headers_mut(), file.kind, &file.name);
    }
    response
}

/// Sends the browser on, with GET.
pub fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    // An address of ours is ASCII; anything else would be no address.
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    headers.insert(header::LOCATION, to);
    guard(headers);
    response
}

fn guard(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Asked again each time, so that a page of who signed out is not shown from a cache.
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "Cookie, Authorization, Accept-Encoding"),
        // A key is in the address; other sites do not hear of it.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(coding: &str, known: &str) -> RequestFacts {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, coding.parse().expect("a header"));
        headers.insert(header::IF_NONE_MATCH, known.parse().expect("a header"));
        RequestFacts::read(&headers)
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (coding, takes) in
            [("gzip, br", true), ("br", false), ("gzip;q=0", false), ("*", true), ("GZ", false)]
        {
            assert_eq!(facts(coding, "x").gzip, takes, "{coding}");
        }
        let answer = html(&facts("gzip", "x"), StatusCode::OK, "a".repeat(5_000));
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        let answer = html(&facts("gzip", "x"), StatusCode::OK, "a".repeat(50));
        assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let first = html(&facts("br", "x"), StatusCode::OK, "page".into());
        let tag = first.headers()[header::ETAG].to_str().expect("text").to_owned();
        for known in [tag.clone(), format!("\"other\", {tag}"), tag.replace("W/", "")] {
            let again = html(&facts("br", &known), StatusCode::OK, "page".into());
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(html(&facts("br", &tag), StatusCode::OK, "other".into()).status(), 200);
        let refused = html(&facts("br", &tag), StatusCode::FORBIDDEN, "page".into());
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
}
