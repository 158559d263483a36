//! The past as data: headers of changes without their contents, operations, and changes built of them.
//!
//! Undo is made of these: an operation may name exactly the predecessors it takes back, which a
//! transaction of the crate, superseding whatever is visible, cannot.

use std::collections::HashSet;
use std::num::NonZeroU64;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Change, ChangeHash, ExpandedChange, ObjId, ObjType, ReadDoc};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::blame;
use crate::chunk::{MAX_OP, MAX_OPERATIONS};
use crate::convert::{breathe, heads_to_py, known, read_heads};
use crate::core::Core;
use crate::elements;
use crate::error::{guard, Error};
use crate::input;
use crate::values::{self, Output, Style};
use crate::version::At;

/// An operation's id in Python: its number and its actor; none: the root, or the head of a list.
type Id = Option<(u64, Vec<u8>)>;

/// An operation from Python: object, key, element, whether it inserts, action, value, predecessors.
type Given<'py> = (Id, Option<String>, Id, bool, String, Bound<'py, PyAny>, Vec<(u64, Vec<u8>)>);

/// The headers of the changes that are not in the past of `since`, with no content fetched.
#[pyfunction]
pub fn headers<'py>(py: Python<'py>, core: &Core, since: Vec<Vec<u8>>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
    let since = read_heads(since)?;
    let metas = core.heavy(py, |d| {
        let doc = d.idle()?;
        known(doc, &since)?;
        Ok(doc.get_changes_meta(&since).into_iter().map(|meta| meta.into_owned()).collect::<Vec<_>>())
    })?;
    let to_py = |meta: automerge::ChangeMetadata<'static>| {
        breathe(py)?;
        let fields = (
            PyBytes::new(py, meta.actor.to_bytes()),
            meta.seq,
            meta.start_op,
            (meta.max_op + 1).saturating_sub(meta.start_op),
            heads_to_py(py, meta.deps)?,
            meta.timestamp,
            meta.message.filter(|message| !message.is_empty()).map(|message| message.into_owned()),
            PyBytes::new(py, &meta.hash.0),
        );
        fields.into_pyobject(py)
    };
    metas.into_iter().map(to_py).collect()
}

/// The changes that are not in the past of `since`, as (hash, operations).
#[pyfunction]
pub fn operations<'py>(
    py: Python<'py>,
    core: &Core,
    since: Vec<Vec<u8>>,
) -> PyResult<Vec<Bound<'py, PyTuple>>> {
    let since = read_heads(since)?;
    let changes = core.heavy(py, |d| {
        let doc = d.idle()?;
        known(doc, &since)?;
        Ok(doc.get_changes(&since).iter().map(|c| (c.hash(), c.decode())).collect::<Vec<_>>())
    })?;
    let to_py = |(hash, change): (ChangeHash, ExpandedChange)| {
        let ops: PyResult<Vec<_>> = change.operations.iter().map(|op| op_to_py(py, op)).collect();
        py.detach(|| drop(change));
        (PyBytes::new(py, &hash.0), ops?).into_pyobject(py)
    };
    changes.into_iter().map(to_py).collect()
}

fn op_to_py<'py>(py: Python<'py>, op: &Op) -> PyResult<Bound<'py, PyTuple>> {
    breathe(py)?;
    let none = || py.None().into_bound(py);
    let (key, elem) = match &op.key {
        Key::Map(key) => (Some(key.to_string()), None),
        Key::Seq(elem) => (None, elem.as_opid()),
    };
    let obj = match &op.obj {
        ObjectId::Root => None,
        ObjectId::Id(id) => Some(id),
    };
    let (action, value) = match &op.action {
        OpType::Make(kind) => (values::kind_name(*kind), none()),
        OpType::Delete => ("delete", none()),
        OpType::Increment(by) => ("increment", by.into_pyobject(py)?.into_any()),
        OpType::Put(value) => ("put", values::scalar_to_py(py, value, Style::Typed)?),
        OpType::MarkBegin(mark) => {
            let value = values::scalar_to_py(py, &mark.value, Style::Plain)?;
            ("mark", (mark.name.to_string(), value).into_pyobject(py)?.into_any())
        }
        OpType::MarkEnd(_) => ("end", none()),
    };
    let preds: Vec<_> = op.pred.iter().map(|id| id_to_py(py, Some(id))).collect();
    (id_to_py(py, obj), key, id_to_py(py, elem), op.insert, action, value, preds).into_pyobject(py)
}

