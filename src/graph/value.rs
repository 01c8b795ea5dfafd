//! Property values: flat, typed and exact.
//!
//! A property is a string, boolean, number, null, or a list of one of these. A number is kept only
//! if a 64-bit integer or float holds exactly what the text says; anything else is refused rather
//! than rounded.

use std::borrow::Cow;
use std::fmt;

/// One property value. Borrows from the input while it is read; `Value<'static>` owns its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// JSON `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits 64 bits with a sign.
    Int(i64),
    /// An integer above `i64::MAX` that fits 64 bits without a sign.
    UInt(u64),
    /// Any other number; finite.
    Float(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// A list whose items are all strings, all booleans, all numbers or all null. Never nested.
    List(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// Reads the JSON number `text`. `None` if 64 bits cannot hold it exactly: `0.1` and `1e30` can
    /// be held (printing them gives the same decimal), `2^64` and `1e400` cannot.
    pub fn number(text: &str) -> Option<Value<'static>> {
        if let Some(short) = short_number(text) {
            return Some(short);
        }
        if let Ok(i) = text.parse::<i64>() {
            // `-0` is the float minus zero; as an integer it would lose its sign.
            return Some(if i == 0 && text.starts_with('-') {
                Value::Float(-0.0)
            } else {
                Value::Int(i)
            });
        }
        if let Ok(u) = text.parse::<u64>() {
            return Some(Value::UInt(u));
        }
        let float = text.parse::<f64>().ok().filter(|f| f.is_finite())?;
        // Printing gives the shortest decimal that reads as this float; another one was rounded.
        (decimal(text) == decimal(&format!("{float:e}"))).then_some(Value::Float(float))
    }

    /// The same value with text of its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(b) => Value::Bool(b),
            Value::Int(i) => Value::Int(i),
            Value::UInt(u) => Value::UInt(u),
            Value::Float(f) => Value::Float(f),
            Value::Text(t) => Value::Text(Cow::Owned(t.into_owned())),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
        }
    }

    /// The same value, borrowing its text from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::List(items) => Value::List(items.iter().map(Value::borrowed).collect()),
            plain => plain.clone(),
        }
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The canonical text of a number, by which it equals a text: the digits of a whole number that
    /// fits 64 bits, however it is held, else the text that JSON prints. `None` if the value is no
    /// number.
    pub fn spelling(&self) -> Option<String> {
        match self {
            Value::Int(_) | Value::UInt(_) => Some(self.to_string()),
            Value::Float(f) => Some(whole(*f).map_or_else(|| self.to_string(), |i| i.to_string())),
            _ => None,
        }
    }

    /// Visits the hashes of the items of a list, or of the value alone. Values that are equal in a
    /// query have a hash in common: a number hashes as its [canonical text](Self::spelling), a
    /// boolean as its word, since tags are kept as texts. Nulls have none.
    pub fn equality_hashes(&self, visit: &mut impl FnMut(u64)) {
        use std::io::Write;
        use xxhash_rust::xxh3::xxh3_64;
        let mut digits = |number: i128| {
            let mut room = [0; 40];
            let mut rest = &mut room[..];
            // The longest 128-bit integer has 40 characters.
            let _ = write!(rest, "{number}");
            let left = rest.len();
            visit(xxh3_64(&room[..room.len() - left]));
        };
        match self {
            Value::Null => {}
            Value::Bool(true) => visit(xxh3_64(b"true")),
            Value::Bool(false) => visit(xxh3_64(b"false")),
            Value::Int(i) => digits((*i).into()),
            Value::UInt(u) => digits((*u).into()),
            Value::Float(f) => match whole(*f) {
                Some(i) => digits(i),
                None => visit(xxh3_64(self.to_string().as_bytes())),
            },
            Value::Text(text) => visit(xxh3_64(text.as_bytes())),
            Value::List(items) => items.iter().for_each(|item| item.equality_hashes(visit)),
        }
    }

    /// True if two items may stand in one list.
    pub fn same_family(&self, other: &Value<'_>) -> bool {
        self.family() == other.family()
    }

    /// The name that people have for this kind of value.
    pub fn family(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "list",
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Value<'a> {
        Value::Text(text)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Value::Int(number.into())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Int(number.into())
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Value::UInt(number), Value::Int)
    }
}

/// A job refuses a float that is not finite.
impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl<'a, T: Into<Value<'a>>> From<Vec<T>> for Value<'a> {
    fn from(items: Vec<T>) -> Value<'a> {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}

/// Null stands for nothing.
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Value<'a> {
        value.map_or(Value::Null, Into::into)
    }
}

