//! The operations of a saved document, checked row by row before the crate sees them.
//!
//! A save holds what the operations came to: objects and keys in order, the elements of a text or list as they
//! follow one another, and for each operation those that superseded it. No hash covers that order. A save that
//! lies about it loads as a document with the right heads and other content, and one that is inconsistent makes
//! the crate panic later. So each row must stand where its operation puts it. The order of elements is that of
//! RGA (Roh et al., "Replicated abstract data types", 2011): depth first, the later of two siblings first.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::columns::{check_value, number, strings, unsigned, Booleans, Deltas, Runs};
use crate::error::{invalid, Result};
use crate::graph::{Graph, Id};
use crate::reader::Reader;
use crate::save::{Columns, Limits};
use crate::values::MAX_DEPTH;

/// Before every element of a text or list.
const HEAD: Id = (0, 0);

const SET: u64 = 1;
const MAKE_TEXT: u64 = 4;
const INCREMENT: u64 = 5;
const MARK: u64 = 7;
const NULL: u64 = 0;
const COUNTER: u64 = 8;
const INTEGER: u64 = 4;

/// Check the operations of a document against its changes, and tell whether marks are among them.
pub fn check(columns: &Columns<'_>, graph: &mut Graph, limits: Limits) -> Result<bool> {
    let mut rows = Rows::open(columns)?;
    let (objects, marks) = (HashMap::new(), HashMap::new());
    let mut checker = Checker { graph, ids: Vec::new(), objects, marks, has_marks: false };
    let mut object = Object::new(None, (Kind::Map, 0));
    let mut place = Place::default();
    let (mut left, mut key_bytes) = (limits.operations, limits.bytes);
    while !rows.actor.at_end() {
        let row = rows.next(&mut left)?;
        key_bytes = match key_bytes.checked_sub(row.text_bytes()) {
            Some(left) => left,
            None => return invalid("the keys stand for more bytes than allowed"),
        };
        if row.object != object.id {
            checker.close(&mut place)?;
            object = checker.open(&object, &row)?;
        }
        checker.check(&mut object, &mut place, row)?;
    }
    rows.at_end()?;
    checker.close(&mut place)?;
    if !checker.marks.is_empty() {
        return invalid("a mark without an end");
    }
    checker.graph.number(checker.ids)?;
    Ok(checker.has_marks)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Map,
    List,
    Text,
}

/// One operation of a document.
struct Row<'a> {
    id: Id,
    object: Option<Id>,
    key: Option<&'a str>,
    element: Option<Id>,
    insert: bool,
    action: u64,
    value: u64,
    mark: Option<&'a str>,
    successors: Vec<Id>,
}

impl Row<'_> {
    fn text_bytes(&self) -> u64 {
        (self.key.map_or(0, str::len) + self.mark.map_or(0, str::len)) as u64
    }

    /// Whether other operations may supersede it.
    fn is_value(&self) -> bool {
        self.action != INCREMENT && self.action != MARK
    }
}

struct Rows<'a> {
    actor: Runs<'a, u64>,
    counter: Deltas<'a>,
    object_actor: Runs<'a, u64>,
    object_counter: Runs<'a, u64>,
    element_actor: Runs<'a, u64>,
    element_counter: Deltas<'a>,
    key: Runs<'a, &'a str>,
    insert: Booleans<'a>,
    action: Runs<'a, u64>,
    value: Runs<'a, u64>,
    bytes: Reader<'a>,
    successors: Runs<'a, u64>,
    successor_actor: Runs<'a, u64>,
    successor_counter: Deltas<'a>,
    expand: Booleans<'a>,
    mark: Runs<'a, &'a str>,
}

impl<'a> Rows<'a> {
    fn open(columns: &'a Columns<'_>) -> Result<Self> {
        columns.only(&[
            0x01, 0x02, 0x11, 0x13, 0x15, 0x21, 0x23, 0x34, 0x42, 0x56, 0x57, 0x80, 0x81, 0x83, 0x94, 0xa5,
        ])?;
        Ok(Rows {
            actor: unsigned(columns.get(0x21)),
            counter: Deltas::new(columns.get(0x23)),
            object_actor: unsigned(columns.get(0x01)),
            object_counter: unsigned(columns.get(0x02)),
            element_actor: unsigned(columns.get(0x11)),
            element_counter: Deltas::new(columns.get(0x13)),
            key: strings(columns.get(0x15)),
            insert: Booleans::new(columns.get(0x34)),
            action: unsigned(columns.get(0x42)),
            value: unsigned(columns.get(0x56)),
            bytes: Reader::new(columns.get(0x57)),
            successors: unsigned(columns.get(0x80)),
            successor_actor: unsigned(columns.get(0x81)),
            successor_counter: Deltas::new(columns.get(0x83)),
            expand: Booleans::new(columns.get(0x94)),
            mark: strings(columns.get(0xa5)),
        })
    }

