//! The relationship between two entities: its key, type and properties, worked out from the templates of
//! the file.

use super::ends::name;
use super::environment::ExprEnvironment;
use super::mapping_graph::EndCandidate;
use crate::graph::{
    DraftEnd, DraftRelationship, NameKind, Value, check_name, default_relationship_key,
};
use crate::lang::render;
use crate::mapping::model::{Mapping, MatchAlternative, PropertyAssignment};

/// True if two drafts of one key say the same edge, whatever rows they come from.
pub(super) fn same_edge(a: &DraftRelationship<'_>, b: &DraftRelationship<'_>) -> bool {
    a.type_name == b.type_name && a.from == b.from && a.to == b.to && a.properties == b.properties
}

impl MatchAlternative {
    /// Its name; else the subject of its condition, e.g. `serial`; else its number, counted from 1.
    pub(in crate::mapping) fn label(&self, index: usize) -> String {
        self.name.clone().or_else(|| self.when.subject()).unwrap_or_else(|| (index + 1).to_string())
    }
}

impl Mapping {
    /// The edge between two entities, and the properties that it lacks, each with the part of its
    /// template that is undefined; `Err` says what is undefined of its key or type.
    pub(super) fn draft(
        &self,
        env: &ExprEnvironment<'_>,
        (from, to): (&EndCandidate, &EndCandidate),
        alternatives: [Option<&MatchAlternative>; 2],
    ) -> Result<(DraftRelationship<'static>, Vec<(String, String)>), String> {
        let key = match &self.edge.key {
            Some(key) => name(key, env, NameKind::Key)?,
            None => default_relationship_key(&from.key, &self.class, &to.key),
        };
        check_name(NameKind::Key, &key).map_err(|e| e.to_string())?;
        let type_name = match &self.edge.type_name {
            Some(template) => name(template, env, NameKind::Type)?,
            None => format!("{}_{}_{}", from.type_name, self.class.to_lowercase(), to.type_name),
        };
        let mut properties: Vec<(std::borrow::Cow<'static, str>, Value<'static>)> = Vec::new();
        let mut without: Vec<(String, String)> = Vec::new();
        let own = self.edge.properties.iter();
        let fired = alternatives.into_iter().flatten().flat_map(|a| &a.properties);
        for (name, property) in own.chain(fired) {
            let value = match property {
                PropertyAssignment::Literal(value) => Ok(value.clone()),
                PropertyAssignment::Template(template) => {
                    render(template, env).map(Value::into_owned)
                }
            };
            // An undefined property is left out; only key and type must be defined.
            let value = match value {
                Ok(value) => value,
                Err(part) => {
                    without.push((name.clone(), part.to_owned()));
                    continue;
                }
            };
            // An alternative is more specific than the relationship, so its value wins.
            match properties.iter_mut().find(|(n, _)| n == name) {
                Some((_, old)) => *old = value,
                None => properties.push((name.clone().into(), value)),
            }
        }
        properties.sort_by(|a, b| a.0.cmp(&b.0));
        // The other template of the name may be defined.
        without.retain(|(name, _)| !properties.iter().any(|(known, _)| known == name));
        let end = |candidate: &EndCandidate| DraftEnd {
            key: Some(candidate.key.clone().into()),
            scope: Some(candidate.scope.to_string().into()),
            id: None,
        };
        let draft = DraftRelationship {
            key: key.into(),
            scope: Some(self.scope.clone().into()),
            type_name: type_name.into(),
            class: self.class.clone().into(),
            from: end(from),
            to: end(to),
            properties,
            ..DraftRelationship::default()
        };
        Ok((draft, without))
    }
}
