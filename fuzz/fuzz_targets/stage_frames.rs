//! Any bytes as the stage of a job, and as the payload of one whole frame in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tombolo::store::staging::DurableStage;

const MAGIC: u32 = 0x326c_6d54;

fuzz_target!(|bytes: &[u8]| {
    let mut frame = MAGIC.to_le_bytes().to_vec();
    frame.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    frame.extend_from_slice(bytes);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [("any.stage", bytes), ("whole.stage", &frame)] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("it can be written");
        if let Ok(stage) = DurableStage::open(&path) {
            let _ = stage.batches(|_| Ok(()));
        }
    }
});
