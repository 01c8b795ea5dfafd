//! Request bodies: read within limits, unpacked, and told apart by their type.
//!
//! Everything a stranger can send ends here: too much of it, too slowly, broken compression, a
//! bomb. What comes out is bytes in memory of a size that was allowed.

use super::App;
use super::fault::Fault;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Largest body as sent, in bytes.
pub const SENT_MAX: usize = 32 << 20;
/// Largest body after unpacking.
pub const UNPACKED_MAX: usize = 64 << 20;
/// So much may be unpacked whatever the ratio.
const RATIO_FREE: usize = 8 << 20;
/// Most that one byte may unpack to.
const RATIO_MAX: usize = 200;
/// Bytes of bodies that may be in memory at once.
const HELD_MAX: usize = 512 << 20;
/// Longest time a body may take to arrive.
pub const BODY_TIME: Duration = Duration::from_secs(60);

/// Bytes of bodies in memory.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A body in memory, counted as long as it lives.
pub struct Bytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    held: usize,
}

impl Bytes {
    fn hold(&mut self, more: usize) -> Result<(), Fault> {
        self.held += more;
        if HELD.fetch_add(more, Ordering::Relaxed) + more > HELD_MAX {
            let message = "too many uploads at once; send this one again";
            return Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_UPLOADS", message));
        }
        Ok(())
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        HELD.fetch_sub(self.held, Ordering::Relaxed);
    }
}

fn too_large(what: &str, max: usize) -> Fault {
    let message = format!("the body {what} more than {} MiB; send smaller batches", max >> 20);
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message).close()
}

/// Reads a whole body as it was sent.
pub async fn read(body: Body) -> Result<Bytes, Fault> {
    let mut read = Bytes { bytes: Vec::new(), held: 0 };
    let mut body = body;
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|e| Fault::bad(format!("the body cannot be read: {e}")).close())?;
            let Ok(data) = frame.into_data() else { continue };
            if read.bytes.len() + data.len() > SENT_MAX {
                return Err(too_large("has", SENT_MAX));
            }
            read.hold(data.len())?;
            read.bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    match tokio::time::timeout(BODY_TIME, all).await {
        Ok(result) => result?,
        Err(_) => {
            let message = format!("the body took longer than {} s", BODY_TIME.as_secs());
            return Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", message).close());
        }
    }
    Ok(read)
}

/// Unpacks a body as its `Content-Encoding` says.
///
/// # Errors
///
/// What cannot be unpacked is the client's fault, and the connection ends: one client repeats a
/// packed body with the length of another, so that what follows on the wire is no request.
/// Source: wire contract, section 5.
pub fn unpack(mut sent: Bytes, headers: &HeaderMap) -> Result<Bytes, Fault> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    let bytes = std::mem::take(&mut sent.bytes);
    let unpacked = match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("identity" | "") => {
            sent.bytes = bytes;
            return Ok(sent);
        }
        Some("gzip" | "x-gzip") => limited(flate2::read::MultiGzDecoder::new(&bytes[..]), &bytes),
        Some("zstd") => match zstd::stream::read::Decoder::new(&bytes[..]) {
            Ok(decoder) => limited(decoder, &bytes),
            Err(e) => Err(broken(&e)),
        },
        Some(other) => {
            let message = format!("unknown Content-Encoding `{other}`, expected gzip or zstd");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Fault::new(status, "UNSUPPORTED_ENCODING", message).close())
        }
    }?;
    sent.hold(unpacked.len())?;
    sent.bytes = unpacked;
    Ok(sent)
}

fn broken(e: &std::io::Error) -> Fault {
    let message = format!("the body is not what its Content-Encoding says: {e}");
    Fault::new(StatusCode::BAD_REQUEST, "BROKEN_ENCODING", message).close()
}

fn limited(mut from: impl Read, packed: &[u8]) -> Result<Vec<u8>, Fault> {
    let ratio = packed.len().saturating_mul(RATIO_MAX).max(RATIO_FREE);
    let max = UNPACKED_MAX.min(ratio);
    let mut bytes = Vec::new();
    match (&mut from).take(max as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() > max => Err(too_large("unpacks to", max)),
        Ok(_) => Ok(bytes),
        Err(e) => Err(broken(&e)),
    }
}

/// How the objects of an upload are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Json,
    Ndjson,
    Csv,
    Yaml,
}

/// The shape that a `Content-Type` names; JSON where there is none.
pub fn shape(headers: &HeaderMap) -> Result<Shape, Fault> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Shape::Json) };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    match text.split(';').next().unwrap_or_default().trim() {
        // What curl says of `-d` unless told.
        "" | "application/json" | "application/x-www-form-urlencoded" => Ok(Shape::Json),
        "application/x-ndjson" | "application/ndjson" => Ok(Shape::Ndjson),
        "text/csv" => Ok(Shape::Csv),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(Shape::Yaml),
        other => {
            let message = format!(
                "unknown Content-Type `{other}`, expected application/json, \
                 application/x-ndjson, application/yaml or text/csv"
            );
            Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_TYPE", message))
        }
    }
}

/// A JSON body, or the default where there is none.
pub async fn json<T: serde::de::DeserializeOwned + Default>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Fault> {
    let bytes = unpack(read(body).await?, headers)?;
    app.metrics.received(bytes.bytes.len());
    if bytes.bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes.bytes).map_err(|e| Fault::bad(format!("the body: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(bytes: &[u8]) -> (Bytes, HeaderMap) {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        let headers = HeaderMap::from_iter([(
            header::CONTENT_ENCODING,
            axum::http::HeaderValue::from_static("gzip"),
        )]);
        (Bytes { bytes: packer.finish().unwrap(), held: 0 }, headers)
    }

    #[test]
    fn bodies_come_back_and_bombs_do_not() {
        let (body, headers) = packed(b"{\"entities\": []}");
        assert_eq!(unpack(body, &headers).ok().unwrap().bytes, b"{\"entities\": []}");
        let (body, headers) = packed(&vec![0; 70 << 20]);
        assert!(unpack(body, &headers).is_err(), "70 MiB of nothing");
        let (body, headers) = packed(&vec![0; 16 << 20]);
        assert!(unpack(body, &headers).is_err(), "small, and a thousand times as large unpacked");
        let (mut body, headers) = packed(b"{\"entities\": []}");
        body.bytes.truncate(20);
        assert!(unpack(body, &headers).is_err(), "cut off");
    }
}
