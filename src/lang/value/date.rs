//! Times: ISO 8601 in, epoch milliseconds out; offsets by units of the calendar, in UTC.
//!
//! Properties hold times as ISO 8601 texts, as epoch milliseconds, or as epoch seconds. A date
//! compares with each of these.

use crate::graph::Value;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const DAY: i64 = 86_400_000;

/// A unit of the offset of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CalendarUnit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// The units, as advice names them.
pub(crate) const UNITS: &str = "minutes, hours, days, weeks, months and years";

/// The unit that a word names, in any of its short and long forms.
pub(crate) fn unit(word: &str) -> Option<CalendarUnit> {
    Some(match word.to_ascii_lowercase().as_str() {
        "min" | "mins" | "minute" | "minutes" => CalendarUnit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => CalendarUnit::Hour,
        "d" | "day" | "days" => CalendarUnit::Day,
        "w" | "wk" | "wks" | "week" | "weeks" => CalendarUnit::Week,
        "mo" | "mos" | "month" | "months" => CalendarUnit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => CalendarUnit::Year,
        _ => return None,
    })
}

/// `time` moved by a number of units. Months and years follow the calendar (31 March - 1 month is the
/// last day of February) and take whole numbers; units of a fixed length take fractions too.
pub(crate) fn shift(time: i64, sign: i64, digits: &str, unit: CalendarUnit) -> Option<i64> {
    const MINUTE: f64 = 60_000.0;
    let number: f64 = digits.parse().ok()?;
    let fixed = match unit {
        CalendarUnit::Minute => MINUTE,
        CalendarUnit::Hour => 60.0 * MINUTE,
        CalendarUnit::Day => 1440.0 * MINUTE,
        CalendarUnit::Week => 10_080.0 * MINUTE,
        CalendarUnit::Month | CalendarUnit::Year => {
            let number = sign.checked_mul(digits.parse().ok()?)?;
            let span = match unit {
                CalendarUnit::Month => Span::new().try_months(number).ok()?,
                _ => Span::new().try_years(number).ok()?,
            };
            return at(time)?.checked_add(span).ok().map(epoch_of);
        }
    };
    let moved = (time as f64 + sign as f64 * number * fixed) as i64;
    // A time beyond the calendar is no date.
    at(moved).map(|_| moved)
}

/// The day and time in UTC of epoch milliseconds, from the year -9999 to 9999.
fn at(time: i64) -> Option<DateTime> {
    EPOCH.checked_add(SignedDuration::from_millis(time)).ok()
}

/// Epoch milliseconds of a day and time in UTC; fractions of one are cut off.
fn epoch_of(time: DateTime) -> i64 {
    let since = time.duration_since(EPOCH);
    since.as_secs() * 1000 + i64::from(since.subsec_nanos().div_euclid(1_000_000))
}

/// A time as people read it, in UTC.
pub(crate) fn shown(time: i64) -> String {
    let Some(civil) = at(time) else { return time.to_string() };
    match (time.rem_euclid(DAY), time.rem_euclid(1000)) {
        (0, _) => civil.date().to_string(),
        (_, 0) => format!("{civil:.0}Z"),
        _ => format!("{civil:.3}Z"),
    }
}

/// Reads a year, a month, a day or a time, with or without a zone; without one it is UTC. All days
/// of the years 1 to 9999 can be read, in any zone: `9999-12-31` often stands for "never".
pub(crate) fn parse(text: &str) -> Option<i64> {
    if let Some(day_before) = midnight(text) {
        return parse(&day_before).map(|time| time + DAY);
    }
    let civil = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    if let Ok(pieces) = Pieces::parse(&civil)
        && let Some(offset) = pieces.to_numeric_offset()
    {
        // The offset is subtracted by hand: near the year 9999 a time with a zone may be out of range.
        let local = DateTime::from_parts(pieces.date(), pieces.time()?);
        return Some(epoch_of(local) - i64::from(offset.seconds()) * 1000);
    }
    match civil.parse::<DateTime>() {
        Ok(time) => Some(epoch_of(time)),
        Err(_) => {
            Some(epoch_of(DateTime::from_parts(civil.parse::<Date>().ok()?, Time::midnight())))
        }
    }
}

/// `2020-02-03T24:00:00Z`, the end of a day in ISO 8601, as the beginning of that day.
fn midnight(text: &str) -> Option<String> {
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let rest = time.strip_prefix("24")?;
    let zone = rest.find(['Z', 'z', '+', '-', ' ', '[']).unwrap_or(rest.len());
    let zeros = rest[..zone].bytes().all(|byte| matches!(byte, b'0' | b':' | b'.'));
    zeros.then(|| format!("{day}T00{rest}"))
}

