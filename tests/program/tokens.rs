//! Tokens as an operator meets them: made, revoked, carried along, and a database that is closed.

use crate::http::{Server, tombolo};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Output;

fn words(folder: &Path, words: &[&str]) -> Output {
    let output = tombolo(folder, words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {told}");
    output
}

/// Makes a token for everything in a database; gives its id and its text.
fn made(folder: &Path, database: &str) -> (String, String) {
    let create = ["--db", database, "token", "create", "x", "--right", "admin", "-o", "json"];
    let made: Json = serde_json::from_slice(&words(folder, &create).stdout).expect("JSON");
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    (text("id"), text("token"))
}

fn status(server: &Server, headers: &[(&str, &str)]) -> u16 {
    server.call("GET", "/v1/scopes", headers, b"").status
}

fn refused_start(folder: &Path, flags: &[&str]) -> String {
    let output = tombolo(folder, &[&["serve", "--port", "0"], flags].concat());
    assert!(!output.status.success(), "{flags:?} started");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_database_that_had_a_token_stays_closed_until_it_is_opened_by_name() {
    let server = Server::start();
    assert_eq!(status(&server, &[]), 200);
    let folder = server.folder.path();
    let (id, text) = made(folder, "tombolo.redb");
    let bearer = format!("Bearer {text}");
    let with = [("Authorization", bearer.as_str())];
    assert_eq!((status(&server, &[]), status(&server, &with)), (401, 200));
    let early = tombolo(folder, &["token", "allow-anonymous"]);
    assert_eq!(early.status.code(), Some(2), "while there is a token");
    let said = words(folder, &["token", "revoke", &id]).stdout;
    assert!(String::from_utf8_lossy(&said).contains("allow-anonymous"), "the last one was revoked");
    assert_eq!((status(&server, &[]), status(&server, &with)), (401, 401));
    // Nor does a new server open it, nor one of a copy.
    std::fs::copy(folder.join("tombolo.redb"), folder.join("copy.redb")).expect("a copy");
    let list = words(folder, &["token", "list"]).stdout;
    assert!(String::from_utf8_lossy(&list).contains("closed"));
    for database in ["tombolo.redb", "copy.redb"] {
        let another = tempfile::tempdir().expect("a folder");
        std::fs::copy(folder.join(database), another.path().join("tombolo.redb")).expect("a copy");
        let another = Server::in_folder(another, &[]);
        assert_eq!(status(&another, &[]), 401, "{database}");
    }
    words(folder, &["token", "allow-anonymous"]);
    assert_eq!((status(&server, &[]), status(&server, &with)), (200, 200));
}

#[cfg(unix)]
#[test]
fn tokens_belong_to_the_database_whatever_it_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (_, text) = made(folder.path(), "tombolo.redb");
    std::fs::create_dir(at("sub")).expect("a folder");
    std::os::unix::fs::symlink(at("tombolo.redb"), at("sub/link.redb")).expect("a link");
    std::fs::hard_link(at("tombolo.redb"), at("sub/hard.redb")).expect("a link");
    std::fs::copy(at("tombolo.redb"), at("copy.redb")).expect("a copy");
    words(folder.path(), &["backup", "sub/backup.redb"]);
    let bearer = format!("Bearer {text}");
    let mut names =
        ["sub/link.redb", "sub/hard.redb", "sub/../copy.redb", "sub/backup.redb", "./tombolo.redb"]
            .map(|name| at(name).display().to_string())
            .to_vec();
    names.extend(["sub/../tombolo.redb".to_owned(), "renamed.redb".to_owned()]);
    let mut folder = folder;
    for name in &names {
        if name == "renamed.redb" {
            std::fs::rename(folder.path().join("tombolo.redb"), folder.path().join(name))
                .expect("moved");
        }
        let server = Server::in_folder(folder, &["--db", name]);
        assert_eq!(status(&server, &[]), 401, "{name}");
        assert_eq!(status(&server, &[("Authorization", &bearer)]), 200, "{name}");
        folder = server.kill();
    }
}

#[test]
fn a_revoked_token_ends_with_the_next_request_for_every_server() {
    let one = Server::start();
    let folder = one.folder.path().to_owned();
    let path = folder.join("tombolo.redb").display().to_string();
    let two = Server::in_folder(tempfile::tempdir().expect("a folder"), &["--db", &path]);
    let mut known: Option<(String, String)> = None;
    for turn in 0..5 {
        // The row is as long as before, and the clock may stand still.
        let (id, text) = made(&folder, "tombolo.redb");
        let bearer = format!("Bearer {text}");
        for server in [&one, &two] {
            assert_eq!(status(server, &[("Authorization", &bearer)]), 200, "{turn}");
        }
        if let Some((_, old)) = known.replace((id.clone(), bearer)) {
            for server in [&one, &two] {
                assert_eq!(status(server, &[("Authorization", &old)]), 401, "{turn}");
            }
        }
        words(&folder, &["token", "revoke", &id]);
    }
}

#[test]
fn another_file_in_place_of_a_closed_one_opens_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    words(folder.path(), &["--db", "other.redb", "init"]);
    let (_, text) = made(folder.path(), "tombolo.redb");
    let server = Server::in_folder(folder, &[]);
    let bearer = format!("Bearer {text}");
    let with = [("Authorization", bearer.as_str())];
    assert_eq!((status(&server, &[]), status(&server, &with)), (401, 200));
    let folder = server.folder.path();
    std::fs::rename(folder.join("other.redb"), folder.join("tombolo.redb")).expect("replaced");
    assert_eq!((status(&server, &[]), status(&server, &with)), (401, 401));
    // Opened by name, it is open.
    words(folder, &["token", "allow-anonymous"]);
    assert_eq!(status(&server, &[]), 200);
}

