//! The saved questions as a server asks them: all of them, when the graph or their file changed.

use super::super::AppState;
use super::super::gate::CancelGuard;
use super::events::QuestionState;
use std::sync::{Mutex, PoisonError};
use tombolo::ErrorKind;
use tombolo::answers::{AnswerError, CountFormat, QuestionContext, SavedQuestions, rules_in_force};
use tombolo::limits::{CostMeter, QuestionLimits};

/// The things that an asking depended on: the revision, and the texts of the questions and of the rules.
type AskedAt = (u64, Option<String>, Option<String>);

/// The saved questions as they came out last.
#[derive(Default)]
pub struct AskedQuestions(Mutex<Option<(AskedAt, Vec<QuestionState>)>>);

impl AskedQuestions {
    /// Returns how the questions came out, and true if they were asked anew: what they depend on
    /// changed since.
    ///
    /// # Errors
    ///
    /// A fault of the file, or the error of reading.
    pub fn ask(&self, app: &AppState) -> Result<(Vec<QuestionState>, bool), AnswerError> {
        let text = |path: &std::path::Path| std::fs::read_to_string(path).ok();
        let here = std::env::current_dir().unwrap_or_default();
        let project = tombolo::rules::project_file(&here).and_then(|path| text(&path));
        let at = (app.database.revision()?, text(&app.questions), project);
        // One asks, and those that come meanwhile wait for its answer.
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*asked {
            Some((known, states)) if *known == at => Ok((states.clone(), false)),
            _ => {
                let states = match &at.1 {
                    Some(_) => ask_all(app)?,
                    None => Vec::new(),
                };
                *asked = Some((at, states.clone()));
                Ok((states, true))
            }
        }
    }
}

fn ask_all(app: &AppState) -> Result<Vec<QuestionState>, AnswerError> {
    let saved = SavedQuestions::load(&app.questions, false)?;
    let rules = rules_in_force()?;
    let snapshot = app.database.snapshot()?;
    let waiting = CancelGuard::default();
    let mut states = Vec::new();
    for (name, question, expected) in saved.expecting() {
        let limits = QuestionLimits { ..app.question(&waiting) };
        let meter = CostMeter::new(limits);
        let options = saved.request(super::super::now()).options(rules.clone(), meter.deadline());
        let (database, counts) = (&app.database, CountFormat::Plain);
        let context = QuestionContext { database, snapshot: &snapshot, meter: &meter, counts };
        let (found, holds) = match question.ask(name, expected, &context, &options) {
            Ok(asked) => (Some(asked.found.answer.len() as u64), asked.holds),
            // A damaged file is no answer to any question.
            Err(e) if matches!(e.kind(), ErrorKind::Damaged | ErrorKind::Failed) => return Err(e),
            Err(e) => {
                tracing::warn!(question = name, error = %e, "a saved question cannot be asked");
                (None, false)
            }
        };
        states.push(QuestionState {
            name: name.to_owned(),
            about: question.about.clone(),
            expected: expected.words(),
            found,
            holds,
        });
    }
    Ok(states)
}