fn id_to_py<'py>(py: Python<'py>, id: Option<&OpId>) -> Option<(u64, Bound<'py, PyBytes>)> {
    id.map(|OpId(counter, actor)| (*counter, PyBytes::new(py, actor.to_bytes())))
}

/// A value in an object: its key in a map, the id of its operation, its kind if it is an object, else the scalar.
type Content<'py> =
    (Option<String>, Option<(u64, Bound<'py, PyBytes>)>, Option<&'static str>, Bound<'py, PyAny>);

/// What an object holds: (key or none, id of the operation, kind of object or none, scalar) for each value.
#[pyfunction]
#[pyo3(signature = (core, obj, at=At::default()))]
pub fn contents<'py>(py: Python<'py>, core: &Core, obj: Id, at: At) -> PyResult<Vec<Content<'py>>> {
    let found = core.heavy(py, |d| {
        let doc = d.idle()?;
        let obj = object(obj);
        if let ObjType::Map | ObjType::Table = doc.object_type(&obj)? {
            let mut all = Vec::new();
            for key in at.keys(doc, &obj) {
                for (value, id) in at.get_all(doc, &obj, key.as_str().into())? {
                    all.push((Some(key.clone()), id.clone(), Output::view(value, id)));
                }
            }
            return Ok(all);
        }
        let items: Vec<_> = at.items(doc, &obj).collect();
        let length = at.length(doc, &obj);
        let has_marks = blame::widths(doc, &obj, &items)?.iter().sum::<usize>() != length;
        let items = items.iter().map(|item| {
            let id = item.id();
            (None, id.clone(), Output::from_ref(item.value.clone(), || id))
        });
        let mut items: Vec<_> = items.collect();
        if has_marks {
            let visible: HashSet<ObjId> = blame::ids(doc, &obj, 0..length, &at)?.into_iter().collect();
            items.retain(|(_, id, _)| visible.contains(id));
        }
        Ok(items)
    })?;
    let to_py = |(key, id, value): (Option<String>, ObjId, Output)| {
        breathe(py)?;
        let id = match &id {
            ObjId::Id(counter, actor, _) => Some((*counter, PyBytes::new(py, actor.to_bytes()))),
            ObjId::Root => None,
        };
        match value {
            Output::Object(_, kind) => Ok((key, id, Some(values::kind_name(kind)), py.None().into_bound(py))),
            scalar => Ok((key, id, None, values::to_py(py, scalar, Style::Typed)?)),
        }
    };
    found.into_iter().map(to_py).collect()
}

/// The values at the element of a list or text that has a value, that one among them and the one that shows last; none
/// if it is not there.
#[pyfunction]
pub fn values_beside<'py>(
    py: Python<'py>,
    core: &Core,
    obj: Id,
    value: (u64, Vec<u8>),
) -> PyResult<Vec<(u64, Bound<'py, PyBytes>)>> {
    let (obj, value) = (object(obj), OpId(value.0, ActorId::from(value.1)));
    let found = core.quick(py, |d| {
        let doc = d.idle()?;
        let position = elements::cursor(&value)
            .and_then(|cursor| guard(|| Ok(doc.get_cursor_position(&obj, &cursor, None)?)).ok());
        Ok(match position {
            Some(index) => doc.get_all(&obj, index)?.into_iter().map(|(_, id)| id).collect(),
            None => Vec::new(),
        })
    })?;
    if !found.iter().any(|id| elements::is(id, &value)) {
        return Ok(Vec::new());
    }
    let to_py = |id| match id {
        ObjId::Id(counter, actor, _) => Some((counter, PyBytes::new(py, actor.to_bytes()))),
        ObjId::Root => None,
    };
    Ok(found.into_iter().filter_map(to_py).collect())
}

