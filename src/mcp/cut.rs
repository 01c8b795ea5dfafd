//! Answers cut to a size that an assistant can read, while they are written.
//!
//! A serializer makes JSON values of an answer: the first items of each list, the beginning of each long
//! text, and nothing more once the whole is large. What is left out is never written, so that an answer
//! with a million rows costs what its shown rows cost. Each cut is recorded with its place and both
//! counts. Members of the answer itself are always there.

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Error, Map, Number, Value as Json};
use std::cell::RefCell;

/// The room of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRoom {
    /// Items of each list of the answer itself.
    pub items: usize,
    /// Items of the lists inside of those.
    pub nested: usize,
    /// Characters of a text. No key is longer.
    pub text: usize,
    /// Bytes of it all, about.
    pub bytes: usize,
}

impl AnswerRoom {
    /// Room for so many items in each list of the answer.
    pub fn of_items(items: usize) -> AnswerRoom {
        AnswerRoom { items, nested: 100, text: 2_000, bytes: 48 << 10 }
    }
}

/// A part of an answer that was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutRecord {
    /// Its place, as a JSON pointer.
    pub at: String,
    /// `items` of a list, `members` of an object or `characters` of a text.
    pub what: &'static str,
    /// How many are there.
    pub shown: usize,
    /// How many there would be.
    pub of: usize,
}

/// Cuts that are listed one by one.
const LISTED: usize = 20;

/// Makes the JSON of an answer within a room. Returns it with what was cut, and how many cuts are not
/// listed.
///
/// # Errors
///
/// The error of the answer's own writing.
pub fn cut(
    answer: &impl Serialize,
    room: AnswerRoom,
) -> Result<(Json, Vec<CutRecord>, usize), Error> {
    let state = RefCell::new(CutState::new(room));
    let value = answer.serialize(CutSerializer(&state))?;
    let CutState { cuts, more, .. } = state.into_inner();
    Ok((value, cuts, more))
}

/// The cuts so far, and where the writing is.
struct CutState {
    room: AnswerRoom,
    bytes: usize,
    place: Vec<String>,
    cuts: Vec<CutRecord>,
    more: usize,
}

impl CutState {
    fn new(room: AnswerRoom) -> CutState {
        CutState { room, bytes: 0, place: Vec::new(), cuts: Vec::new(), more: 0 }
    }

    fn full(&self) -> bool {
        self.bytes > self.room.bytes
    }

    /// The items of a list at this place.
    fn items(&self) -> usize {
        if self.place.len() <= 1 { self.room.items } else { self.room.nested }
    }

    fn record(&mut self, what: &'static str, shown: usize, of: usize) {
        if self.cuts.len() == LISTED {
            self.more += 1;
            return;
        }
        let step = |step: &String| format!("/{}", step.replace('~', "~0").replace('/', "~1"));
        let at = self.place.iter().map(step).collect();
        self.cuts.push(CutRecord { at, what, shown, of });
    }

    fn text(&mut self, text: &str) -> String {
        // A character has at least one byte, so most texts need no count.
        if text.len() > self.room.text
            && let Some((end, _)) = text.char_indices().nth(self.room.text)
        {
            self.record("characters", self.room.text, text.chars().count());
            self.bytes += end;
            return format!("{}…", &text[..end]);
        }
        self.bytes += text.len() + 2;
        text.to_owned()
    }
}

/// Writes values into JSON values, with less of them the less room is left.
#[derive(Clone, Copy)]
struct CutSerializer<'s>(&'s RefCell<CutState>);

impl CutSerializer<'_> {
    fn inside<T: ?Sized + Serialize>(self, step: String, value: &T) -> Result<Json, Error> {
        self.0.borrow_mut().place.push(step);
        let made = value.serialize(self);
        self.0.borrow_mut().place.pop();
        made
    }

    fn number(self, number: impl Into<Number>) -> Result<Json, Error> {
        self.0.borrow_mut().bytes += 8;
        Ok(Json::Number(number.into()))
    }
}

/// A list that is being written.
struct CutList<'s> {
    serializer: CutSerializer<'s>,
    variant: Option<&'static str>,
    items: Vec<Json>,
    seen: usize,
}

impl CutList<'_> {
    fn add<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        let at = self.seen;
        self.seen += 1;
        let state = self.serializer.0.borrow();
        let fits = self.items.len() == at && at < state.items() && !state.full();
        drop(state);
        if fits {
            self.items.push(self.serializer.inside(at.to_string(), value)?);
        }
        Ok(())
    }

    fn done(self) -> Json {
        if self.items.len() < self.seen {
            self.serializer.0.borrow_mut().record("items", self.items.len(), self.seen);
        }
        wrapped(self.variant, Json::Array(self.items))
    }
}