    /// The next operation; `left` is how many there may still be, those that only delete included.
    fn next(&mut self, left: &mut u64) -> Result<Row<'a>> {
        let id = (number(self.counter.next()?)?, number(self.actor.next()?)?);
        if id.0 == 0 {
            return invalid("an operation without a number");
        }
        let object = match (self.object_counter.next()?, self.object_actor.next()?) {
            (None, None) => None,
            (counter, actor) => Some((number(counter)?, number(actor)?)),
        };
        let element = match (self.element_counter.next()?, self.element_actor.next()?) {
            (None, None) => None,
            (Some(0), None) => Some(HEAD),
            (counter, actor) => Some((number(counter)?, number(actor)?)),
        };
        let (Some(action), Some(value)) = (self.action.next()?, self.value.next()?) else {
            return invalid("an operation without an action or a value");
        };
        check_value(value & 15, self.bytes.take(value >> 4)?)?;
        let successors = self.successors.next()?.unwrap_or(0);
        match left.checked_sub(successors.saturating_add(1)) {
            Some(rest) => *left = rest,
            None => return invalid("too many operations"),
        }
        let row = Row {
            id,
            object,
            key: self.key.next()?,
            element,
            insert: self.insert.next()?,
            action,
            value: value & 15,
            mark: self.mark.next()?,
            successors: self.read_successors(successors)?,
        };
        if (self.expand.next()? || row.mark.is_some()) && action != MARK {
            return invalid("what belongs to a mark, in something else");
        }
        Ok(row)
    }

    fn read_successors(&mut self, count: u64) -> Result<Vec<Id>> {
        let mut successors: Vec<Id> = Vec::new();
        for _ in 0..count {
            let id = (number(self.successor_counter.next()?)?, number(self.successor_actor.next()?)?);
            if successors.last().is_some_and(|last| *last >= id) {
                return invalid("the successors of an operation are not sorted and unique");
            }
            successors.push(id);
        }
        Ok(successors)
    }

    /// Every column must end with the last row.
    fn at_end(&self) -> Result<()> {
        let ids = self.counter.at_end() && self.object_actor.at_end() && self.object_counter.at_end();
        let keys = self.element_actor.at_end() && self.element_counter.at_end() && self.key.at_end();
        let values = self.insert.at_end() && self.action.at_end() && self.value.at_end();
        let successors = self.successors.at_end() && self.successor_actor.at_end();
        let rest = self.successor_counter.at_end() && self.expand.at_end() && self.mark.at_end();
        match ids && keys && values && successors && rest && self.bytes.rest().is_empty() {
            true => Ok(()),
            false => invalid("the columns of the operations are not of one length"),
        }
    }
}

/// The object that the rows are in.
struct Object<'a> {
    id: Option<Id>,
    kind: Kind,
    /// How many objects it lies in, itself included; 0 for the root.
    depth: usize,
    /// The key of the last row of a map.
    key: Option<&'a str>,
    /// From the head of a list to its last element: elements, each with its last child.
    path: Vec<(Id, Option<Id>)>,
}

impl Object<'_> {
    fn new(id: Option<Id>, (kind, depth): (Kind, usize)) -> Self {
        Object { id, kind, depth, key: None, path: vec![(HEAD, None)] }
    }
}

/// The operations on one key of a map or one element of a list.
#[derive(Default)]
struct Place {
    /// Sorted by id.
    values: Vec<Value>,
    /// An operation of this place, by index, and one that superseded it.
    superseded: Vec<(usize, Id)>,
}

struct Value {
    id: Id,
    mark: bool,
    increment: bool,
    counter: bool,
    /// Whether it superseded a counter.
    of_counter: bool,
}

struct Checker<'g> {
    graph: &'g mut Graph,
    /// Every operation seen.
    ids: Vec<Id>,
    /// What each object is, and its depth.
    objects: HashMap<Id, (Kind, usize)>,
    /// Begins of marks that have not ended, and the texts they are in.
    marks: HashMap<Id, Option<Id>>,
    has_marks: bool,
}

