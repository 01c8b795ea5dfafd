//! What all rows of a run share: nothing of it changes while rows are worked on, but for the numbers that
//! names get.

use super::model::{EndRule, EntityContent, PropertyRule, SourceFile};
use super::properties::NameUse;
use super::values::SourceNames;
use crate::graph::{InputLocation, NameKind, check_name};
use crate::mapping::expression::Template;
use crate::mapping::resolve::MappingConstants;
use crate::mapping::rows::FileFacts;
use std::sync::Arc;

/// What all rows of a run share.
pub(super) struct RunContext<'s> {
    pub source: &'s SourceFile,
    pub shared: MappingConstants<'s>,
    /// The files of each row set, and the number of the first among all.
    pub files: Vec<(Arc<Vec<FileFacts>>, u32)>,
    pub names: Arc<SourceNames>,
    /// For each rule by its number, what becomes of the names that it says.
    pub uses: Vec<Vec<NameUse>>,
    /// The classes that rules write out, by the numbers of the rules.
    pub written: Vec<Option<u32>>,
    /// The line whose items are to be explained.
    pub watched: Option<InputLocation>,
}

impl<'s> RunContext<'s> {
    pub(super) fn new(source: &'s SourceFile) -> RunContext<'s> {
        let names = Arc::new(SourceNames::default());
        let mut uses = vec![Vec::new(); source.rule_count];
        let mut note = |number: u32, rules: &[PropertyRule], except: &[String]| {
            let used = |rule: &PropertyRule| match rule {
                PropertyRule::Assign(name, _) | PropertyRule::Path(name, _) => {
                    NameUse::of(name, except, &names)
                }
                PropertyRule::Spread(_) => NameUse::Leave,
            };
            uses[number as usize] = rules.iter().map(used).collect();
        };
        let mut written = vec![None; source.rule_count];
        let mut content = |content: &EntityContent| {
            note(content.number, &content.properties, &content.except);
            written[content.number as usize] = written_classes(&content.classes, &names);
        };
        source.entities.iter().for_each(|rule| content(&rule.content));
        for rule in source.relationship_rules() {
            for end in [&rule.from, &rule.to] {
                if let EndRule::Create(made) = end {
                    content(made);
                }
            }
        }
        for rule in source.relationship_rules() {
            note(rule.number, &rule.properties, &rule.except);
        }
        let mut files = Vec::new();
        let mut first = 0;
        for set in &source.rows {
            let facts = set.rows.files();
            let count = facts.len() as u32;
            files.push((Arc::new(facts), first));
            first += count;
        }
        let shared =
            MappingConstants { tables: &source.tables, junk: &source.junk, lets: &source.lets };
        RunContext { source, shared, files, names, uses, written, watched: None }
    }

    /// The same with a line whose items are to be explained.
    pub(super) fn watching(self, place: InputLocation) -> RunContext<'s> {
        RunContext { watched: Some(place), ..self }
    }
}

/// The number of the classes of templates, if they name them without any expression.
fn written_classes(templates: &[Template], names: &SourceNames) -> Option<u32> {
    let mut classes: Vec<Arc<str>> = Vec::new();
    for template in templates {
        let class =
            template.literal().filter(|class| check_name(NameKind::Class, class).is_ok())?;
        if !classes.iter().any(|known| **known == *class) {
            classes.push(class.into());
        }
    }
    (!classes.is_empty()).then(|| names.class_set(&classes))
}
