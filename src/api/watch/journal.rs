//! What was told, and what waits to be told, in one private file beside the database.
//!
//! A fact (a job is held, a question fails) and the deliveries that it makes are written together, so a
//! restart neither loses an event nor tells it again. A delivery that ends when the process does may be
//! repeated, under the same id.

use super::events::{FileState, NotifyEvent, QuestionState};
use super::settings::{NotifySettings, StaleAges};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tombolo::Error;
use tombolo::db::Database;
use tombolo::sync::{JobReport, JobStatus};
use uuid::Uuid;

/// The ending of the name of the file.
const FILE: &str = ".watch";
/// Deliveries that wait for one webhook; of more the oldest are dropped.
const QUEUE_MAX: usize = 1_000;
/// The time after which a delivery is given up, in milliseconds.
const GIVEN_UP: i64 = 24 * 3_600_000;

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchRecord {
    /// Held jobs that were told.
    held: BTreeSet<Uuid>,
    /// Files that are refused or fail, by scope, with the word that was told.
    refused: BTreeMap<String, String>,
    /// Questions that were told to fail.
    failing: BTreeSet<String>,
    /// Scopes that were told to be stale, with the end of their last job then.
    stale: BTreeMap<String, i64>,
    /// The sight of each mapping and source file when it was applied last.
    pub settled: BTreeMap<String, String>,
    /// Deliveries by the identity of their webhook.
    queues: BTreeMap<String, VecDeque<Delivery>>,
}

/// An event that waits to be sent to one webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The id by which the receiver tells a repetition.
    pub id: Uuid,
    /// The event.
    pub event: NotifyEvent,
    /// Attempts that failed.
    attempts: u32,
    /// The time of the next attempt, epoch milliseconds.
    due: i64,
}

impl WatchRecord {
    /// Notices jobs that are held. Those that were told are not told again, and those that ended are
    /// forgotten.
    pub fn notice_held(&mut self, beside: &[JobReport], now: i64) -> Vec<NotifyEvent> {
        let held = beside.iter().filter(|report| report.status == JobStatus::Held);
        let held: Vec<&JobReport> = held.collect();
        self.held.retain(|id| held.iter().any(|report| report.id == *id));
        let new = held.into_iter().filter(|report| self.held.insert(report.id));
        new.map(|report| NotifyEvent::held(report, now)).collect()
    }

    /// Notices scopes that are stale. A scope that had a job since is fresh, and may go stale again.
    /// `scopes` are those that live, and true for each that a collector fills.
    pub fn notice_stale(
        &mut self,
        ages: &StaleAges,
        scopes: &BTreeMap<String, bool>,
        ends: &BTreeMap<String, i64>,
        now: i64,
    ) -> Vec<NotifyEvent> {
        let mut events = Vec::new();
        self.stale.retain(|scope, told| ends.get(scope).is_some_and(|end| end <= told));
        for (scope, collected) in scopes {
            let all = ages.all.filter(|_| *collected);
            let (Some(limit), Some(end)) =
                (ages.named.get(scope).copied().or(all), ends.get(scope))
            else {
                continue;
            };
            let age = Duration::from_millis(now.saturating_sub(*end).max(0) as u64);
            if age > limit && self.stale.insert(scope.clone(), *end).is_none() {
                events.push(NotifyEvent::stale(scope, *end, limit, now));
            }
        }
        events
    }

    /// Notices questions that start or stop failing. One that is no more is forgotten.
    pub fn notice_questions(&mut self, states: &[QuestionState], now: i64) -> Vec<NotifyEvent> {
        self.failing.retain(|name| states.iter().any(|state| state.name == *name));
        let turned = states.iter().filter(|state| match state.holds {
            true => self.failing.remove(&state.name),
            false => self.failing.insert(state.name.clone()),
        });
        turned.map(|state| NotifyEvent::question(state, now)).collect()
    }

    /// Notices files that are refused or fail. One is told again when its state changed in between.
    pub fn notice_files(&mut self, states: &[FileState], now: i64) -> Vec<NotifyEvent> {
        let turned = states.iter().filter(|state| match state.trouble {
            None => {
                self.refused.remove(&state.scope);
                false
            }
            Some(word) => {
                let before = self.refused.insert(state.scope.clone(), word.to_owned());
                before.as_deref() != Some(word)
            }
        });
        turned.map(|state| NotifyEvent::refused(state, now)).collect()
    }

