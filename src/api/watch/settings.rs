//! `[notify]` of `tombolo.toml`: who is told what, and when a scope is stale.
//!
//! ```toml
//! [notify]
//! stale_after = "36h"                      # or { "*" = "7d", okta = "36h" }
//!
//! [[notify.webhooks]]
//! url     = "https://hooks.example.com/tombolo"     # or { env = "NAME" } or { file = "PATH" }
//! secret  = { env = "TOMBOLO_HOOK_SECRET" }         # or { file = "PATH" }
//! format  = "json"                                  # or "slack"
//! events  = ["job.held", "scope.stale"]             # all of them, unless told
//! ```
//!
//! A secret is named, never written: the file lies in git.

use super::events::EventKind;
use axum::http::Uri;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tombolo::lang::SourceText;
use tombolo::mapping::parse_age;
use tombolo::rules::project_file;
use toml::Spanned;

/// The most webhooks: each has a thread.
const WEBHOOKS_MAX: usize = 20;

/// The webhooks of a project, and the ages of stale scopes.
#[derive(Debug, Default)]
pub struct NotifySettings {
    /// The age at which each scope is stale.
    pub stale_after: StaleAges,
    /// Receivers of events.
    pub webhooks: Vec<Webhook>,
}

/// Ages at which scopes are stale.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StaleAges {
    /// The age of scopes that collectors fill.
    pub all: Option<Duration>,
    /// The age of some scopes, whoever fills them.
    pub named: BTreeMap<String, Duration>,
}

/// The form of the body of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// Type, time and data, for programs.
    Json,
    /// A line of text, as Slack, Mattermost and others take it.
    Slack,
}

/// A receiver of events.
pub struct Webhook {
    /// Its name in the log.
    pub name: String,
    /// Its identity in the queue on disk: another URL gets nothing that was meant for this one.
    pub id: String,
    /// The address. It may hold a secret, so it is never logged.
    pub url: String,
    /// The key of its signatures.
    pub secret: Option<Vec<u8>>,
    /// The form of the body.
    pub format: WebhookFormat,
    /// The events that it is told.
    pub events: BTreeSet<EventKind>,
}

/// Without URL and secret.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The file, as far as this module reads it.
#[derive(Deserialize)]
struct WrittenProject {
    notify: Option<WrittenNotify>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNotify {
    stale_after: Option<Spanned<toml::Value>>,
    #[serde(default)]
    webhooks: Vec<WrittenWebhook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWebhook {
    name: Option<String>,
    url: Spanned<toml::Value>,
    secret: Option<Spanned<toml::Value>>,
    format: Option<WebhookFormat>,
    events: Option<BTreeSet<EventKind>>,
}

/// A fault of the file: its place in bytes, and words.
type SettingFault = (usize, String);

impl NotifySettings {
    /// Reads the settings of the project around `folder` (absolute); none if there is no file.
    ///
    /// # Errors
    ///
    /// The first fault, with its place.
    pub fn load(folder: &Path) -> Result<NotifySettings, String> {
        let Some(path) = project_file(folder) else { return Ok(NotifySettings::default()) };
        let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("`{shown}`: {e}"))?;
        let home = path.parent().unwrap_or(Path::new(".")).to_owned();
        NotifySettings::parse(&text, &home, &|name| std::env::var(name).ok()).map_err(
            |(at, words)| {
                let (line, column) = SourceText::whole(shown.as_str(), text.as_str()).place(at);
                format!("{shown}:{line}:{column}: {words}")
            },
        )
    }

    fn parse(
        text: &str,
        home: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<NotifySettings, SettingFault> {
        let project: WrittenProject = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            (at, e.message().replace('\n', ", "))
        })?;
        let Some(notify) = project.notify else { return Ok(NotifySettings::default()) };
        let stale_after = match &notify.stale_after {
            Some(written) => {
                ages(written.get_ref()).map_err(|words| (written.span().start, words))?
            }
            None => StaleAges::default(),
        };
        if notify.webhooks.len() > WEBHOOKS_MAX {
            return Err((0, format!("`[notify]` has more than {WEBHOOKS_MAX} webhooks")));
        }
        let webhooks = notify.webhooks.into_iter().map(|written| webhook(written, home, env));
        Ok(NotifySettings { stale_after, webhooks: webhooks.collect::<Result<_, _>>()? })
    }

    /// True if somebody is told of events of this kind.
    pub fn tells(&self, kind: EventKind) -> bool {
        self.webhooks.iter().any(|webhook| webhook.events.contains(&kind))
    }
}

fn ages(written: &toml::Value) -> Result<StaleAges, String> {
    let age = |value: &toml::Value| {
        let age = value.as_str().and_then(parse_age).filter(|age| !age.is_zero());
        age.ok_or_else(|| format!("`stale_after` takes an age such as \"36h\", not {value}"))
    };
    let toml::Value::Table(table) = written else {
        return Ok(StaleAges { all: Some(age(written)?), named: BTreeMap::new() });
    };
    let mut ages = StaleAges::default();
    for (scope, value) in table {
        match scope.as_str() {
            "*" => ages.all = Some(age(value)?),
            _ => _ = ages.named.insert(scope.clone(), age(value)?),
        }
    }
    Ok(ages)
}

/// The places where a value may be kept that the file only names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum ValuePlace {
    Env(String),
    File(PathBuf),
}

