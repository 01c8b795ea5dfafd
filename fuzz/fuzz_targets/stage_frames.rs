//! Any bytes as the stage of a job, as the payload of one whole frame in it, and as the file of its lock.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tombolo::store::fuzzing;
use tombolo::store::job_lock::StageEnd;
use tombolo::store::job_stage::JobStage;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::stages(bytes);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("any.stage");
    std::fs::write(&path, bytes).expect("it can be written");
    let mut stage = JobStage::open(&path, Default::default()).expect("it is a file");
    let _ = stage.parts(StageEnd::default(), &mut |_| Ok(()));
});
