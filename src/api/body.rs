//! Request bodies: read within limits, unpacked, and told apart by their type.
//!
//! Everything that a stranger can send ends here: too much of it, too slowly, broken compression, a
//! bomb. The result is bytes in memory, of a size that is allowed.

use super::AppState;
use super::api_error::ApiError;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Largest body as sent, in bytes.
pub const SENT_MAX: usize = 32 << 20;
/// Largest body after unpacking.
pub const UNPACKED_MAX: usize = 64 << 20;
/// Bytes that may be unpacked whatever the ratio.
const RATIO_FREE: usize = 8 << 20;
/// The most bytes that one byte may unpack to.
const RATIO_MAX: usize = 200;
/// Bytes that are unpacked at a time.
const PIECE: usize = 1 << 20;
/// Largest window of zstd, as a power of two.
const WINDOW_LOG_MAX: u32 = 24;
/// Largest body that is no upload, after unpacking: it becomes a tree in memory.
const SMALL_MAX: usize = 4 << 20;
/// Largest upload in YAML, after unpacking. It becomes a tree in memory too, of so many bytes a
/// value. A list in brackets is read to its end before its first item is known.
pub const YAML_MAX: usize = 8 << 20;
const YAML_VALUE: usize = 400;
const YAML_COMMA: usize = 400;
/// The memory that an upload takes beside its body while it is read: so many copies of it, and so
/// many bytes an object and a value. Measured with a million small objects, rows of CSV, and texts.
const COPIES: usize = 3;
const OBJECT: usize = 130;
const VALUE: usize = 28;
/// Objects and values of one upload: many small ones take more memory than their text.
const OBJECTS_MAX: usize = 2_000_000;
const VALUES_MAX: usize = 8_000_000;
/// Longest time that an upload waits for others to be done with their memory.
const MEMORY_TIME: Duration = Duration::from_secs(10);
/// Bytes that a byte of JSON may take as a tree, and that a sign between two values may take.
const TREE_BYTES: usize = 2;
const TREE_SIGN_BYTES: usize = 80;
/// Longest time without a byte of a body.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest time for all of a body.
const BODY_TIME: Duration = Duration::from_secs(300);
/// Bytes that are read of a refused body, so that its sender gets to see the answer.
const DRAINED_MAX: usize = 64 << 20;
/// Longest time for that.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Bytes of bodies in memory, and how many there may be: one of the largest with its copies at the
/// least.
static HELD: AtomicUsize = AtomicUsize::new(0);
static HELD_MAX: AtomicUsize = AtomicUsize::new(HELD_LEAST);
const HELD_LEAST: usize = (COPIES + 2) * UNPACKED_MAX;

/// Sets how many bytes of bodies, and of what is made of them, may be in memory at once.
pub fn set_held_max(bytes: u64) {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).max(HELD_LEAST);
    HELD_MAX.store(bytes, Ordering::Relaxed);
}

/// Counts the tree that a YAML text becomes, as long as the result lives. It blocks while others
/// hold the memory, so it is for threads that may block.
pub fn yaml_held(text: &[u8]) -> Result<AccountedBytes, ApiError> {
    let signs = text.iter().filter(|byte| b",:-[{\n".contains(byte)).count();
    let commas = memchr::memchr_iter(b',', text).count();
    let values = YAML_VALUE * signs.min(tombolo::mapping::YAML_VALUES_MAX);
    let mut held = AccountedBytes { bytes: Vec::new(), held: 0 };
    held.hold_patiently(values + YAML_COMMA * commas)?;
    Ok(held)
}

/// A body in memory, counted as long as it lives.
pub struct AccountedBytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    held: usize,
}

impl AccountedBytes {
    fn hold(&mut self, more: usize) -> Result<(), ApiError> {
        // Counted even if it is too much: the caller that waits, or `drop`, takes it back.
        self.held += more;
        if HELD.fetch_add(more, Ordering::Relaxed) + more > HELD_MAX.load(Ordering::Relaxed) {
            let message = "too many uploads at once; send this one again";
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_UPLOADS", message));
        }
        Ok(())
    }

