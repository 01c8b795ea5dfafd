//! Pictures that the server hands out: which one is asked for, and how it is sent.

use super::api_error::ApiError;
use crate::picture_file::PictureFormat;
use axum::http::{HeaderMap, HeaderValue, header};

/// The media type of a picture.
pub fn media_type(format: PictureFormat) -> &'static str {
    match format {
        PictureFormat::Svg => "image/svg+xml",
        PictureFormat::Html => "text/html; charset=utf-8",
    }
}

/// The end of the name of its file.
pub fn ending(format: PictureFormat) -> &'static str {
    match format {
        PictureFormat::Svg => "svg",
        PictureFormat::Html => "html",
    }
}

/// The form that `output` asks for; `None` for JSON.
///
/// # Errors
///
/// Another word.
pub fn output(text: Option<&str>) -> Result<Option<PictureFormat>, ApiError> {
    match text {
        None | Some("json") => Ok(None),
        Some("svg") => Ok(Some(PictureFormat::Svg)),
        Some("html") => Ok(Some(PictureFormat::Html)),
        Some(other) => {
            let other = other.lines().next().unwrap_or_default();
            Err(ApiError::bad(format!("there is no output `{other}`"))
                .hint("`output` is json, svg or html"))
        }
    }
}

/// Sets the headers of a file that is kept and not shown in place: a page of ours must not become one that
/// runs with the rights of who looks at it.
pub fn kept_as_file(headers: &mut HeaderMap, kind: &'static str, name: &str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let disposition = format!("attachment; filename=\"{}\"", plain(name));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// Longest name of a file, in letters.
const NAME_MAX: usize = 80;

/// A name of a file without what any system reads in its own way.
fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let stem: String = stem.chars().map(letter).take(NAME_MAX).collect();
    format!("{}.{ending}", stem.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_is_plain_whatever_a_key_holds() {
        assert_eq!(plain("blast-radius okta-user:alice.svg"), "blast-radius_okta-user_alice.svg");
        assert_eq!(plain("../../x\"\r\ny.html"), "_.._x___y.html");
        assert_eq!(plain(&format!("{}.svg", "ä".repeat(500))).len(), NAME_MAX + 4);
    }

    #[test]
    fn an_output_is_one_of_three() {
        assert!(matches!(output(None), Ok(None)));
        assert!(matches!(output(Some("json")), Ok(None)));
        assert!(matches!(output(Some("svg")), Ok(Some(PictureFormat::Svg))));
        assert!(output(Some("pdf")).is_err() && output(Some("")).is_err());
    }
}
