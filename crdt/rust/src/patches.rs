//! Patches of the crate, made into values without a borrow of the document.

use automerge::marks::MarkSet;
use automerge::{Automerge, ObjType, Patch, PatchAction, Prop, ReadDoc, ScalarValue, Value};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::convert::breathe;
use crate::error::Result;
use crate::spans::Marks;
use crate::values::{self, Output, Style};

/// What stands in a text for a value that is no character.
const PLACEHOLDER: &str = "\u{fffc}";

/// One patch on its way to Python, where it becomes a dataclass by its tag.
pub struct Seen {
    path: Vec<Prop>,
    what: What,
}

enum What {
    PutKey(String, Output, bool),
    DeleteKey(String),
    PutItem(usize, Output, bool),
    InsertItems(usize, Vec<Output>),
    DeleteItems(usize, usize),
    Text(usize, String, usize, Marks),
    Block(usize),
    Increment(Prop, i64),
    Conflict(Prop),
    Mark(usize, usize, String, Output),
}

impl Seen {
    /// Characters without marks that came or went in a text.
    pub fn splice(path: Vec<Prop>, index: usize, inserted: String, deleted: usize) -> Self {
        Seen { path, what: What::Text(index, inserted, deleted, Marks::new()) }
    }
}

/// Read the crate's patches against the document they were made from.
pub fn read(doc: &Automerge, patches: Vec<Patch>, out: &mut Vec<Seen>) -> Result<()> {
    for patch in patches {
        let path: Vec<Prop> = patch.path.into_iter().map(|(_, prop)| prop).collect();
        if doc.object_type(&patch.obj)? == ObjType::Text {
            read_text(path, patch.action, out);
        } else {
            read_action(path, patch.action, out);
        }
    }
    Ok(())
}

/// Whether the crate's log of a batch may be wrong about a patch.
///
/// It is where concurrent writers clash; and it counts an item that one writer deleted and another wrote anew as gone,
/// so that the indexes after it in a list are one short.
pub fn is_doubtful(doc: &Automerge, patch: &Patch) -> bool {
    match &patch.action {
        PatchAction::Conflict { .. } | PatchAction::PutSeq { .. } | PatchAction::Insert { .. } => true,
        PatchAction::PutMap { conflict, .. } => *conflict,
        PatchAction::DeleteSeq { .. } => matches!(doc.object_type(&patch.obj), Ok(ObjType::List)),
        _ => false,
    }
}

/// Whether two patches may be of a marked character that came forward where another one is gone from its place: the
/// crate's log has it without its marks.
pub fn exposes(doc: &Automerge, one: &Patch, next: &Patch) -> bool {
    let (PatchAction::DeleteSeq { index, .. }, PatchAction::SpliceText { index: at, .. }) =
        (&one.action, &next.action)
    else {
        return false;
    };
    index == at && one.obj == next.obj && !doc.marks(&one.obj).is_ok_and(|marks| marks.is_empty())
}

/// Whether a patch shows another count of a counter than the document has.
///
/// The crate's log does where a counter shows because what stood before it is gone, and where one of several is
/// incremented.
pub fn is_old_count(doc: &Automerge, patch: &Patch) -> bool {
    let (place, value) = match &patch.action {
        PatchAction::PutMap { key, value, .. } => (Prop::Map(key.clone()), &value.0),
        PatchAction::PutSeq { index, value, .. } => (Prop::Seq(*index), &value.0),
        _ => return false,
    };
    let Some(shown) = count(value) else {
        return false;
    };
    match doc.get(&patch.obj, place) {
        Ok(Some((now, _))) => count(&now) != Some(shown),
        _ => true,
    }
}

fn count(value: &Value<'_>) -> Option<i64> {
    match value.as_scalar() {
        Some(ScalarValue::Counter(counter)) => Some(i64::from(counter)),
        _ => None,
    }
}

fn read_action(path: Vec<Prop>, action: PatchAction, out: &mut Vec<Seen>) {
    let what = match action {
        PatchAction::PutMap { key, value, conflict } => What::PutKey(key, Output::fresh(value.0), conflict),
        PatchAction::DeleteMap { key } => What::DeleteKey(key),
        PatchAction::PutSeq { index, value, conflict } => {
            What::PutItem(index, Output::fresh(value.0), conflict)
        }
        PatchAction::Insert { index, values } => {
            let conflicts: Vec<usize> =
                values.iter().enumerate().filter(|(_, v)| v.2).map(|(i, _)| index + i).collect();
            let items = values.iter().map(|v| Output::fresh(v.0.clone())).collect();
            out.push(Seen { path: path.clone(), what: What::InsertItems(index, items) });
            out.extend(
                conflicts
                    .into_iter()
                    .map(|at| Seen { path: path.clone(), what: What::Conflict(Prop::Seq(at)) }),
            );
            return;
        }
        PatchAction::DeleteSeq { index, length } => What::DeleteItems(index, length),
        PatchAction::Increment { prop, value } => What::Increment(prop, value),
        PatchAction::Conflict { prop } => What::Conflict(prop),
        PatchAction::SpliceText { .. } | PatchAction::Mark { .. } => return,
    };
    out.push(Seen { path, what });
}