    fn hold_patiently(&mut self, more: usize) -> Result<(), ApiError> {
        let most = HELD_MAX.load(Ordering::Relaxed);
        if self.held + more > most {
            let message = "reading the body takes more memory than the server has for bodies";
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(ApiError::new(status, "RequestEntityTooLargeException", message)
                .hint("send smaller batches; `tombolo serve --memory` raises the limit"));
        }
        let end = Instant::now() + MEMORY_TIME;
        loop {
            match self.hold(more) {
                Err(_) if Instant::now() < end => {
                    self.held -= more;
                    HELD.fetch_sub(more, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                }
                result => return result,
            }
        }
    }

    /// Makes room for more bytes, a mebibyte at a time: a buffer that doubles may waste half of its
    /// room.
    fn make_room(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            self.bytes.reserve_exact(more.max(PIECE.min(self.bytes.len())));
        }
    }
}

impl Drop for AccountedBytes {
    fn drop(&mut self) {
        HELD.fetch_sub(self.held, Ordering::Relaxed);
    }
}

fn too_large(what: &str, max: usize) -> ApiError {
    let message = format!("the body {what} more than {} MiB; send smaller batches", max >> 20);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message).close()
}

/// Reads a whole body as it was sent.
pub async fn read(body: Body) -> Result<AccountedBytes, ApiError> {
    read_up_to(body, SENT_MAX).await
}

async fn read_up_to(mut body: Body, max: usize) -> Result<AccountedBytes, ApiError> {
    let mut read = AccountedBytes { bytes: Vec::new(), held: 0 };
    let all = async {
        while let Some(frame) = tokio::time::timeout(PAUSE, body.frame())
            .await
            .map_err(|_| too_slow(&format!("sent nothing for {} s", PAUSE.as_secs())))?
        {
            let frame = frame
                .map_err(|e| ApiError::bad(format!("the body cannot be read: {e}")).close())?;
            let Ok(data) = frame.into_data() else { continue };
            if read.bytes.len() + data.len() > max {
                return Err(too_large("has", max));
            }
            read.hold(data.len())?;
            read.make_room(data.len());
            read.bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    let result = match tokio::time::timeout(BODY_TIME, all).await {
        Ok(result) => result,
        Err(_) => Err(too_slow(&format!("took longer than {} s", BODY_TIME.as_secs()))),
    };
    match result {
        Ok(()) => Ok(read),
        Err(fault) => {
            // The memory goes first, since the rest of the body is not kept.
            drop(read);
            drain(axum::extract::Request::new(body)).await;
            Err(fault)
        }
    }
}

fn too_slow(what: &str) -> ApiError {
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", format!("the body {what}")).close()
}

/// Reads what is left of a refused request and forgets it, within limits.
pub async fn drain(request: axum::extract::Request) {
    // A client that asks before it sends has sent nothing.
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut body = request.into_body();
    let all = async {
        let mut left = DRAINED_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, |data| data.len());
            match left.checked_sub(read) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, all).await;
}

/// Unpacks a body as its `Content-Encoding` says.
///
/// # Errors
///
/// A body that cannot be unpacked is the client's mistake, and the connection ends: one client
/// repeats a packed body with the length of another, so that the bytes that follow are no request.
/// Source: wire contract, section 5.
pub fn unpack(sent: AccountedBytes, headers: &HeaderMap) -> Result<AccountedBytes, ApiError> {
    let mut whole = unpack_up_to(sent, headers, UNPACKED_MAX)?;
    // Counted by their signs, since the memory has to be known before anything is parsed.
    let count = |sign| memchr::memchr_iter(sign, &whole.bytes).count();
    let (objects, lines, values) = (count(b'{'), count(b'\n'), count(b','));
    for (count, most, what) in [(objects, OBJECTS_MAX, "objects"), (values, VALUES_MAX, "values")] {
        if count > most {
            let message = format!("the body has more than {most} {what}; send smaller batches");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(ApiError::new(status, "RequestEntityTooLargeException", message));
        }
    }
    let parts = OBJECT * objects.max(lines) + VALUE * values;
    whole.hold_patiently(COPIES * whole.bytes.len() + parts)?;
    Ok(whole)
}

fn unpack_up_to(
    sent: AccountedBytes,
    headers: &HeaderMap,
    max: usize,
) -> Result<AccountedBytes, ApiError> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    let bytes = &sent.bytes[..];
    match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("identity" | "") => Ok(sent),
        Some("gzip" | "x-gzip") => limited(flate2::read::MultiGzDecoder::new(bytes), bytes, max),
        Some("zstd") => match zstd::stream::read::Decoder::new(bytes) {
            // A window as large as the body may be, and no larger.
            Ok(mut decoder) => {
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(|e| broken(&e))?;
                limited(decoder, bytes, max)
            }
            Err(e) => Err(broken(&e)),
        },
        Some(other) => {
            let message = format!("unknown Content-Encoding `{other}`, expected gzip or zstd");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(ApiError::new(status, "UNSUPPORTED_ENCODING", message).close())
        }
    }
}