impl Checker<'_> {
    /// Begin the next object.
    fn open<'a>(&mut self, last: &Object<'_>, row: &Row<'_>) -> Result<Object<'a>> {
        let (Some(id), true) = (row.object, row.object > last.id) else {
            return invalid("the objects are not in order");
        };
        match self.objects.get(&id) {
            Some(known) => Ok(Object::new(Some(id), *known)),
            None => invalid("an operation in an object that does not exist"),
        }
    }

    fn check<'a>(&mut self, object: &mut Object<'a>, place: &mut Place, row: Row<'a>) -> Result<()> {
        if let Some(id) = row.object {
            self.graph.refer(row.id, id)?;
        }
        let next = match object.kind {
            Kind::Map => in_map(object, &row)?,
            Kind::List | Kind::Text => self.in_sequence(object, &row)?,
        };
        match place.values.first() {
            _ if next => self.close(place)?,
            Some(first) if first.mark => return invalid("a value in the place of a mark"),
            _ => {}
        }
        self.action(object, &row)?;
        if place.values.last().is_some_and(|last| last.id >= row.id) {
            return invalid("the operations on a key or element are not in order");
        }
        if !row.is_value() && !row.successors.is_empty() {
            return invalid("something superseded what is no value");
        }
        let index = place.values.len();
        place.superseded.extend(row.successors.iter().map(|successor| (index, *successor)));
        place.values.push(Value {
            id: row.id,
            mark: row.action == MARK,
            increment: row.action == INCREMENT,
            counter: row.action == SET && row.value == COUNTER,
            of_counter: false,
        });
        Ok(())
    }

    /// Whether the row begins another element, which then stands where it must.
    fn in_sequence(&mut self, object: &mut Object<'_>, row: &Row<'_>) -> Result<bool> {
        let (Some(element), None) = (row.element, row.key) else {
            return invalid("a map key in a list or text");
        };
        if element != HEAD {
            self.graph.refer(row.id, element)?;
        }
        if !row.insert {
            return match object.path.last() {
                Some((current, _)) if *current == element && element != HEAD => Ok(false),
                _ => invalid("an operation apart from the element it is on"),
            };
        }
        while object.path.last().is_some_and(|(id, _)| *id != element) {
            object.path.pop();
        }
        let Some((_, child)) = object.path.last_mut() else {
            return invalid("an element that does not follow the one it was inserted after");
        };
        if child.is_some_and(|child| child <= row.id) {
            return invalid("elements at one place are not in order");
        }
        *child = Some(row.id);
        object.path.push((row.id, None));
        Ok(true)
    }

    fn action(&mut self, object: &Object<'_>, row: &Row<'_>) -> Result<()> {
        let has_value = row.action == SET || row.action == INCREMENT || row.mark.is_some();
        if !has_value && row.value != NULL {
            return invalid("a value with an operation that has none");
        }
        match row.action {
            0 | 6 => self.make(object, row, Kind::Map)?,
            2 => self.make(object, row, Kind::List)?,
            MAKE_TEXT => self.make(object, row, Kind::Text)?,
            SET => {}
            INCREMENT if row.value == INTEGER && !row.insert && object.kind != Kind::Text => {}
            MARK if row.insert && object.kind == Kind::Text => self.mark(row)?,
            _ => return invalid("an operation that does not fit its place"),
        }
        Ok(())
    }

    fn make(&mut self, inside: &Object<'_>, row: &Row<'_>, kind: Kind) -> Result<()> {
        let depth = inside.depth + 1;
        if depth > MAX_DEPTH {
            return invalid(format!("an object nests deeper than {MAX_DEPTH} levels"));
        }
        self.objects.insert(row.id, (kind, depth));
        Ok(())
    }

    /// The end of a mark is the operation after its begin, and comes after it in the text.
    fn mark(&mut self, row: &Row<'_>) -> Result<()> {
        self.has_marks = true;
        if row.mark.is_some() {
            self.marks.insert(row.id, row.object);
            return Ok(());
        }
        let begin = (row.id.0 - 1, row.id.1);
        match self.marks.remove(&begin) {
            Some(text) if text == row.object && self.graph.same_change(begin, row.id)? => Ok(()),
            _ => invalid("a mark that ends before it begins, or elsewhere"),
        }
    }

    /// End a key or element: what superseded its operations is among them, or deleted them.
    fn close(&mut self, place: &mut Place) -> Result<()> {
        let mut deletions = Vec::new();
        for (index, successor) in place.superseded.drain(..) {
            let Value { id, counter, .. } = place.values[index];
            self.graph.refer(successor, id)?;
            match place.values.binary_search_by(|value| value.id.cmp(&successor)) {
                Ok(at) => place.values[at].of_counter |= counter,
                Err(_) => deletions.push(successor),
            }
        }
        if place.values.iter().any(|value| value.increment && !value.of_counter) {
            return invalid("an increment of no counter");
        }
        deletions.sort_unstable();
        deletions.dedup();
        self.ids.append(&mut deletions);
        self.ids.extend(place.values.drain(..).map(|value| value.id));
        Ok(())
    }
}

/// Whether the row begins another key.
fn in_map<'a>(object: &mut Object<'a>, row: &Row<'a>) -> Result<bool> {
    let (None, Some(key), false) = (row.element, row.key, row.insert) else {
        return invalid("an operation of a list in a map");
    };
    let order = object.key.map_or(Ordering::Less, |last| last.cmp(key));
    object.key = Some(key);
    match order {
        Ordering::Less => Ok(true),
        Ordering::Equal => Ok(false),
        Ordering::Greater => invalid("the keys of a map are not in order"),
    }
}
