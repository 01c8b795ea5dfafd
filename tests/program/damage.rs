//! Damaged, foreign and torn database files, and files that are replaced: each command gives the right
//! answer or an error that names the file, never a panic, a wrong answer or no end; and what only asks
//! writes nothing.
//!
//! `TOMBOLO_DAMAGES` sets how many damaged files each command is run on, `TEST_SEED` which.

use crate::cli::{Said, World, entities, said};
use crate::http::Server;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

struct Random(u64);

impl Random {
    fn seeded() -> Random {
        let seed = std::env::var("TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7);
        println!("TEST_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
}

fn damages() -> usize {
    std::env::var("TOMBOLO_DAMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(24)
}

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command, which must end.
fn run(world: &World, words: &[&str]) -> Said {
    let mut child = world
        .command(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).map(|_| text).unwrap()
    });
    let read_err = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).map(|_| text).unwrap()
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{words:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let (stdout, stderr) = (read.join().unwrap(), read_err.join().unwrap());
    said(std::process::Output { status, stdout, stderr })
}

/// What only asks, and what it says of a sound file.
const ASKING: [&[&str]; 8] = [
    &["query", "-o", "json", "FIND thing WITH n = 1 THAT HAS thing AS t RETURN t.name, count(t)"],
    &["blast-radius", "-o", "json", "okta::u1"],
    &["get", "-o", "json", "okta::u7"],
    &["export"],
    &["stats", "-o", "json"],
    &["scopes", "-o", "json"],
    &["owners", "-o", "json", "okta::u3"],
    &["job", "list", "-o", "json"],
];

const CHANGING: [&[&str]; 4] = [
    &["sync", "--scope", "jamf", "-o", "json", "change.ndjson"],
    &["gc", "--older-than", "0"],
    &["compact"],
    &["backup", "copy.redb"],
];

fn link(i: usize, to: usize) -> String {
    format!(
        "{{\"_key\":\"l{i}\",\"_type\":\"link\",\"_class\":\"HAS\",\"_fromEntityKey\":\"u{i}\",\
         \"_toEntityKey\":\"u{to}\",\"note\":\"number {}\"}}\n",
        i * 7919
    )
}

/// A database with some history: two scopes, links, an update, a tombstone.
fn sound() -> (World, Vec<u8>) {
    let world = World::new();
    let rows = |n: usize, from: usize| {
        let links: String = (from..n).map(|i| link(i, i / 2)).collect();
        format!("{}{links}", entities("u", n))
    };
    world.sync("okta", "diff", &rows(900, 0)).ok();
    world.sync("jamf", "diff", &entities("m", 700)).ok();
    world.sync("okta", "diff", &rows(890, 40)).ok();
    world.write("change.ndjson", entities("m", 690));
    let bytes = std::fs::read(world.path("tombolo.redb")).unwrap();
    (world, bytes)
}

/// An answer without the size of the file, which `stats` tells: a file that was cut behind its last page
/// in use is whole, and shorter.
fn unsized_answer(said: &Said) -> String {
    match serde_json::from_str::<serde_json::Value>(&said.out) {
        Ok(mut answer) if answer.get("bytes").is_some() => {
            answer["bytes"] = serde_json::Value::Null;
            answer.to_string()
        }
        _ => said.out.clone(),
    }
}

#[track_caller]
fn is_right_or_damage(said: &Said, right: Option<&Said>, what: &str) {
    assert!(!said.err.contains("panicked"), "{what}: {said:?}");
    match said.code {
        0 => {
            if let Some(right) = right {
                assert!(unsized_answer(said) == unsized_answer(right), "{what}: another answer");
            }
        }
        6 => assert!(
            said.err.contains("tombolo.redb") || said.out.contains("tombolo.redb"),
            "{what}: {said:?}"
        ),
        2 => assert!(
            said.err.contains("tombolo.redb` is not a Tombolo database"),
            "{what}: {said:?}"
        ),
        _ => panic!("{what}: {said:?}"),
    }
}

/// Runs all commands on a file of these bytes.
fn check(world: &World, bytes: &[u8], right: &BTreeMap<usize, Said>, exported: &str, what: &str) {
    let path = world.path("tombolo.redb");
    std::fs::write(&path, bytes).unwrap();
    for (at, words) in ASKING.iter().enumerate() {
        let said = run(world, words);
        is_right_or_damage(&said, Some(&right[&at]), &format!("{what}: {words:?}"));
    }
    let verified = run(world, &["verify"]);
    is_right_or_damage(&verified, None, &format!("{what}: verify"));
    assert!(std::fs::read(&path).unwrap() == bytes, "{what}: a question wrote to the file");
    for words in CHANGING {
        std::fs::write(&path, bytes).unwrap();
        let _ = std::fs::remove_file(world.path("copy.redb"));
        let what = format!("{what}: {words:?}");
        let said = run(world, words);
        is_right_or_damage(&said, None, &what);
        if words[0] == "backup" {
            assert!(std::fs::read(&path).unwrap() == bytes, "{what}: it wrote to the file");
            if said.code == 0 {
                run(world, &["verify", "--db", "copy.redb"]).ok();
                assert!(run(world, &["export", "--db", "copy.redb"]).ok().out == exported);
            } else {
                assert!(!world.path("copy.redb").exists(), "{what}: half a copy");
            }
        } else if said.code == 0 && words[0] != "sync" {
            let after = run(world, &["export"]);
            is_right_or_damage(&after, None, &what);
            assert!(after.code != 0 || after.out == exported, "{what}: another graph");
        } else if said.code == 2 {
            assert!(std::fs::read(&path).unwrap() == bytes, "{what}: it wrote to the file");
        }
    }
}

/// A database with the answers of all that asks.
fn world_with_answers() -> (World, Vec<u8>, BTreeMap<usize, Said>, String) {
    let (world, bytes) = sound();
    let right: BTreeMap<usize, Said> =
        ASKING.iter().enumerate().map(|(at, words)| (at, run(&world, words).ok())).collect();
    let exported = right[&3].out.clone();
    (world, bytes, right, exported)
}

#[test]
fn whatever_is_damaged_every_command_is_right_or_says_so() {
    let (world, sound, right, exported) = world_with_answers();
    let mut random = Random::seeded();
    for round in 0..damages() {
        let mut bytes = sound.clone();
        let pages = bytes.len() / 4096;
        let what = match round % 6 {
            0 => {
                let (at, bit) = (random.below(bytes.len()), random.below(8));
                bytes[at] ^= 1 << bit;
                format!("bit {bit} of byte {at}")
            }
            1 => {
                let (at, bit) = (random.below(320), random.below(8));
                bytes[at] ^= 1 << bit;
                format!("bit {bit} of byte {at} of the header")
            }
            2 => {
                let len = random.below(bytes.len());
                bytes.truncate(len);
                format!("cut after {len} bytes")
            }
            3 => {
                let (a, b) = (random.below(pages), random.below(pages));
                let page = bytes[a * 4096..(a + 1) * 4096].to_vec();
                bytes.copy_within(b * 4096..(b + 1) * 4096, a * 4096);
                bytes[b * 4096..(b + 1) * 4096].copy_from_slice(&page);
                format!("pages {a} and {b} are swapped")
            }
            4 => {
                let (at, len) = (random.below(bytes.len()), random.below(9000));
                let end = (at + len).min(bytes.len());
                bytes[at..end].fill(0);
                format!("zeros from {at} to {end}")
            }
            _ => {
                let (at, len) = (random.below(bytes.len()), random.below(300));
                let end = (at + len).min(bytes.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
                format!("rubbish from {at} to {end}")
            }
        };
        check(&world, &bytes, &right, &exported, &what);
    }
}

/// Files that are no database of ours, made of nothing, of text and by the same engine.
fn foreign() -> Vec<(&'static str, Vec<u8>)> {
    const OTHER: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("other");
    const META: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("meta");
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, fill: &dyn Fn(&redb::WriteTransaction)| {
        let path = folder.path().join(name);
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        fill(&transaction);
        transaction.commit().unwrap();
        drop(database);
        std::fs::read(path).unwrap()
    };
    let other = made("other", &|transaction| {
        transaction.open_table(OTHER).unwrap().insert("a", 1).unwrap();
    });
    // As a version to come may seal its values.
    let format = made("format", &|transaction| {
        let payload = b"whatever it holds then\x63";
        let mut hasher = crc32fast::Hasher::new();
        [&b"meta"[..], b"meta", payload].iter().for_each(|bytes| hasher.update(bytes));
        let sealed = [&payload[..], &hasher.finalize().to_le_bytes()].concat();
        transaction.open_table(META).unwrap().insert(&b"meta"[..], &sealed[..]).unwrap();
    });
    vec![
        ("empty", Vec::new()),
        ("text", b"id,name\n1,alice\n".repeat(900)),
        ("zeros", vec![0; 100_000]),
        ("another program", other),
        ("another format", format),
    ]
}

#[test]
fn a_foreign_file_is_refused_and_not_written_to() {
    let world = World::new();
    let path = world.path("tombolo.redb");
    world.write("change.ndjson", entities("m", 3));
    let more: [&[&str]; 3] = [&["verify"], &["serve", "--port", "0"], &["job", "abort", "1"]];
    for (kind, bytes) in foreign() {
        std::fs::write(&path, &bytes).unwrap();
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        for words in ASKING.iter().chain(&CHANGING).chain(&more) {
            let said = run(&world, words);
            let code = if kind == "another format" { 6 } else { 2 };
            assert_eq!(said.code, code, "{kind}: {words:?}: {said:?}");
            assert!(said.err.contains("tombolo.redb"), "{kind}: {words:?}: {said:?}");
            assert!(std::fs::read(&path).unwrap() == bytes, "{kind}: {words:?} wrote to it");
        }
        let now = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(now, modified, "{kind}");
        assert!(!world.path("copy.redb").exists());
    }
}

#[test]
fn what_asks_writes_nothing_to_a_file_that_a_killed_writer_left() {
    let (world, mut bytes) = sound();
    let path = world.path("tombolo.redb");
    // The flag that a writer has the file open, or died.
    bytes[9] |= 2;
    let right = world.dump();
    std::fs::write(&path, &bytes).unwrap();
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    for words in ASKING.iter().chain(&[&["verify"][..], &["backup", "copy.redb"]]) {
        run(&world, words).ok();
        assert!(std::fs::read(&path).unwrap() == bytes, "{words:?} wrote to it");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), modified);
    assert_eq!(run(&world, &["export", "--db", "copy.redb"]).ok().out, right);
}

/// Copies a file as `cp` does, with pauses.
fn copy_slowly(from: &Path, random: &mut Random) -> Vec<u8> {
    let mut file = std::fs::File::open(from).unwrap();
    let mut bytes = Vec::new();
    let mut piece = vec![0; 4096 << random.below(6)];
    loop {
        let read = file.read(&mut piece).unwrap();
        if read == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&piece[..read]);
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(900) as u64));
        }
    }
}

