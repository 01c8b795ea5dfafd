//! What a server does by itself: it tells webhooks of what waits for people, and applies mappings again
//! when the graph changed. Nothing of it runs unless it was asked for.
//!
//! One thread looks at the database, a thread for each webhook sends. What was told lies in a file
//! (`journal.rs`), so that restarts change nothing.

pub mod apply;
mod events;
mod journal;
mod questions;
mod settings;
mod webhook;

pub use journal::WatchJournal;
pub use questions::AskedQuestions;
pub use settings::NotifySettings;

use super::{AppState, now};
use apply::{ApplyPass, ScopeJobs, scope_jobs};
use events::EventKind;
use settings::Webhook;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};
use tombolo::answers::{AnswerError, MappingRunAnswer};
use tombolo::db::{Database, ScopeTimes};
use tombolo::graph::NameLookup;
use tombolo::store::ScopeOwner;
use tombolo::sync::{JobStatus, MAPPED_PREFIX};
use webhook::DeliveryOutcome;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Time after which the jobs are read again, whatever the clock of the file system says.
const READ_AGAIN: Duration = Duration::from_secs(15);
/// The ending of the name of the lock: one server watches a database.
const LOCK: &str = ".watch.lock";

/// The things that a server was asked to do by itself.
#[derive(Debug, Default)]
pub struct WatchSettings {
    /// The webhooks and their events.
    pub notify: NotifySettings,
    /// True if mappings are applied when the graph changed.
    pub apply_on_change: bool,
}

impl WatchSettings {
    /// True if there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.notify.webhooks.is_empty() && !self.apply_on_change
    }
}

/// The part of the server that watches.
pub struct DatabaseWatch {
    settings: Arc<WatchSettings>,
    journal: Arc<WatchJournal>,
}

impl DatabaseWatch {
    /// Reads what was told before; `None` if there is nothing to do.
    ///
    /// # Errors
    ///
    /// The error of reading.
    pub fn open(
        database: &Database,
        settings: WatchSettings,
    ) -> Result<Option<DatabaseWatch>, tombolo::Error> {
        if settings.is_idle() {
            return Ok(None);
        }
        let journal = WatchJournal::open(database.another_handle(), &settings.notify)?;
        Ok(Some(DatabaseWatch { settings: Arc::new(settings), journal: Arc::new(journal) }))
    }

    /// Notices how mappings came out that somebody else applied.
    pub fn ran(&self, run: &MappingRunAnswer) {
        let states = apply::file_states(run);
        let notice = |record: &mut journal::WatchRecord| record.notice_files(&states, now());
        self.journal.notice(&self.settings.notify, now(), notice);
    }

    /// Returns the number of deliveries that wait.
    pub fn queued(&self) -> usize {
        self.journal.queued()
    }

    /// Begins to watch; ends with the server.
    pub fn start(&self, app: &Arc<AppState>) {
        let (settings, journal) = (Arc::clone(&self.settings), Arc::clone(&self.journal));
        let weak = Arc::downgrade(app);
        let watch = move || {
            let Some(_lock) = alone(&weak) else { return };
            if let Err(e) = journal.reopen(&settings.notify) {
                tracing::error!(error = %e, "what was told before cannot be read");
                return;
            }
            for at in 0..settings.notify.webhooks.len() {
                let (settings, journal) = (Arc::clone(&settings), Arc::clone(&journal));
                let weak = weak.clone();
                spawn("webhook", move || send(&weak, &settings.notify.webhooks[at], &journal));
            }
            DatabaseLook::new(settings, journal).run(&weak);
        };
        spawn("watch", watch);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    if let Err(e) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
        tracing::error!(error = %e, "there is no thread to watch the database");
    }
}

/// Waits until no other server watches the database; `None` if this one ends before.
fn alone(app: &Weak<AppState>) -> Option<File> {
    let mut told = false;
    loop {
        match app.upgrade()?.database.lock_beside(LOCK) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) if !told => tracing::info!("another server watches this database"),
            Ok(None) => {}
            Err(e) if !told => tracing::error!(error = %e, "the database cannot be watched"),
            Err(_) => {}
        }
        told = true;
        std::thread::sleep(PAUSE);
    }
}

/// Sends what waits for a webhook, one after the other, until the server ends.
fn send(app: &Weak<AppState>, webhook: &Webhook, journal: &WatchJournal) {
    let client = webhook::client();
    while app.strong_count() > 0 {
        let Some(delivery) = journal.next(&webhook.id, now) else { continue };
        let (id, event) = (delivery.id, delivery.event.kind.word());
        let name = webhook.name.as_str();
        match webhook::deliver(&client, webhook, id, &delivery.event, now() / 1000) {
            DeliveryOutcome::Delivered => {
                tracing::info!(webhook = name, delivery = %id, event, "told");
                journal.done(&webhook.id, id);
            }
            DeliveryOutcome::Later(reason) => {
                let again = journal.put_off(&webhook.id, id, now());
                let what = if again { "told again later" } else { "given up after a day" };
                tracing::warn!(webhook = name, delivery = %id, event, reason, "{what}");
            }
            DeliveryOutcome::Refused(reason) => {
                tracing::error!(webhook = name, delivery = %id, event, reason, "not told");
                journal.done(&webhook.id, id);
            }
        }
    }
}