/// An object that is being written.
struct CutObject<'s> {
    serializer: CutSerializer<'s>,
    variant: Option<&'static str>,
    members: Map<String, Json>,
    seen: usize,
    key: Option<String>,
    /// True for a text that is JSON already.
    raw: bool,
}

impl CutObject<'_> {
    fn add<T: ?Sized + Serialize>(&mut self, key: String, value: &T) -> Result<(), Error> {
        self.seen += 1;
        let mut state = self.serializer.0.borrow_mut();
        // Programs count on the members of the answer itself.
        let fits = state.place.is_empty() || !state.full();
        state.bytes += key.len() + 4;
        drop(state);
        if fits {
            let value = self.serializer.inside(key.clone(), value)?;
            self.members.insert(key, value);
        }
        Ok(())
    }

    fn done(mut self) -> Result<Json, Error> {
        if self.raw {
            let text = self.members.remove(RAW).unwrap_or_default();
            let value: Json = serde_json::from_str(text.as_str().unwrap_or("null"))?;
            return value.serialize(self.serializer);
        }
        if self.members.len() < self.seen {
            self.serializer.0.borrow_mut().record("members", self.members.len(), self.seen);
        }
        Ok(wrapped(self.variant, Json::Object(self.members)))
    }
}

/// The name by which the library marks a text that is JSON already.
const RAW: &str = "$serde_json::private::RawValue";

fn wrapped(variant: Option<&'static str>, value: Json) -> Json {
    match variant {
        Some(variant) => Json::Object(Map::from_iter([(variant.to_owned(), value)])),
        None => value,
    }
}

