//! Real clients from their registries, unchanged, against a running server. They have to be
//! installed first: see `tests/clients/README.md`.

mod http;

use http::Server;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(path: &str) -> PathBuf {
    let path = root().join("target/clients").join(path);
    assert!(path.exists(), "{} is missing: run tests/clients/install", path.display());
    path
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    // A proxy of the machine would be asked even for loopback.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(name);
    }
    let output = command.output().expect("the client runs");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn integration(server: &Server, project: &Path, words: &[&str], fails: bool) -> String {
    let mut command = Command::new(installed("node_modules/.bin/j1-integration"));
    command
        .current_dir(project)
        .args(words)
        .args(["--api-base-url", &server.url(""), "--api-key", "tmb_0123456789"])
        .args(["--account", "acct", "-i", "11111111-2222-3333-4444-555555555555"]);
    if fails {
        command.env("PROBE_FAILS", "1");
    }
    String::from_utf8(run(&mut command).stdout).expect("it prints text")
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_python_client() {
    let server = Server::start();
    let script = root().join("tests/clients/collector.py");
    run(Command::new(installed("venv/bin/python")).arg(script).arg(server.url("")));
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_node_integration_sdk_and_client() {
    let server = Server::start();
    let project = tempfile::tempdir().expect("a folder");
    let source = root().join("tests/clients/integration");
    std::fs::create_dir(project.path().join("src")).expect("a folder");
    for file in ["package.json", "src/index.js"] {
        std::fs::copy(source.join(file), project.path().join(file)).expect("a file");
    }
    let modules = installed("node_modules");
    std::os::unix::fs::symlink(&modules, project.path().join("node_modules")).expect("a link");
    let said = integration(&server, project.path(), &["run", "-V"], false);
    assert!(said.contains("Synchronization job status: FINISHED"), "{said}");
    let count = |query: &str| server.ask(&format!("{query} RETURN count(*) AS n"))[0]["n"].clone();
    assert_eq!(count("FIND probe_host"), 600);
    assert_eq!(count("FIND probe_account THAT HAS >> probe_host"), 600);
    assert_eq!(count("FIND Person WITH email = 'alice@example.com' THAT OWNS >> Account"), 1);
    // A step that fails takes nothing with it: its types are partial.
    let said = integration(&server, project.path(), &["run", "-V"], true);
    assert!(said.contains("Synchronization job status: FINISHED"), "{said}");
    assert_eq!(count("FIND probe_host"), 600);
    // What lies on the disk from the last run can be sent again.
    let said = integration(&server, project.path(), &["sync"], false);
    assert!(said.contains("FINISHED"), "{said}");
    let scope = "scope=11111111-2222-3333-4444-555555555555";
    let jobs = server.get(&format!("/v1/jobs?status=FINISHED&{scope}")).ok();
    assert_eq!(jobs["jobs"][0]["source"], json!("integration-managed"));
    let script = project.path().join("query.js");
    std::fs::copy(root().join("tests/clients/query.js"), &script).expect("a file");
    run(Command::new("node").arg(script).arg(server.url("")));
}