#[test]
fn a_copy_of_a_file_that_is_written_to_is_one_state_or_damaged() {
    let (world, _) = sound();
    let path = world.path("tombolo.redb");
    let mut random = Random::seeded();
    let copy = World::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    // The number of entities of scope `jamf` is the same in all scopes of one state.
    let rows = |version: usize| -> String {
        let row = |i: usize| {
            format!(
                "{{\"_key\":\"m{i}\",\"_type\":\"t\",\"_class\":\"C\",\"version\":{version},\
                 \"note\":\"{}\"}}\n",
                i * 31 + version
            )
        };
        (0..600).map(row).collect()
    };
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut version = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                version += 1;
                world.sync("jamf", "diff", &rows(version)).ok();
            }
        });
        let (mut whole, mut torn) = (0, 0);
        for round in 0..damages() {
            let bytes = copy_slowly(&path, &mut random);
            std::fs::write(copy.path("tombolo.redb"), &bytes).unwrap();
            let what = format!("copy {round}");
            let said = run(&copy, &["export", "--scope", "jamf"]);
            is_right_or_damage(&said, None, &what);
            if said.code == 0 {
                let version = |line: &str| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["version"].clone()
                };
                let versions: std::collections::BTreeSet<String> =
                    said.out.lines().map(|line| version(line).to_string()).collect();
                assert_eq!(versions.len(), 1, "{what}: {versions:?} in one answer");
            }
            let verified = run(&copy, &["verify"]);
            is_right_or_damage(&verified, None, &what);
            if verified.code == 0 {
                whole += 1
            } else {
                torn += 1
            }
            for words in ASKING.iter().take(5) {
                is_right_or_damage(&run(&copy, words), None, &format!("{what}: {words:?}"));
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("{whole} copies were whole, {torn} were not");
    });
}

