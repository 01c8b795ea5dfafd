//! Blocks against the records that went in, and against damage.

use super::*;
use crate::graph::Value;
use crate::store::codec::put_value;
use proptest::prelude::*;

type Properties = Vec<(u32, Value<'static>)>;

fn record_of(properties: &[(u32, Value<'static>)], raw: Option<&str>) -> Vec<u8> {
    let encoded: Vec<(u32, Vec<u8>)> = properties
        .iter()
        .map(|(name, value)| {
            let mut bytes = Vec::new();
            put_value(&mut bytes, value);
            (*name, bytes)
        })
        .collect();
    let mut out = Vec::new();
    write(&mut out, encoded.len(), encoded.iter().map(|(n, v)| (*n, &v[..])), raw);
    out
}

/// A block of these objects, read back and compared row by row; returns the block.
fn round_trip(objects: &[(Properties, Option<String>)]) -> Vec<u8> {
    let mut raw = Vec::new();
    for (properties, raw_data) in objects {
        put_bytes(&mut raw, &record_of(properties, raw_data.as_deref()));
    }
    let bytes = encode(&raw);
    let block = ColumnBlock::open(&bytes[..]).expect("whole");
    assert_eq!(block.rows(), objects.len());
    for (row, (properties, raw_data)) in objects.iter().enumerate() {
        let row = row as u32;
        let record = block.record(row).expect("whole");
        let (mut found, found_raw) = read(&record).expect("whole");
        found.sort_by_key(|(name, _)| *name);
        let mut known = properties.clone();
        known.sort_by_key(|(name, _)| *name);
        assert_eq!(format!("{found:?}"), format!("{known:?}"), "as printed, so -0.0 is not 0.0");
        assert_eq!(found_raw, raw_data.as_deref());
        let mut names = Vec::new();
        block.for_each_name(row, |name| names.push(name)).expect("whole");
        names.sort_unstable();
        assert_eq!(names, known.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for name in 1..12 {
            let value = known.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
            assert_eq!(block.value(name, row), Some(value.clone()));
            let Some(column) = block.place_of(name) else { continue };
            let code = block.code_at(column, row).expect("whole");
            assert_eq!(code == RowCode::Absent, value.is_none());
        }
    }
    assert_eq!(block.value(1, objects.len() as u32), None, "behind the last row");
    assert_eq!(block.record(objects.len() as u32), None);
    bytes
}

/// Values as they come in real data: of few kinds in a column, alike, or of any kind.
fn column_values() -> impl Strategy<Value = Vec<Option<Value<'static>>>> {
    let text = |s: String| Value::Text(s.into());
    let rows = 0..120usize;
    let mixed = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::Float),
        ".{0,40}".prop_map(text),
        prop::collection::vec("[a-z]{0,5}".prop_map(text), 0..4).prop_map(Value::List),
    ]
    .boxed();
    let of = move |values: BoxedStrategy<Value<'static>>| {
        prop::collection::vec(prop::option::weighted(0.9, values), rows.clone()).boxed()
    };
    let cents = |range: std::ops::Range<i64>| {
        range.prop_map(|n| match n % 100 {
            0 => Value::Int(n / 100),
            _ => Value::Float(n as f64 / 100.0),
        })
    };
    prop_oneof![
        of(mixed),
        of((-50..50i64).prop_map(Value::Int).boxed()),
        of(any::<i64>().prop_map(Value::Int).boxed()),
        of(cents(-9_000..9_000).boxed()),
        of((-9_000..9_000i64).prop_map(|n| Value::Float(n as f64 / 4.0)).boxed()),
        of((0..5u8).prop_map(move |n| text(format!("kind {n}"))).boxed()),
        of((0..99_999u32).prop_map(move |n| text(format!("host-{n}.corp"))).boxed()),
        of((0..99_999u32).prop_map(move |n| text(format!("{n:05}"))).boxed()),
        of((0..u64::MAX).prop_map(move |n| text(format!("{n}"))).boxed()),
        of("[a-f]{30,60}".prop_map(move |s| text(s.repeat(9))).boxed()),
    ]
}

fn objects() -> impl Strategy<Value = Vec<(Properties, Option<String>)>> {
    let columns = prop::collection::vec(column_values(), 0..6);
    (columns, prop::collection::vec(prop::option::weighted(0.2, ".{1,300}"), 1..120)).prop_map(
        |(columns, raws)| {
            let object = |(row, raw): (usize, Option<String>)| {
                let has = |(at, column): (usize, &Vec<Option<Value<'static>>>)| {
                    Some((at as u32 * 2 + 1, column.get(row)?.clone()?))
                };
                (columns.iter().enumerate().filter_map(has).collect(), raw)
            };
            raws.into_iter().enumerate().map(object).collect()
        },
    )
}