fn broken(e: &std::io::Error) -> ApiError {
    let message = format!("the body is not what its Content-Encoding says: {e}");
    ApiError::new(StatusCode::BAD_REQUEST, "BROKEN_ENCODING", message).close()
}

/// Unpacks piece by piece, so that memory is counted before it is taken, however many unpack at
/// once.
fn limited(mut from: impl Read, packed: &[u8], max: usize) -> Result<AccountedBytes, ApiError> {
    let ratio = packed.len().saturating_mul(RATIO_MAX).max(RATIO_FREE);
    let mut unpacked = AccountedBytes { bytes: Vec::new(), held: 0 };
    loop {
        unpacked.hold(PIECE)?;
        unpacked.make_room(PIECE);
        match (&mut from).take(PIECE as u64).read_to_end(&mut unpacked.bytes) {
            Ok(0) => return Ok(unpacked),
            Ok(_) if unpacked.bytes.len() > max => return Err(too_large("unpacks to", max)),
            Ok(_) if unpacked.bytes.len() > ratio => {
                let message = format!("the body unpacks to more than {RATIO_MAX} times its size");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                let fault = ApiError::new(status, "RequestEntityTooLargeException", message);
                return Err(fault.hint("send it unpacked, or in smaller batches").close());
            }
            Ok(_) => {}
            Err(e) => return Err(broken(&e)),
        }
    }
}

/// The format of the objects of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFormat {
    Json,
    Ndjson,
    Csv,
    Yaml,
}

/// The shape that a `Content-Type` names; JSON where there is none.
pub fn shape(headers: &HeaderMap) -> Result<UploadFormat, ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(UploadFormat::Json) };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    match text.split(';').next().unwrap_or_default().trim() {
        // curl sends the last of these with `-d` unless another one is given.
        "" | "application/json" | "application/x-www-form-urlencoded" => Ok(UploadFormat::Json),
        "application/x-ndjson" | "application/ndjson" => Ok(UploadFormat::Ndjson),
        "text/csv" => Ok(UploadFormat::Csv),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(UploadFormat::Yaml),
        other => {
            let message = format!(
                "unknown Content-Type `{other}`, expected application/json, \
                 application/x-ndjson, application/yaml or text/csv"
            );
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_TYPE", message))
        }
    }
}

/// A JSON body, or the default where there is none.
pub async fn json<T: serde::de::DeserializeOwned + Default>(
    app: &AppState,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    Ok(json_held(app, headers, body).await?.0)
}

/// A body as JSON that becomes a tree in memory, which is counted as long as the second part lives.
pub async fn json_held<T: serde::de::DeserializeOwned + Default>(
    app: &AppState,
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, AccountedBytes), ApiError> {
    read_held(app, headers, body, |bytes| serde_json::from_slice(bytes)).await
}

/// The same with a reader of its own. A body of nothing but blanks is the default.
pub async fn read_held<T: Default>(
    app: &AppState,
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
) -> Result<(T, AccountedBytes), ApiError> {
    let sent = read_up_to(body, SMALL_MAX).await?;
    // Milliseconds at most; other tasks go on elsewhere.
    tokio::task::block_in_place(|| {
        let bytes = unpack_up_to(sent, headers, SMALL_MAX)?;
        app.metrics.received(bytes.bytes.len());
        let mut held = AccountedBytes { bytes: Vec::new(), held: 0 };
        if bytes.bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok((T::default(), held));
        }
        let signs = bytes.bytes.iter().filter(|byte| matches!(byte, b'[' | b'{' | b',')).count();
        held.hold(bytes.bytes.len() * TREE_BYTES + signs * TREE_SIGN_BYTES)?;
        let value = read(&bytes.bytes);
        Ok((value.map_err(|e| ApiError::bad(format!("the body: {e}")))?, held))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(bytes: &[u8]) -> (AccountedBytes, HeaderMap) {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        let headers = HeaderMap::from_iter([(
            header::CONTENT_ENCODING,
            axum::http::HeaderValue::from_static("gzip"),
        )]);
        (AccountedBytes { bytes: packer.finish().unwrap(), held: 0 }, headers)
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
