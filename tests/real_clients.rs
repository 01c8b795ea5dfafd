//! Real clients from their registries, unchanged, against a running server. They have to be
//! installed first: see `tests/clients/README.md`.

mod http;

use http::Server;
use http::proxy::{Fault, Plan, Proxy};
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

fn integration(url: &str, project: &Path, words: &[&str], fails: bool) -> String {
    let mut command = Command::new(installed("node_modules/.bin/j1-integration"));
    command
        .current_dir(project)
        .args(words)
        .args(["--api-base-url", url, "--api-key", "tmb_0123456789"])
        .args(["--account", "acct", "-i", "11111111-2222-3333-4444-555555555555"]);
    if fails {
        command.env("PROBE_FAILS", "1");
    }
    String::from_utf8(run(&mut command).stdout).expect("it prints text")
}

/// A folder with the integration of `tests/clients` and what it needs.
fn project() -> tempfile::TempDir {
    let project = tempfile::tempdir().expect("a folder");
    let source = root().join("tests/clients/integration");
    std::fs::create_dir(project.path().join("src")).expect("a folder");
    for file in ["package.json", "src/index.js"] {
        std::fs::copy(source.join(file), project.path().join(file)).expect("a file");
    }
    let modules = installed("node_modules");
    std::os::unix::fs::symlink(&modules, project.path().join("node_modules")).expect("a link");
    project
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
    let project = project();
    let said = integration(&server.url(""), project.path(), &["run", "-V"], false);
    assert!(said.contains("Synchronization job status: FINISHED"), "{said}");
    let count = |query: &str| server.ask(&format!("{query} RETURN count(*) AS n"))[0]["n"].clone();
    assert_eq!(count("FIND probe_host"), 600);
    assert_eq!(count("FIND probe_account THAT HAS >> probe_host"), 600);
    assert_eq!(count("FIND Person WITH email = 'alice@example.com' THAT OWNS >> Account"), 1);
    // A step that fails takes nothing with it: its types are partial.
    let said = integration(&server.url(""), project.path(), &["run", "-V"], true);
    assert!(said.contains("Synchronization job status: FINISHED"), "{said}");
    assert_eq!(count("FIND probe_host"), 600);
    // What lies on the disk from the last run can be sent again.
    let said = integration(&server.url(""), project.path(), &["sync"], false);
    assert!(said.contains("FINISHED"), "{said}");
    let scope = "scope=11111111-2222-3333-4444-555555555555";
    let jobs = server.get(&format!("/v1/jobs?status=FINISHED&{scope}")).ok();
    assert_eq!(jobs["jobs"][0]["source"], json!("integration-managed"));
    let script = project.path().join("query.js");
    std::fs::copy(root().join("tests/clients/query.js"), &script).expect("a file");
    run(Command::new("node").arg(script).arg(server.url("")));
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_node_integration_sdk_gets_through_faults() {
    use Fault::{LoseAnswer, Refuse};
    let project = project();
    // Each run meets faults of its own, and ends with the same graph.
    let runs: [(&str, &[Plan]); 5] = [
        ("429", &[("/entities", 0, 2, Refuse(429)), ("/relationships", 1, 2, Refuse(429))]),
        ("500", &[("/entities", 1, 1, Refuse(500)), ("/finalize", 0, 1, Refuse(503))]),
        (
            "lost answers",
            &[
                ("/entities", 0, 1, LoseAnswer),
                ("/relationships", 0, 1, LoseAnswer),
                ("/finalize", 0, 1, LoseAnswer),
            ],
        ),
        ("events", &[("/events", 0, 100, Refuse(500))]),
        ("400", &[("/relationships", 0, 2, Refuse(400))]),
    ];
    let server = Server::start();
    for (name, plans) in runs {
        let proxy = Proxy::before(&server.address, plans);
        let said = integration(&proxy.url(), project.path(), &["run", "-V"], false);
        assert!(said.contains("Synchronization job status: FINISHED"), "{name}: {said}");
        assert!(proxy.statuses("/finalize").ends_with(&[200]), "{name}: {:?}", proxy.seen);
        for (end, _, _, fault) in plans {
            let broken = if let Refuse(status) = fault { *status } else { 0 };
            assert!(proxy.statuses(end).contains(&broken), "{name} {end}: {:?}", proxy.seen);
        }
        let count =
            |query: &str| server.ask(&format!("{query} RETURN count(*) AS n"))[0]["n"].clone();
        assert_eq!(count("FIND probe_host"), 600, "{name}");
        assert_eq!(count("FIND probe_account THAT HAS >> probe_host"), 600, "{name}");
        assert_eq!(count("FIND Person THAT OWNS >> Account"), 1, "{name}");
    }
    // An upload that is refused for good: the types that it lacks are partial, and nothing of them
    // is deleted.
    let proxy = Proxy::before(&server.address, &[("/entities", 1, 1_000, Refuse(400))]);
    let said = integration(&proxy.url(), project.path(), &["run", "-V"], false);
    assert!(said.contains("Synchronization job status: FINISHED"), "{said}");
    let rows = server.ask("FIND probe_host RETURN count(*) AS n");
    assert_eq!(rows, json!([{ "n": 600 }]), "{:?}", proxy.seen);
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_node_integration_sdk_is_told_of_a_batch_that_is_too_large() {
    let server = Server::start();
    let project = project();
    let proxy = Proxy::before(&server.address, &[("/entities", 0, 1, Fault::Refuse(413))]);
    let mut command = Command::new(installed("node_modules/.bin/j1-integration"));
    command
        .current_dir(project.path())
        .args(["run", "-V", "--api-base-url", &proxy.url(), "--api-key", "tmb_0123456789"])
        .args(["--account", "acct", "-i", "11111111-2222-3333-4444-555555555555"]);
    let said = String::from_utf8(run(&mut command).stdout).expect("it prints text");
    // It shrinks raw data and sends the batch again, or gives up on its types: never on the rest.
    assert!(said.contains("Synchronization job status: FINISHED"), "{said}");
    assert!(proxy.statuses("/entities").contains(&413), "{:?}", proxy.seen);
    let jobs = server.get("/v1/jobs?scope=11111111-2222-3333-4444-555555555555").ok();
    assert_eq!(jobs["jobs"][0]["status"], "FINISHED", "{jobs}");
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_runtime_of_the_newest_sdk() {
    use Fault::{LoseAnswer, Refuse};
    let runs: [(&str, &[Plan]); 5] = [
        ("plain", &[]),
        ("packed", &[]),
        ("packed", &[("/entities", 0, 2, Refuse(429)), ("/finalize", 0, 2, LoseAnswer)]),
        ("plain", &[("/relationships", 0, 3, LoseAnswer), ("/entities", 2, 1, Refuse(413))]),
        // It packs what is packed already when it tries again after a 5xx, under the old length;
        // only a 400 makes it begin anew.
        ("packed", &[("/entities", 1, 1, Refuse(500)), ("/relationships", 0, 1, Refuse(503))]),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(root().join("tests/clients/sdk17.js"), folder.path().join("sdk17.js"))
        .expect("a file");
    let modules = installed("sdk17/node_modules");
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).expect("a link");
    for (packed, plans) in runs {
        let server = Server::start();
        let proxy = Proxy::before(&server.address, plans);
        let mut command = Command::new("node");
        command.arg("sdk17.js").args([&proxy.url(), "900", packed]).current_dir(folder.path());
        let said = String::from_utf8(run(&mut command).stdout).expect("it prints text");
        let told = format!("{packed} {plans:?} {:?} {said}", proxy.seen);
        assert!(said.contains("\"status\":\"FINISHED\""), "{told}");
        let rows = server.ask("FIND sdk_host THAT USES >> sdk_host RETURN count(*) AS n");
        assert_eq!(rows, json!([{ "n": 899 }]), "{told}");
        let packs = proxy.seen.lock().expect("no panic").iter().any(|one| one.2 == "gzip");
        assert_eq!(packs, packed == "packed", "{told}");
    }
}

/// A server on the demo, and the folder of it.
fn demo() -> (Server, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let said = http::tombolo(folder.path(), &["demo", "--dir", "demo", "-q"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let demo = folder.path().join("demo");
    let path = demo.join("tombolo.redb").display().to_string();
    let mappings = demo.join("mappings").display().to_string();
    (Server::in_folder(folder, &["--db", &path, "--mappings", &mappings]), demo)
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_client_of_the_model_context_protocol() {
    let (server, demo) = demo();
    // The module is looked for beside the script.
    let script = server.folder.path().join("assistant.mjs");
    std::fs::copy(root().join("tests/clients/assistant.mjs"), &script).expect("a file");
    let modules = installed("mcp/node_modules");
    std::os::unix::fs::symlink(modules, server.folder.path().join("node_modules")).expect("a link");
    let mut client = Command::new("node");
    client.arg(script).arg(env!("CARGO_BIN_EXE_tombolo")).arg(demo).arg(server.url("/mcp"));
    run(&mut client);
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_conformance_tests_of_the_model_context_protocol() {
    let (server, _) = demo();
    let program = installed("mcp/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    // The other scenarios call tools and resources of a test server of their own.
    for scenario in ["server-initialize", "ping", "tools-list", "dns-rebinding-protection"] {
        let mut conformance = Command::new("node");
        conformance.arg(&program).args(["server", "--url", &server.url("/mcp")]);
        let said = run(conformance.args(["--scenario", scenario]));
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("0 failed") && !said.contains("Passed: 0/"), "{scenario}: {said}");
    }
}
