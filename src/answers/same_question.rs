//! The same question in other words: as a command to type, and as J1QL.
//!
//! A picture or a page shows both beside the answer, so that whoever sees it can ask again, elsewhere
//! and changed. J1QL is given only where it finds the same; what it cannot say is left out.

use super::words::shell_word;
use super::{
    BlastRadiusAnswer, BlastRadiusRequest, CyclesRequest, OwnersAnswer, OwnersRequest, PathAnswer,
    PathRequest,
};
use crate::graph::EntityHead;
use crate::view::WalkDirection;

/// A command while it is put together.
struct CommandLine(String);

impl CommandLine {
    fn new(command: &str, entities: &[String]) -> CommandLine {
        let mut line = CommandLine(format!("tombolo {command}"));
        entities.iter().for_each(|entity| line.word(entity));
        line
    }

    fn word(&mut self, text: &str) {
        self.0.push(' ');
        self.0.push_str(&shell_word(text));
    }

    fn switch(&mut self, flag: &str, on: bool) {
        if on {
            self.word(flag);
        }
    }

    fn flag(&mut self, flag: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.word(flag);
            self.word(&value.to_string());
        }
    }

    fn list(&mut self, flag: &str, values: &[String]) {
        self.flag(flag, (!values.is_empty()).then(|| values.join(",")));
    }
}

const fn way(direction: WalkDirection) -> &'static str {
    match direction {
        WalkDirection::Out => "out",
        WalkDirection::In => "in",
        WalkDirection::Both => "both",
    }
}

