//! Repetitions: of two uploaded objects with one hash one folds away, or the upload is refused.

use super::context::UploadContext;
use super::partitions::ComparisonKey;
use super::windows::UploadedObject;
use crate::sync::SyncError;
use crate::sync::read::InputDiagnostic;
use crate::sync::stage::repeated;

/// The fault of two objects with one hash, of which `second` is the later one; `None` if they
/// may stay.
///
/// An equal object in another batch is a retry and folds away. Any other repeated key is an
/// error that names both places, unless the job takes the latest.
pub(super) fn repetition_error<T: UploadedObject>(
    context: &UploadContext<'_>,
    first: ComparisonKey,
    second: ComparisonKey,
) -> Result<Option<InputDiagnostic>, SyncError> {
    let spec = &context.jobs[first.job as usize].input.spec;
    let spelled_alike = first.spelling == second.spelling;
    let windows = &context.windows[T::KIND as usize];
    let [one, other] = [first.ordinal, second.ordinal].map(|ordinal| windows.place(ordinal));
    let retry = !spec.one_upload && one.0 != other.0;
    // Equal spellings are equal objects, so nothing has to be read.
    if spelled_alike && (spec.ignore_duplicates || retry) {
        return Ok(None);
    }
    let one = T::at(context.stage, one.0, one.1)?;
    let other = T::at(context.stage, other.0, other.1)?;
    if !spelled_alike {
        let keys = [one.as_ref(), other.as_ref()]
            .map(|staged| context.contents().uploaded_key(T::KIND, staged));
        let [first, second] = keys;
        let (first, second) = (first?, second?);
        // An entity that is named by its id alone has no key to compare.
        if first != second && !first.is_empty() && !second.is_empty() {
            return Ok(Some(context.contents().collision(T::KIND, other.as_ref(), &first)?));
        }
    }
    if spec.ignore_duplicates {
        return Ok(None);
    }
    let digest = |one: &T| context.contents().uploaded_digest(T::KIND, one.as_ref(), &one.ends());
    if retry && digest(&one)? == digest(&other)? {
        return Ok(None);
    }
    let earlier = context.contents().fault(T::KIND, one.as_ref())?;
    let mut fault = context.contents().fault(T::KIND, other.as_ref())?;
    let place = context.inputs.place(earlier.place).unwrap_or_else(|| "an earlier batch".into());
    fault.message = repeated(&place);
    Ok(Some(fault))
}
