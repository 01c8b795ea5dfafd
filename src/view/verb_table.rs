//! A small table from verbs, by name number, to the values that a question has for them.

/// One value per verb: a few are known, all others share one value.
///
/// Dense up to the largest known number, for a lookup that costs one comparison and one load. Name
/// numbers are positions in the dictionary of the database, so the table stays small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerbTable<T> {
    known: Vec<T>,
    other: T,
}

impl<T: Copy> VerbTable<T> {
    /// A table in which every verb has `other`.
    pub fn new(other: T) -> VerbTable<T> {
        VerbTable { known: Vec::new(), other }
    }

    /// Gives `verb` a value of its own.
    pub fn set(&mut self, verb: u32, value: T) {
        let at = verb as usize;
        if at >= self.known.len() {
            self.known.resize(at + 1, self.other);
        }
        self.known[at] = value;
    }

    /// The value of `verb`.
    #[inline]
    pub fn of(&self, verb: u32) -> T {
        self.known.get(verb as usize).copied().unwrap_or(self.other)
    }

    /// The same table with every value passed through `f`.
    pub fn map<U>(&self, mut f: impl FnMut(T) -> U) -> VerbTable<U> {
        let other = f(self.other);
        VerbTable { known: self.known.iter().map(|&value| f(value)).collect(), other }
    }

    /// True if any verb can have a value that `accept` takes.
    pub fn any(&self, accept: impl Fn(T) -> bool) -> bool {
        // A verb outside the table has `other`, and any graph may hold such a verb.
        accept(self.other) || self.known.iter().any(|&value| accept(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_verbs_share_one_value() {
        let mut table = VerbTable::new('-');
        table.set(3, 'x');
        let values: String = (0..6).map(|verb| table.of(verb)).collect();
        assert_eq!(values, "---x--");
    }
}
