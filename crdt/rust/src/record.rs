//! A document of scalars at its root, whose past is one line, as what its next change must know.
//!
//! The crate's document is made for much more: a put into a small one takes it longer than encoding the change does.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::ops::Deref;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ScalarValue};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::chunk::{self, is_time, Head, MAX_ACTOR_BYTES, MAX_OP, MAX_OPERATIONS, TIMES};
use crate::convert::heads_to_py;
use crate::error::{guard, Error, Result};
use crate::incoming::is_canonical;
use crate::input;
use crate::values::{scalar_to_py, Style};

/// What a key holds, and which operation put it there.
type Held = BTreeMap<String, (OpId, ScalarValue)>;

#[derive(Clone, Default)]
struct Line {
    held: Held,
    head: Option<ChangeHash>,
    /// The newest change of each actor: its number and its hash.
    last: HashMap<ActorId, (u64, ChangeHash)>,
    max_op: u64,
}

impl Line {
    /// The number of the last change of an actor.
    fn seq(&self, actor: &ActorId) -> u64 {
        self.last.get(actor).map_or(0, |(seq, _)| *seq)
    }

    /// What the next change of an actor builds on: the newest change, and as the crate has it also the actor's last.
    fn deps(&self, actor: &ActorId) -> Vec<ChangeHash> {
        let mut deps: Vec<_> =
            self.head.into_iter().chain(self.last.get(actor).map(|(_, hash)| *hash)).collect();
        deps.sort_unstable();
        deps.dedup();
        deps
    }

    fn advance(&mut self, actor: ActorId, seq: u64, operations: u64, hash: ChangeHash) {
        self.last.insert(actor, (seq, hash));
        self.max_op += operations;
        self.head = Some(hash);
    }

    /// Take in a change that follows all that is here, and give the keys that it puts; None if it is not such a change.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<Vec<String>>> {
        let head = Head::parse(bytes, MAX_OPERATIONS)?;
        let change = Change::from_bytes(bytes.to_vec()).map_err(|e| Error::InvalidChange(e.to_string()))?;
        let decoded = change.decode();
        let actor = &decoded.actor_id;
        let on = |deps: &[ChangeHash]| head.deps.iter().eq(deps.iter().map(|hash| &hash.0));
        let follows = (on(self.head.as_slice()) || on(&self.deps(actor)))
            && head.start_op == self.max_op + 1
            && head.seq == self.seq(actor) + 1;
        if !follows || decoded.operations.is_empty() {
            return Ok(None);
        }
        let mut keys = Vec::new();
        for (number, op) in (head.start_op..).zip(&decoded.operations) {
            let Some((key, value)) = put(op) else { return Ok(None) };
            if !op.pred.iter().eq(self.held.get(key).map(|(id, _)| id)) {
                return Ok(None);
            }
            self.held.insert(key.to_owned(), (OpId(number, actor.clone()), value.clone()));
            keys.push(key.to_owned());
        }
        self.advance(actor.clone(), head.seq, decoded.operations.len() as u64, change.hash());
        Ok(is_canonical(&change, decoded).then_some(keys))
    }

    /// What becomes of it with changes each of which follows the one before, and the keys that they put.
    fn with<Bytes: Deref<Target = [u8]>>(&self, changes: &[Bytes]) -> Option<(Line, Vec<String>)> {
        let (mut line, mut keys) = (self.clone(), Vec::new());
        for change in changes {
            keys.append(&mut guard(|| line.take(change)).ok().flatten()?);
        }
        Some((line, keys))
    }

    /// Put scalars at keys, each named once, as one change of an actor.
    fn write(&mut self, actor: ActorId, time: i64, items: Vec<(String, ScalarValue)>) -> Result<Change> {
        let count = items.len() as u64;
        if count == 0 || count > MAX_OPERATIONS || self.max_op + count >= MAX_OP {
            return Err(Error::Crdt("too few or too many operations for one change".into()));
        }
        if !is_time(time) {
            return Err(Error::Value(TIMES.into()));
        }
        let seq = self.seq(&actor) + 1;
        let operation = |(key, value): &(String, ScalarValue)| Op {
            action: OpType::Put(value.clone()),
            obj: ObjectId::Root,
            key: Key::Map(key.as_str().into()),
            pred: self.held.get(key).map(|(id, _)| id.clone()).into_iter().collect(),
            insert: false,
        };
        let change = Change::from(ExpandedChange {
            operations: items.iter().map(operation).collect(),
            actor_id: actor.clone(),
            hash: None,
            seq,
            start_op: NonZeroU64::new(self.max_op + 1).expect("one above another number"),
            time,
            message: None,
            deps: self.deps(&actor),
            author: None,
            extra_bytes: Vec::new(),
        });
        for (number, (key, value)) in (self.max_op + 1..).zip(items) {
            self.held.insert(key, (OpId(number, actor.clone()), value));
        }
        self.advance(actor, seq, count, change.hash());
        Ok(change)
    }
}

