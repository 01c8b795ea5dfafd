//! The short way of an object into a batch: from its members to a record, without a draft between.
//!
//! Uploads have objects of a few shapes. The meaning of the names of a shape is worked out once, as
//! its *layout*. The short way takes complete objects with plain values whose names and keys are
//! valid. Everything else, and every fault, goes the long way through a draft. Both ways write the
//! same record, which a test checks.

use super::batch::BatchBuilder;
use crate::graph::{IdHash, InputLocation, NameKind, ObjectId, ObjectKind, Value, check_name};
use crate::store::put_value;
use crate::store::staging::{StagedEnd, StagedRelationship};
use crate::sync::mode::SyncMode;
use crate::sync::read::{
    IGNORED, MemberSpan, ObjectShape, PROPERTIES_MAX, STRING_MAX, is_relationship,
};
use std::borrow::Cow;

/// A position among the members of an object, as written.
type MemberPosition = u16;

/// The positions of the parts of an object of one shape.
pub struct ObjectLayout {
    kind: ObjectKind,
    key: MemberPosition,
    scope: Option<MemberPosition>,
    type_name: MemberPosition,
    class: MemberPosition,
    /// Key and scope of the ends of a relationship.
    ends: Option<[(MemberPosition, Option<MemberPosition>); 2]>,
    /// Properties in ascending order of their names: position, and name in the batch.
    properties: Vec<(MemberPosition, u32)>,
}

impl ObjectLayout {
    /// The layout of a shape; `None` if its objects go the long way.
    pub fn of(
        shape: &ObjectShape,
        expected: Option<ObjectKind>,
        mut intern: impl FnMut(&str) -> u32,
    ) -> Option<ObjectLayout> {
        let relationship = is_relationship(shape.ascending().map(|(name, _)| name), expected);
        let [mut key, mut scope, mut type_name, mut class] = [None; 4];
        let [mut from, mut to, mut from_scope, mut to_scope] = [None; 4];
        let mut properties = Vec::new();
        for (name, at) in shape.ascending() {
            let part = match name {
                "_key" => &mut key,
                "_scope" => &mut scope,
                "_type" => &mut type_name,
                "_class" => &mut class,
                "_fromEntityKey" if relationship => &mut from,
                "_toEntityKey" if relationship => &mut to,
                "_fromEntityScope" if relationship => &mut from_scope,
                "_toEntityScope" if relationship => &mut to_scope,
                "_fromEntitySource" | "_toEntitySource" if relationship => continue,
                name if IGNORED.contains(&name) => continue,
                // Other names that begin like this are refused, or have a meaning of their own.
                name if name.starts_with('_') => return None,
                name => {
                    check_name(NameKind::Property, name).ok()?;
                    properties.push((at, intern(name)));
                    continue;
                }
            };
            *part = Some(at);
        }
        if properties.len() > PROPERTIES_MAX {
            return None;
        }
        let (kind, ends) = match relationship {
            true => (ObjectKind::Relationship, Some([(from?, from_scope), (to?, to_scope)])),
            false => (ObjectKind::Entity, None),
        };
        let (key, type_name, class) = (key?, type_name?, class?);
        Some(ObjectLayout { kind, key, scope, type_name, class, ends, properties })
    }
}

/// The text of a plain string.
fn plain<'t>(member: &MemberSpan, text: &'t str) -> Option<&'t str> {
    member.plain.then(|| {
        let value = member.value(text);
        &value[1..value.len() - 1]
    })
}

