//! What all pages look like: one style sheet, one script, one mark. They are in the program.

use super::response;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file that pages need.
struct PageAsset {
    name: &'static str,
    kind: &'static str,
    /// Its parts, one behind the other.
    parts: &'static [&'static str],
}

const ASSETS: [PageAsset; 3] = [
    PageAsset {
        name: "style.css",
        kind: "text/css; charset=utf-8",
        parts: &[tombolo::picture::STYLE, include_str!("assets/style.css")],
    },
    PageAsset {
        name: "app.js",
        kind: "text/javascript; charset=utf-8",
        parts: &[include_str!("assets/app.js")],
    },
    PageAsset {
        name: "mark.svg",
        kind: "image/svg+xml",
        parts: &[include_str!("assets/mark.svg")],
    },
];

/// A digest of all of them: their address changes with their contents, so a browser may keep them.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    ASSETS.iter().flat_map(|asset| asset.parts).for_each(|part| digest.update(part));
    response::hex(&digest.finalize()[..6])
});

/// The address of a file.
pub fn address(name: &str) -> String {
    format!("/assets/{name}?v={}", *VERSION)
}

/// Answers with a file.
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let facts = response::RequestFacts::read(&headers);
    let mut response = response::text(&facts, StatusCode::OK, asset.kind, asset.parts.concat());
    let kept = header::HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}