    /// True if the file of a scope was refused or failed when it ran last.
    pub fn is_refused(&self, scope: &str) -> bool {
        self.refused.contains_key(scope)
    }

    /// Forgets the files that are not `known` any more.
    pub fn forget_files(&mut self, known: impl Fn(&String) -> bool) {
        self.settled.retain(|scope, _| known(scope));
        self.refused.retain(|scope, _| known(scope));
    }

    /// Puts events into the queues of the webhooks that are told of them. Returns the number of
    /// deliveries that were dropped for them.
    fn enqueue(&mut self, events: &[NotifyEvent], settings: &NotifySettings, now: i64) -> usize {
        let mut dropped = 0;
        for event in events {
            for webhook in settings.webhooks.iter().filter(|w| w.events.contains(&event.kind)) {
                let queue = self.queues.entry(webhook.id.clone()).or_default();
                let (id, event) = (Uuid::new_v4(), event.clone());
                queue.push_back(Delivery { id, event, attempts: 0, due: now });
                while queue.len() > QUEUE_MAX {
                    queue.pop_front();
                    dropped += 1;
                }
            }
        }
        dropped
    }

    /// Puts an attempt off that failed; returns false if the delivery is given up.
    fn put_off(&mut self, webhook: &str, id: Uuid, now: i64) -> bool {
        let queue = self.queues.entry(webhook.to_owned()).or_default();
        let Some(delivery) = queue.iter_mut().find(|delivery| delivery.id == id) else {
            return false;
        };
        if now.saturating_sub(delivery.event.at) > GIVEN_UP {
            queue.retain(|delivery| delivery.id != id);
            return false;
        }
        // One second, two, four and so on, ten minutes at most.
        let wait = 1_000_i64 << delivery.attempts.min(9);
        delivery.due = now + wait.min(600_000);
        delivery.attempts += 1;
        true
    }
}

fn read(database: &Database, settings: &NotifySettings) -> Result<WatchRecord, Error> {
    let bytes = database.read_beside(FILE)?;
    let mut record: WatchRecord = match bytes.map(|bytes| serde_json::from_slice(&bytes)) {
        None => WatchRecord::default(),
        Some(Ok(record)) => record,
        Some(Err(e)) => {
            tracing::error!(error = %e, "the file of what was told is damaged, and begun anew");
            WatchRecord::default()
        }
    };
    record.queues.retain(|id, _| settings.webhooks.iter().any(|webhook| webhook.id == *id));
    Ok(record)
}

/// The file, as the threads of a server share it.
pub struct WatchJournal {
    database: Database,
    record: Mutex<WatchRecord>,
    /// Told when a delivery waits.
    waiting: Condvar,
}

impl WatchJournal {
    /// Reads the file beside a database. Deliveries to webhooks that are configured no more are dropped.
    ///
    /// # Errors
    ///
    /// The error of reading. A file that makes no sense is begun anew.
    pub fn open(database: Database, settings: &NotifySettings) -> Result<WatchJournal, Error> {
        let record = Mutex::new(read(&database, settings)?);
        Ok(WatchJournal { database, record, waiting: Condvar::new() })
    }

