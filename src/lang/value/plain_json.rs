//! The quick way through JSON: one pass over a text that has no faults. Whatever is wrong, or too deep,
//! is left to the parser that says what and where.

use super::nested::{DEPTH_MAX, NestedList, NestedObject, NestedValue};
use crate::graph::Value;
use rustc_hash::FxHashSet;

/// Reads the JSON value of `text`, which begins on `line`; 0 if places are not known. `None` if anything
/// is wrong with it.
pub(super) fn read_plain_json(text: &str, line: u32) -> Option<NestedValue> {
    let mut reader = PlainReader { text, at: 0, line, step: u32::from(line > 0) };
    reader.blanks();
    let value = reader.value(0)?;
    reader.blanks();
    (reader.at == text.len()).then_some(value)
}

struct PlainReader<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    /// What a line end adds to the line.
    step: u32,
}

/// Members that most objects have.
const SOME_MEMBERS: usize = 8;

/// Members of an object that are compared with each other without a set.
const FEW_MEMBERS: usize = 24;

impl PlainReader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over blanks. Line ends stand nowhere else in JSON.
    fn blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => {}
                b'\n' => self.line += self.step,
                _ => return,
            }
            self.at += 1;
        }
    }

    /// Takes a sign, with the blanks behind it.
    fn sign(&mut self, sign: u8) -> bool {
        let is = self.peek() == Some(sign);
        if is {
            self.at += 1;
            self.blanks();
        }
        is
    }

    fn word(&mut self, word: &str, value: NestedValue) -> Option<NestedValue> {
        let is = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is.then_some(value)
    }

    fn value(&mut self, depth: usize) -> Option<NestedValue> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(NestedValue::Text),
            b't' => self.word("true", NestedValue::Bool(true)),
            b'f' => self.word("false", NestedValue::Bool(false)),
            b'n' => self.word("null", NestedValue::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<NestedValue> {
        let line = self.line;
        self.sign(b'{');
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(NestedValue::Object(NestedObject { members: Vec::new(), line }));
        }
        let mut members: Vec<(String, NestedValue)> = Vec::with_capacity(SOME_MEMBERS);
        loop {
            let name = self.string()?;
            let same = |(known, _): &(String, NestedValue)| {
                known.len() == name.len() && known.as_bytes() == name.as_bytes()
            };
            if members.len() < FEW_MEMBERS && members.iter().any(same) {
                return None;
            }
            self.blanks();
            if !self.sign(b':') {
                return None;
            }
            members.push((name, self.value(depth + 1)?));
            self.blanks();
            match self.peek()? {
                b',' => self.sign(b','),
                b'}' => break self.at += 1,
                _ => return None,
            };
        }
        if members.len() > FEW_MEMBERS {
            let mut names = FxHashSet::default();
            if !members.iter().all(|(name, _)| names.insert(name.as_str())) {
                return None;
            }
        }
        Some(NestedValue::Object(NestedObject { members, line }))
    }

    fn list(&mut self, depth: usize) -> Option<NestedValue> {
        let mut list = NestedList::default();
        self.sign(b'[');
        if self.peek()? == b']' {
            self.at += 1;
            return Some(NestedValue::List(list));
        }
        loop {
            list.lines.push(self.line);
            list.items.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek()? {
                b',' => self.sign(b','),
                b']' => break self.at += 1,
                _ => return None,
            };
        }
        Some(NestedValue::List(list))
    }

    fn string(&mut self) -> Option<String> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut end = start;
        let mut escaped = false;
        loop {
            end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
            if bytes[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        self.at = end + 1;
        // No byte ends the loop early, so that the compiler takes many at a time.
        if !bytes[start..end].iter().fold(true, |plain, byte| plain & (*byte >= 0x20)) {
            return None;
        }
        match escaped {
            true => serde_json::from_str(&self.text[start - 1..=end]).ok(),
            false => Some(self.text[start..end].to_owned()),
        }
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        digits
    }

    fn number(&mut self) -> Option<NestedValue> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || zero && whole > 1 {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return None;
            }
        }
        let text = &self.text[start..self.at];
        // A number that 64 bits cannot hold stays the text that was written.
        Some(match Value::number(text) {
            Some(number) => NestedValue::Number(number),
            None => NestedValue::Text(text.to_owned()),
        })
    }
}