#[test]
fn whoever_others_can_reach_needs_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    words(folder.path(), &["init"]);
    let flags: [&[&str]; 3] =
        [&["--behind-proxy"], &["--host-name", "graph.example.com"], &["--address", "0.0.0.0"]];
    for flags in flags {
        let told = refused_start(folder.path(), flags);
        assert!(told.contains("there is no token"), "{flags:?}: {told}");
    }
    let (id, text) = made(folder.path(), "tombolo.redb");
    let server = Server::in_folder(folder, &["--behind-proxy"]);
    let bearer = format!("Bearer {text}");
    assert_eq!(status(&server, &[]), 401);
    assert_eq!(status(&server, &[("Authorization", &bearer)]), 200);
    words(server.folder.path(), &["token", "revoke", &id]);
    words(server.folder.path(), &["token", "allow-anonymous"]);
    assert_eq!(status(&server, &[]), 401, "opened, it is open to this machine only");
    let folder = server.kill();
    // On loopback without a token, what a proxy sends on is not from this machine.
    let server = Server::in_folder(folder, &[]);
    assert_eq!(status(&server, &[]), 200);
    for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host"] {
        let reply = server.call("GET", "/v1/scopes", &[(name, "203.0.113.9")], b"");
        assert!(reply.status == 401 && reply.text.contains("--behind-proxy"), "{}", reply.text);
    }
}

#[cfg(unix)]
#[test]
fn tokens_of_an_earlier_version_count_or_are_refused_but_never_passed_over() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    words(folder.path(), &["init"]);
    let file = folder.path().join("tombolo.redb.tokens");
    let planted = json!([{
        "id": "0b4d4c46-73ad-4b55-8f4e-0a4a6de4c4a1", "name": "planted", "rights": ["admin"],
        "createdOn": 1, "expiresOn": null, "digest": "0".repeat(64),
    }]);
    let put = |text: &str, mode: u32| {
        let _ = std::fs::remove_file(&file);
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    for (text, mode) in [
        (planted.to_string(), 0o666),
        (planted.to_string(), 0o640),
        (planted.to_string(), 0o604),
        ("{}".to_owned(), 0o600),
        ("[{".to_owned(), 0o600),
        (String::new(), 0o600),
    ] {
        put(&text, mode);
        let told = refused_start(folder.path(), &[]);
        assert!(told.contains("tombolo.redb.tokens"), "{mode:o} {text}: {told}");
        for command in [
            &["token", "list"][..],
            &["token", "create", "x", "--right", "read"],
            &["backup", "b.redb"],
        ] {
            assert!(!tombolo(folder.path(), command).status.success(), "{command:?} with {text}");
        }
        assert!(file.exists(), "it is left as it was");
    }
    std::fs::remove_file(&file).expect("it is there");
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &file).expect("a link");
    assert!(refused_start(folder.path(), &[]).contains("no plain file"));
    // The last token was revoked by an earlier version: the database had one, so it is closed.
    put("[]", 0o600);
    let server = Server::in_folder(folder, &[]);
    assert_eq!(status(&server, &[]), 401);
    assert!(!server.folder.path().join("tombolo.redb.tokens").exists(), "it was taken over");
}