/// Epoch milliseconds (UTC) of a date or time: RFC 3339, `2026-03-01`, `2026-03-01 12:30:00`, or
/// epoch seconds or milliseconds in digits. A time without a zone is taken as UTC. Years, months and
/// days in digits alone are no dates here: they stand among identifiers.
pub(crate) fn strict(text: &str) -> Option<i64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return match text.len() {
            // Ten digits of seconds reach the year 2286, twelve of milliseconds begin in 1973.
            9 | 10 => text.parse::<i64>().ok()?.checked_mul(1000),
            12 | 13 => text.parse().ok(),
            _ => None,
        };
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    if let Ok(time) = text.parse::<jiff::ZonedDateTime>() {
        return Some(time.timestamp().as_millisecond());
    }
    let zoned = match text.parse::<DateTime>() {
        Ok(time) => time.to_zoned_datetime(TimeZone::UTC),
        Err(_) => text.parse::<Date>().ok()?.to_zoned_datetime(TimeZone::UTC),
    };
    Some(zoned.ok()?.timestamp().as_millisecond())
}

/// Epoch milliseconds of a time that is written in a format of strptime, e.g. `%m/%d/%Y %I:%M %p`. Without
/// a zone it is UTC, without a time of day midnight.
pub(crate) fn written(text: &str, format: &str) -> Option<i64> {
    let time = jiff::fmt::strtime::parse(format, text.trim()).ok()?;
    match time.to_timestamp() {
        Ok(time) => Some(time.as_millisecond()),
        Err(_) => time.to_datetime().ok().map(epoch_of),
    }
}

/// True if times can be written and read in a format.
pub(crate) fn is_format(format: &str) -> bool {
    let time = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
    let shown = jiff::fmt::strtime::format(format, &time);
    shown.is_ok_and(|shown| written(&shown, format).is_some())
}

/// Numbers below this are seconds. As milliseconds it would be 1973, as seconds it is the year 5138.
const SECONDS_MAX: f64 = 1e11;

/// The time of a property, in epoch milliseconds; `None` if the value is no time.
pub(crate) fn epoch_of_value(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(epoch(*number)),
        Value::UInt(number) => i64::try_from(*number).ok().map(epoch),
        Value::Float(number) if number.abs() < SECONDS_MAX => {
            Some((number * 1000.0).floor() as i64)
        }
        Value::Float(number) => Some(number.floor() as i64),
        Value::Text(text) => epoch_of_text(text),
        Value::Null | Value::Bool(_) | Value::List(_) => None,
    }
}

fn epoch(number: i64) -> i64 {
    match number.unsigned_abs() < SECONDS_MAX as u64 {
        true => number * 1000,
        false => number,
    }
}

/// The time of a text in epoch milliseconds: a date, a date with a time, or an epoch in digits.
fn epoch_of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    // Up to eight digits may be a year or a day such as `20200203`.
    if digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() > 8 {
        return text.parse().ok().map(epoch);
    }
    let text = without_zone_name(text);
    // As some print it: `2024-05-01 12:00:00 UTC`, `2024-05-01 12:00:00 +0200`.
    if let Some(utc) = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")) {
        return parse(&format!("{utc}Z"));
    }
    match text.rsplit_once(' ') {
        Some((time, offset)) if offset.starts_with(['+', '-']) => parse(&format!("{time}{offset}")),
        _ => parse(text),
    }
}