fn read_text(path: Vec<Prop>, action: PatchAction, out: &mut Vec<Seen>) {
    let mut add = |what: What| {
        if !joined(&path, &what, out) {
            out.push(Seen { path: path.clone(), what });
        }
    };
    match action {
        PatchAction::SpliceText { index, value, marks } => {
            add(What::Text(index, value.make_string(), 0, read_marks(marks.as_ref())))
        }
        PatchAction::DeleteSeq { index, length } => {
            add(What::Text(index, String::new(), length, Marks::new()))
        }
        PatchAction::Insert { index, values } => {
            let mut at = index;
            for (value, _, _) in values.iter() {
                add(inserted(at, value));
                at += value.as_str().map_or(1, |text| text.chars().count());
            }
        }
        PatchAction::PutSeq { index, value, .. } => {
            add(What::Text(index, String::new(), 1, Marks::new()));
            add(inserted(index, &value.0));
        }
        PatchAction::Mark { marks } => {
            for mark in marks {
                add(What::Mark(mark.start, mark.end, mark.name.to_string(), Output::Scalar(mark.value)));
            }
        }
        _ => {}
    }
}

/// A value inside a text: characters, or a block.
fn inserted(index: usize, value: &Value<'_>) -> What {
    match value {
        Value::Object(ObjType::Map) => What::Block(index),
        other => What::Text(index, other.as_str().unwrap_or(PLACEHOLDER).to_owned(), 0, Marks::new()),
    }
}

/// The marks of inserted characters; those taken away are left out.
pub fn read_marks(marks: Option<&MarkSet>) -> Marks {
    let named = |(name, value): (&str, &ScalarValue)| (name.to_owned(), value.clone());
    let all = marks.into_iter().flat_map(|marks| marks.iter().map(named));
    all.filter(|(_, value)| *value != ScalarValue::Null).collect()
}

/// Make one patch of an insertion and a deletion at the same place.
fn joined(path: &[Prop], what: &What, out: &mut [Seen]) -> bool {
    let (Some(last), What::Text(index, inserted, deleted, marks)) = (out.last_mut(), what) else {
        return false;
    };
    let What::Text(at, text, gone, active) = &mut last.what else {
        return false;
    };
    if last.path != path || *index != *at + text.chars().count() {
        return false;
    }
    if inserted.is_empty() {
        *gone += deleted;
        return true;
    }
    // After a deletion alone, an insertion at the same place fills the gap.
    if text.is_empty() && *deleted == 0 {
        text.push_str(inserted);
        active.clone_from(marks);
        return true;
    }
    false
}

fn prop_to_py<'py>(py: Python<'py>, prop: Prop) -> PyResult<Bound<'py, PyAny>> {
    Ok(match prop {
        Prop::Map(key) => PyString::new(py, &key).into_any(),
        Prop::Seq(index) => index.into_pyobject(py)?.into_any(),
    })
}

/// Where an object is, from the root.
pub fn path_to_py(py: Python<'_>, path: Vec<Prop>) -> PyResult<Bound<'_, PyTuple>> {
    let path: PyResult<Vec<_>> = path.into_iter().map(|p| prop_to_py(py, p)).collect();
    PyTuple::new(py, path?)
}

/// A tuple (tag, path, fields...) for each patch.
pub fn to_py<'py>(py: Python<'py>, seen: Vec<Seen>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
    seen.into_iter().map(|patch| patch_to_py(py, patch)).collect()
}

fn patch_to_py<'py>(py: Python<'py>, patch: Seen) -> PyResult<Bound<'py, PyTuple>> {
    breathe(py)?;
    let path = path_to_py(py, patch.path)?;
    let typed = |value| values::to_py(py, value, Style::Typed);
    match patch.what {
        What::Text(index, inserted, deleted, marks) => {
            (0, path, index, inserted, deleted, values::marks_to_py(py, &marks)?).into_pyobject(py)
        }
        What::PutKey(key, value, conflict) => (1, path, key, typed(value)?, conflict).into_pyobject(py),
        What::DeleteKey(key) => (2, path, key).into_pyobject(py),
        What::PutItem(index, value, conflict) => (3, path, index, typed(value)?, conflict).into_pyobject(py),
        What::InsertItems(index, items) => {
            let items: PyResult<Vec<_>> = items.into_iter().map(typed).collect();
            (4, path, index, PyTuple::new(py, items?)?).into_pyobject(py)
        }
        What::DeleteItems(index, count) => (5, path, index, count).into_pyobject(py),
        What::Increment(prop, by) => (6, path, prop_to_py(py, prop)?, by).into_pyobject(py),
        What::Conflict(prop) => (7, path, prop_to_py(py, prop)?).into_pyobject(py),
        What::Mark(start, end, name, value) => {
            let value = values::to_py(py, value, Style::Plain)?; // as spans have it
            (8, path, start, end, name, value).into_pyobject(py)
        }
        What::Block(index) => (9, path, index).into_pyobject(py),
    }
}