/// A database in which the entity `okta::it` says `version`.
fn versioned(version: usize, more: usize) -> Vec<u8> {
    let world = World::new();
    let row = format!(
        "{{\"_key\":\"it\",\"_type\":\"t\",\"_class\":\"C\",\"edition\":{version},\"n\":1}}\n"
    );
    for _ in 0..more {
        world.sync("other", "diff", &entities("o", 10 + more)).ok();
    }
    world.sync("okta", "diff", &(entities("u", 500) + &row)).ok();
    std::fs::read(world.path("tombolo.redb")).unwrap()
}

/// What a server says `okta::it` is: its version, or `None` where it answers with an error.
fn asked(server: &Server) -> Option<u64> {
    let reply = server.get("/v1/entity?entity=okta::it");
    match reply.status {
        200 => {
            let digits = reply.text.split("\"edition\":").nth(1).expect("an edition");
            digits.chars().next().and_then(|digit| digit.to_digit(10)).map(u64::from)
        }
        status => {
            assert!(status >= 500, "{status}: {}", reply.text);
            None
        }
    }
}

/// Replaces the file of a server while it runs; it must answer from the new one, or with an error.
fn replaced(replace: impl Fn(&PathBuf, &[u8])) {
    for more in [0, 1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tombolo.redb");
        std::fs::write(&path, versioned(1, 1)).unwrap();
        let server = Server::in_folder(folder, &[]);
        assert_eq!(asked(&server), Some(1));
        // With as many commits as before, fewer, or more.
        replace(&path, &versioned(2, more));
        for _ in 0..3 {
            assert_eq!(asked(&server), Some(2), "after {more} commits more");
        }
        replace(&path, b"");
        assert_eq!(asked(&server), None);
        replace(&path, &versioned(3, more));
        assert_eq!(asked(&server), Some(3));
    }
}

