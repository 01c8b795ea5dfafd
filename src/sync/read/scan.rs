//! The members of one JSON object, found in one pass over its text.
//!
//! An upload is millions of small flat objects with the same few sequences of names. The grammar
//! costs little; the work for each member costs most: allocating, sorting, comparing. So the scan
//! borrows everything, and it works the order of names out once for each *shape*, the sequence of
//! names of an object. It understands a part of JSON only and leaves the rest to the JSON library,
//! which either reads it or says what is wrong with it. So nothing is accepted here that the
//! library would refuse, and no message is made here.

use rustc_hash::{FxHashMap, FxHasher};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::hash::{Hash, Hasher};

/// Members of an object, names and values still as written.
pub type ObjectMembers<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// Shapes that are remembered before all are forgotten.
const SHAPES_MAX: usize = 1024;

/// The places of a name and its value in the text.
#[derive(Clone, Copy)]
pub struct MemberSpan {
    name: (u32, u32),
    value: (u32, u32),
    /// True if the value is a string without escapes.
    pub plain: bool,
}

impl MemberSpan {
    fn name<'a>(&self, text: &'a str) -> &'a str {
        &text[self.name.0 as usize..self.name.1 as usize]
    }

    /// The value as it stands in the text that was scanned.
    pub fn value<'a>(&self, text: &'a str) -> &'a str {
        &text[self.value.0 as usize..self.value.1 as usize]
    }
}

/// A sequence of names, and where each stands in ascending order.
pub struct ObjectShape {
    names: Vec<Box<str>>,
    order: Vec<u16>,
    frame: ShapeTemplate,
}

/// The text around the values of an object. In the next object it is mostly the same, so it is
/// compared and not read.
struct ShapeTemplate {
    /// The text before each value, its name included.
    before: Vec<ValuePrefix>,
    /// The text behind the last value.
    end: Box<[u8]>,
}

struct ValuePrefix {
    text: Box<[u8]>,
    /// The place of the name in it.
    name: (u32, u32),
}

/// Reads objects one after the other and remembers their shapes.
#[derive(Default)]
pub struct ObjectScanner {
    written: Vec<MemberSpan>,
    shapes: Vec<ObjectShape>,
    by_names: FxHashMap<u64, usize>,
    last: usize,
    epoch: u64,
}

impl ObjectScanner {
    /// Finds the members of the object `text`. False if the JSON library has to read it.
    pub fn scan(&mut self, text: &str) -> bool {
        if u32::try_from(text.len()).is_err() {
            return false;
        }
        self.written.clear();
        if let Some(shape) = self.shapes.get(self.last)
            && scan_framed(text, &shape.frame, &mut self.written).is_some()
        {
            return true;
        }
        // The first scan may have found members before it gave up.
        self.written.clear();
        scan(text, &mut self.written).is_some() && self.find_shape(text)
    }

    /// The members of the object that was scanned, in ascending order of their names.
    pub fn members<'a>(&self, text: &'a str) -> ObjectMembers<'a> {
        let member = |&at: &u16| {
            let member = &self.written[usize::from(at)];
            (Cow::Borrowed(member.name(text)), member.value(text))
        };
        self.shapes[self.last].order.iter().map(member).collect()
    }

    /// The members of the object that was scanned, as they were written.
    pub fn written(&self) -> &[MemberSpan] {
        &self.written
    }

    /// The shape of the object that was scanned, its number, and the epoch. The number of a shape
    /// stays the same as long as the epoch does.
    pub fn shape(&self) -> (&ObjectShape, usize, u64) {
        (&self.shapes[self.last], self.last, self.epoch)
    }

    /// Makes `last` the shape of the members found. False if a name stands twice.
    fn find_shape(&mut self, text: &str) -> bool {
        let written = &self.written;
        let fits = |shape: &ObjectShape| {
            shape.names.len() == written.len()
                && shape.names.iter().zip(written).all(|(known, m)| **known == *m.name(text))
        };
        if let Some(shape) = self.shapes.get_mut(self.last)
            && fits(shape)
        {
            // The names are known, but not the text between them.
            shape.frame = ShapeTemplate::of(text, written);
            return true;
        }
        let mut hasher = FxHasher::default();
        written.iter().for_each(|member| member.name(text).hash(&mut hasher));
        let hash = hasher.finish();
        // Other names may have the same hash, so the names decide.
        if let Some(&known) = self.by_names.get(&hash)
            && fits(&self.shapes[known])
        {
            self.last = known;
            return true;
        }
        let Some(shape) = ObjectShape::of(text, written) else { return false };
        if self.shapes.len() == SHAPES_MAX {
            self.shapes.clear();
            self.by_names.clear();
            // Numbers of shapes begin again, so what others keep by number is void.
            self.epoch += 1;
        }
        self.last = self.shapes.len();
        self.shapes.push(shape);
        self.by_names.insert(hash, self.last);
        true
    }
}

