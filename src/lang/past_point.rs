//! Points in the past, as people name them, and how far back a file remembers.
//!
//! What a state is at such a point is up to the database; here is only how it is written.

use super::value::date;

/// A point in the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastPoint {
    /// A time, in epoch milliseconds.
    Time(i64),
    /// A revision of the file.
    Revision(u64),
    /// Right after a job: its id, or enough of the beginning or end of it.
    Job(String),
}

/// The ways of naming a point, for advice.
const WAYS: &str = "a time is 2026-11-24T10:00Z, 2026-11-24, 3d or yesterday; a revision is its \
                    number; a job is its id";

const HOUR: i64 = 3_600_000;

impl PastPoint {
    /// Reads a point; `now` is epoch milliseconds, from which `3d` counts back.
    ///
    /// # Errors
    ///
    /// What is wrong, and what can be written.
    pub fn parse(text: &str, now: i64) -> Result<PastPoint, (String, String)> {
        let text = text.trim();
        let wrong = || (format!("`{text}` is no point in the past"), WAYS.to_owned());
        if text.is_empty() {
            return Err(wrong());
        }
        match text.to_ascii_lowercase().as_str() {
            "now" => return Ok(PastPoint::Time(now)),
            "yesterday" => return Ok(PastPoint::Time(now - 24 * HOUR)),
            "today" => return Ok(PastPoint::Time(now - now.rem_euclid(24 * HOUR))),
            _ => {}
        }
        // Few digits are a revision; as many as epoch times have are a time.
        if text.len() < 9 && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(PastPoint::Revision).map_err(|_| wrong());
        }
        let ago = text.strip_suffix(" ago").unwrap_or(text);
        let digits = ago.len() - ago.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0
            && let Some(unit) = date::unit(ago[digits..].trim())
        {
            let time = date::shift(now, -1, &ago[..digits], unit).ok_or_else(wrong)?;
            return Ok(PastPoint::Time(time));
        }
        if let Some(time) = date::strict(text).or_else(|| date::parse(text)) {
            return Ok(PastPoint::Time(time));
        }
        let is_id = text.len() >= 4 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if is_id { Ok(PastPoint::Job(text.to_owned())) } else { Err(wrong()) }
    }
}

/// How long a file remembers what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryKeep {
    /// For this many milliseconds.
    For(i64),
    /// For good.
    Forever,
    /// Not at all.
    Never,
}

impl Default for HistoryKeep {
    /// 90 days.
    fn default() -> HistoryKeep {
        HistoryKeep::For(90 * 24 * HOUR)
    }
}

impl HistoryKeep {
    /// Reads `90d`, `12 months`, `forever` or `none`.
    ///
    /// # Errors
    ///
    /// What can be written.
    pub fn parse(text: &str) -> Result<HistoryKeep, String> {
        let wrong = || "expected a time such as \"90d\" or \"12 months\", \"forever\" or \"none\"";
        match text.trim() {
            "forever" => return Ok(HistoryKeep::Forever),
            "none" => return Ok(HistoryKeep::Never),
            _ => {}
        }
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit = date::unit(text[digits..].trim()).ok_or_else(wrong)?;
        // A month has another length in another month; what counts here is about how long.
        let back = date::shift(0, -1, &text[..digits], unit).ok_or_else(wrong)?;
        Ok(HistoryKeep::For(-back))
    }

    /// The time before which states may go; `None` if none may.
    pub fn cutoff(self, now: i64) -> Option<i64> {
        match self {
            HistoryKeep::For(time) => Some(now - time),
            HistoryKeep::Forever => None,
            HistoryKeep::Never => Some(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_590_400_000; // 2025-12-01T12:00:00Z

    #[test]
    fn points_are_times_revisions_and_jobs() {
        let read = |text| PastPoint::parse(text, NOW);
        let day = 24 * HOUR;
        for (text, point) in [
            ("2025-11-24T10:00Z", PastPoint::Time(1_763_978_400_000)),
            ("2025-11-24T12:00+02:00", PastPoint::Time(1_763_978_400_000)),
            ("2025-11-24", PastPoint::Time(1_763_942_400_000)),
            ("1763942400", PastPoint::Time(1_763_942_400_000)),
            ("3d", PastPoint::Time(NOW - 3 * day)),
            ("3 days ago", PastPoint::Time(NOW - 3 * day)),
            ("90 min", PastPoint::Time(NOW - 90 * 60_000)),
            ("yesterday", PastPoint::Time(NOW - day)),
            ("today", PastPoint::Time(NOW - 12 * HOUR)),
            ("12", PastPoint::Revision(12)),
            ("0193a7c2", PastPoint::Job("0193a7c2".into())),
            ("af3e", PastPoint::Job("af3e".into())),
        ] {
            assert_eq!(read(text), Ok(point), "{text}");
        }
        for text in ["", "soon", "tuesday", "-3d", "r12", "af3", "999999999999999d"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_remembers_for_a_time_or_for_good() {
        assert_eq!(HistoryKeep::parse("90d"), Ok(HistoryKeep::default()));
        assert_eq!(HistoryKeep::parse("forever").map(|keep| keep.cutoff(NOW)), Ok(None));
        assert_eq!(HistoryKeep::parse("none").map(|keep| keep.cutoff(NOW)), Ok(Some(NOW)));
        assert_eq!(
            HistoryKeep::parse("2 weeks").map(|keep| keep.cutoff(NOW)),
            Ok(Some(NOW - 14 * 24 * HOUR))
        );
        for text in ["", "90", "never", "d", "-1d"] {
            assert!(HistoryKeep::parse(text).is_err(), "{text}");
        }
    }
}
