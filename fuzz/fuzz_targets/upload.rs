//! Any bytes as the body of an upload, in each form and packing that the server takes: batches or
//! faults, never a panic; and no more memory than the limits of bodies say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Read;
use tombolo::mapping::yaml_documents;
use tombolo::sync::{BatchRules, InputFormat, InputSource, SyncMode, read_inputs};

/// Bytes that are unpacked, as the server has such a limit.
const UNPACKED_MAX: u64 = 1 << 20;

fn unpacked(packing: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    match packing % 3 {
        0 => all.extend_from_slice(bytes),
        1 => drop(flate2::read::MultiGzDecoder::new(bytes).take(UNPACKED_MAX).read_to_end(&mut all).ok()?),
        _ => {
            let mut decoder = zstd::stream::read::Decoder::new(bytes).ok()?;
            decoder.window_log_max(20).ok()?;
            decoder.take(UNPACKED_MAX).read_to_end(&mut all).ok()?;
        }
    }
    Some(all)
}

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    let (form, packing, mode, bytes) = input;
    let Some(bytes) = unpacked(packing, bytes) else { return };
    let text;
    let (format, bytes) = match form % 4 {
        0 => (InputFormat::Json, &bytes[..]),
        1 => (InputFormat::Ndjson, &bytes[..]),
        2 => (InputFormat::Csv, &bytes[..]),
        _ => {
            let Ok(yaml) = std::str::from_utf8(&bytes) else { return };
            let Ok(mut documents) = yaml_documents(yaml) else { return };
            text = documents.pop().unwrap_or_default();
            (InputFormat::Json, text.as_bytes())
        }
    };
    let mode = [SyncMode::Diff, SyncMode::Patch, SyncMode::CrossScope, SyncMode::Override, SyncMode::CreateOrUpdate]
        [usize::from(mode) % 5];
    let rules = BatchRules {
        mode,
        scope: (mode != SyncMode::Override).then(|| "s".to_owned()),
        same_scope_reject: false,
        digest_seed: 7,
        known: None,
    };
    let input = InputSource { name: "body".into(), format, reader: Box::new(bytes) };
    let mut objects = 0;
    let read = read_inputs(&mut [input], 0, &rules, &|_| {}, |batch| {
        objects += batch.entities.len() + batch.relationships.len();
        Ok(())
    });
    match read {
        Ok(()) => assert!(objects <= bytes.len(), "more objects than bytes"),
        Err(e) => assert!(!e.to_string().is_empty()),
    }
});
