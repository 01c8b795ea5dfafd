//! `tombolo push`: files to a server, with the report that `sync` prints.
//!
//! Lines go in pieces, so that a file may be of any size. Other documents go whole.

use super::CommandContext;
use super::args::{PushArgs, ReportFormat};
use super::failure::{CommandError, FAILED, MISTAKE};
use super::report;
use super::sync::sources;
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::time::Duration;
use tombolo::sync::{InputFormat, JobReport};

/// Bytes of lines in one request.
const PIECE: usize = 8 << 20;
/// The largest document that goes whole, in bytes; the server takes no more.
const WHOLE_MAX: usize = 64 << 20;
/// The most attempts of a request.
const TRIES: u32 = 6;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &PushArgs) -> Result<u8, CommandError> {
    let server = PushClient::new(args);
    let body = json!({
        "source": "api",
        "scope": args.scope,
        "syncMode": args.mode,
        "ignoreDuplicates": args.ignore_duplicates,
    });
    let jobs = "/persister/synchronization/jobs";
    let made = server.post(jobs, "application/json", body.to_string().as_bytes())?;
    let id = made["job"]["id"].as_str().unwrap_or_default().to_owned();
    let path = format!("{jobs}/{id}");
    let result = upload(&server, &path, args).and_then(|()| {
        let body = json!({
            "partialDatasets": { "types": args.partial_types },
            "allowDeletes": args.allow_deletes,
            "dryRun": args.dry_run,
        });
        server.post(&format!("{path}/finalize"), "application/json", body.to_string().as_bytes())
    });
    if args.dry_run || result.is_err() {
        // The error before this matters more than an error of the abort.
        let _ = server.post(&format!("{path}/abort"), "application/json", b"{}");
    }
    let report = result?["job"]["report"].take();
    let report: JobReport = serde_json::from_value(report).map_err(|e| {
        CommandError::mistake(format!("the server does not answer as a tombolo server does: {e}"))
    })?;
    let reports = [report];
    match args.output {
        ReportFormat::Json => report::json(&mut context.out, &reports)?,
        ReportFormat::Table => report::print(context, &reports, None)?,
    }
    Ok(report::exit_code(&reports))
}

fn upload(server: &PushClient, path: &str, args: &PushArgs) -> Result<(), CommandError> {
    let path = format!("{path}/upload");
    for source in sources(&args.files)? {
        let name = source.name();
        let read = |e: std::io::Error| CommandError::Fault {
            message: format!("cannot read `{name}`: {e}"),
            hint: None,
            code: FAILED,
        };
        let format = source.format;
        let mut reader = source.reader();
        if format == InputFormat::Ndjson {
            let mut rest = Vec::new();
            loop {
                let before = rest.len();
                let size = (PIECE - before.min(PIECE)).max(1 << 20) as u64;
                (&mut reader).take(size).read_to_end(&mut rest).map_err(read)?;
                if rest.len() == before {
                    break;
                }
                // A piece ends with a whole line, since the server reads each request by itself.
                let Some(cut) = memchr::memrchr(b'\n', &rest) else { continue };
                let tail = rest.split_off(cut + 1);
                if rest.len() + tail.len() >= PIECE || tail.is_empty() {
                    server.post(&path, "application/x-ndjson", &rest)?;
                    rest = tail;
                } else {
                    rest.extend(tail);
                }
            }
            if !rest.is_empty() {
                server.post(&path, "application/x-ndjson", &rest)?;
            }
            continue;
        }
        let mut whole = Vec::new();
        // One byte more than allowed is enough to see that the document is too large.
        reader.take(WHOLE_MAX as u64 + 1).read_to_end(&mut whole).map_err(read)?;
        if whole.len() > WHOLE_MAX {
            let message = format!("`{name}` has more than {} MiB", WHOLE_MAX >> 20);
            return Err(
                CommandError::mistake(message).hint("write it as NDJSON, which goes in pieces")
            );
        }
        let kind = if format == InputFormat::Csv { "text/csv" } else { "application/json" };
        server.post(&path, kind, &whole)?;
    }
    Ok(())
}

struct PushClient {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
}

impl PushClient {
    fn new(args: &PushArgs) -> PushClient {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(600)))
            .http_status_as_error(false);
        PushClient {
            agent: config.build().into(),
            url: args.url.trim_end_matches('/').to_owned(),
            token: args.token.clone(),
        }
    }

    /// Sends a body and repeats it until it arrives. An upload that arrives twice counts once.
    fn post(&self, path: &str, kind: &str, body: &[u8]) -> Result<Json, CommandError> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(body)?;
        let packed = packer.finish()?;
        for attempt in 1.. {
            let mut request = self
                .agent
                .post(format!("{}{path}", self.url))
                .header("Content-Type", kind)
                .header("Content-Encoding", "gzip");
            if let Some(token) = &self.token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let again = attempt < TRIES;
            match request.send(&packed[..]) {
                Ok(mut response) => {
                    let status = response.status().as_u16();
                    let text = response.body_mut().with_config().limit(256 << 20).read_to_string();
                    let answer: Json = text
                        .ok()
                        .and_then(|text| serde_json::from_str(&text).ok())
                        .unwrap_or_default();
                    match status {
                        200 => return Ok(answer),
                        // 507 means that the disk or the room for uploads is full; a retry within
                        // seconds does not help.
                        429 | 500..=599 if again && status != 507 => {}
                        _ => return Err(refused(status, &answer)),
                    }
                }
                Err(_) if again => {}
                Err(e) => {
                    return Err(CommandError::Fault {
                        message: format!("cannot reach `{}`: {e}", self.url),
                        hint: Some("is the server running? `tombolo serve` starts one".into()),
                        code: FAILED,
                    });
                }
            }
            std::thread::sleep(Duration::from_millis(100 << attempt));
        }
        unreachable!("BUG: the last attempt returns");
    }
}

fn refused(status: u16, answer: &Json) -> CommandError {
    let error = &answer["error"];
    let words = error["message"].as_str().unwrap_or("the server gave no reason");
    CommandError::Fault {
        message: format!("the server refused ({status}): {words}"),
        hint: error["hint"].as_str().map(str::to_owned),
        code: if status >= 500 { FAILED } else { MISTAKE },
    }
}