fn object(id: Id) -> ObjId {
    match id {
        None => ObjId::Root,
        Some((counter, actor)) => ObjId::Id(counter, ActorId::from(actor), 0),
    }
}

/// The view of an object by its id.
#[pyfunction]
pub fn object_of(py: Python<'_>, core: &Core, id: (u64, Vec<u8>)) -> PyResult<values::Obj> {
    core.quick(py, |d| {
        let id = object(Some(id));
        let kind = d.idle()?.object_type(&id)?;
        Ok(values::Obj::new(id, kind))
    })
}

/// Whether an object can be reached from the root: neither it nor what it lies in was deleted or replaced.
#[pyfunction]
pub fn is_reachable(py: Python<'_>, core: &Core, id: Id) -> PyResult<bool> {
    core.quick(py, |d| Ok(d.idle()?.parents(object(id))?.all(|parent| parent.visible)))
}

/// The number of the next operation, were it written now.
#[pyfunction]
pub fn next_operation(py: Python<'_>, core: &Core) -> PyResult<u64> {
    core.quick(py, |d| {
        let (doc, tracker) = d.parts()?;
        Ok(tracker.max_op(doc) + 1)
    })
}

/// The bytes of a change of the document's own actor on its heads, which begins at operation `start`.
#[pyfunction]
pub fn build<'py>(
    py: Python<'py>,
    core: &Core,
    start: u64,
    time: i64,
    message: String,
    ops: &Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyBytes>> {
    let operations = ops.iter().map(read_op).collect::<PyResult<Vec<_>>>()?;
    let bytes = core.heavy(py, |d| {
        let (doc, tracker) = d.parts()?;
        if tracker.max_op(doc) + 1 != start {
            return Err(Error::Busy("the document changed while the change was made"));
        }
        let count = operations.len() as u64;
        if count > MAX_OPERATIONS || start + count > MAX_OP {
            return Err(Error::Crdt("too many operations for one change".into()));
        }
        let actor_id = doc.get_actor().clone();
        let seq = tracker.seq(doc, &actor_id) + 1;
        let deps = tracker.deps(doc, &actor_id);
        let start_op = NonZeroU64::new(start).expect("one above the highest operation");
        let message = Some(message);
        let extra_bytes = Vec::new();
        let change = ExpandedChange {
            operations,
            actor_id,
            hash: None,
            seq,
            start_op,
            time,
            message,
            deps,
            author: None,
            extra_bytes,
        };
        Ok(Change::from(change).raw_bytes().to_vec())
    })?;
    Ok(PyBytes::new(py, &bytes))
}

fn read_op(given: Bound<'_, PyAny>) -> PyResult<Op> {
    breathe(given.py())?;
    let (obj, key, elem, insert, action, value, preds): Given<'_> = given.extract()?;
    let id = |(counter, actor): (u64, Vec<u8>)| OpId(counter, ActorId::from(actor));
    let key = match key {
        Some(key) => Key::Map(key.into()),
        None => Key::Seq(elem.map_or(ElementId::Head, |elem| ElementId::Id(id(elem)))),
    };
    let action = read_action(&action, &value)?;
    let obj = obj.map_or(ObjectId::Root, |obj| ObjectId::Id(id(obj)));
    Ok(Op { action, obj, key, pred: preds.into_iter().map(id).collect(), insert })
}

fn read_action(action: &str, value: &Bound<'_, PyAny>) -> PyResult<OpType> {
    let unknown = || Error::Type("not an action".into());
    Ok(match action {
        "map" => OpType::Make(ObjType::Map),
        "list" => OpType::Make(ObjType::List),
        "text" => OpType::Make(ObjType::Text),
        "delete" => OpType::Delete,
        "increment" => OpType::Increment(value.extract()?),
        "put" => OpType::Put(input::read_scalar(value)?.ok_or_else(unknown)?),
        _ => return Err(unknown().into()),
    })
}
