//! A file of the format before: it is refused with advice, upgraded as a whole, and survives kills.

use crate::chance::{Rng, number};
use crate::cli::World;
use std::io::Read;
use std::time::Duration;

/// The company of `demo`, some jobs later, as the program of format 5 left it: 331 entities, 477
/// relationships, 2 tombstones, a pin.
const FORMAT_5: &[u8] = include_bytes!("files/format-5.redb.gz");

/// Bytes of a page of the engine.
const PAGE: usize = 4096;

fn old_file() -> World {
    let world = World::new();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(FORMAT_5).read_to_end(&mut bytes).expect("whole");
    world.write("tombolo.redb", bytes);
    world
}

fn is_upgraded(world: &World) {
    let stats = world.run(&["stats", "-o", "json"]).ok().json();
    let counts =
        ["entities", "relationships", "deleted", "scopes"].map(|name| stats[name].as_u64());
    assert_eq!(counts, [Some(331), Some(477), Some(2), Some(9)], "{stats}");
    world.run(&["verify"]).ok();
}

#[test]
fn a_file_of_the_format_before_is_upgraded_as_a_whole() {
    let world = old_file();
    let before = std::fs::read(world.path("tombolo.redb")).unwrap();
    let said = world.run(&["stats"]).refused(6, "format 5, this program reads format 6");
    assert!(said.err.contains("tombolo upgrade"), "{said:?}");
    world.run(&["sync", "--scope", "s", "x.ndjson"]);
    assert_eq!(std::fs::read(world.path("tombolo.redb")).unwrap(), before, "nothing was written");
    let said = world.run(&["upgrade", "--keep-old", "old.redb"]).ok();
    assert!(said.out.contains("from format 5 to 6, verified"), "{said:?}");
    // The file as it was is one of the format before; only its header says that it was opened.
    world.run(&["stats", "--db", "old.redb"]).refused(6, "format 5");
    world.run(&["upgrade", "--keep-old", "old.redb"]).ok();
    world
        .run(&["upgrade", "--db", "old.redb", "--keep-old", "old.redb"])
        .refused(2, "exists already");
    is_upgraded(&world);
    let alice = world.run(&["get", "okta-user:alice", "-o", "json"]).ok().json();
    assert_eq!(alice["pinned"], serde_json::json!(["title"]), "{alice}");
    let jobs = world.run(&["job", "list", "-o", "json"]).ok().json();
    assert_eq!(jobs.as_array().unwrap().len(), 12, "one changed nothing and lay beside the file");
    // It remembers from now on.
    let row = r#"{"_key":"x","_type":"t","_class":"C"}"#;
    world.sync("new", "diff", row).ok();
    let diff = world.run(&["diff", "9", "-o", "json"]).ok().json();
    assert_eq!(diff["total"]["created"], 1, "{diff}");
    world.run(&["stats", "--at", "8"]).refused(2, "it goes from revision 9");
    assert!(world.run(&["upgrade"]).ok().out.contains("newest format already"));
    world.run(&["upgrade", "--db", "none.redb"]).refused(2, "no database");
    world.write("text.redb", "no database at all, but long enough to look like one, perhaps");
    assert_ne!(world.run(&["upgrade", "--db", "text.redb"]).code, 0);
}

#[test]
fn damage_anywhere_stops_an_upgrade_unless_nothing_lies_there() {
    let world = old_file();
    let old = std::fs::read(world.path("tombolo.redb")).unwrap();
    world.run(&["upgrade"]).ok();
    let whole = world.run(&["export"]).ok().out;
    let (mut refused, mut unharmed) = (0, 0);
    for page in 0..old.len() / PAGE {
        let mut damaged = old.clone();
        for byte in &mut damaged[page * PAGE + 100..page * PAGE + 200] {
            *byte ^= 0x5A;
        }
        world.write("damaged.redb", &damaged);
        let said = world.run(&["upgrade", "--db", "damaged.redb"]);
        if said.code == 0 {
            // A page that the engine had given up: nothing of it is in the new file.
            let kept = world.run(&["export", "--db", "damaged.redb"]).ok().out;
            assert!(kept == whole, "page {page} is damaged, and another graph came of it");
            unharmed += 1;
        } else {
            said.refused(6, "damaged");
            assert!(std::fs::read(world.path("damaged.redb")).unwrap() == damaged, "page {page}");
            refused += 1;
        }
    }
    assert!(refused >= 20, "{refused} pages were found damaged, {unharmed} hold nothing");
}

#[test]
fn an_upgrade_that_is_killed_leaves_the_old_file_or_the_new_one() {
    let kills = number("TOMBOLO_UPGRADE_KILLS", 20);
    let mut chance = Rng(24);
    let world = old_file();
    let old = std::fs::read(world.path("tombolo.redb")).unwrap();
    let (mut killed, mut done) = (0, 0);
    for _ in 0..kills {
        world.write("tombolo.redb", &old);
        let mut child =
            world.command(&["upgrade"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(chance.below(400_000)));
        let _ = child.kill();
        child.wait().unwrap();
        let said = world.run(&["stats", "-o", "json"]);
        match said.code {
            6 => killed += 1,
            0 => done += 1,
            _ => panic!("{said:?}"),
        }
        world.run(&["upgrade"]).ok();
        is_upgraded(&world);
    }
    println!("{killed} before the new file was in place, {done} after");
    let left = std::fs::read_dir(world.folder.path()).unwrap().flatten();
    let partial = left.filter(|entry| entry.file_name().to_string_lossy().contains(".partial-"));
    assert_eq!(partial.count(), 0, "the next upgrade sweeps what a killed one left");
}
