//! An answer together with the state of the past that it is of.

use super::{AnswerDocument, AnswerError};
use crate::db::StateRecord;
use serde::{Serialize, Serializer};

/// An answer, and the state that it is of where that is not the newest one. A list stays a list; its
/// face tells the state beside it.
pub struct AnswerAsOf<'a, A: AnswerDocument> {
    /// The state.
    pub as_of: Option<&'a StateRecord>,
    /// The answer.
    pub answer: &'a A,
}

/// Both as one document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatedDocument<'a, A: AnswerDocument> {
    as_of: &'a StateRecord,
    #[serde(flatten)]
    answer: &'a A,
}

impl<A: AnswerDocument> Serialize for AnswerAsOf<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let AnswerAsOf { as_of, answer } = *self;
        match as_of {
            Some(as_of) if !answer.is_list() => {
                StatedDocument { as_of, answer }.serialize(serializer)
            }
            _ => answer.serialize(serializer),
        }
    }
}

impl<A: AnswerDocument> AnswerDocument for AnswerAsOf<'_, A> {
    fn fault(&self) -> Option<AnswerError> {
        self.answer.fault()
    }

    fn is_list(&self) -> bool {
        self.answer.is_list()
    }
}