impl BatchBuilder<'_> {
    /// Packs the object that was scanned last. `None` if it has to go the long way; the batch is
    /// then as it was.
    pub(super) fn pack_direct(
        &mut self,
        text: &str,
        spelling: u64,
        place: InputLocation,
        expected: Option<ObjectKind>,
    ) -> Option<()> {
        let rules = self.rules();
        // Objects of other modes may be incomplete.
        if !matches!(rules.mode, SyncMode::Diff | SyncMode::CrossScope) {
            return None;
        }
        let layout = self.layout(expected)?;
        let part = |builder: &Self, at: MemberPosition| {
            plain(&builder.scanner.written()[usize::from(at)], text)
        };
        let row = match layout.scope {
            Some(at) => Some(part(self, at)?),
            None => None,
        };
        let scope = match (rules.scope.as_deref(), row) {
            (Some(job), Some(row)) if job != row => return None,
            (Some(scope), _) | (None, Some(scope)) => scope,
            (None, None) => return None,
        };
        let key = part(self, layout.key)?;
        check_name(NameKind::Key, key).ok()?;
        let class = part(self, layout.class)?;
        let type_name = part(self, layout.type_name)?;
        let ends = match &layout.ends {
            Some(ends) => Some(self.direct_ends(text, scope, ends)?),
            // This mode takes no entities; the long way says so.
            None if rules.mode == SyncMode::CrossScope => return None,
            None => None,
        };
        // These checks come before the record begins, so a name that fails leaves no half record.
        let scope_number = self.checked_name_number(0, NameKind::Scope, scope)?;
        let type_number = self.checked_name_number(1, NameKind::Type, type_name)?;
        let class_number = self.checked_name_number(2, NameKind::Class, class)?;
        let offset = self.begin_record(place);
        match &ends {
            None => self.put_entity_head(key, type_number, class_number),
            Some([(from, _), (to, _)]) => {
                self.put_relationship_head(key, class, type_number, class_number, [from, to]);
            }
        }
        if !self.put_plain_properties(text, &layout) {
            self.cut_record(offset);
            return None;
        }
        let id = rules.hashed(ObjectId::new(layout.kind, scope, key));
        let object = self.staged(id, spelling, (scope_number, type_number), offset);
        match ends {
            None => self.batch.entities.push(object),
            Some([(_, from), (_, to)]) => {
                self.batch.relationships.push(StagedRelationship { object, from, to });
            }
        }
        Some(())
    }

    /// The keys of both ends, each with its staged end.
    fn direct_ends<'t>(
        &mut self,
        text: &'t str,
        job: &str,
        ends: &[(MemberPosition, Option<MemberPosition>); 2],
    ) -> Option<[(&'t str, StagedEnd); 2]> {
        let rules = self.rules();
        let mut found = [("", None, StagedEnd { scope: 0, id: IdHash(0) }); 2];
        for (i, (key, scope)) in ends.iter().enumerate() {
            let key = plain(&self.scanner.written()[usize::from(*key)], text)?;
            check_name(NameKind::Key, key).ok()?;
            let given = match scope {
                Some(at) => Some(plain(&self.scanner.written()[usize::from(*at)], text)?),
                None => None,
            };
            let scope = given.unwrap_or(job);
            let number = self.checked_name_number(3 + i, NameKind::Scope, scope)?;
            let id = rules.hashed(ObjectId::new(ObjectKind::Entity, scope, key));
            found[i] = (key, given, StagedEnd { scope: number, id });
        }
        let [(from, from_scope, from_end), (to, to_scope, to_end)] = found;
        // A relationship that breaks a rule goes the long way, which words the fault.
        if rules.mode == SyncMode::CrossScope {
            let outside = |scope: Option<&str>| scope.is_some_and(|scope| scope != job);
            let equal = rules.same_scope_reject && from_scope == to_scope;
            if !outside(from_scope) || !outside(to_scope) || equal {
                return None;
            }
        }
        Some([(from, from_end), (to, to_end)])
    }

    fn put_plain_properties(&mut self, text: &str, layout: &ObjectLayout) -> bool {
        self.put_count(layout.properties.len());
        for (at, name) in &layout.properties {
            let member = self.scanner.written()[usize::from(*at)];
            let Some(value) = scalar(&member, text) else { return false };
            self.put_name(*name);
            put_value(&mut self.batch.records, &value);
        }
        true
    }
}

