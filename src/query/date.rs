//! Times of J1QL: ISO 8601 in, epoch milliseconds out; offsets by units of the calendar, in UTC.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// What the offset of a date can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// For advice.
pub(super) const UNITS: &str = "minutes, hours, days, weeks, months and years";

/// The unit of a word, as short or long as people write it.
pub(super) fn unit(word: &str) -> Option<Unit> {
    Some(match word.to_ascii_lowercase().as_str() {
        "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "wk" | "wks" | "week" | "weeks" => Unit::Week,
        "mo" | "mos" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        _ => return None,
    })
}

/// `time` moved by a number of units; months and years follow the calendar (31 March - 1 month is
/// the last day of February), fractions only make sense of units with a fixed length.
pub(super) fn shift(time: i64, sign: i64, digits: &str, unit: Unit) -> Option<i64> {
    const MINUTE: f64 = 60_000.0;
    let number: f64 = digits.parse().ok()?;
    let fixed = match unit {
        Unit::Minute => MINUTE,
        Unit::Hour => 60.0 * MINUTE,
        Unit::Day => 1440.0 * MINUTE,
        Unit::Week => 10_080.0 * MINUTE,
        Unit::Month | Unit::Year => {
            let number = sign.checked_mul(digits.parse().ok()?)?;
            let span = match unit {
                Unit::Month => Span::new().try_months(number).ok()?,
                _ => Span::new().try_years(number).ok()?,
            };
            let zoned = Timestamp::from_millisecond(time).ok()?.to_zoned_datetime(TimeZone::UTC);
            return Some(zoned.checked_add(span).ok()?.timestamp().as_millisecond());
        }
    };
    let moved = time as f64 + sign as f64 * number * fixed;
    Timestamp::from_millisecond(moved as i64).ok().map(Timestamp::as_millisecond)
}

/// Reads a year, a month, a day or a time, with or without a zone; without one it is UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let civil = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let time = match civil.parse::<DateTime>() {
        Ok(time) => time,
        Err(_) => civil.parse::<Date>().ok()?.at(0, 0, 0, 0),
    };
    Some(time.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_from_a_year_to_a_zone() {
        let same = ["2024", "2024-01", "2024-01-01", "2024-01-01T00:00", "2024-01-01T00:00:00Z"];
        for text in same {
            assert_eq!(parse(text), Some(1_704_067_200_000), "{text}");
        }
        assert_eq!(parse("2024-01-01T01:00:00.5+01:00"), Some(1_704_067_200_500));
        assert_eq!(parse("tomorrow"), None);
    }

    #[test]
    fn months_follow_the_calendar() {
        let march = parse("2024-03-31").expect("a date");
        assert_eq!(shift(march, -1, "1", Unit::Month), parse("2024-02-29"));
        assert_eq!(shift(march, 1, "1", Unit::Year), parse("2025-03-31"));
        assert_eq!(shift(march, -1, "24", Unit::Hour), parse("2024-03-30"));
        assert_eq!(shift(march, 1, "99999999999", Unit::Year), None);
    }
}
