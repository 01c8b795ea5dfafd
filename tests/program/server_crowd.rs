//! Many callers at once: concurrent jobs, repeated calls, kills under load, slow finalizes, full
//! disks. Each has a short version; longer ones run by environment variables.

use crate::chance::{Rng, number};
use crate::http::{JOBS, Server, tombolo};
use serde_json::{Value as Json, json};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One of several batches of a scope, all of one generation.
fn batch(scope: &str, batch: usize, size: usize, generation: usize) -> Json {
    let entity = |i: usize| {
        json!({
            "_key": format!("{batch}-{i}"), "_type": format!("host_{scope}"), "_class": "Host",
            "generation": generation,
        })
    };
    json!({ "entities": (0..size).map(entity).collect::<Vec<_>>() })
}

/// Number of entities of a scope, and their least and greatest generation.
fn state(server: &Server, scope: &str) -> (u64, Option<u64>, Option<u64>) {
    let rows = server.ask(&format!(
        "FIND host_{scope} AS h RETURN count(h) AS n, min(h.generation) AS a, max(h.generation) AS b"
    ));
    let row = &rows[0];
    (row["n"].as_u64().unwrap_or(0), row["a"].as_u64(), row["b"].as_u64())
}

#[track_caller]
fn verify(server: &Server) {
    let output = tombolo(server.folder.path(), &["verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a client knows of its last job when the server dies.
#[derive(Default)]
struct Journal {
    /// Jobs whose finalize was acknowledged, with their generation.
    finished: Vec<(String, usize)>,
    /// The job that was under way: path, generation, batches acknowledged.
    open: Option<(String, usize, usize)>,
    /// Whether its finalize was sent and not answered.
    finalizing: bool,
}

const BATCHES: usize = 3;
const SIZE: usize = 20;

/// Drives jobs of one scope until the server is gone.
fn collect(server: &Server, scope: &str, first: usize) -> Journal {
    let mut journal = Journal::default();
    let post = |path: &str, body: &Json| {
        let headers = [("Content-Type", "application/json")];
        server.try_call("POST", path, &headers, body.to_string().as_bytes()).ok()
    };
    for generation in first.. {
        let asked = json!({ "source": "api", "scope": scope });
        let Some(made) = post(JOBS, &asked) else { return journal };
        let job = format!("{JOBS}/{}", made.ok()["job"]["id"].as_str().unwrap());
        journal.open = Some((job.clone(), generation, 0));
        for i in 0..BATCHES {
            let sent = batch(scope, i, SIZE, generation);
            let Some(reply) = post(&format!("{job}/entities"), &sent) else { return journal };
            reply.ok();
            journal.open = Some((job.clone(), generation, i + 1));
        }
        journal.finalizing = true;
        let Some(reply) = post(&format!("{job}/finalize"), &json!({})) else { return journal };
        let status = reply.ok()["job"]["status"].clone();
        // What one kill left may be less than the next job brings, never more.
        assert_eq!(status, "FINISHED");
        journal.finalizing = false;
        journal.open = None;
        journal.finished.push((job, generation));
    }
    journal
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_under_load() {
    let kills = number("TOMBOLO_SERVER_KILLS", 5) as usize;
    let seed = number("TEST_SEED", 20_261_127);
    println!("TEST_SEED={seed}");
    let mut rng = Rng(seed);
    let scopes = ["a", "b", "c", "d"];
    // The next generation of each scope, and the one that is in the graph.
    let (mut generations, mut stored) = ([1; 4], [0; 4]);
    let mut server = Server::start();
    for kill in 0..kills {
        let wait = Duration::from_millis(20 + rng.below(500));
        let process = server.process().to_string();
        let journals: Vec<Journal> = std::thread::scope(|threads| {
            let running: Vec<_> = (0..4)
                .map(|i| {
                    let (server, first) = (&server, generations[i]);
                    threads.spawn(move || collect(server, scopes[i], first))
                })
                .collect();
            std::thread::sleep(wait);
            Command::new("kill").args(["-9", &process]).status().expect("kill runs");
            running.into_iter().map(|thread| thread.join().expect("a client")).collect()
        });
        let before = Instant::now();
        server = Server::in_folder(server.kill(), &[]);
        assert!(before.elapsed() < Duration::from_secs(20), "it is up again");
        for (i, journal) in journals.iter().enumerate() {
            let scope = scopes[i];
            let told = format!("kill {kill}, scope {scope}");
            for (job, _) in &journal.finished {
                assert_eq!(server.get(job).ok()["job"]["status"], "FINISHED", "{told}");
            }
            if let Some((_, generation)) = journal.finished.last() {
                (stored[i], generations[i]) = (*generation, generation + 1);
            }
            if let Some((job, generation, sent)) = &journal.open {
                generations[i] = generation + 1;
                let found = server.get(job).ok()["job"].clone();
                if found["status"] == "FINISHED" {
                    assert!(journal.finalizing, "{told}: nobody asked for it");
                    stored[i] = *generation;
                }
                // The state of the job and the graph say the same.
                let now = (stored[i] > 0).then_some(stored[i] as u64);
                let (_, least, greatest) = state(&server, scope);
                assert_eq!((least, greatest), (now, now), "{told}");
                if found["status"] == "FINISHED" {
                    continue;
                }
                assert_eq!(found["status"], "AWAITING_UPLOADS", "{told}");
                let uploaded = found["numEntitiesUploaded"].as_u64().unwrap() as usize;
                let possible = [sent * SIZE, (sent + 1) * SIZE];
                assert!(possible.contains(&uploaded), "{told}: {uploaded}, {sent} acknowledged");
                if uploaded == 0 {
                    server.post(&format!("{job}/abort"), &json!({})).ok();
                    continue;
                }
                let all = json!({ "allowDeletes": 1_000 });
                let done = server.post(&format!("{job}/finalize"), &all).ok();
                assert_eq!(done["job"]["status"], "FINISHED", "{told}");
                stored[i] = *generation;
                let now = Some(stored[i] as u64);
                assert_eq!(state(&server, scope), (uploaded as u64, now, now), "{told}");
            }
        }
        if kill % 10 == 4 {
            verify(&server);
        }
    }
    verify(&server);
}

#[test]
fn every_call_may_be_repeated() {
    let server = Server::start();
    let twice = |path: &str, body: &Json| {
        let (one, two) = (server.post(path, body).ok(), server.post(path, body).ok());
        assert_eq!(one["job"]["id"], two["job"]["id"], "{path}");
        two
    };
    let asked = json!({
        "source": "integration-managed", "integrationInstanceId": "i-1",
        "integrationJobId": "3b6dd6b0-33a1-4d4c-a4ac-4b2d27a1a111",
    });
    let made = twice(JOBS, &asked);
    let job = format!("{JOBS}/{}", made["job"]["id"].as_str().unwrap());
    twice(&format!("{job}/entities"), &batch("x", 0, 10, 1));
    let link = json!({ "relationships": [{
        "_key": "l", "_type": "t", "_class": "USES", "_fromEntityKey": "0-1", "_toEntityKey": "0-2",
    }] });
    twice(&format!("{job}/relationships"), &link);
    let events = json!({ "events": [{ "name": "step_start", "description": "x" }] });
    server.post(&format!("{job}/events"), &events).ok();
    server.post(&format!("{job}/events"), &events).ok();
    let first = server.post(&format!("{job}/finalize"), &json!({})).ok();
    let again = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(first, again);
    assert_eq!(
        (&first["job"]["numEntitiesCreated"], &first["job"]["numRelationshipsCreated"]),
        (&json!(10), &json!(1))
    );
    // The job is over: its number is not given to another one.
    assert_eq!(server.post(JOBS, &asked).status, 400);
    let other = server.job(&json!({ "source": "api", "scope": "y" }));
    twice(&format!("{other}/abort"), &json!({ "reason": "twice" }));
    // Held and approved, twice each.
    server.sync("z", &batch("z", 0, 100, 1));
    let job = server.job(&json!({ "source": "api", "scope": "z" }));
    server.post(&format!("{job}/entities"), &batch("z", 0, 1, 1)).ok();
    let held = twice(&format!("{job}/finalize"), &json!({}));
    assert_eq!(held["job"]["status"], "HELD");
    let approve = format!("/v1/jobs/{}/approve", held["job"]["id"].as_str().unwrap());
    let hash = json!({ "planHash": held["job"]["report"]["planHash"] });
    let (one, two) = (server.post(&approve, &hash).ok(), server.post(&approve, &hash).ok());
    assert_eq!(
        (&one["jobs"][0]["status"], &two["jobs"][0]["status"]),
        (&json!("FINISHED"), &json!("FINISHED"))
    );
    assert_eq!(state(&server, "z").0, 1);
    verify(&server);
}

#[test]
fn jobs_on_one_scope_end_in_some_order() {
    let server = &Server::start();
    let rounds = number("TOMBOLO_SCOPE_ROUNDS", 2) as usize;
    for round in 0..rounds {
        let stop = &AtomicBool::new(false);
        std::thread::scope(|threads| {
            let stopping = Stop(stop);
            let reader = threads.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let (n, least, greatest) = state(server, "one");
                    assert!(n == 0 || n == 80, "{n}");
                    assert_eq!(least, greatest, "a mixed generation");
                }
            });
            let writers: Vec<_> = (0..16)
                .map(|writer| {
                    threads.spawn(move || {
                        let job = server.job(&json!({ "source": "api", "scope": "one" }));
                        let generation = round * 100 + writer;
                        for i in 0..2 {
                            let sent = batch("one", i, 40, generation);
                            server.post(&format!("{job}/entities"), &sent).ok();
                        }
                        if writer % 4 == 3 {
                            // Finalize and abort at once: one of them is told that it came late.
                            let (done, gone) = std::thread::scope(|race| {
                                let end = |word: &str| {
                                    let path = format!("{job}/{word}");
                                    race.spawn(move || server.post(&path, &json!({})))
                                };
                                let (done, gone) = (end("finalize"), end("abort"));
                                (done.join().unwrap(), gone.join().unwrap())
                            });
                            let status = server.get(&job).ok()["job"]["status"].clone();
                            match (done.status, gone.status) {
                                (200, 409) => assert_eq!(status, "FINISHED"),
                                (409, 200) => assert_eq!(status, "ABORTED"),
                                other => panic!("{other:?} {} {}", done.text, gone.text),
                            }
                            return;
                        }
                        let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
                        assert_eq!(done["job"]["status"], "FINISHED", "{done}");
                    })
                })
                .collect();
            for writer in writers {
                writer.join().expect("a writer");
            }
            drop(stopping);
            reader.join().expect("a reader");
        });
        assert_eq!(state(server, "one").0, 80);
    }
    verify(server);
}

#[test]
fn sixty_four_jobs_at_once_lose_nothing_and_memory_stays_flat() {
    let server = &Server::start();
    let rounds = number("TOMBOLO_LOAD_ROUNDS", 3) as usize;
    let size = number("TOMBOLO_LOAD_BATCH", 60) as usize;
    let reads = &AtomicUsize::new(0);
    let stop = &AtomicBool::new(false);
    let memory = std::thread::scope(|threads| {
        let _stopping = Stop(stop);
        for reader in 0..2 {
            threads.spawn(move || {
                let mut scope = reader;
                while !stop.load(Ordering::SeqCst) {
                    let (n, least, greatest) = state(server, &format!("s{}", scope % 64));
                    assert!(n == 0 || n == 3 * size as u64, "half of a job is seen: {n}");
                    assert_eq!(least, greatest, "a mixed generation");
                    reads.fetch_add(1, Ordering::SeqCst);
                    scope += 7;
                }
            });
        }
        let mut memory = Vec::new();
        for round in 1..=rounds {
            std::thread::scope(|jobs| {
                for scope in 0..64 {
                    jobs.spawn(move || {
                        let name = format!("s{scope}");
                        let job = server.job(&json!({ "source": "api", "scope": name }));
                        for i in 0..3 {
                            let sent = batch(&name, i, size, round);
                            server.post(&format!("{job}/entities"), &sent).ok();
                        }
                        let ended = server.post(&format!("{job}/finalize"), &json!({})).ok();
                        let ended = &ended["job"];
                        assert_eq!(ended["status"], "FINISHED", "{ended}");
                        assert_eq!(ended["numEntitiesUploaded"], 3 * size);
                    });
                }
            });
            memory.extend(server.memory());
        }
        memory
    });
    assert!(reads.load(Ordering::SeqCst) > rounds, "readers were kept waiting");
    println!("MiB after each round: {memory:?}");
    if let (Some(first), Some(last)) = (memory.first(), memory.last()) {
        assert!(*last < 500 && *last < first * 2 + 50, "{memory:?} MiB");
    }
    for scope in 0..64 {
        let last = Some(rounds as u64);
        assert_eq!(state(server, &format!("s{scope}")), (3 * size as u64, last, last));
    }
    verify(server);
}

/// Ends readers also when what they watch has failed.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Fills a job that takes a while to finalize; gives its path.
fn slow_job(server: &Server, scope: &str) -> String {
    let job = server.job(&json!({ "source": "api", "scope": scope }));
    std::thread::scope(|threads| {
        for i in 0..6 {
            let job = &job;
            threads.spawn(move || {
                for part in 0..4 {
                    let sent = batch("slow", i * 4 + part, 10_000, 1);
                    server.post(&format!("{job}/entities"), &sent).ok();
                }
            });
        }
    });
    job
}

#[test]
fn reads_and_uploads_go_on_while_a_job_is_finalized() {
    let server = &Server::start();
    server.sync("other", &batch("other", 0, 10, 1));
    let job = &slow_job(server, "slow");
    let open = &server.job(&json!({ "source": "api", "scope": "open" }));
    let ended = &AtomicBool::new(false);
    std::thread::scope(|threads| {
        let finalize = threads.spawn(move || {
            let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
            ended.store(true, Ordering::SeqCst);
            done
        });
        // More finalizes than there are threads wait behind it, and one more upload to the job.
        let others: Vec<_> = (0..70)
            .map(|i| {
                threads.spawn(move || {
                    let name = format!("q{i}");
                    server.sync(&name, &batch("queue", i, 1, 1))["status"].clone()
                })
            })
            .collect();
        let (mut turns, mut told) = (0, false);
        let mut last = 0;
        while !ended.load(Ordering::SeqCst) {
            assert_eq!(state(server, "other").0, 10);
            last = turns;
            server.post(&format!("{open}/entities"), &batch("open", turns, 1, 1)).ok();
            let status = server.get(job).ok()["job"]["status"].clone();
            told |= status == "FINALIZING_ENTITIES";
            assert!(status == "FINALIZING_ENTITIES" || status == "FINISHED" || !told);
            turns += 1;
        }
        assert!(turns > 1 && told, "{turns} turns of reading and uploading meanwhile");
        let done = finalize.join().expect("it ends");
        assert_eq!(done["job"]["numEntitiesCreated"], 240_000);
        for other in others {
            assert_eq!(other.join().expect("it ends"), "FINISHED");
        }
        let uploaded = server.get(open).ok()["job"]["numEntitiesUploaded"].clone();
        assert!(uploaded.as_u64() >= Some(last as u64));
    });
    // At once after the acknowledgement everybody sees it.
    assert_eq!(state(server, "slow").0, 240_000);
}

#[test]
fn a_server_that_is_asked_to_stop_ends_what_it_began() {
    let mut server = Server::start();
    let job = slow_job(&server, "slow");
    let process = server.process().to_string();
    let done = std::thread::scope(|threads| {
        let server = &server;
        let finalize = threads.spawn(|| server.post(&format!("{job}/finalize"), &json!({})).ok());
        std::thread::sleep(Duration::from_millis(100));
        Command::new("kill").args(["-TERM", &process]).status().expect("kill runs");
        finalize.join().expect("it ends")
    });
    assert_eq!(done["job"]["status"], "FINISHED");
    assert_eq!(server.ended(), Some(0));
    let folder = server.kill();
    let again = Server::in_folder(folder, &[]);
    assert_eq!(state(&again, "slow").0, 240_000);
}

#[test]
fn a_backup_under_load_is_one_state_of_the_graph() {
    let server = &Server::start();
    server.sync("busy", &batch("busy", 0, 200, 1));
    let stop = &AtomicBool::new(false);
    std::thread::scope(|threads| {
        let _stopping = Stop(stop);
        threads.spawn(move || {
            for generation in 2.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                server.sync("busy", &batch("busy", 0, 200, generation));
            }
        });
        for i in 0..4 {
            let name = format!("copy-{i}.redb");
            let folder = server.folder.path();
            let output = tombolo(folder, &["backup", &name]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let words = [
                "query",
                "FIND host_busy AS h RETURN count(h) AS n, min(h.generation) AS a, max(h.generation) AS b",
                "-o",
                "json",
                "--db",
                &name,
            ];
            let said: Json = serde_json::from_slice(&tombolo(folder, &words).stdout).unwrap();
            let row = &said["data"][0];
            assert_eq!((&row["n"], &row["a"]), (&json!(200), &row["b"]), "{said}");
            assert!(tombolo(folder, &["verify", "--db", &name]).status.success());
        }
    });
}

#[test]
fn a_server_whose_file_was_away_takes_up_where_it_was() {
    let server = Server::start();
    server.sync("a", &batch("a", 0, 10, 1));
    let job = server.job(&json!({ "source": "api", "scope": "a" }));
    server.post(&format!("{job}/entities"), &batch("a", 0, 10, 2)).ok();
    let away = server.folder.path().join("away.redb");
    std::fs::rename(server.database(), &away).unwrap();
    for (path, body) in [
        ("/v1/query".to_owned(), json!({ "query": "FIND Host" })),
        (format!("{job}/entities"), batch("a", 0, 10, 3)),
        (format!("{job}/finalize"), json!({})),
    ] {
        let reply = server.post(&path, &body);
        assert_eq!((reply.status, reply.code()), (503, "STORAGE_UNAVAILABLE"), "{}", reply.text);
        assert!(!reply.text.contains("redb"), "paths are for the log: {}", reply.text);
    }
    assert_eq!(server.get("/ready").status, 503);
    assert_eq!(server.get("/health").status, 200);
    std::fs::rename(&away, server.database()).unwrap();
    server.get("/ready").ok();
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numEntitiesUpdated"], 10);
    verify(&server);
}

#[test]
fn a_server_on_a_full_disk_says_so_and_recovers() {
    let folder = tempfile::tempdir().expect("a folder");
    // A small disk of its own, in a namespace of its own, that goes with the process.
    let mount = "mount -t tmpfs -o size=24m none . && cd \"$PWD\" && exec \"$@\"";
    let inside = |command: &mut Command| {
        command.args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"]);
    };
    let mut probe = Command::new("unshare");
    inside(&mut probe);
    let may = probe.arg("true").current_dir(folder.path()).status();
    if !may.is_ok_and(|status| status.success()) {
        println!("skipped: a small disk cannot be mounted here");
        return;
    }
    let mut command = Command::new("unshare");
    inside(&mut command);
    command.arg(env!("CARGO_BIN_EXE_tombolo"));
    let server = Server::run(folder, command, &["--log", "off"]);
    server.sync("a", &batch("a", 0, 10, 1));
    let job = server.job(&json!({ "source": "api", "scope": "a" }));
    let wide = |i: usize| {
        // What packs badly takes the room that it seems to.
        let mut rng = Rng(i as u64 + 1);
        let text: String =
            (0..100_000).map(|_| char::from(b' ' + 1 + rng.below(90) as u8)).collect();
        json!({ "entities": [{
            "_key": format!("w{i}"), "_type": "wide", "_class": "Host", "text": text,
        }] })
    };
    let mut taken = 0;
    let full = loop {
        let reply = server.post(&format!("{job}/entities"), &wide(taken));
        if reply.status != 200 {
            break reply;
        }
        taken += 1;
        assert!(taken < 1_000, "the disk is small");
    };
    assert_eq!((full.status, full.code()), (507, "DISK_FULL"), "{}", full.text);
    // What was acknowledged is there, and so is the graph; a finalize has no room either.
    let uploaded = server.get(&job).ok()["job"]["numEntitiesUploaded"].clone();
    assert_eq!(uploaded, taken);
    assert_eq!(state(&server, "a"), (10, Some(1), Some(1)));
    let done = server.post(&format!("{job}/finalize"), &json!({ "allowDeletes": 100 }));
    assert_eq!((done.status, done.code()), (507, "DISK_FULL"), "{}", done.text);
    assert_eq!(state(&server, "a"), (10, Some(1), Some(1)));
    // As soon as there is room again, it works again.
    server.post(&format!("{job}/abort"), &json!({})).ok();
    let done = server.sync("a", &batch("a", 0, 10, 2));
    assert_eq!(done["numEntitiesUpdated"], 10);
    assert_eq!(state(&server, "a"), (10, Some(2), Some(2)));
}