impl fmt::Display for Value<'_> {
    /// The JSON form of the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::UInt(u) => write!(f, "{u}"),
            Value::Float(x) => match serde_json::to_string(x) {
                Ok(text) => f.write_str(&text),
                Err(_) => Err(fmt::Error),
            },
            Value::Text(text) => match serde_json::to_string(text.as_ref()) {
                Ok(text) => f.write_str(&text),
                Err(_) => Err(fmt::Error),
            },
            Value::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        f.write_str(",")?;
                    }
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The whole number that a float is, if 64 bits can hold it as an integer.
fn whole(float: f64) -> Option<i128> {
    let range = -9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0;
    (float.fract() == 0.0 && range.contains(&float)).then_some(float as i128)
}

/// Reads a short number: digits, perhaps with a point among them. Nearly all numbers in uploads are
/// short. `None` for any other text.
fn short_number(text: &str) -> Option<Value<'static>> {
    /// Powers of ten that floats hold exactly.
    const TENS: [f64; 15] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
    let bytes = text.as_bytes();
    if bytes.len() > 16 || !bytes.first()?.is_ascii_digit() {
        return None;
    }
    let (mut digits, mut point) = (0, None);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let Some(point) = point else { return Some(Value::Int(digits)) };
    // At most 15 digits, which are exact as a float, and so is the power of ten: one division
    // rounds as reading does, and every decimal of 15 digits survives the way there and back.
    let behind = bytes.len() - point - 1;
    (behind > 0).then(|| Value::Float(digits as f64 / TENS[behind]))
}

/// Sign, significant digits and power of ten of a decimal number, so that `1.50`, `15e-1` and
/// `1.5` compare equal.
fn decimal(text: &str) -> (bool, String, i64) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        // An exponent beyond i64 was infinite or zero as a float; either way it compares unequal.
        Some((m, e)) => (m, e.parse::<i64>().unwrap_or(i64::MIN / 2)),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_start_matches('0').trim_end_matches('0');
    if kept.is_empty() {
        return (negative, String::new(), 0);
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    (negative, kept.to_owned(), exponent - fraction.len() as i64 + trailing as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_numbers_are_read_as_the_library_reads_them(text in "[0-9]{1,16}|[0-9.]{1,17}") {
            match short_number(&text) {
                Some(Value::Int(int)) => prop_assert_eq!(text.parse::<i64>(), Ok(int)),
                Some(Value::Float(float)) => {
                    prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(float.to_bits()));
                    prop_assert_eq!(decimal(&text), decimal(&format!("{float:e}")));
                }
                short => {
                    let odd = text.starts_with('.') || text.ends_with('.');
                    let plain = text.matches('.').count() < 2 && text.len() < 17 && !odd;
                    prop_assert!(short.is_none() && !plain, "{}", text);
                }
            }
        }
    }

    #[test]
    fn a_number_has_one_spelling_however_it_is_held() {
        let spelling = |value: Value<'_>| value.spelling().expect("a number");
        assert_eq!(spelling(Value::Float(7.0)), spelling(Value::Int(7)));
        assert_eq!(spelling(Value::Float(-0.0)), "0");
        assert_eq!(spelling(Value::Float(1.10)), "1.1");
        assert_eq!(spelling(Value::Float(1e15)), "1000000000000000");
        assert_eq!(spelling(Value::Float(9_223_372_036_854_775_808.0)), "9223372036854775808");
        assert_eq!(spelling(Value::Float(1e30)), "1e+30");
        let hashes = |value: Value<'_>| {
            let mut hashes = Vec::new();
            value.equality_hashes(&mut |hash| hashes.push(hash));
            hashes
        };
        for (number, text) in [
            (Value::Int(-12), "-12"),
            (Value::UInt(u64::MAX), "18446744073709551615"),
            (Value::Float(3.0), "3"),
            (Value::Float(0.5), "0.5"),
        ] {
            assert_eq!(hashes(number), hashes(Value::Text(text.into())), "{text}");
        }
        // Next to each other, and one float apart.
        assert_ne!(
            hashes(Value::Int((1 << 53) + 1)),
            hashes(Value::Float(9_007_199_254_740_992.0))
        );
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        assert_eq!(Value::number("42"), Some(Value::Int(42)));
        assert_eq!(Value::number("18446744073709551615"), Some(Value::UInt(u64::MAX)));
        assert_eq!(Value::number("18446744073709551616"), None, "2^64");
        assert_eq!(Value::number("0.1"), Some(Value::Float(0.1)));
        assert_eq!(Value::number("1.50"), Some(Value::Float(1.5)));
        assert_eq!(Value::number("1e30"), Some(Value::Float(1e30)));
        assert_eq!(Value::number("1e400"), None);
        assert_eq!(Value::number("1e-400"), None, "would become zero");
        assert_eq!(Value::number("0e5"), Some(Value::Float(0.0)));
        assert_eq!(Value::number("0.1000000000000000055"), None);
        assert_eq!(Value::number("123456789012345678901234567890"), None);
        assert_eq!(Value::number("-0").map(|v| v.to_string()), Some("-0.0".into()));
    }
}