/// A text of J1QL in its quotes. `None` for one that J1QL would read as a placeholder.
fn quoted(text: &str) -> Option<String> {
    let plain = !text.contains('$') && !text.contains("{{") && !text.contains(char::is_control);
    plain.then(|| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")))
}

/// The one entity, as J1QL finds it.
fn one(entity: &EntityHead) -> Option<String> {
    Some(format!("* IN SCOPE {} WITH _key = {}", quoted(&entity.scope)?, quoted(&entity.key)?))
}

/// The greatest number of relationships that J1QL walks in one step.
const DEPTH_MAX: u32 = 100;

/// True if a name of a class or type can stand in J1QL as it is.
fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl BlastRadiusRequest {
    /// The question as a command.
    pub fn command(&self) -> String {
        let mut line = CommandLine::new("blast-radius", &self.entities);
        line.flag("--depth", self.depth);
        if let Some(trouble) = self.trouble {
            match (trouble.compromise, trouble.failure) {
                (true, false) => line.flag("--for", Some("compromise")),
                (false, true) => line.flag("--for", Some("failure")),
                _ => {}
            }
        }
        line.flag("--direction", self.direction.map(way));
        line.list("--verb", &self.verbs);
        line.list("--class", &self.classes);
        line.list("--scope", &self.scopes);
        line.list("--type", &self.types);
        line.0
    }

    /// The question in J1QL, if it finds the same as this answer.
    pub fn j1ql(&self, answer: &BlastRadiusAnswer) -> Option<String> {
        let [root] = answer.roots.as_slice() else { return None };
        let depth = self.depth.unwrap_or(DEPTH_MAX);
        let by_rules = answer.ruled && self.trouble.is_none() && self.verbs.is_empty();
        let far = answer.reached.last().is_some_and(|visit| visit.distance >= DEPTH_MAX);
        let filters = [&self.classes, &self.types].iter().filter(|names| !names.is_empty()).count();
        if !by_rules || far || depth == 0 || filters > 1 || !self.scopes.is_empty() {
            return None;
        }
        let names: Vec<&String> = self.classes.iter().chain(&self.types).collect();
        if !names.iter().all(|name| plain(name)) {
            return None;
        }
        let target = match names.as_slice() {
            [] => "*".to_owned(),
            [name] => name.to_string(),
            [first, rest @ ..] => {
                let rest = rest.iter().map(|name| format!("|{name}")).collect::<String>();
                format!("({first}{rest})")
            }
        };
        Some(format!(
            "FIND {} THAT #Impact{{1,{}}} AS r {target} AS hit\n  RETURN hit._key, hit._scope, \
             DEPTH(r) AS distance ORDER BY distance",
            one(root)?,
            depth.min(DEPTH_MAX)
        ))
    }
}

impl OwnersRequest {
    /// The question as a command.
    pub fn command(&self) -> String {
        let mut line = CommandLine::new("owners", &self.entities);
        line.list("--class", &self.classes);
        line.list("--type", &self.types);
        line.list("--scope", &self.scopes);
        line.switch("--orphans", self.orphans);
        line.switch("--people", self.people);
        line.list("--owner-class", &self.owner_classes);
        line.flag("--depth", self.depth);
        line.list("--verb", &self.verbs);
        line.0
    }

    /// The question in J1QL, if it finds the same as this answer.
    pub fn j1ql(&self, answer: &OwnersAnswer) -> Option<String> {
        let [owned] = answer.answers.as_slice() else { return None };
        let other = self.people || !self.owner_classes.is_empty() || !self.verbs.is_empty();
        let far = owned.distance.is_some_and(|distance| distance > DEPTH_MAX);
        if !answer.named || other || far || self.depth == Some(0) {
            return None;
        }
        Some(format!(
            "FIND {} THAT NEAREST (#Owning|#Containing){{1,{}}} BY #Owning <<\n  \
             (Person|User|UserGroup|Team|Group) AS owner RETURN owner._key, owner._scope",
            one(&owned.entity)?,
            self.depth.unwrap_or(DEPTH_MAX).min(DEPTH_MAX)
        ))
    }
}

impl PathRequest {
    /// The question as a command.
    pub fn command(&self) -> String {
        let mut line = CommandLine::new("path", &[self.from.clone(), self.to.clone()]);
        self.via.iter().for_each(|stop| line.flag("--via", Some(stop)));
        line.switch("--all", self.max > 1);
        line.flag("--max", (self.max > 1 && self.max != 100).then_some(self.max));
        line.flag(
            "--direction",
            (self.direction != WalkDirection::Out).then(|| way(self.direction)),
        );
        line.list("--verb", &self.verbs);
        line.0
    }

    /// The question in J1QL, if it finds the same as this answer.
    pub fn j1ql(&self, answer: &PathAnswer) -> Option<String> {
        let (from, via, to) = answer.stops();
        let length = answer.chains.first().map_or(1, |chain| chain.links.len());
        let complete = answer.total <= answer.chains.len() as u64;
        if !via.is_empty() || !self.verbs.is_empty() || !complete || from.number == to.number {
            return None;
        }
        let arrow = match self.direction {
            WalkDirection::Out => " >>",
            WalkDirection::In => " <<",
            WalkDirection::Both => "",
        };
        // A path never goes over verbs that deny the way; a query leaves them out only if it says so.
        let verbs = match answer.denials.as_slice() {
            [] => format!("RELATES TO{{1,{length}}}{arrow}"),
            denials if denials.iter().all(|verb| plain(verb)) => {
                format!("(!{} | *{arrow}){{1,{length}}}", denials.join(" | !"))
            }
            _ => return None,
        };
        (1..=DEPTH_MAX as usize).contains(&length).then_some(())?;
        let (from, to) = (one(from)?, one(to)?);
        Some(format!("FIND SHORTEST ALL {from}\n  THAT {verbs} {to} RETURN TREE"))
    }
}

impl CyclesRequest {
    /// The question as a command.
    pub fn command(&self) -> String {
        let mut line = CommandLine::new("cycles", &[]);
        line.list("--verb", &self.verbs);
        line.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::ImpactFilter;

    #[test]
    fn a_command_asks_what_the_request_asks() {
        let request = BlastRadiusRequest {
            entities: vec!["aws::it's a role".into(), "b".into()],
            depth: Some(3),
            trouble: Some(ImpactFilter { compromise: false, failure: true }),
            classes: vec!["DataStore".into(), "Host".into()],
            ..BlastRadiusRequest::default()
        };
        assert_eq!(
            request.command(),
            "tombolo blast-radius 'aws::it'\\''s a role' b --depth 3 --for failure --class DataStore,Host"
        );
        let request = PathRequest {
            from: "a".into(),
            to: "b".into(),
            via: vec!["c".into()],
            max: 7,
            direction: WalkDirection::Both,
            verbs: Vec::new(),
        };
        let line = "tombolo path a b --via c --all --max 7 --direction both";
        assert_eq!(request.command(), line);
        let request = OwnersRequest {
            classes: vec!["Host".into()],
            orphans: true,
            ..OwnersRequest::default()
        };
        assert_eq!(request.command(), "tombolo owners --class Host --orphans");
        assert_eq!(CyclesRequest::default().command(), "tombolo cycles");
    }

    #[test]
    fn a_key_cannot_end_its_quotes() {
        assert_eq!(quoted(r"a\' OR 'b").as_deref(), Some(r"'a\\\' OR \'b'"));
        assert_eq!(quoted("{{all}}"), None);
        assert_eq!(quoted("$all"), None);
    }
}