#[test]
fn a_file_renamed_over_that_of_a_server_is_noticed() {
    replaced(|path, bytes| {
        let new = path.with_extension("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(&new, path).unwrap();
    });
}

#[test]
fn a_file_copied_into_that_of_a_server_is_noticed() {
    replaced(|path, bytes| {
        let mut file = std::fs::File::options().write(true).truncate(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    });
}

#[test]
fn a_file_of_a_server_that_is_cut_or_half_overwritten_gives_no_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tombolo.redb");
    let (one, two) = (versioned(1, 1), versioned(2, 1));
    std::fs::write(&path, &one).unwrap();
    let server = Server::in_folder(folder, &[]);
    assert_eq!(asked(&server), Some(1));
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    // Half of the other file, from either end, as `cp` goes along.
    for (from, to) in [(0, two.len() / 2), (two.len() / 2, two.len())] {
        file.seek(SeekFrom::Start(from as u64)).unwrap();
        file.write_all(&two[from..to]).unwrap();
        let said = asked(&server);
        assert!(said != Some(1) || from == 0, "stale: {said:?}");
    }
    assert_eq!(asked(&server), Some(2));
    file.set_len(two.len() as u64 / 3).unwrap();
    // What was read before may still be told; what was not is an error.
    assert!(matches!(asked(&server), Some(2) | None));
    let all = server.post("/v1/query", &serde_json::json!({ "query": "FIND thing LIMIT 1000" }));
    assert!(all.status != 200 || all.text.contains("u499"), "{}", all.text);
}

#[test]
fn a_killed_backup_leaves_nothing_that_gc_does_not_take_away() {
    let (world, _) = sound();
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(world.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut left = 0;
    for round in 0..40 {
        let mut child = world.command(&["backup", "copy.redb"]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(1500 + round * 400));
        child.kill().unwrap();
        child.wait().unwrap();
        left += names().iter().filter(|name| name.contains(".partial-")).count();
        if world.path("copy.redb").exists() {
            run(&world, &["verify", "--db", "copy.redb"]).ok();
            std::fs::remove_file(world.path("copy.redb")).unwrap();
        }
    }
    println!("{left} leftovers seen");
    world.write("mine.tmp", "mine");
    world.run(&["gc"]).ok();
    assert!(!names().iter().any(|name| name.contains(".partial-")), "{:?}", names());
    assert!(world.path("mine.tmp").exists());
}
