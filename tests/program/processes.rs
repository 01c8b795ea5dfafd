//! Two and three processes of every kind on one file at once, which are killed at random: what was
//! acknowledged is in the graph, or its job says why not.
//!
//! `TOMBOLO_CHAOS_SECONDS` sets how long, `TEST_SEED` replays the random choices of each actor (not
//! the order in which the system lets them run).

use crate::chance::{Rng, number};
use crate::cli::{World, entities, entity, said};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tombolo::store::DatabaseFile;

const JOBS: &str = "/persister/synchronization/jobs";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process of ours that somebody may kill, and that is waited for by whoever started it.
type Victim = Arc<Mutex<Child>>;

/// A server on a port of its own.
struct Serving {
    process: Victim,
    address: String,
}

impl Serving {
    fn start(world: &World) -> Serving {
        let mut child = world
            .command(&["serve", "--port", "0", "--log", "off"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit("://").next().unwrap_or_default().to_owned();
        Serving { process: Arc::new(Mutex::new(child)), address }
    }

    fn kill(&self) {
        let mut process = lock(&self.process);
        let _ = process.kill();
        let _ = process.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a request; gives status and body, or nothing if no answer came.
fn call(address: &str, method: &str, path: &str, body: &Json) -> Option<(u16, Json)> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)));
    let agent: ureq::Agent = config.build().into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("Content-Type", "application/json");
    let answer = match method {
        "GET" => agent.run(request.body(()).ok()?),
        _ => agent.run(request.body(body.to_string()).ok()?),
    };
    let mut answer = answer.ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

fn text_of(pipe: Option<impl Read>) -> String {
    let mut text = String::new();
    let _ = pipe.map(|mut pipe| pipe.read_to_string(&mut text));
    text
}

/// What clients were told about one job.
#[derive(Clone, Debug, Default)]
struct Told {
    scope: String,
    /// Keys whose upload was acknowledged.
    keys: Vec<String>,
    /// Keys that somebody sent without hearing of it.
    perhaps: Vec<String>,
    finished: bool,
    aborted: bool,
}

/// What all of it runs on.
struct Arena {
    world: World,
    servers: Vec<Mutex<Serving>>,
    commands: Mutex<Vec<Victim>>,
    jobs: Mutex<BTreeMap<String, Told>>,
    stop: AtomicBool,
    kills: AtomicU64,
    runs: AtomicU64,
}

impl Arena {
    fn over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn address(&self, rng: &mut Rng) -> String {
        lock(&self.servers[rng.below(self.servers.len() as u64) as usize]).address.clone()
    }

    /// Runs a command that may be killed; gives its exit code and output if it was not.
    fn run(&self, words: &[&str]) -> Option<(i32, String, String)> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let mut command = self.world.command(words);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let victim = Arc::new(Mutex::new(child));
        lock(&self.commands).push(Arc::clone(&victim));
        // What it says is short, and ends with the process, killed or not.
        let (out, err) = (text_of(stdout), text_of(stderr));
        let code = lock(&victim).wait().expect("it ends").code();
        lock(&self.commands).retain(|known| !Arc::ptr_eq(known, &victim));
        code.map(|code| (code, out, err))
    }

