//! Ages as people write and read them: `36h`, `3 days`.

use std::time::Duration;

const UNITS: [(&str, u64, &str); 5] = [
    ("w", 604_800, "week"),
    ("d", 86_400, "day"),
    ("h", 3_600, "hour"),
    ("m", 60, "minute"),
    ("s", 1, "second"),
];

/// Reads a whole number and a unit: `45s`, `90m`, `36h`, `7d`, `2w`.
pub fn parse_age(text: &str) -> Option<Duration> {
    let (suffix, seconds, _) = UNITS.iter().find(|(suffix, ..)| text.ends_with(suffix))?;
    let digits = &text[..text.len() - suffix.len()];
    // `parse` would take a plus sign, so only digits pass.
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = plain.then(|| digits.parse().ok())??;
    Some(Duration::from_secs(number.checked_mul(*seconds)?))
}

/// The age in the largest unit of which it has two or more, rounded down: `36 hours`, `3 days`.
pub fn format_age(age: Duration) -> String {
    let seconds = age.as_secs();
    // Weeks are read but never written: three weeks stay `21 days`.
    let enough = |(_, unit, _): &&(&str, u64, &str)| seconds >= 2 * unit && *unit < 604_800;
    let (_, unit, name) = UNITS.iter().find(enough).unwrap_or(&UNITS[4]);
    let number = seconds / unit;
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_a_number_and_a_unit() {
        let hours = |h: u64| Some(Duration::from_secs(h * 3600));
        assert_eq!(parse_age("36h"), hours(36));
        assert_eq!(parse_age("2w"), hours(336));
        for wrong in ["", "h", "36", "-1h", "1.5h", "36 h", "1y", "99999999999999999999s"] {
            assert_eq!(parse_age(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn people_read_the_largest_fitting_unit() {
        let format_secs = |s| format_age(Duration::from_secs(s));
        assert_eq!(format_secs(1), "1 second");
        assert_eq!(format_secs(7200), "2 hours");
        assert_eq!(format_secs(36 * 3600), "36 hours");
        assert_eq!(format_secs(21 * 86_400), "21 days");
    }
}