/// `2024-05-01 12:00:00 +0000 UTC`, as Go prints it, without the name of the zone.
fn without_zone_name(text: &str) -> &str {
    match text.rsplit_once(' ') {
        Some((rest, zone))
            if zone.bytes().all(|byte| byte.is_ascii_uppercase())
                && rest.rsplit_once(' ').is_some_and(|(_, at)| at.starts_with(['+', '-'])) =>
        {
            rest
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_say_times_in_many_ways() {
        let text = |text: &'static str| Value::Text(text.into());
        let noon = Some(1_580_731_200_000);
        for value in [
            text("2020-02-03T12:00:00Z"),
            text("2020-02-03T12:00:00.000Z"),
            text("2020-02-03T12:00:00.0000000Z"),
            text("2020-02-03T14:00:00+02:00"),
            text("2020-02-03T07:00:00-0500"),
            text("2020-02-03 12:00:00"),
            text("2020-02-03 12:00:00 UTC"),
            text("2020-02-03 14:00:00 +0200"),
            text("2020-02-03T12:00"),
            text("20200203T120000Z"),
            text("2020-02-03 12:00:00 +0000 UTC"),
            text("2020-02-03 14:00:00 +0200 CEST"),
            text("1580731200"),
            text("1580731200000"),
            Value::Int(1_580_731_200),
            Value::Int(1_580_731_200_000),
            Value::Float(1_580_731_200.0),
        ] {
            assert_eq!(epoch_of_value(&value), noon, "{value}");
        }
        assert_eq!(epoch_of_value(&text("2020-02-03")), Some(1_580_688_000_000));
        assert_eq!(
            epoch_of_value(&text("2020-02-03")),
            epoch_of_value(&text("2020-02-03T00:00:00+00:00"))
        );
        assert_eq!(epoch_of_value(&Value::Float(1.5)), Some(1500));
        for value in [text("soon"), text(""), text("-"), text("1.2.3"), Value::Bool(true)] {
            assert_eq!(epoch_of_value(&value), None, "{value}");
        }
        assert_eq!(epoch_of_value(&Value::Int(i64::MIN)), Some(i64::MIN));
    }

    #[test]
    fn the_first_and_the_last_day_are_days() {
        let never = parse("9999-12-31T23:59:59Z").expect("a date");
        assert_eq!(never, 253_402_300_799_000);
        for (text, seconds) in [
            ("9999-12-31", -86_399),
            ("9999-12-31T23:59:59", 0),
            ("9999-12-31T23:59:59-05:00", 18_000),
            ("9999-12-31T24:00:00Z", 1),
        ] {
            assert_eq!(parse(text), Some(never + seconds * 1000), "{text}");
        }
        let text = |text: &'static str| Value::Text(text.into());
        assert_eq!(epoch_of_value(&text("9999-12-31 23:59:59 +0000 UTC")), Some(never));
        assert_eq!(epoch_of_value(&text("9999-12-31T23:59:59.9999999Z")), Some(never + 999));
        assert_eq!(parse("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000));
        assert_eq!(parse("0001-01-01T00:00:00+14:00"), Some(-62_135_596_800_000 - 50_400_000));
        let last = parse("9999-12-31").expect("a date");
        assert_eq!(shift(last, -1, "1", CalendarUnit::Day), parse("9999-12-30"));
        assert_eq!(shift(last, -1, "1", CalendarUnit::Month), parse("9999-11-30"));
        assert_eq!(shift(last, 1, "1", CalendarUnit::Day), None);
        assert_eq!(parse("1969-12-31T23:59:59.5Z"), Some(-500));
    }

    #[test]
    fn the_end_of_a_day_is_the_beginning_of_the_next() {
        for end in ["2020-02-03T24:00:00Z", "2020-02-03T24:00", "2020-02-03 24:00:00.000Z"] {
            assert_eq!(epoch_of_value(&Value::Text(end.into())), parse("2020-02-04"), "{end}");
        }
        assert_eq!(parse("2020-02-03T24:00:01Z"), None);
        assert_eq!(parse("2020-02-03T25:00:00Z"), None);
    }

    #[test]
    fn times_are_shown_as_people_read_them() {
        for text in ["2020-02-03", "2020-02-03T12:00:00Z", "9999-12-31T23:59:59.500Z"] {
            assert_eq!(parse(text).map(shown).as_deref(), Some(text));
        }
        assert_eq!(shown(i64::MAX), i64::MAX.to_string());
    }

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
    fn strict_dates_are_read_in_their_common_forms() {
        for text in [
            "2026-03-01",
            "2026-03-01T00:00:00Z",
            "2026-03-01T01:00:00+01:00",
            "2026-03-01 00:00:00",
            "1772323200",
            "1772323200000",
        ] {
            assert_eq!(strict(text), Some(1_772_323_200_000), "{text}");
        }
        for text in ["", "yesterday", "01.03.2026", "2026-13-01", "20260301"] {
            assert_eq!(strict(text), None, "{text}");
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        let march = parse("2024-03-31").expect("a date");
        assert_eq!(shift(march, -1, "1", CalendarUnit::Month), parse("2024-02-29"));
        assert_eq!(shift(march, 1, "1", CalendarUnit::Year), parse("2025-03-31"));
        assert_eq!(shift(march, -1, "24", CalendarUnit::Hour), parse("2024-03-30"));
        assert_eq!(shift(march, 1, "99999999999", CalendarUnit::Year), None);
    }

    #[test]
    fn times_are_read_in_the_format_that_is_given() {
        let time = |text: &str, format: &str| written(text, format).map(shown);
        assert_eq!(
            time("3/1/2024 10:05:00 PM", "%m/%d/%Y %I:%M:%S %p").unwrap(),
            "2024-03-01T22:05:00Z"
        );
        assert_eq!(time(" 01.03.2024 ", "%d.%m.%Y").unwrap(), "2024-03-01");
        assert_eq!(
            time("1 Mar 2024 12:00 +0200", "%d %b %Y %H:%M %z").unwrap(),
            "2024-03-01T10:00:00Z"
        );
        assert_eq!(time("2024-03-01", "%d.%m.%Y"), None);
        assert!(is_format("%d.%m.%Y") && is_format("%m/%d/%Y %I:%M:%S %p %z") && is_format("%s"));
        for wrong in ["", "%", "%Q!", "%H:%M", "dd.mm.yyyy"] {
            assert!(!is_format(wrong), "{wrong}");
        }
    }
}
