//! The pages in a real browser: nothing that the checker of accessibility finds serious, nothing wider than the
//! screen, and a walk by keyboard alone. It needs chromium, its driver and what `tests/browser/install` lays
//! down; so it is asked for: `cargo test --test browser -- --ignored`.
//!
//! `TOMBOLO_SHOTS=DIR` keeps a picture of each page.

mod http;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use http::{Server, tombolo};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The driver of the browser, on a free port. It ends with the value.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start() -> Driver {
        let mut child = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is there: `.ci/run` installs chromium-driver");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let port = stdout.lines().map_while(Result::ok).find_map(|line| {
            let words = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            words.trim_end_matches('.').parse::<u16>().ok()
        });
        let url = format!("http://127.0.0.1:{}", port.expect("it says its port"));
        Driver { child, url }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a person looks at the pages.
#[derive(Clone, Copy)]
struct Screen {
    name: &'static str,
    width: u32,
    dark: bool,
}

const SCREENS: [Screen; 4] = [
    Screen { name: "360-light", width: 360, dark: false },
    Screen { name: "360-dark", width: 360, dark: true },
    Screen { name: "1440-light", width: 1440, dark: false },
    Screen { name: "1440-dark", width: 1440, dark: true },
];

async fn browser(driver: &Driver, screen: Screen, profile: &Path) -> Client {
    let scheme = if screen.dark { 0 } else { 1 };
    let mut options = json!({ "args": [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", "--no-proxy-server",
        format!("--user-data-dir={}", profile.display()),
        format!("--blink-settings=preferredColorScheme={scheme}"),
        format!("--window-size={},1000", screen.width),
    ] });
    if screen.width < 600 {
        // A window is never as narrow as a telephone.
        let metrics = json!({ "width": screen.width, "height": 800, "pixelRatio": 1 });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("goog:chromeOptions".into(), options);
    ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(&driver.url)
        .await
        .expect("the browser starts")
}

/// The demo's company with a held job and two questions, served.
fn company() -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(tombolo(folder.path(), &["demo", "--dir", "."]).status.success());
    let rows =
        std::fs::read_to_string(folder.path().join("okta.ndjson")).expect("the demo wrote it");
    let few: String = rows.lines().take(30).map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.path().join("few.ndjson"), few).expect("written");
    let held = tombolo(folder.path(), &["sync", "few.ndjson", "--scope", "okta"]);
    assert_eq!(held.status.code(), Some(4), "the guard holds it");
    let questions = "[queries.buckets]\nabout = 'every bucket has an owner'\n\
        query = 'FIND aws_s3_bucket THAT !OWNS << (Person|Team)'\nexpect = 0\n\
        [queries.laptops]\nquery = 'FIND Device'\nexpect = { min = 1 }\n";
    std::fs::write(folder.path().join("queries.toml"), questions).expect("written");
    Server::in_folder(folder, &[])
}

/// Each page in its states.
const PAGES: [(&str, &str); 27] = [
    ("search", "/"),
    ("found", "/?q=inv"),
    ("nothing", "/?q=nothing-is-called-so"),
    ("entity", "/e/okta/okta-user:alice"),
    ("unknown", "/e/okta/okta-user:alise"),
    ("blast", "/blast/aws/aws-iam-role:billing-writer"),
    ("filtered", "/blast/okta/okta-user:alice?hops=2&class=Nothing"),
    ("owners", "/owners/aws/s3-bucket:platform-assets?people=yes"),
    ("path", "/path?from=okta-user:alice&to=s3-bucket:platform-assets"),
    ("query", "/query"),
    (
        "rows",
        "/query?q=FIND%20User%20AS%20u%20THAT%20OWNS%20Device%20AS%20d%20RETURN%20u%2C%20d%2C%20d.osVersion",
    ),
    ("fault", "/query?q=FIND%20User%0AWTH%20active%20%3D%20true"),
    ("scopes", "/scopes"),
    ("mappings", "/mappings"),
    ("mapping", "/mappings/okta-jamf-ownership?plan=yes"),
    ("entity-then", "/e/okta/okta-user:alice?at=6"),
    ("blast-then", "/blast/okta/okta-user:alice?at=6"),
    ("query-then", "/query?q=FIND%20User&at=6"),
    ("scopes-then", "/scopes?at=6"),
    ("no-state", "/e/okta/okta-user:alice?at=soon"),
    ("states", "/diff"),
    ("diff", "/diff?from=1"),
    ("diff-fault", "/diff?from=soon"),
    ("history", "/history/okta/okta-user:alice"),
    ("history-form", "/history"),
    ("denied", "/jobs/f445397d-8491-4a12-806a-04792839abe3"),
    ("signin", "/signin"),
];

