//! `tombolo push`: files to a server, with the report that `sync` prints.
//!
//! All files are read and checked before a job is made, so that a file that is refused leaves
//! nothing on the server. Rows go in pieces, so that a file may be of any size. JSON documents go
//! whole.

use super::CommandContext;
use super::args::{PushArgs, ReportFormat};
use super::failure::{CommandError, FAILED, MISTAKE};
use super::report;
use super::sync::{UploadFile, sources};
use indicatif::ProgressBar;
use serde_json::{Value as Json, json};
use std::io::{Cursor, Read, Write};
use std::time::Duration;
use tombolo::Error;
use tombolo::sync::{
    BatchRules, InputFormat, InputSource, JobReport, NestedValues, SyncError, read_rows,
};

/// Bytes of rows in one request.
const PIECE: usize = 8 << 20;
/// The largest document that goes whole, in bytes; the server takes no more.
const WHOLE_MAX: usize = 64 << 20;
/// The most attempts of a request.
const TRIES: u32 = 6;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &PushArgs) -> Result<u8, CommandError> {
    let server = PushClient::new(args);
    let upload = PushUpload::checked(context, args)?;
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
    let result = upload.send(&server, &format!("{path}/upload")).and_then(|()| {
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

/// Files that were read once and are in order.
struct PushUpload {
    sources: Vec<UploadFile>,
    /// The lines of a source that cannot be read a second time.
    kept: Vec<Option<Vec<u8>>>,
    rules: BatchRules,
}

impl PushUpload {
    /// Reads all files and checks them as `sync` does, before the server hears of them.
    fn checked(
        context: &mut CommandContext<'_>,
        args: &PushArgs,
    ) -> Result<PushUpload, CommandError> {
        let sources = sources(context, &args.files, args.read.options())?;
        let rules = BatchRules {
            mode: args.mode,
            scope: Some(args.scope.clone()),
            same_scope_reject: false,
            digest_seed: 0,
            known: None,
        };
        let mut upload = PushUpload { kept: vec![None; sources.len()], sources, rules };
        // All inputs together, so that the faults of all files are told at once. What cannot be
        // read twice is read before.
        let mut inputs = Vec::new();
        for (source, kept) in upload.sources.iter().zip(&mut upload.kept) {
            let mut input = source.input(&ProgressBar::hidden());
            if !source.again {
                let mut all = Vec::new();
                let limit = WHOLE_MAX as u64 + 1;
                (&mut input.reader).take(limit).read_to_end(&mut all).map_err(|e| {
                    let message = format!("cannot read `{}`: {e}", input.name);
                    CommandError::Fault { message, hint: None, code: FAILED }
                })?;
                if all.len() > WHOLE_MAX {
                    return Err(too_large(&input.name, "write it to a file first"));
                }
                input.reader = Box::new(Cursor::new(all.clone()));
                *kept = Some(all);
            }
            inputs.push(input);
        }
        let read =
            read_rows(&mut inputs, &upload.rules, args.ignore_duplicates, is_mapped, &mut |_| {
                Ok(())
            });
        drop(inputs);
        report::tell_faults(&mut context.out, args.output, read.map_err(Error::from))?;
        Ok(upload)
    }

    fn send(&self, server: &PushClient, path: &str) -> Result<(), CommandError> {
        for (source, kept) in self.sources.iter().zip(&self.kept) {
            let mut input = source.input(&ProgressBar::hidden());
            if let Some(kept) = kept {
                input.reader = Box::new(Cursor::new(kept.clone()));
            }
            let whole =
                input.format == InputFormat::Json && input.options.nested == NestedValues::Refuse;
            match whole {
                true => send_document(server, path, input)?,
                false => self.send_rows(server, path, input)?,
            }
        }
        Ok(())
    }

    /// Sends the rows of an input in pieces, each with whole lines.
    fn send_rows(
        &self,
        server: &PushClient,
        path: &str,
        input: InputSource<'_>,
    ) -> Result<(), CommandError> {
        let mut piece = Vec::with_capacity(PIECE + (1 << 20));
        let mut refused = None;
        let read = read_rows(&mut [input], &self.rules, true, is_mapped, &mut |text| {
            // An object of a document may stand on several lines, and a text in it has none.
            piece.extend(text.bytes().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                other => other,
            }));
            piece.push(b'\n');
            if piece.len() >= PIECE {
                if let Err(e) = server.post(path, "application/x-ndjson", &piece) {
                    refused = Some(e);
                    return Err(SyncError::State("the server refused".into()));
                }
                piece.clear();
            }
            Ok(())
        });
        if let Some(refused) = refused {
            return Err(refused);
        }
        read.map_err(Error::from)?;
        if !piece.is_empty() {
            server.post(path, "application/x-ndjson", &piece)?;
        }
        Ok(())
    }
}

/// True for a relationship that describes an end; only the server knows what it means.
fn is_mapped(text: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), b"\"_mapping\"").is_some()
}

fn too_large(name: &str, hint: &str) -> CommandError {
    CommandError::mistake(format!("`{name}` has more than {} MiB", WHOLE_MAX >> 20)).hint(hint)
}

fn send_document(
    server: &PushClient,
    path: &str,
    mut input: InputSource<'_>,
) -> Result<(), CommandError> {
    input.decode();
    let mut whole = Vec::new();
    // One byte more than allowed is enough to see that the document is too large.
    input.reader.take(WHOLE_MAX as u64 + 1).read_to_end(&mut whole).map_err(|e| {
        let message = format!("cannot read `{}`: {e}", input.name);
        CommandError::Fault { message, hint: None, code: FAILED }
    })?;
    if whole.len() > WHOLE_MAX {
        return Err(too_large(&input.name, "write it as NDJSON, which goes in pieces"));
    }
    server.post(path, "application/json", &whole).map(drop)
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