impl ShapeTemplate {
    /// The frame of an object whose members were found.
    fn of(text: &str, written: &[MemberSpan]) -> ShapeTemplate {
        let text = text.as_bytes();
        let mut at = 0;
        let before = written.iter().map(|member| {
            let start = std::mem::replace(&mut at, member.value.1);
            let text = text[start as usize..member.value.0 as usize].into();
            ValuePrefix { text, name: (member.name.0 - start, member.name.1 - start) }
        });
        let before = before.collect();
        ShapeTemplate { before, end: text[at as usize..].into() }
    }
}

impl ObjectShape {
    fn of(text: &str, written: &[MemberSpan]) -> Option<ObjectShape> {
        let name = |at: u16| written[usize::from(at)].name(text);
        let mut order: Vec<u16> = (0..u16::try_from(written.len()).ok()?).collect();
        order.sort_by_key(|&at| name(at));
        if order.windows(2).any(|pair| name(pair[0]) == name(pair[1])) {
            return None;
        }
        let names = written.iter().map(|member| Box::from(member.name(text))).collect();
        Some(ObjectShape { names, order, frame: ShapeTemplate::of(text, written) })
    }

    /// The names in ascending order, each with its position among the members as written.
    pub fn ascending(&self) -> impl Iterator<Item = (&str, u16)> {
        self.order.iter().map(|&at| (&*self.names[usize::from(at)], at))
    }
}

/// All members of the object that is `text`; `None` at the first thing that is not understood.
fn scan(text: &str, members: &mut Vec<MemberSpan>) -> Option<()> {
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, 0);
    at = expect(bytes, at, b'{')?;
    at = skip_space(bytes, at);
    if bytes.get(at) == Some(&b'}') {
        return (skip_space(bytes, at + 1) == bytes.len()).then_some(());
    }
    loop {
        at = expect(bytes, at, b'"')?;
        let end = plain_string_end(bytes, at)?;
        let name = (at as u32, end as u32);
        at = skip_space(bytes, end + 1);
        at = expect(bytes, at, b':')?;
        at = skip_space(bytes, at);
        let (end, plain) = value_end(text, at)?;
        members.push(MemberSpan { name, value: (at as u32, end as u32), plain });
        at = skip_space(bytes, end);
        match bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return (skip_space(bytes, at + 1) == bytes.len()).then_some(()),
            _ => return None,
        }
    }
}

/// The same for a text that probably has the frame of the one before. `None` also if it has
/// another.
fn scan_framed(text: &str, frame: &ShapeTemplate, members: &mut Vec<MemberSpan>) -> Option<()> {
    let bytes = text.as_bytes();
    let mut at = 0;
    for before in &frame.before {
        if !begins(&bytes[at..], &before.text) {
            return None;
        }
        let name = (at as u32 + before.name.0, at as u32 + before.name.1);
        at += before.text.len();
        let (end, plain) = value_end(text, at)?;
        members.push(MemberSpan { name, value: (at as u32, end as u32), plain });
        at = end;
    }
    (bytes[at..] == *frame.end).then_some(())
}

/// True if `bytes` begin with `known`, which is short: a call would take longer.
#[inline]
fn begins(bytes: &[u8], known: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..known.len()) else { return false };
    // The last eight bytes may overlap the eights before, so no single bytes are left over.
    match (bytes.last_chunk::<8>(), known.last_chunk::<8>()) {
        (Some(last), Some(known_last)) => {
            let mut eights = bytes.as_chunks::<8>().0.iter().zip(known.as_chunks::<8>().0);
            last == known_last && eights.all(|(a, b)| a == b)
        }
        _ => bytes.iter().zip(known).all(|(a, b)| a == b),
    }
}

fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*bytes.get(at)? == byte).then_some(at + 1)
}

#[inline]
fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The place of the closing quote of a string whose contents begin at `at`. `None` if it has
/// escapes or control characters, or does not end.
#[inline]
fn plain_string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Eight bytes at a time: the classic tests for a byte below n and for a byte equal to one.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let escape = has_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quote | escape | control;
        if found != 0 {
            // The lowest bit that is set is exact; only bits above it may be wrong, from a borrow.
            at += found.trailing_zeros() as usize / 8;
            return (bytes[at] == b'"').then_some(at);
        }
        at += 8;
    }
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' | 0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// The end of the value that begins at `at`, and true if it is a string without escapes.
#[inline]
fn value_end(text: &str, at: usize) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    if bytes.get(at)? == &b'"'
        && let Some(end) = plain_string_end(bytes, at + 1)
    {
        return Some((end + 1, true));
    }
    let end = match bytes.get(at)? {
        b't' => bytes[at..].starts_with(b"true").then_some(at + 4),
        b'f' => bytes[at..].starts_with(b"false").then_some(at + 5),
        b'n' => bytes[at..].starts_with(b"null").then_some(at + 4),
        b'-' | b'0'..=b'9' => number_end(bytes, at),
        _ => library_end(text, at),
    }?;
    Some((end, false))
}