/// A plain value; `None` for any other value and for a text that is too long.
fn scalar<'t>(member: &MemberSpan, text: &'t str) -> Option<Value<'t>> {
    if let Some(text) = plain(member, text) {
        return (text.len() <= STRING_MAX).then_some(Value::Text(Cow::Borrowed(text)));
    }
    let raw = member.value(text);
    match raw.as_bytes()[0] {
        b't' => Some(Value::Bool(true)),
        b'f' => Some(Value::Bool(false)),
        b'n' => Some(Value::Null),
        b'"' | b'[' | b'{' => None,
        _ => Value::number(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::BatchRules;
    use super::*;
    use crate::store::staging::ObjectBatch;
    use crate::sync::read::{DraftObject, parse_members};
    use proptest::prelude::*;

    /// The batch that a line makes, or its fault; by both ways or by the long one alone.
    fn batch(rules: &BatchRules, lines: &[String], direct: bool) -> Result<ObjectBatch, String> {
        let mut builder = BatchBuilder::new(rules);
        for (line, text) in (1..).zip(lines) {
            let place = InputLocation { input: 0, line };
            let pushed = if direct {
                builder.push_text(text, place, None)
            } else {
                let spelling = rules.spelling(text.as_bytes());
                parse_members(text, None, place, None).and_then(|draft| match draft {
                    DraftObject::Entity(draft) => builder.push_entity(&draft, Some(spelling)),
                    DraftObject::Relationship(draft) => {
                        builder.push_relationship(&draft, Some(spelling))
                    }
                })
            };
            pushed.map_err(|fault| format!("{fault:?}"))?;
        }
        Ok(builder.finish())
    }

    /// A batch with names for numbers: which number a name has depends on the way.
    fn named(batch: &ObjectBatch) -> Vec<String> {
        let record = |kind, staged: &crate::store::staging::StagedObject| {
            let at = (staged.offset, staged.len);
            let record = super::super::StagedRecord::read(kind, &batch.records, at).expect("whole");
            let name = |number: u32| batch.names[number as usize].clone();
            let (properties, raw) = record.properties().expect("whole");
            let properties: Vec<_> = properties.iter().map(|(n, v)| (name(*n), *v)).collect();
            format!(
                "{:?} {} {} {} {:?} {} {} {:?} {properties:?} {raw:?}",
                staged.id,
                staged.spelling,
                name(staged.scope),
                name(staged.type_name),
                record.place,
                record.key,
                name(record.class),
                record.ends()
            )
        };
        let entities = batch.entities.iter().map(|e| record(ObjectKind::Entity, e));
        let relationships = batch.relationships.iter().map(|r| {
            let end = |end: &StagedEnd| (end.id, batch.names[end.scope as usize].clone());
            format!(
                "{} {:?}",
                record(ObjectKind::Relationship, &r.object),
                (end(&r.from), end(&r.to))
            )
        });
        entities.chain(relationships).collect()
    }

    fn line() -> impl Strategy<Value = String> {
        let text = prop_oneof!["[a-d]{0,3}", "\"\\PC{0,4}\""].prop_map(|t: String| {
            let inner = t.trim_matches('"');
            serde_json::to_string(inner).expect("JSON")
        });
        let value = prop_oneof![
            4 => text.clone(),
            1 => "-?[0-9]{1,20}(\\.[0-9]{1,18})?",
            1 => prop::sample::select(vec!["true", "null", "[1,2]", "{}", "[]", "1e3", "\"\\u0041\""])
                .prop_map(str::to_owned),
        ];
        let names = prop::sample::select(vec![
            "_key",
            "_type",
            "_class",
            "_scope",
            "_fromEntityKey",
            "_toEntityKey",
            "_fromEntityScope",
            "_toEntityScope",
            "_fromEntitySource",
            "_id",
            "_source",
            "_other",
            "_rawData",
            "a",
            "b",
            "displayName",
        ]);
        let base = prop::sample::select(vec![
            r#""_key":"k","_type":"t","_class":"C""#,
            r#""_key":"a|c|b","_type":"t","_class":"C","_fromEntityKey":"a","_toEntityKey":"b""#,
            r#""_key":"k","_type":"t","_class":"C","_fromEntityKey":"a","_toEntityKey":"b","_fromEntityScope":"x","_toEntityScope":"y""#,
            "",
        ]);
        (base, prop::collection::vec((names, value), 0..5)).prop_map(|(base, more)| {
            let more = more.iter().map(|(name, value)| format!("\"{name}\":{value}"));
            let members: Vec<String> =
                (!base.is_empty()).then(|| base.to_owned()).into_iter().chain(more).collect();
            format!("{{{}}}", members.join(","))
        })
    }

    /// Once, no name at all was taken for the one that a position is guessed to have.
    #[test]
    fn an_empty_scope_is_refused_by_both_ways() {
        let rules = BatchRules {
            mode: SyncMode::Diff,
            scope: None,
            same_scope_reject: false,
            digest_seed: 7,
            known: None,
        };
        let line = r#"{"_key":"k","_type":"t","_class":"C","_fromEntityKey":"a","_toEntityKey":"b","_fromEntityScope":"x","_toEntityScope":"y","_scope":""}"#;
        for direct in [true, false] {
            let fault = batch(&rules, &[line.to_owned()], direct).unwrap_err();
            assert!(fault.contains("scope is empty"), "{fault}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_write_the_same(
            lines in prop::collection::vec(line(), 1..4),
            cross: bool,
            scope in prop::option::of("[a-d]"),
            same_scope_reject: bool,
        ) {
            let rules = BatchRules {
                mode: if cross { SyncMode::CrossScope } else { SyncMode::Diff },
                scope,
                same_scope_reject,
                digest_seed: 7,
                known: None,
            };
            let long = batch(&rules, &lines, false);
            let both = batch(&rules, &lines, true);
            prop_assert_eq!(both.map(|b| named(&b)), long.map(|b| named(&b)), "{:?}", lines);
        }
    }
}
