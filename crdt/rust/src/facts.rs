//! What later operations need to know of one.

use std::borrow::Borrow;
use std::hash::Hash;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, ObjType, ScalarValue};
use foldhash::{HashMap, HashMapExt};

/// An operation: the number of its actor here, and its counter.
pub type OpKey = (u32, u64);

/// An object: None is the root.
pub type ObjKey = Option<OpKey>;

/// Where in its object an operation acts.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    Key(u32),
    /// On or after an element; None is the head.
    Elem(Option<OpKey>),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Action {
    Make(ObjType),
    Put { counter: bool },
    Delete,
    Increment,
    MarkBegin,
    MarkEnd,
}

/// One operation, by the numbers of some `Names`.
#[derive(Clone, Copy)]
pub struct Fact {
    pub obj: ObjKey,
    pub place: Place,
    pub insert: bool,
    pub action: Action,
    pub seq: u64,
}

/// Numbers for actors and keys.
#[derive(Default)]
pub struct Names {
    actors: Numbers<ActorId>,
    keys: Numbers<String>,
}

impl Names {
    pub fn actor(&mut self, actor: &ActorId) -> u32 {
        self.actors.number(actor)
    }

    /// The actor with a number that was given here.
    pub fn name(&self, number: u32) -> &ActorId {
        &self.actors.names[number as usize]
    }

    pub fn op(&mut self, id: &OpId) -> OpKey {
        (self.actor(&id.1), id.0)
    }

    pub fn read(&mut self, op: &Op, seq: u64) -> Fact {
        let obj = match &op.obj {
            ObjectId::Root => None,
            ObjectId::Id(id) => Some(self.op(id)),
        };
        let place = match &op.key {
            Key::Map(key) => Place::Key(self.keys.number(key.as_str())),
            Key::Seq(ElementId::Head) => Place::Elem(None),
            Key::Seq(ElementId::Id(id)) => Place::Elem(Some(self.op(id))),
        };
        Fact { obj, place, insert: op.insert, action: action(op), seq }
    }

    /// A fact by the numbers of others, by those here.
    pub fn take(&mut self, fact: Fact, others: &Names) -> Fact {
        let mut op = |key: OpKey| (self.actors.number(others.name(key.0)), key.1);
        let obj = fact.obj.map(&mut op);
        let place = match fact.place {
            Place::Elem(elem) => Place::Elem(elem.map(op)),
            Place::Key(key) => Place::Key(self.keys.number(others.keys.names[key as usize].as_str())),
        };
        Fact { obj, place, ..fact }
    }
}

/// Numbers in the order in which they were asked for.
struct Numbers<T> {
    numbers: HashMap<T, u32>,
    names: Vec<T>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Numbers { numbers: HashMap::new(), names: Vec::new() }
    }
}

impl<T: Eq + Hash + Clone> Numbers<T> {
    fn number<Q>(&mut self, name: &Q) -> u32
    where
        T: Borrow<Q>,
        Q: ToOwned<Owned = T> + Eq + Hash + ?Sized,
    {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }
}

fn action(op: &Op) -> Action {
    match &op.action {
        OpType::Make(kind) => Action::Make(*kind),
        OpType::Put(value) => Action::Put { counter: matches!(value, ScalarValue::Counter(_)) },
        OpType::Delete => Action::Delete,
        OpType::Increment(_) => Action::Increment,
        OpType::MarkBegin(_) => Action::MarkBegin,
        OpType::MarkEnd(_) => Action::MarkEnd,
    }
}