/// The key and the value of an operation that puts a scalar at the root, with nothing beside it there.
fn put(op: &Op) -> Option<(&str, &ScalarValue)> {
    match (&op.obj, &op.key, &op.action) {
        (_, _, OpType::Put(ScalarValue::Counter(_) | ScalarValue::Unknown { .. })) => None,
        (ObjectId::Root, Key::Map(key), OpType::Put(value)) if !op.insert => Some((key, value)),
        _ => None,
    }
}

/// A document of scalars at its root, whose past is one line.
#[pyclass(module = "lichen_crdt._native")]
pub struct Record {
    line: Line,
}

#[pymethods]
impl Record {
    #[new]
    fn new() -> Self {
        Record { line: Line::default() }
    }

    /// Take in changes, each of which follows the one before, and give the keys that they put. If one of them does
    /// anything else than put scalars at the root, is not in its place, or not valid: None, and nothing is changed.
    fn take(&mut self, changes: Vec<PyBackedBytes>) -> Option<Vec<String>> {
        let (line, keys) = self.line.with(&changes)?;
        self.line = line;
        Some(keys)
    }

    /// For each list of changes a new record that has taken them, None where it would not; without the interpreter's lock.
    #[staticmethod]
    fn many(py: Python<'_>, lists: Vec<Vec<PyBackedBytes>>) -> Vec<Option<Record>> {
        let made = |changes: &Vec<_>| Line::default().with(changes).map(|(line, _)| Record { line });
        py.detach(|| lists.iter().map(made).collect())
    }

    /// Put scalars at keys as one change of an actor: its hash and bytes. Of more than `max_bytes`: OverflowError.
    fn write<'py>(
        &mut self,
        py: Python<'py>,
        actor: Vec<u8>,
        time: i64,
        items: &Bound<'py, PyDict>,
        max_bytes: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let mut read = Vec::with_capacity(items.len());
        for (key, value) in items {
            match input::read_scalar(&value)? {
                Some(scalar) if !matches!(scalar, ScalarValue::Counter(_)) => {
                    read.push((key.extract()?, scalar))
                }
                _ => return Err(Error::Type("a record holds scalars, and no counters".into()).into()),
            }
        }
        if !(1..=MAX_ACTOR_BYTES).contains(&(actor.len() as u64)) {
            return Err(Error::Value(format!("an actor is 1 to {MAX_ACTOR_BYTES} bytes")).into());
        }
        let mut line = self.line.clone();
        let change = guard(|| line.write(ActorId::from(actor), time, read))?;
        let bytes = change.raw_bytes();
        if bytes.len() > max_bytes {
            let why = format!("a change of {} bytes is larger than {max_bytes}", bytes.len());
            return Err(Error::Overflow(why).into());
        }
        chunk::check_size(bytes).map_err(|_| Error::Overflow("others would not take the change".into()))?;
        self.line = line;
        Ok((PyBytes::new(py, &change.hash().0), PyBytes::new(py, bytes)))
    }

    /// The hash of the newest change; none of a new record.
    #[getter]
    fn heads<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        heads_to_py(py, self.line.head.into_iter().collect())
    }

    /// What the keys hold.
    fn to_py<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let content = PyDict::new(py);
        for (key, (_, value)) in &self.line.held {
            content.set_item(key, scalar_to_py(py, value, Style::Typed)?)?;
        }
        Ok(content)
    }
}