/// The signs that the database may have changed: its revision, and the time of the folder of jobs.
type ChangeSign = (u64, Option<SystemTime>);

/// The thread that looks at the database.
struct DatabaseLook {
    settings: Arc<WatchSettings>,
    journal: Arc<WatchJournal>,
    seen: Option<(ChangeSign, Instant)>,
    times: ScopeTimes,
    jobs: ScopeJobs,
    /// The end of the last job of each scope.
    ends: BTreeMap<String, i64>,
    /// Scopes with live objects, and true for each that a collector fills.
    scopes: BTreeMap<String, bool>,
    /// Scopes with a job that is held.
    held: BTreeSet<String>,
    /// The error that was logged last, so that it is logged once.
    error: String,
}

impl DatabaseLook {
    fn new(settings: Arc<WatchSettings>, journal: Arc<WatchJournal>) -> DatabaseLook {
        DatabaseLook {
            settings,
            journal,
            seen: None,
            times: ScopeTimes::default(),
            jobs: ScopeJobs::new(),
            ends: BTreeMap::new(),
            scopes: BTreeMap::new(),
            held: BTreeSet::new(),
            error: String::new(),
        }
    }

    fn run(mut self, app: &Weak<AppState>) {
        loop {
            // The server is held for one round only, so that it can end in between.
            let Some(app) = app.upgrade() else { return };
            let begun = Instant::now();
            let round = std::panic::AssertUnwindSafe(|| self.round(&app));
            // The engine panics on some pages that no engine wrote; watching goes on all the same.
            let error = match std::panic::catch_unwind(round) {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => error.message().to_owned(),
                Err(_) => "a look at the database panicked".to_owned(),
            };
            if error != self.error && !error.is_empty() {
                tracing::error!(error, "the database cannot be watched now");
            }
            self.error = error;
            drop(app);
            // Watching takes half of one core at most.
            std::thread::sleep(PAUSE.max(begun.elapsed()));
        }
    }

    fn round(&mut self, app: &AppState) -> Result<(), AnswerError> {
        let sign = (app.database.revision()?, app.database.jobs_changed());
        let fresh = |seen: &(ChangeSign, Instant)| seen.0 == sign && seen.1.elapsed() < READ_AGAIN;
        if !self.seen.as_ref().is_some_and(fresh) {
            self.read(app)?;
            self.seen = Some((sign, Instant::now()));
        }
        self.tell_stale();
        if self.settings.apply_on_change {
            let pass = ApplyPass {
                app,
                settings: &self.settings.notify,
                journal: &self.journal,
                jobs: &self.jobs,
                ends: &self.ends,
                held: &self.held,
            };
            if pass.run()? {
                // A job that became held is told in this round.
                self.read(app)?;
            }
        }
        self.ask(app)
    }

    /// Reads the jobs and scopes as of now, and tells of held jobs.
    fn read(&mut self, app: &AppState) -> Result<(), AnswerError> {
        let beside = app.database.jobs_beside()?;
        let snapshot = app.database.snapshot()?;
        self.times.read_on(&snapshot)?;
        self.ends = self.times.with(&beside);
        self.jobs = scope_jobs(&snapshot)?;
        self.scopes.clear();
        for (scope, row) in snapshot.scope_rows()? {
            let name = snapshot.name(scope);
            if let Some(owner) = row.owner().filter(|_| !name.starts_with(MAPPED_PREFIX)) {
                self.scopes.insert(name.to_owned(), owner == ScopeOwner::Collector);
            }
        }
        let held = beside.iter().filter(|report| report.status == JobStatus::Held);
        self.held = held.map(|report| report.scope.clone()).collect();
        let notify = &self.settings.notify;
        self.journal.notice(notify, now(), |record| record.notice_held(&beside, now()));
        Ok(())
    }

    fn tell_stale(&self) {
        let notify = &self.settings.notify;
        self.journal.notice(notify, now(), |record| {
            record.notice_stale(&notify.stale_after, &self.scopes, &self.ends, now())
        });
    }

    /// Asks the saved questions, if what they depend on changed and somebody wants to know.
    fn ask(&self, app: &AppState) -> Result<(), AnswerError> {
        let notify = &self.settings.notify;
        let wanted = notify.tells(EventKind::QuestionFailing)
            || notify.tells(EventKind::QuestionHolding)
            || self.settings.apply_on_change;
        if !wanted {
            return Ok(());
        }
        let (states, anew) = app.asked.ask(app)?;
        if anew {
            self.journal.notice(notify, now(), |record| record.notice_questions(&states, now()));
        }
        Ok(())
    }
}
