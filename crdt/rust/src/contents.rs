//! The contents of blocks by numbers: equal ones have the same, found in one step each.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use automerge::ScalarValue;

use crate::input::Input;
use crate::values::Output;

/// Contents of new blocks, each once.
#[derive(Default)]
pub struct Contents<'t> {
    pub all: Vec<&'t [(String, Input)]>,
    /// The numbers of those that look alike.
    alike: HashMap<u64, Vec<usize>>,
}

impl<'t> Contents<'t> {
    /// The number of a content, a new one if it is not here yet.
    pub fn add(&mut self, content: &'t [(String, Input)]) -> usize {
        let alike = self.alike.entry(look(|to| map(content, input, to))).or_default();
        if let Some(known) = alike.iter().find(|number| self.all[**number] == content) {
            return *known;
        }
        alike.push(self.all.len());
        self.all.push(content);
        self.all.len() - 1
    }

    /// The number of the first content that an old block shows.
    pub fn find(&self, old: &Output) -> Option<usize> {
        let alike = self.alike.get(&look(|to| output(old, to)))?;
        alike.iter().copied().find(|number| old.shows_map(self.all[*number]))
    }
}

/// A number that is the same for a value and for what plain data shows of it.
fn look(write: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    write(&mut hasher);
    hasher.finish()
}

fn input(value: &Input, to: &mut DefaultHasher) {
    match value {
        Input::Scalar(value) => scalar(value, to),
        Input::Text(text) => string(text, to),
        Input::Map(items) => map(items, input, to),
        Input::List(items) => list(items, input, to),
    }
}

fn output(value: &Output, to: &mut DefaultHasher) {
    match value {
        Output::Scalar(value) => scalar(value, to),
        Output::Text(text) => string(text, to),
        Output::Map(items) => map(items, output, to),
        Output::List(items) => list(items, output, to),
        Output::Object(..) | Output::Rich(_) => {}
    }
}

fn map<T>(items: &[(String, T)], each: fn(&T, &mut DefaultHasher), to: &mut DefaultHasher) {
    (0, items.len()).hash(to);
    for (key, value) in items {
        key.hash(to);
        each(value, to);
    }
}

fn list<T>(items: &[T], each: fn(&T, &mut DefaultHasher), to: &mut DefaultHasher) {
    (1, items.len()).hash(to);
    items.iter().for_each(|item| each(item, to));
}

fn string(text: &str, to: &mut DefaultHasher) {
    (2, text).hash(to);
}

fn scalar(value: &ScalarValue, to: &mut DefaultHasher) {
    match value {
        ScalarValue::Str(text) => string(text, to),
        ScalarValue::Counter(counter) => (3, i64::from(counter)).hash(to),
        ScalarValue::Int(number) => (3, number).hash(to),
        // Zeros of either sign are equal.
        ScalarValue::F64(number) => (4, (number + 0.0).to_bits()).hash(to),
        other => (5, format!("{other:?}")).hash(to),
    }
}
