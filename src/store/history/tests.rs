use super::keys::{HistoryKey, HistorySpace};
use super::record::{HeadsRow, RecordedHead, RevisionRow, encode_heads};
use super::{SPAN, encode_heads_by_group};
use crate::store::heads::ObjectHead;
use proptest::prelude::*;

fn head(version: u32, key: &str, display: Option<&str>) -> ObjectHead {
    ObjectHead {
        scope: 1,
        version,
        key: key.into(),
        display: display.map(Into::into),
        ..ObjectHead::default()
    }
}

#[test]
fn a_record_leaves_out_the_texts_that_stayed_and_takes_them_from_later_versions() {
    let [first, second, third] =
        [head(1, "k", Some("a")), head(2, "k", Some("b")), head(3, "k", Some("b"))];
    let mut before_second = RecordedHead::of(7, first.clone(), Some(&second)).expect("it changed");
    assert_eq!((before_second.key_stayed, before_second.display_stayed), (true, false));
    assert_eq!(&*before_second.head.key, "");
    let before_third = RecordedHead::of(7, second.clone(), Some(&third)).expect("it changed");
    assert_eq!((before_third.key_stayed, before_third.display_stayed), (true, true));
    assert_eq!(before_third.clone().completed(Some(&third)), Some(second.clone()));
    before_second.complete(&before_third);
    assert_eq!(before_second.completed(Some(&third)), Some(first.clone()));
    assert_eq!(before_third.completed(None), None, "a text that nothing holds any more is lost");
    assert_eq!(RecordedHead::of(7, third.clone(), Some(&third)), None, "nothing changed");
    // An object that goes has no text after it to take.
    let gone = RecordedHead::of(7, first.clone(), None).expect("it went");
    assert_eq!(gone.completed(None), Some(first));
}

#[test]
fn rows_end_with_their_group_and_are_found_by_number() {
    let numbers = [0, 5, SPAN - 1, SPAN, SPAN + 1, 9 * SPAN];
    let records: Vec<RecordedHead> = numbers
        .iter()
        .map(|&number| RecordedHead::of(number, head(number, "k", None), None).expect("it went"))
        .collect();
    let rows = encode_heads_by_group(&records);
    assert_eq!(rows.iter().map(|(group, _)| *group).collect::<Vec<_>>(), [0, 1, 9]);
    for (group, payload) in &rows {
        let row = HeadsRow::parse(*group, payload).expect("whole");
        for at in 0..row.len() {
            let number = row.number(at);
            assert_eq!(row.find(number), Some(at));
            assert_eq!(row.get(at).expect("whole").head.version, number);
        }
        assert_eq!(row.find(3), None);
        assert_eq!(HeadsRow::parse(group + 1, payload).expect("whole").find(SPAN - 1), None);
    }
}

proptest! {
    #[test]
    fn heads_come_back_as_they_were_recorded(
        versions in prop::collection::btree_map(0..SPAN, (1..9u32, any::<bool>(), any::<bool>()), 1..60),
        group in 0..9u32,
    ) {
        let records: Vec<RecordedHead> = versions
            .iter()
            .map(|(offset, (version, key_stayed, display_stayed))| RecordedHead {
                number: group * SPAN + offset,
                head: head(*version, if *key_stayed { "" } else { "key" }, None),
                key_stayed: *key_stayed,
                display_stayed: *display_stayed,
            })
            .collect();
        let payload = encode_heads(&records);
        prop_assert_eq!(HeadsRow::parse(group, &payload).and_then(|row| row.all()), Some(records));
    }

    #[test]
    fn keys_ascend_as_their_fields_do(a in key(), b in key()) {
        prop_assert_eq!(HistoryKey::read(&a.bytes()), Some(a));
        prop_assert_eq!(a.bytes().cmp(&b.bytes()), a.cmp(&b));
    }

    #[test]
    fn rows_of_revisions_come_back(time: i64, next_number: [u32; 2], next_job: u32, cut in 0..20usize) {
        let row = RevisionRow { time, next_number, next_job };
        let bytes = row.encode();
        prop_assert_eq!(RevisionRow::decode(&bytes), Some(row));
        prop_assert_eq!(RevisionRow::decode(&bytes[..cut.min(bytes.len() - 1)]), None);
    }

    #[test]
    fn rubbish_is_no_row_and_no_panic(bytes: Vec<u8>) {
        super::read_any(&bytes);
    }
}

fn key() -> impl Strategy<Value = HistoryKey> {
    (0..HistorySpace::ALL.len(), 0..3u32, 0..3u64, 0..3u32).prop_map(
        |(space, group, revision, part)| HistoryKey {
            space: HistorySpace::ALL[space],
            group,
            revision,
            part,
        },
    )
}
