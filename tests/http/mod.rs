//! A running server, and requests to it as a client would send them.

#![allow(dead_code)] // each test binary uses its part

pub mod proxy;

use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server on a free port of this machine, with a database of its own. It ends with the value.
pub struct Server {
    child: Child,
    pub folder: tempfile::TempDir,
    pub address: String,
}

/// An answer: status and body.
pub struct Reply {
    pub status: u16,
    pub json: Json,
    pub text: String,
}

impl Reply {
    /// The code of an error.
    pub fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or("")
    }

    #[track_caller]
    pub fn ok(self) -> Json {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json
    }
}

pub fn tombolo(folder: &std::path::Path, words: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_tombolo"))
        .args(words)
        .current_dir(folder)
        .env_remove("TOMBOLO_DB")
        .env_remove("TOMBOLO_TOKEN")
        .output()
        .expect("the program runs")
}

impl Server {
    pub fn start() -> Server {
        Server::in_folder(tempfile::tempdir().expect("a folder"), &[])
    }

    pub fn in_folder(folder: tempfile::TempDir, flags: &[&str]) -> Server {
        let command = Command::new(env!("CARGO_BIN_EXE_tombolo"));
        Server::run(folder, command, &[&["--log", "off"], flags].concat())
    }

    /// Starts a server by a command that takes the words after `tombolo`.
    pub fn run(folder: tempfile::TempDir, mut command: Command, flags: &[&str]) -> Server {
        let mut child = command
            .args(["serve", "--port", "0"])
            .args(flags)
            .current_dir(folder.path())
            .env_remove("TOMBOLO_DB")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit("://").next().expect("an address").to_owned();
        assert!(address.contains(':'), "{line}");
        Server { child, folder, address }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("tombolo.redb")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Memory of the process in MiB, where the system tells.
    pub fn memory(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// The most that it ever was.
    pub fn memory_peak(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? >> 10)
    }

    /// The number of the process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end by itself; gives its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// Ends the process without a word; gives the folder.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }

    /// Asks the process to end; gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        self.child.wait().expect("it ends").code()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Json) -> Reply {
        let kind = [("Content-Type", "application/json")];
        self.call("POST", path, &kind, body.to_string().as_bytes())
    }

    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_call(method, path, headers, body).expect("the server answers")
    }

    /// The same, where the server may be gone.
    pub fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A page that sends on has answered; where to is not asked.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(60)));
        let agent: ureq::Agent = config.build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match method {
            "GET" => agent.run(request.body(()).expect("a request")),
            _ => agent.run(request.body(body).expect("a request")),
        }?;
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string()?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Reply { status: response.status().as_u16(), json, text })
    }

    /// Sends bytes as they are; gives all that comes back until the server hangs up.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        stream.write_all(bytes).expect("it reads");
        let mut answer = Vec::new();
        // A server that hangs up on rubbish may do so with a reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Opens a job; gives its path.
    pub fn job(&self, body: &Json) -> String {
        let made = self.post(JOBS, body).ok();
        format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"))
    }

    /// Uploads and finalizes in one go; gives the job.
    pub fn sync(&self, scope: &str, body: &Json) -> Json {
        let job = self.job(&serde_json::json!({ "source": "api", "scope": scope }));
        self.post(&format!("{job}/upload"), body).ok();
        self.post(&format!("{job}/finalize"), &serde_json::json!({})).ok()["job"].clone()
    }

    /// The rows of a query.
    pub fn ask(&self, query: &str) -> Json {
        self.post("/v1/query", &serde_json::json!({ "query": query })).ok()["data"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where jobs are.
pub const JOBS: &str = "/persister/synchronization/jobs";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).expect("memory takes every byte");
    packer.finish().expect("memory takes every byte")
}