proptest! {
    #[test]
    fn blocks_come_back_as_they_were(objects in objects()) {
        round_trip(&objects);
    }

    #[test]
    fn a_flipped_bit_never_panics(objects in objects(), at: prop::sample::Index, bit in 0..8) {
        let mut bytes = round_trip(&objects);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        let Some(block) = ColumnBlock::open(&bytes[..]) else { return Ok(()) };
        for row in 0..block.rows() as u32 {
            let _ = block.record(row);
            let _ = block.for_each_name(row, |_| ());
            for column in 0..6 {
                let _ = block.code_at(column, row);
            }
        }
    }

    #[test]
    fn rubbish_is_no_block_and_no_panic(bytes: Vec<u8>) {
        if let Some(block) = ColumnBlock::open(&bytes[..]) {
            (0..block.rows().min(9) as u32).for_each(|row| drop(block.record(row)));
        }
    }
}

/// The form of the only column of a block, whose values are all present.
fn form_of(values: impl IntoIterator<Item = Value<'static>>) -> (u8, usize) {
    let objects: Vec<_> = values.into_iter().map(|value| (vec![(1, value)], None)).collect();
    let bytes = round_trip(&objects);
    let mut cursor = crate::store::codec::ByteCursor(&bytes);
    for _ in 0..5 {
        cursor.varint().expect("the directory");
    }
    (cursor.0[1], bytes.len())
}

#[test]
fn each_form_is_chosen_where_it_is_shortest() {
    let text = |text: String| Value::Text(text.into());
    assert_eq!(form_of((0..1000).map(|n| Value::Int(n * 7919 % 100))).0, 1);
    assert_eq!(form_of((0..1000).map(|n| Value::Float(f64::from(n) + 0.25))).0, 1);
    assert_eq!(form_of((0..1000).map(|n| text(format!("team {}", n % 3)))).0, 2);
    assert_eq!(form_of((0..1000).map(|n| Value::Bool(n % 2 == 0))).0, 2);
    assert_eq!(form_of((0..1000).map(|n| Value::Int(n % 2 * (1 << 50)))).0, 2, "two far apart");
    let (form, bytes) = form_of((0..1000).map(|n| text(format!("arn:aws:iam::{n:012}:role"))));
    assert_eq!((form, bytes < 60), (3, true), "a step of one takes nothing");
    let (form, bytes) = form_of((0..1000).map(|n: u64| text(format!("{:x}", n.pow(6)).repeat(3))));
    assert_eq!((form, bytes < 25_000), (4, true), "{bytes}");
}

#[test]
fn records_are_found_by_owner_block_and_slot() {
    let mut packer = BodyPacker::default();
    let next = [7, 70].map(AtomicU32::new);
    let mut blocks = BTreeMap::new();
    let mut places = Vec::new();
    let text =
        |i: u64| format!("{:016x} {}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15), "x".repeat(60));
    for i in 0..60_000u32 {
        let owner = u32::from(i % 3 == 0);
        let record = record_of(&[(1, Value::Text(text(i.into()).into()))], None);
        let (place, full) = packer.push(owner, &record, &next[owner as usize]);
        places.push((owner, place));
        blocks.extend(full.map(|(block, payload)| ((owner, block), payload)));
    }
    let last = packer.close();
    assert_eq!(last.iter().map(|(owner, _)| *owner).collect::<Vec<_>>(), [0, 1]);
    blocks.extend(last.into_iter().map(|(owner, (block, payload))| ((owner, block), payload)));
    assert!(packer.close().is_empty());
    let numbers = |owner: u32, first: u32, next: u32| (first..next).map(move |b| (owner, b));
    let [first, second] = next.map(AtomicU32::into_inner);
    assert!(first > 8 && second > 71, "several blocks each");
    assert!(blocks.keys().copied().eq(numbers(0, 7, first).chain(numbers(1, 70, second))));
    for payload in blocks.values() {
        assert!(payload.len() < 65_000, "{}: each fits a page", payload.len());
    }
    let opened: BTreeMap<_, _> =
        blocks.into_iter().map(|(at, payload)| (at, ColumnBlock::open(payload).unwrap())).collect();
    for (i, (owner, (block, slot))) in places.into_iter().enumerate() {
        let found = opened[&(owner, block)].value(1, slot).expect("whole").expect("there");
        assert_eq!(found, Value::Text(text(i as u64).into()));
    }
}

#[test]
fn what_claims_to_become_long_takes_no_memory() {
    let long = Value::Text("abcdefgh ".repeat(9_000).into());
    let objects: Vec<_> = (0..9).map(|_| (vec![(1, long.clone())], None)).collect();
    let mut bytes = round_trip(&objects);
    // Rows, memory and count of columns come first; a claim of more rows than there may be is none.
    bytes[0] = 0xFF;
    assert!(ColumnBlock::open(&bytes[..]).is_none_or(|block| block.record(0).is_none()));
}
