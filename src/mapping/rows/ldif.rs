//! Blocks of `name: value` lines with blank lines between them: LDIF, as directories export it, and what
//! package managers list.
//!
//! ```text
//! dn: CN=Ana,DC=example,DC=com
//! memberOf: CN=SRE,DC=example,DC=com          { "dn": "CN=Ana,...", "memberOf": ["CN=SRE,...", "CN=VPN,..."],
//! memberOf: CN=VPN,DC=example,DC=com            "cn": "Zoë" }
//! cn:: Wm/Dqw==
//! ```
//!
//! A line that begins with a blank goes on with the one before it. A value behind `::` is base64. What
//! `:<` names is never fetched.

use crate::lang::{NestedList, NestedObject, NestedValue};
use std::collections::HashMap;

/// Puts the lines of a block together.
#[derive(Default)]
pub(super) struct BlockReader {
    object: NestedObject,
    /// The position of each name among the members.
    names: HashMap<String, usize>,
    /// The line that may go on: its text, and its number.
    open: Option<(String, u32)>,
}

/// The most bytes of a value that goes over several lines.
const VALUE_MAX: usize = 64 << 20;

impl BlockReader {
    /// Takes a line without its end. Returns the block that it ends.
    ///
    /// # Errors
    ///
    /// Words about a line that says nothing, and its number.
    pub(super) fn line(
        &mut self,
        text: &str,
        number: u32,
    ) -> Result<Option<NestedValue>, (String, u32)> {
        if text.trim().is_empty() {
            return self.end();
        }
        if text.starts_with('#') {
            return Ok(None);
        }
        if let Some(more) = text.strip_prefix([' ', '\t']) {
            let Some((open, _)) = &mut self.open else {
                return Err(("the line goes on with none before it".to_owned(), number));
            };
            if open.len() + more.len() > VALUE_MAX {
                return Err(("the value is longer than 64 MiB".to_owned(), number));
            }
            open.push_str(more);
            return Ok(None);
        }
        self.close()?;
        self.open = Some((text.to_owned(), number));
        Ok(None)
    }

    /// Ends the block, if one is open.
    ///
    /// # Errors
    ///
    /// Those of [`BlockReader::line`].
    pub(super) fn end(&mut self) -> Result<Option<NestedValue>, (String, u32)> {
        self.close()?;
        self.names.clear();
        let object = std::mem::take(&mut self.object);
        Ok((!object.members.is_empty()).then_some(NestedValue::Object(object)))
    }

    /// Takes the line that went on so far.
    fn close(&mut self) -> Result<(), (String, u32)> {
        let Some((text, number)) = self.open.take() else { return Ok(()) };
        let Some((name, value)) = text.split_once(':') else {
            return Err(("expected `name: value`".to_owned(), number));
        };
        let value = match (value.strip_prefix(':'), value.strip_prefix('<')) {
            (Some(coded), _) => {
                let bytes = base64(coded.trim())
                    .ok_or_else(|| (format!("the value of `{name}` is no base64"), number))?;
                // What is no text, such as a picture or an id of bytes, stays as it is written.
                String::from_utf8(bytes).unwrap_or_else(|_| coded.trim().to_owned())
            }
            (_, Some(place)) => place.trim().to_owned(),
            _ => value.trim().to_owned(),
        };
        if self.object.members.is_empty() {
            self.object.line = number;
        }
        let value = NestedValue::Text(value);
        match self.names.get(name) {
            None => {
                self.names.insert(name.to_owned(), self.object.members.len());
                self.object.members.push((name.to_owned(), value));
            }
            Some(&at) => match &mut self.object.members[at].1 {
                NestedValue::List(list) => list.items.push(value),
                first => {
                    let items = vec![std::mem::replace(first, NestedValue::Null), value];
                    *first = NestedValue::List(NestedList::from(items));
                }
            },
        }
        Ok(())
    }
}

/// The bytes of a base64 text; `None` if it is none.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut reader = BlockReader::default();
        let mut blocks = Vec::new();
        let fail = |(words, line): (String, u32)| format!("{line} {words}");
        for (line, number) in text.lines().zip(1..) {
            blocks.extend(reader.line(line, number).map_err(fail)?);
        }
        blocks.extend(reader.end().map_err(fail)?);
        let shown = |block: &NestedValue| match block {
            NestedValue::Object(object) => format!("{} {}", object.line, block.to_json()),
            other => format!("{other:?}"),
        };
        Ok(blocks.iter().map(shown).collect())
    }

    #[test]
    fn blocks_are_objects_and_names_that_stand_twice_are_lists() {
        let text = "# users\n\ndn: CN=Ana,\n  OU=Eng\nmemberOf: a\ncn:: Wm/Dqw==\nmemberOf: b\nmemberOf: c\n\n\n\ndn: x\nphoto:: /9g=\nurl:< file:///etc/passwd\nempty:\n";
        let expected = [
            r#"3 {"cn":"Zoë","dn":"CN=Ana, OU=Eng","memberOf":["a","b","c"]}"#,
            r#"12 {"dn":"x","empty":"","photo":"/9g=","url":"file:///etc/passwd"}"#,
        ];
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read("\n# nothing\n").unwrap(), [""; 0]);
    }

    #[test]
    fn lines_that_say_nothing_are_faults() {
        assert_eq!(read("dn: x\nno colon\n").unwrap_err(), "2 expected `name: value`");
        assert_eq!(read(" more\n").unwrap_err(), "1 the line goes on with none before it");
        assert_eq!(read("a:: =x\n").unwrap_err(), "1 the value of `a` is no base64");
    }

    #[test]
    fn base64_is_decoded() {
        let texts = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg", "Z", "Zg===", "Z g="];
        let bytes = texts.map(|text| base64(text).map(|b| String::from_utf8(b).unwrap()));
        let expected =
            [Some(""), Some("f"), Some("fo"), Some("foo"), Some("foob"), None, None, None];
        assert_eq!(bytes, expected.map(|text| text.map(str::to_owned)));
    }
}