/// Asks the checker; gives what it finds serious.
async fn serious(client: &Client, axe: &str) -> Vec<String> {
    client.execute(axe, Vec::new()).await.expect("the checker is put into the page");
    let run = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations
          .filter((v) => v.impact === 'serious' || v.impact === 'critical')
          .map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3).join(' | '))),
          (e) => done(['axe: ' + e]));";
    let found = client.execute_async(run, Vec::new()).await.expect("the checker answers");
    let found = found.as_array().cloned().unwrap_or_default();
    found.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

async fn look(
    client: &Client,
    server: &Server,
    screen: Screen,
    axe: &str,
    wrong: &mut Vec<String>,
) {
    let shots = std::env::var_os("TOMBOLO_SHOTS");
    for (name, path) in PAGES {
        client.goto(&server.url(path)).await.expect("the page is shown");
        let told = format!("{name} on {}", screen.name);
        wrong
            .extend(serious(client, axe).await.into_iter().map(|found| format!("{told}: {found}")));
        let wide =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let over = client.execute(wide, Vec::new()).await.expect("it runs");
        if over != json!(0) {
            wrong.push(format!("{told}: {over} px wider than the screen"));
        }
        if let Some(folder) = &shots {
            let picture = client.screenshot().await.expect("a picture");
            let file = Path::new(folder).join(format!("{name}-{}.png", screen.name));
            std::fs::write(file, picture).expect("written");
        }
    }
}

async fn at(client: &Client, css: &str) -> Element {
    let found = client.wait().at_most(Duration::from_secs(20)).for_element(Locator::Css(css)).await;
    found.unwrap_or_else(|e| panic!("{css}: {e}"))
}

async fn press(client: &Client, keys: &str) {
    let focus = client.active_element().await.expect("something has the focus");
    focus.send_keys(keys).await.expect("keys are taken");
}

/// From search to an entity, to what it reaches, into the picture and back, without a mouse.
async fn walk_by_keyboard(client: &Client, server: &Server) {
    client.goto(&server.url("/")).await.expect("the page is shown");
    press(client, "billing-wr").await;
    at(client, "#list:not([hidden]) [role=option]").await;
    press(client, &String::from(char::from(Key::Down))).await;
    at(client, "[role=option][aria-selected=true]").await;
    press(client, &String::from(char::from(Key::Enter))).await;
    at(client, "nav.tabs a[aria-current][href^='/e/']").await;
    press(client, "b").await;
    at(client, "#picture svg.hops").await;
    // One stop of Tab for the picture, then arrows.
    let card = "document.querySelector('.card[tabindex=\"0\"]').focus({ focusVisible: true })";
    client.execute(card, Vec::new()).await.expect("a card has the focus");
    press(client, &String::from(char::from(Key::Right))).await;
    press(client, &String::from(char::from(Key::Enter))).await;
    at(client, "aside.side-p").await;
    let url = client.current_url().await.expect("an address");
    assert!(url.query().is_some_and(|query| query.contains("node=")), "{url}");
    client.back().await.expect("Back works");
    let gone = "return !document.querySelector('aside.side-p')";
    for _ in 0..200 {
        if client.execute(gone, Vec::new()).await.expect("it runs") == json!(true) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("Back leaves the side panel open");
}

#[test]
#[ignore = "needs chromium, chromedriver and tests/browser/install"]
fn pages_are_for_everybody() {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/browser/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("tests/browser/install has run");
    let (server, driver) = (company(), Driver::start());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut wrong = Vec::new();
    runtime.expect("a runtime").block_on(async {
        for screen in SCREENS {
            let profile = tempfile::tempdir().expect("a folder");
            let client = browser(&driver, screen, profile.path()).await;
            look(&client, &server, screen, &axe, &mut wrong).await;
            if screen.width > 1000 && !screen.dark {
                walk_by_keyboard(&client, &server).await;
            }
            client.close().await.expect("the browser ends");
        }
    });
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