    /// Kills servers and commands at random, and starts servers anew.
    fn reap(&self, mut rng: Rng) {
        while !self.over() {
            std::thread::sleep(Duration::from_millis(40 + rng.below(160)));
            if rng.one_in(4) {
                let mut server = lock(&self.servers[rng.below(self.servers.len() as u64) as usize]);
                server.kill();
                *server = Serving::start(&self.world);
            } else {
                let commands = lock(&self.commands);
                if commands.is_empty() {
                    continue;
                }
                let victim = Arc::clone(&commands[rng.below(commands.len() as u64) as usize]);
                drop(commands);
                // Whoever waits for it has the lock only once it has ended.
                if let Ok(mut child) = victim.try_lock() {
                    let _ = child.kill();
                } else {
                    continue;
                }
            }
            self.kills.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A collector that speaks to whatever server is there: each upload of a job may go to another.
    fn collect(&self, name: &str, mut rng: Rng) {
        for round in 0.. {
            if self.over() {
                return;
            }
            let scope = format!("{name}-{}", rng.below(2));
            // Nothing is deleted, so that what was acknowledged is there for good.
            let asked = json!({ "source": "api", "scope": scope, "syncMode": "CREATE_OR_UPDATE" });
            let Some((200, made)) = call(&self.address(&mut rng), "POST", JOBS, &asked) else {
                continue;
            };
            let id = made["job"]["id"].as_str().expect("an id").to_owned();
            let path = format!("{JOBS}/{id}");
            lock(&self.jobs).insert(id.clone(), Told { scope, ..Told::default() });
            for upload in 0..1 + rng.below(4) {
                let keys: Vec<String> =
                    (0..5).map(|i| format!("{name}-{round}-{upload}-{i}")).collect();
                let one = |key: &String| json!({ "_key": key, "_type": "t", "_class": "C" });
                let body = json!({ "entities": keys.iter().map(one).collect::<Vec<_>>() });
                let address = self.address(&mut rng);
                let answer = call(&address, "POST", &format!("{path}/entities"), &body);
                let mut jobs = lock(&self.jobs);
                let told = jobs.get_mut(&id).expect("it was put there");
                match answer {
                    Some((200, _)) => told.keys.extend(keys),
                    // Somebody aborted it, or the server is about to end.
                    _ => told.perhaps.extend(keys),
                }
            }
            let end = if rng.one_in(5) { "abort" } else { "finalize" };
            let address = self.address(&mut rng);
            let answer = call(&address, "POST", &format!("{path}/{end}"), &json!({}));
            if let Some((200, done)) = answer {
                let mut jobs = lock(&self.jobs);
                let told = jobs.get_mut(&id).expect("it was put there");
                match done["job"]["status"].as_str() {
                    Some("FINISHED") => told.finished = true,
                    Some("ABORTED") => told.aborted = true,
                    other => panic!("{other:?}: {done}"),
                }
            }
        }
    }

    /// Somebody at a terminal who ends the jobs of others.
    fn meddle(&self, mut rng: Rng) {
        while !self.over() {
            std::thread::sleep(Duration::from_millis(rng.below(300)));
            let id = {
                let jobs = lock(&self.jobs);
                // Newest first: those are open.
                let newest = jobs.keys().rev().nth(rng.below(6) as usize);
                newest.cloned()
            };
            let Some(id) = id else { continue };
            match self.run(&["job", "abort", &id]) {
                Some((0, ..)) => lock(&self.jobs).get_mut(&id).expect("known").aborted = true,
                // It has ended, or the database is busy for a minute.
                Some((2, ..)) | None => {}
                Some(other) => panic!("abort: {other:?}"),
            }
        }
    }

    /// One command after the other that changes the file, or reads all of it.
    fn care(&self, what: &'static str, mut rng: Rng) {
        for round in 0.. {
            if self.over() {
                return;
            }
            let copy = format!("{what}-{round}.redb");
            let rows = self.world.path(&format!("{what}.ndjson"));
            let rows_name = format!("{what}.ndjson");
            let words: Vec<&str> = match what {
                "sync" => {
                    let count = 20 + rng.below(10) as usize;
                    std::fs::write(&rows, entities("s", count)).expect("it can be written");
                    vec!["sync", "--scope", "synced", "--allow-deletes", "99", &rows_name]
                }
                "apply" => vec!["apply", "mappings/"],
                "backup" => vec!["backup", &copy],
                // It needs a moment in which nobody reads.
                "compact" => vec!["--wait", "2s", "compact"],
                other => vec![other],
            };
            // What was acknowledged before a backup began is in it.
            let before: Vec<(String, Told)> = lock(&self.jobs)
                .iter()
                .filter(|(_, told)| told.finished && !told.aborted)
                .map(|(id, told)| (id.clone(), told.clone()))
                .collect();
            match self.run(&words) {
                None => {}
                Some((0, ..)) if what == "backup" => {
                    let dump = said(
                        self.world.command(&["--db", &copy, "export"]).output().expect("it runs"),
                    );
                    for (id, told) in before {
                        for key in told.keys {
                            let there = dump.out.contains(&format!("\"_key\":\"{key}\""));
                            assert!(there, "`{key}` of job {id} is not in the backup");
                        }
                    }
                    let verified = self.world.run(&["--db", &copy, "verify"]);
                    assert_eq!(verified.code, 0, "{verified:?}");
                }
                Some((0, ..)) => {}
                Some((5, ..)) if what == "compact" => {}
                Some(other) => panic!("{what}: {other:?}"),
            }
            let _ = std::fs::remove_file(self.world.path(&copy));
            std::thread::sleep(Duration::from_millis(rng.below(150)));
        }
    }
}

const MAPPING: &str = r#"
scope = "bridge"
rows = { file = "rows.csv" }
relationship = { class = "HAS", type = "has" }
from = { scope = "synced", key = "{row.a}" }
to = { scope = "fixed", key = "{row.b}" }
"#;

#[test]
fn processes_of_every_kind_lose_nothing_that_was_acknowledged() {
    let seconds = number("TOMBOLO_CHAOS_SECONDS", 8);
    let seed = number("TEST_SEED", 20_261_130);
    println!("TEST_SEED={seed}");
    let world = World::new();
    world.sync("fixed", "diff", &entities("f", 30)).ok();
    world.sync("synced", "diff", &entities("s", 20)).ok();
    std::fs::create_dir(world.path("mappings")).unwrap();
    world.write("mappings/bridge.toml", MAPPING);
    let rows: String = (0..20).map(|i| format!("s{i},f{i}\n")).collect();
    world.write("mappings/rows.csv", format!("a,b\n{rows}"));
    world.run(&["apply", "mappings/"]).ok();
    let servers = (0..2).map(|_| Mutex::new(Serving::start(&world))).collect();
    let arena = &Arena {
        world,
        servers,
        commands: Mutex::default(),
        jobs: Mutex::default(),
        stop: AtomicBool::new(false),
        kills: AtomicU64::new(0),
        runs: AtomicU64::new(0),
    };
    std::thread::scope(|threads| {
        let mut n = seed;
        let mut rng = || {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Rng(n | 1)
        };
        let mut all = Vec::new();
        for name in ["one", "two", "three"] {
            let rng = rng();
            all.push(threads.spawn(move || arena.collect(name, rng)));
        }
        for what in ["sync", "apply", "backup", "compact", "gc"] {
            let rng = rng();
            all.push(threads.spawn(move || arena.care(what, rng)));
        }
        let (meddling, reaping) = (rng(), rng());
        all.push(threads.spawn(move || arena.meddle(meddling)));
        let reaper = threads.spawn(move || arena.reap(reaping));
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end && !all.iter().any(|thread| thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        arena.stop.store(true, Ordering::SeqCst);
        for thread in all {
            thread.join().expect("an actor saw something wrong");
        }
        reaper.join().expect("it only kills");
    });
    let checked = settle(arena);
    println!(
        "{} kills, {} commands, {} jobs, {checked} acknowledged objects checked",
        arena.kills.load(Ordering::SeqCst),
        arena.runs.load(Ordering::SeqCst),
        lock(&arena.jobs).len(),
    );
    assert!(checked > 50, "the test did little");
}

/// Compares what everybody was told with the graph; gives how many objects that were.
fn settle(arena: &Arena) -> usize {
    let world = &arena.world;
    arena.servers.iter().for_each(|server| lock(server).kill());
    world.run(&["verify"]).ok();
    let server = Serving::start(world);
    let mut checked = 0;
    let jobs = lock(&arena.jobs).clone();
    let mut statuses = BTreeMap::new();
    for (id, told) in &jobs {
        let path = format!("{JOBS}/{id}");
        let (code, job) = call(&server.address, "GET", &path, &json!({})).expect("it answers");
        assert_eq!(code, 200, "{id} {told:?}: {job}");
        let mut status = job["job"]["status"].as_str().expect("a status").to_owned();
        assert!(!told.finished || status == "FINISHED", "{id} is {status}: {told:?}");
        assert!(!told.aborted || status == "ABORTED", "{id} is {status}: {told:?}");
        if status == "AWAITING_UPLOADS" {
            let uploaded = job["job"]["numEntitiesUploaded"].as_u64().expect("a number") as usize;
            let range = told.keys.len()..=told.keys.len() + told.perhaps.len();
            assert!(range.contains(&uploaded), "{id}: {uploaded} uploaded, {told:?}");
            let (code, done) =
                call(&server.address, "POST", &format!("{path}/finalize"), &json!({}))
                    .expect("it answers");
            assert_eq!(code, 200, "{id}: {done}");
            status = done["job"]["status"].as_str().expect("a status").to_owned();
        }
        statuses.insert(id, status);
    }
    drop(server);
    let dump = world.dump();
    let keys: std::collections::HashSet<(String, String)> = dump
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).expect("a line"))
        .map(|row| (row["_scope"].to_string(), row["_key"].as_str().expect("a key").to_owned()))
        .collect();
    let there = |scope: &str, key: &String| keys.contains(&(json!(scope).to_string(), key.clone()));
    for (id, told) in &jobs {
        for key in &told.keys {
            checked += 1;
            match statuses[id].as_str() {
                "FINISHED" => assert!(there(&told.scope, key), "`{key}` of {id} is lost"),
                "ABORTED" => assert!(!there(&told.scope, key), "`{key}` of {id} was given up"),
                other => panic!("{id} is {other}"),
            }
        }
        if statuses[id] == "ABORTED" {
            assert!(told.perhaps.iter().all(|key| !there(&told.scope, key)), "{id} was given up");
        }
    }
    world.run(&["gc"]).ok();
    world.run(&["verify"]).ok();
    world.run(&["sync", "--scope", "synced", "--allow-deletes", "99", "sync.ndjson"]).ok();
    checked
}

#[test]
fn two_servers_on_one_file_lose_no_upload() {
    let world = World::new();
    world.run(&["init"]).ok();
    let servers = [Serving::start(&world), Serving::start(&world)];
    let asked = json!({ "source": "api", "scope": "s" });
    let (_, made) = call(&servers[0].address, "POST", JOBS, &asked).unwrap();
    let path = &format!("{JOBS}/{}", made["job"]["id"].as_str().unwrap());
    let taken: u64 = std::thread::scope(|threads| {
        let upload = |thread: usize| {
            let address = &servers[thread % 2].address;
            let mut taken = 0;
            for i in 0..number("TOMBOLO_UPLOADS", 12) {
                let one = |n: usize| json!({ "_key": format!("{thread}-{i}-{n}"), "_type": "t", "_class": "C" });
                let body = json!({ "entities": (0..25).map(one).collect::<Vec<_>>() });
                let answer = call(address, "POST", &format!("{path}/entities"), &body);
                taken += 25 * u64::from(answer.is_some_and(|(code, _)| code == 200));
            }
            taken
        };
        let all: Vec<_> = (0..8).map(|n| threads.spawn(move || upload(n))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let (_, now) = call(&servers[1].address, "GET", path, &json!({})).unwrap();
    assert_eq!(now["job"]["numEntitiesUploaded"], taken);
    let (_, done) =
        call(&servers[0].address, "POST", &format!("{path}/finalize"), &json!({})).unwrap();
    assert_eq!(
        (&done["job"]["status"], &done["job"]["numEntitiesCreated"]),
        (&json!("FINISHED"), &json!(taken))
    );
    let late = json!({ "entities": [{ "_key": "late", "_type": "t", "_class": "C" }] });
    let answer = call(&servers[1].address, "POST", &format!("{path}/entities"), &late);
    assert_eq!(answer.unwrap().0, 409, "the job has ended, whoever is asked");
    assert_eq!(world.dump().lines().count() as u64, taken);
    println!("{taken} acknowledged");
    world.run(&["verify"]).ok();
}

#[test]
fn whoever_ends_a_job_first_is_told_so_and_all_others_too() {
    let world = World::new();
    world.sync("base", "diff", &entities("b", 100)).ok();
    let server = Serving::start(&world);
    let address = &server.address;
    let (mut finished, mut aborted) = (0, 0);
    for round in 0..number("TOMBOLO_RACES", 12) {
        // An open job that a server finalizes while somebody at a terminal aborts it.
        let scope = format!("s{round}");
        let (_, made) =
            call(address, "POST", JOBS, &json!({ "source": "api", "scope": scope })).unwrap();
        let id = made["job"]["id"].as_str().unwrap();
        let path = &format!("{JOBS}/{id}");
        let one = |n: usize| json!({ "_key": format!("{round}-{n}"), "_type": "t", "_class": "C" });
        let body = json!({ "entities": (0..400).map(one).collect::<Vec<_>>() });
        assert_eq!(call(address, "POST", &format!("{path}/entities"), &body).unwrap().0, 200);
        let (done, gone) = std::thread::scope(|threads| {
            let finalize = threads.spawn(|| {
                std::thread::sleep(Duration::from_millis(round * 7 % 40));
                call(address, "POST", &format!("{path}/finalize"), &json!({})).unwrap()
            });
            let gone = world.run(&["job", "abort", id]);
            (finalize.join().unwrap(), gone)
        });
        let there = world.dump().contains(&format!("\"{round}-0\""));
        assert_eq!((done.0 == 200, gone.code == 0), (there, !there), "{done:?} {gone:?}");
        let shown = world.run(&["job", "show", id, "-o", "json"]).ok().json();
        assert_eq!(shown["status"], if there { "FINISHED" } else { "ABORTED" });
        finished += usize::from(there);
        aborted += usize::from(!there);
        // A held job that somebody at a terminal approves while the server aborts it.
        world.sync("held", "diff", &entities("h", 60)).ok();
        let held = world.sync("held", "diff", &entities("h", 20));
        assert_eq!(held.code, 4, "{held:?}");
        let report = held.json();
        let id = report["id"].as_str().unwrap();
        let (approved, gone) = std::thread::scope(|threads| {
            let abort = threads.spawn(|| {
                std::thread::sleep(Duration::from_millis(round * 11 % 60));
                call(address, "POST", &format!("{JOBS}/{id}/abort"), &json!({})).unwrap()
            });
            let approved = world.run(&["job", "approve", id]);
            (approved, abort.join().unwrap())
        });
        let count =
            || world.dump().lines().filter(|line| line.contains("\"_scope\":\"held\"")).count();
        let applied = count() == 20;
        assert_eq!(
            (approved.code == 0, gone.0 == 200),
            (applied, !applied),
            "{approved:?} {gone:?}"
        );
        if applied {
            world.run(&["job", "undo", id]).ok();
        }
        assert_eq!(count(), 60, "what was approved can be undone, what was aborted never was");
        finished += usize::from(applied);
        aborted += usize::from(!applied);
    }
    println!("{finished} finished, {aborted} aborted");
    assert!(finished > 0 && aborted > 0, "nobody raced");
    world.run(&["verify"]).ok();
}

#[test]
fn commands_that_write_wait_for_each_other_and_say_for_whom() {
    let world = World::new();
    world.sync("s", "diff", &entities("s", 30)).ok();
    world.sync("z", "diff", &entities("z", 2)).ok();
    let first = world.sync("z", "diff", &entities("z", 1)).ok().json();
    let first = first["id"].as_str().unwrap().to_owned();
    let held = world.sync("s", "diff", &entities("s", 2)).json();
    let id = held["id"].as_str().unwrap().to_owned();
    world.write("x.ndjson", entity("x"));
    let path = world.path("tombolo.redb");
    // A backup only reads, so it waits for nobody.
    let writes: [&[&str]; 5] = [
        &["sync", "--scope", "x", "x.ndjson"],
        &["job", "approve", &id],
        &["job", "undo", &first],
        &["compact"],
        &["gc", "--older-than", "0"],
    ];
    let me = format!("process {}", std::process::id());
    // What can be seen of other processes differs from system to system.
    let told = |err: &str| !cfg!(target_os = "linux") || err.contains(&me);
    let store = DatabaseFile::open_writer(&path).unwrap();
    for words in &writes[..4] {
        let said = world.run(&[&["--wait", "0"], *words].concat());
        assert!(said.code == 5 && told(&said.err), "{words:?}: {said:?}");
        assert!(!said.err.contains("waiting"), "{said:?}");
    }
    let said = world.run(&["--wait", "2s", "sync", "--scope", "x", "x.ndjson"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.err.contains("waiting up to 2 s") && told(&said.err), "{said:?}");
    let server = Serving::start(&world);
    let push = |scope: &str| {
        let asked = json!({ "source": "api", "scope": scope });
        let (_, made) = call(&server.address, "POST", JOBS, &asked).unwrap();
        let path = format!("{JOBS}/{}", made["job"]["id"].as_str().unwrap());
        let body = json!({ "entities": [{ "_key": "k", "_type": "t", "_class": "C" }] });
        assert_eq!(
            call(&server.address, "POST", &format!("{path}/entities"), &body).unwrap().0,
            200
        );
        call(&server.address, "POST", &format!("{path}/finalize"), &json!({})).unwrap()
    };
    std::thread::scope(|threads| {
        let waiting: Vec<_> =
            writes.iter().map(|words| threads.spawn(|| world.run(words))).collect();
        let pushing = threads.spawn(|| push("pushed"));
        std::thread::sleep(Duration::from_millis(1_500));
        drop(store);
        let codes: Vec<i32> =
            waiting.into_iter().map(|command| command.join().unwrap().code).collect();
        // Whether the plan of the held job is still the same depends on who comes first.
        assert!(codes.iter().enumerate().all(|(i, &code)| code == 0 || i == 1 && code == 2));
        assert_eq!(pushing.join().unwrap().0, 200);
    });
    world.run(&["verify"]).ok();
}

#[cfg(unix)]
#[test]
fn every_file_is_born_for_its_owner_alone() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    let run = |words: &str| {
        let program = env!("CARGO_BIN_EXE_tombolo");
        let mut command = Command::new("sh");
        let script = format!("umask 000; exec {program} {words}");
        let command = command.args(["-c", &script]).current_dir(world.folder.path());
        said(command.env_remove("TOMBOLO_DB").output().expect("it runs"))
    };
    let folder = world.path("mine");
    std::fs::create_dir(&folder).unwrap();
    world.write("many.ndjson", entities("s", 6_000));
    world.write("few.ndjson", entities("s", 10));
    let db = "--db mine/t.redb";
    run(&format!("{db} sync --scope s many.ndjson")).ok();
    run(&format!("{db} sync --scope s many.ndjson")).ok();
    assert_eq!(run(&format!("{db} sync --scope s few.ndjson")).code, 4, "it is held");
    for _ in 0..3 {
        run(&format!("{db} query \"FIND * WITH n = 1 AS t RETURN count(t) AS c\"")).ok();
    }
    run(&format!("{db} backup mine/copy.redb")).ok();
    run(&format!("{db} token create me --right read")).ok();
    world.write("rows.csv", "a,b\ns1,s2\n");
    world.write(
        "m.toml",
        "scope = \"m\"\nrows = { file = \"rows.csv\" }\nrelationship = { class = \"HAS\", type = \"t\" }\n\
         from = { scope = \"s\", key = \"{row.a}\" }\nto = { scope = \"s\", key = \"{row.b}\" }\n",
    );
    run(&format!("{db} plan m.toml --out mine/plan.tbl")).ok();
    let mut seen = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let (path, metadata) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
            let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.mode() & 0o777, wanted, "{}", path.display());
            seen.push(path.strip_prefix(&folder).unwrap().display().to_string());
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    for ending in [".redb", ".jobs", ".json", ".held", ".lock", ".index", "plan.tbl"] {
        assert!(seen.iter().any(|name| name.ends_with(ending)), "no {ending} in {seen:?}");
    }
}