/// The end of a plain number: a sign, digits without a leading zero, a fraction.
fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    at += usize::from(bytes[at] == b'-');
    let whole = digits(at);
    if whole == at || (bytes[at] == b'0' && whole > at + 1) {
        return None;
    }
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') {
        end = digits(whole + 1);
        if end == whole + 1 {
            return None;
        }
    }
    // Anything else, such as an exponent, is left to the JSON library.
    match bytes.get(end) {
        Some(b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r') | None => Some(end),
        Some(_) => None,
    }
}

/// Lets the library find the end of a value, which it checks on the way.
fn library_end(text: &str, at: usize) -> Option<usize> {
    let mut stream = serde_json::Deserializer::from_str(&text[at..]).into_iter::<&RawValue>();
    stream.next()?.ok()?;
    Some(at + stream.byte_offset())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    fn scanned(text: &str) -> Option<Vec<(String, String)>> {
        let mut scanner = ObjectScanner::default();
        let read = |(name, value): (Cow<'_, str>, &str)| (name.into_owned(), value.to_owned());
        let mut scan = || -> Option<Vec<(String, String)>> {
            scanner.scan(text).then(|| scanner.members(text).into_iter().map(read).collect())
        };
        let first = scan();
        // The second time its names are known.
        assert_eq!(scan(), first);
        first
    }

    #[test]
    fn plain_objects_are_read_in_the_order_of_their_names() {
        let pairs = |text: &str| {
            let members = scanned(text).expect(text);
            members.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(pairs(r#"{"b":1,"a":"x","c":[1, 2]}"#), r#"a="x" b=1 c=[1, 2]"#);
        assert_eq!(
            pairs(" { \"longer-name\" : -1.5 , \"a\":{\"b\":[]} } "),
            "a={\"b\":[]} longer-name=-1.5"
        );
        assert_eq!(
            pairs(r#"{"e":"a\"b","t":true,"n":null,"f":false}"#),
            r#"e="a\"b" f=false n=null t=true"#
        );
        assert_eq!(pairs("{}"), "");
    }

    #[test]
    fn whatever_else_is_left_to_the_library() {
        for text in [
            "",
            "[]",
            "{",
            "{}x",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":1e5}",
            "{\"a\":1.}",
            "{\"a\":-}",
            "{\"a\":tru}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\\u0041\":1}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1 2}",
            "{\"a\":[1,]}",
            "{\"a\":truefalse}",
            "{a:1}",
            "{\"a\":nullx}",
        ] {
            assert_eq!(scanned(text), None, "{text}");
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(2, 8, 4, |leaf| {
            prop_oneof![
                prop::collection::vec(leaf.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"]{1,3}", leaf, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        let object = prop::collection::btree_map("[a-z_é]{1,9}", value, 0..8);
        (object, any::<bool>()).prop_map(|(object, pretty)| match pretty {
            true => serde_json::to_string_pretty(&object).expect("JSON"),
            false => serde_json::to_string(&object).expect("JSON"),
        })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_library_reads(text in json(), cut: prop::sample::Index, byte: Option<u8>) {
            // Whole objects, and the same with one byte changed or cut off there.
            let mut bytes = text.clone().into_bytes();
            let at = cut.index(bytes.len());
            match byte {
                Some(byte) => bytes[at] = byte,
                None => bytes.truncate(at),
            }
            let broken = String::from_utf8_lossy(&bytes).into_owned();
            let mut scanner = ObjectScanner::default();
            for text in [&text, &broken] {
                let alone = scanned(text);
                // The names of the whole one are expected in the broken one.
                let scanned = scanner.scan(text);
                let members = scanned.then(|| scanner.members(text).into_iter());
                let owned = |(n, v): (Cow<'_, str>, &str)| (n.into_owned(), v.to_owned());
                let members: Option<Vec<_>> = members.map(|members| members.map(owned).collect());
                prop_assert_eq!(&members, &alone);
                let Some(members) = members else { continue };
                let theirs: BTreeMap<String, &RawValue> = serde_json::from_str(text)
                    .map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
                let theirs: Vec<(String, String)> =
                    theirs.into_iter().map(|(n, v)| (n, v.get().to_owned())).collect();
                prop_assert_eq!(members, theirs);
            }
        }
    }
}
