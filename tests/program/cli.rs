//! What the tests through the binary share: a folder with a database, and a way to run commands.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder of its own with a database in it.
pub struct World {
    pub folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Said {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    #[track_caller]
    pub fn refused(self, code: i32, words: &str) -> Said {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(words), "`{words}` is not in {self:?}");
        self
    }
}

impl World {
    pub fn new() -> World {
        World { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the folder can be written");
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tombolo"));
        command
            .current_dir(self.folder.path())
            .env_remove("TOMBOLO_DB")
            .env_remove("COLUMNS")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().expect("the program starts"))
    }

    /// Uploads rows as one job of a scope.
    pub fn sync(&self, scope: &str, mode: &str, rows: &str) -> Said {
        self.write("upload.ndjson", rows);
        self.run(&["sync", "--scope", scope, "--mode", mode, "-o", "json", "upload.ndjson"])
    }

    /// The graph as it would be exported, for comparing before and after.
    pub fn dump(&self) -> String {
        self.run(&["export", "-o", "ndjson"]).ok().out
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("output is text"),
        err: String::from_utf8(output.stderr).expect("output is text"),
    }
}

pub fn entity(key: &str) -> String {
    format!("{{\"_key\":\"{key}\",\"_type\":\"thing\",\"_class\":\"Thing\",\"n\":1}}\n")
}

pub fn entities(prefix: &str, count: usize) -> String {
    (0..count).map(|i| entity(&format!("{prefix}{i}"))).collect()
}