impl<'s> CutSerializer<'s> {
    fn items(self, variant: Option<&'static str>) -> CutList<'s> {
        CutList { serializer: self, variant, items: Vec::new(), seen: 0 }
    }

    fn object(self, variant: Option<&'static str>, raw: bool) -> CutObject<'s> {
        CutObject { serializer: self, variant, members: Map::new(), seen: 0, key: None, raw }
    }
}

impl<'s> Serializer for CutSerializer<'s> {
    type Ok = Json;
    type Error = Error;
    type SerializeSeq = CutList<'s>;
    type SerializeTuple = CutList<'s>;
    type SerializeTupleStruct = CutList<'s>;
    type SerializeTupleVariant = CutList<'s>;
    type SerializeMap = CutObject<'s>;
    type SerializeStruct = CutObject<'s>;
    type SerializeStructVariant = CutObject<'s>;

    fn serialize_bool(self, value: bool) -> Result<Json, Error> {
        Ok(Json::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> Result<Json, Error> {
        self.number(value)
    }

    fn serialize_f32(self, value: f32) -> Result<Json, Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Json, Error> {
        match Number::from_f64(value) {
            Some(number) => self.number(number),
            None => Ok(Json::Null),
        }
    }

    fn serialize_char(self, value: char) -> Result<Json, Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Json, Error> {
        Ok(Json::String(self.0.borrow_mut().text(value)))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Json, Error> {
        let mut list = self.items(None);
        value.iter().try_for_each(|byte| list.add(byte))?;
        Ok(list.done())
    }

    fn serialize_none(self) -> Result<Json, Error> {
        Ok(Json::Null)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Json, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Json, Error> {
        Ok(Json::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Json, Error> {
        Ok(Json::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Json, Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Json, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Json, Error> {
        Ok(wrapped(Some(variant), self.inside(variant.to_owned(), value)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<CutList<'s>, Error> {
        Ok(self.items(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<CutList<'s>, Error> {
        Ok(self.items(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<CutList<'s>, Error> {
        Ok(self.items(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<CutList<'s>, Error> {
        Ok(self.items(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<CutObject<'s>, Error> {
        Ok(self.object(None, false))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<CutObject<'s>, Error> {
        Ok(self.object(None, name == RAW))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<CutObject<'s>, Error> {
        Ok(self.object(Some(variant), false))
    }
}

impl SerializeSeq for CutList<'_> {
    type Ok = Json;
    type Error = Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<Json, Error> {
        Ok(self.done())
    }
}

impl SerializeTuple for CutList<'_> {
    type Ok = Json;
    type Error = Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<Json, Error> {
        Ok(self.done())
    }
}

impl SerializeTupleStruct for CutList<'_> {
    type Ok = Json;
    type Error = Error;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<Json, Error> {
        Ok(self.done())
    }
}

impl SerializeTupleVariant for CutList<'_> {
    type Ok = Json;
    type Error = Error;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<Json, Error> {
        Ok(self.done())
    }
}

impl SerializeMap for CutObject<'_> {
    type Ok = Json;
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(match serde_json::to_value(key)? {
            Json::String(key) => key,
            other => other.to_string(),
        });
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().ok_or_else(|| ser::Error::custom("a value without a key"))?;
        self.add(key, value)
    }

    fn end(self) -> Result<Json, Error> {
        self.done()
    }
}

impl SerializeStruct for CutObject<'_> {
    type Ok = Json;
    type Error = Error;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        match self.raw {
            // Its text is read whole; what is in it is cut.
            true => {
                self.members.insert(key.to_owned(), serde_json::to_value(value)?);
                Ok(())
            }
            false => self.add(key.to_owned(), value),
        }
    }

    fn end(self) -> Result<Json, Error> {
        self.done()
    }
}

impl SerializeStructVariant for CutObject<'_> {
    type Ok = Json;
    type Error = Error;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.add(key.to_owned(), value)
    }

    fn end(self) -> Result<Json, Error> {
        self.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    const ROOM: AnswerRoom = AnswerRoom { items: 3, nested: 2, text: 5, bytes: 10_000 };

    #[derive(Serialize)]
    struct Answer {
        total: usize,
        by_distance: BTreeMap<u32, f64>,
        rows: Vec<Json>,
        raw: Box<serde_json::value::RawValue>,
        none: Option<u8>,
        kind: Kind,
    }

    #[derive(Serialize)]
    enum Kind {
        Plain,
        Pair(u8, i64),
        Named { a: (u8, char) },
    }

    fn answer(rows: Vec<Json>, kind: Kind) -> Answer {
        let raw = serde_json::value::RawValue::from_string("{\"a\":[1,2,3]}".into()).unwrap();
        let by_distance = BTreeMap::from([(1, 0.5), (2, f64::NAN)]);
        Answer { total: rows.len(), by_distance, rows, raw, none: None, kind }
    }

    #[test]
    fn what_fits_is_the_same_json() {
        let room = AnswerRoom::of_items(50);
        for kind in [Kind::Plain, Kind::Pair(1, -2), Kind::Named { a: (3, 'x') }] {
            let whole = answer(vec![json!({ "k": [1, 2.5, null, true, "text", u64::MAX] })], kind);
            let (value, cuts, more) = cut(&whole, room).unwrap();
            assert_eq!(value, serde_json::to_value(&whole).unwrap());
            assert_eq!((cuts, more), (Vec::new(), 0));
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_where_it_was() {
        let rows =
            vec![json!("abcdefg"), json!({ "a/b": [1, 2, 3, 4] }), json!(1), json!(2), json!(3)];
        let (value, cuts, _) = cut(&answer(rows, Kind::Plain), ROOM).unwrap();
        assert_eq!(value["rows"], json!(["abcde…", { "a/b": [1, 2] }, 1]));
        assert_eq!(value["raw"], json!({ "a": [1, 2] }));
        assert_eq!(value["total"], 5);
        let told: Vec<String> =
            cuts.iter().map(|c| format!("{} {} {}/{}", c.at, c.what, c.shown, c.of)).collect();
        assert_eq!(
            told,
            [
                "/rows/0 characters 5/7",
                "/rows/1/a~1b items 2/4",
                "/rows items 3/5",
                "/raw/a items 2/3",
            ]
        );
    }

    #[test]
    fn a_large_answer_ends_in_time_and_keeps_its_members() {
        let room = AnswerRoom { items: 1_000_000, nested: 10, text: 100, bytes: 1_000 };
        let rows = vec![json!({ "name": "x".repeat(90), "more": { "a": 1 } }); 10_000];
        let (value, cuts, _) = cut(&answer(rows, Kind::Plain), room).unwrap();
        assert!(value.to_string().len() < 3_000, "{}", value.to_string().len());
        assert!(cuts.iter().any(|c| c.at == "/rows" && c.of == 10_000 && c.shown > 3), "{cuts:?}");
        for member in ["total", "by_distance", "raw", "none", "kind"] {
            assert!(value.get(member).is_some(), "{member} is missing");
        }
    }
}