impl ValuePlace {
    fn read(&self, home: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        let text = match self {
            ValuePlace::Env(name) => {
                env(name).ok_or_else(|| format!("the environment has no variable `{name}`"))?
            }
            ValuePlace::File(path) => {
                let read = std::fs::read_to_string(home.join(path));
                read.map_err(|e| format!("cannot read `{}`: {e}", path.display()))?
            }
        };
        match text.trim() {
            "" => Err("the place that it names is empty".to_owned()),
            text => Ok(text.to_owned()),
        }
    }
}

fn place(value: &toml::Value) -> Option<ValuePlace> {
    value.is_table().then(|| value.clone().try_into().ok())?
}

fn webhook(
    written: WrittenWebhook,
    home: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Webhook, SettingFault> {
    let at = written.url.span().start;
    let url = match (written.url.get_ref(), place(written.url.get_ref())) {
        (toml::Value::String(url), _) => url.clone(),
        (_, Some(place)) => {
            place.read(home, env).map_err(|words| (at, format!("`url`: {words}")))?
        }
        _ => {
            let words = "`url` is a text, { env = \"NAME\" } or { file = \"PATH\" }";
            return Err((at, words.to_owned()));
        }
    };
    let host = web_host(&url).map_err(|words| (at, words))?;
    let secret = match &written.secret {
        None => None,
        Some(value) => {
            let at = value.span().start;
            let place = place(value.get_ref()).ok_or_else(|| {
                let words = "`secret` names a place, { env = \"NAME\" } or { file = \"PATH\" }; a \
                             secret does not belong into this file";
                (at, words.to_owned())
            })?;
            let text = place.read(home, env).map_err(|words| (at, format!("`secret`: {words}")))?;
            Some(secret_key(&text).map_err(|words| (at, words))?)
        }
    };
    let format = written.format.unwrap_or(WebhookFormat::Json);
    let digest = Sha256::digest(format!("{format:?} {url}"));
    Ok(Webhook {
        name: written.name.unwrap_or(host),
        id: digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        url,
        secret,
        format,
        events: written.events.unwrap_or_else(|| EventKind::ALL.into_iter().collect()),
    })
}

/// The host of an address of the web. The address itself may hold a secret, so no message tells it.
fn web_host(url: &str) -> Result<String, String> {
    let wrong = || "`url` must begin with https:// or http://, and name a host".to_owned();
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(host.to_owned()),
        _ => Err(wrong()),
    }
}

/// The key of a secret: `whsec_` and base64 as Standard Webhooks writes it, or the bytes of a text.
fn secret_key(text: &str) -> Result<Vec<u8>, String> {
    let key = match text.strip_prefix("whsec_") {
        Some(encoded) => BASE64_STANDARD
            .decode(encoded)
            .map_err(|_| "`secret`: what follows `whsec_` is not base64".to_owned())?,
        None => text.as_bytes().to_vec(),
    };
    match key.len() < 16 {
        true => Err("`secret` has less than 16 bytes, which can be guessed".to_owned()),
        false => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NotifySettings, SettingFault> {
        let env = |name: &str| (name == "HOOK").then(|| "0123456789abcdef\n".to_owned());
        NotifySettings::parse(text, Path::new("/nowhere"), &env)
    }

    fn refused(text: &str, words: &str) {
        let (_, said) = parse(text).expect_err(text);
        assert!(said.contains(words), "{said}");
    }

    #[test]
    fn webhooks_and_ages_are_read() {
        let settings = parse(
            "[notify]\nstale_after = { \"*\" = \"7d\", okta = \"36h\" }\n\
             [[notify.webhooks]]\nurl = \"https://a.example/x\"\nsecret = { env = \"HOOK\" }\n\
             events = [\"job.held\"]\n[[notify.webhooks]]\nurl = \"http://b.example\"\nformat = \"slack\"\n",
        )
        .expect("read");
        assert_eq!(settings.stale_after.named["okta"], Duration::from_secs(36 * 3600));
        assert_eq!(settings.webhooks[0].name, "a.example");
        assert_eq!(settings.webhooks[0].secret.as_deref(), Some(&b"0123456789abcdef"[..]));
        assert!(settings.tells(EventKind::ScopeStale));
        assert!(!settings.webhooks[0].events.contains(&EventKind::ScopeStale));
        let shown = format!("{settings:?}");
        assert!(!shown.contains("https") && !shown.contains("0123"), "{shown}");
    }

    #[test]
    fn a_fault_says_what_is_allowed() {
        let hook = |lines: &str| format!("[[notify.webhooks]]\n{lines}\n");
        refused(&hook("url = \"file:///etc/passwd\""), "https:// or http://");
        refused(&hook("url = \"ftp://a.example\""), "https:// or http://");
        refused(&hook("url = 3"), "{ env = \"NAME\" }");
        refused(&hook("url = \"http://a\"\nsecret = \"0123456789abcdef\""), "does not belong");
        refused(&hook("url = \"http://a\"\nsecret = { env = \"NONE\" }"), "no variable `NONE`");
        refused(&hook("url = \"http://a\"\nevents = [\"job.lost\"]"), "job.held");
        refused(&hook("url = \"http://a\"\nformat = \"xml\""), "slack");
        refused("[notify]\nstale_after = \"soon\"\n", "36h");
        refused("[notify]\nstale = \"1h\"\n", "stale_after");
        assert!(parse("[scopes]\na = \"b\"\n").expect("read").webhooks.is_empty());
    }
}