    /// Reads the file again, which another server may have written since.
    ///
    /// # Errors
    ///
    /// Those of [`WatchJournal::open`].
    pub fn reopen(&self, settings: &NotifySettings) -> Result<(), Error> {
        *self.lock() = read(&self.database, settings)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, WatchRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the record.
    pub fn look<T>(&self, look: impl FnOnce(&WatchRecord) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the record, queues the events that come of it, and writes both together.
    pub fn notice(
        &self,
        settings: &NotifySettings,
        now: i64,
        notice: impl FnOnce(&mut WatchRecord) -> Vec<NotifyEvent>,
    ) {
        let mut record = self.lock();
        let before = record.clone();
        let events = notice(&mut record);
        for event in &events {
            tracing::info!(event = event.kind.word(), "{}", event.text);
        }
        let dropped = record.enqueue(&events, settings, now);
        if dropped > 0 {
            tracing::error!(
                dropped,
                "too many events wait for a webhook, so the oldest are dropped"
            );
        }
        if *record != before {
            self.save(&record);
            self.waiting.notify_all();
        }
    }

    /// Writes the file. On a full disk the record lives on in memory, and is written with its next change.
    fn save(&self, record: &WatchRecord) {
        let bytes = serde_json::to_vec(record).expect("BUG: the record is plain JSON");
        if let Err(e) = self.database.write_beside(FILE, &bytes) {
            tracing::error!(error = %e, "what was told cannot be written down");
        }
    }

    /// Waits for the next delivery to a webhook, a while at most.
    pub fn next(&self, webhook: &str, now: impl Fn() -> i64) -> Option<Delivery> {
        const WHILE: Duration = Duration::from_millis(500);
        let record = self.lock();
        let due = |record: &WatchRecord| {
            let first = record.queues.get(webhook)?.front()?;
            (first.due <= now()).then(|| first.clone())
        };
        if let Some(delivery) = due(&record) {
            return Some(delivery);
        }
        let (record, _) =
            self.waiting.wait_timeout(record, WHILE).unwrap_or_else(PoisonError::into_inner);
        due(&record)
    }

    /// Takes a delivery out of its queue.
    pub fn done(&self, webhook: &str, id: Uuid) {
        let mut record = self.lock();
        if let Some(queue) = record.queues.get_mut(webhook) {
            queue.retain(|delivery| delivery.id != id);
        }
        self.save(&record);
    }

    /// Puts a delivery off that failed; returns false if it is given up.
    pub fn put_off(&self, webhook: &str, id: Uuid, now: i64) -> bool {
        let mut record = self.lock();
        let again = record.put_off(webhook, id, now);
        self.save(&record);
        again
    }

    /// Returns the number of deliveries that wait.
    pub fn queued(&self) -> usize {
        self.lock().queues.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, holds: bool) -> QuestionState {
        let (expected, found) = ("0".to_owned(), Some(u64::from(!holds)));
        QuestionState { name: name.to_owned(), about: None, expected, found, holds }
    }

    fn file(trouble: Option<&'static str>) -> FileState {
        let (scope, file) = ("s".to_owned(), "s.toml".to_owned());
        FileState { scope, file, trouble, message: "12 rows".to_owned() }
    }

    #[test]
    fn questions_are_told_when_they_turn() {
        let mut record = WatchRecord::default();
        let count = |record: &mut WatchRecord, holds| {
            record.notice_questions(&[state("q", holds)], 0).len()
        };
        let told: Vec<usize> =
            [true, false, false, true, true, false].map(|holds| count(&mut record, holds)).to_vec();
        assert_eq!(told, [0, 1, 0, 1, 0, 1]);
        record.notice_questions(&[], 0);
        assert_eq!(record, WatchRecord::default());
    }

    #[test]
    fn a_file_is_told_once_until_its_state_changes() {
        let mut record = WatchRecord::default();
        let told: Vec<usize> =
            [Some("refused"), Some("refused"), Some("failed"), None, None, Some("refused")]
                .map(|trouble| record.notice_files(&[file(trouble)], 0).len())
                .to_vec();
        assert_eq!(told, [1, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn a_scope_is_told_once_until_it_had_a_job() {
        let mut record = WatchRecord::default();
        let ages = StaleAges { all: Some(Duration::from_secs(10)), ..StaleAges::default() };
        let scopes = BTreeMap::from([("okta".to_owned(), true), ("bridge".to_owned(), false)]);
        let mut told = |end: i64, now: i64| {
            let ends = BTreeMap::from([("okta".to_owned(), end), ("bridge".to_owned(), 0)]);
            record.notice_stale(&ages, &scopes, &ends, now).len()
        };
        assert_eq!(told(0, 9_000), 0);
        assert_eq!(told(0, 11_000), 1);
        assert_eq!(told(0, 99_000), 0);
        assert_eq!(told(100_000, 101_000), 0, "a job makes it fresh");
        assert_eq!(told(100_000, 111_000), 1, "and it may go stale again");
    }

    #[test]
    fn a_delivery_waits_longer_each_time_and_is_given_up_after_a_day() {
        let mut record = WatchRecord::default();
        let event = NotifyEvent::question(&state("q", false), 0);
        let id = Uuid::new_v4();
        let queue = VecDeque::from([Delivery { id, event, attempts: 0, due: 0 }]);
        record.queues.insert("w".into(), queue);
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(record.put_off("w", id, 0));
            waits.push(record.queues["w"][0].due);
        }
        assert_eq!(waits[..3], [1_000, 2_000, 4_000]);
        assert_eq!(waits[11], 512_000);
        assert!(!record.put_off("w", id, GIVEN_UP + 1));
        assert!(record.queues["w"].is_empty());
    }
}
