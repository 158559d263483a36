//! Patches of the crate, made into values without a borrow of the document.

use automerge::{Automerge, ObjType, Patch, PatchAction, Prop, ReadDoc};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::error::Result;
use crate::values::{self, Output, Style};

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
    Text(usize, String, usize),
    Increment(Prop, i64),
    Conflict(Prop),
    Mark(usize, usize, String, Output),
}

/// Read the crate's patches against the document they were made from.
pub fn read(doc: &Automerge, patches: Vec<Patch>, out: &mut Vec<Seen>) -> Result<()> {
    for patch in patches {
        let path: Vec<Prop> = patch.path.into_iter().map(|(_, prop)| prop).collect();
        if in_block(doc, &patch.obj, &path)? {
            continue;
        }
        let is_text = doc.object_type(&patch.obj)? == ObjType::Text;
        read_action(path, patch.action, is_text, out);
    }
    Ok(())
}

/// Whether a patch is of a place where concurrent writers clash.
pub fn is_clash(patch: &Patch) -> bool {
    match &patch.action {
        PatchAction::Conflict { .. } => true,
        PatchAction::PutMap { conflict, .. } | PatchAction::PutSeq { conflict, .. } => *conflict,
        PatchAction::Insert { values, .. } => values.iter().any(|(_, _, conflict)| *conflict),
        _ => false,
    }
}

/// Whether the object lies inside a block of a text, which plain data does not show.
fn in_block(doc: &Automerge, obj: &automerge::ObjId, path: &[Prop]) -> Result<bool> {
    // A numbered step into a text leads to a block; without numbered steps there is none.
    if !path.iter().any(|prop| matches!(prop, Prop::Seq(_))) {
        return Ok(false);
    }
    for parent in doc.parents(obj)? {
        if doc.object_type(&parent.obj)? == ObjType::Text {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_action(path: Vec<Prop>, action: PatchAction, is_text: bool, out: &mut Vec<Seen>) {
    let what = match action {
        PatchAction::PutMap { key, value, conflict } => What::PutKey(key, Output::fresh(value.0), conflict),
        PatchAction::DeleteMap { key } => What::DeleteKey(key),
        PatchAction::PutSeq { index, value, .. } if is_text => What::Text(index, shown(value.0), 1),
        PatchAction::PutSeq { index, value, conflict } => {
            What::PutItem(index, Output::fresh(value.0), conflict)
        }
        PatchAction::Insert { index, values } if is_text => {
            What::Text(index, values.iter().map(|v| shown(v.0.clone())).collect(), 0)
        }
        PatchAction::Insert { index, values } => {
            What::InsertItems(index, values.iter().map(|v| Output::fresh(v.0.clone())).collect())
        }
        PatchAction::DeleteSeq { index, length } if is_text => What::Text(index, String::new(), length),
        PatchAction::DeleteSeq { index, length } => What::DeleteItems(index, length),
        PatchAction::SpliceText { index, value, .. } => What::Text(index, value.make_string(), 0),
        PatchAction::Increment { prop, value } => What::Increment(prop, value),
        PatchAction::Conflict { prop } => What::Conflict(prop),
        PatchAction::Mark { marks } => {
            out.extend(marks.into_iter().map(|mark| Seen {
                path: path.clone(),
                what: What::Mark(mark.start, mark.end, mark.name.to_string(), Output::Scalar(mark.value)),
            }));
            return;
        }
    };
    if !joined(&path, &what, out) {
        out.push(Seen { path, what });
    }
}

/// Make one patch of an insertion and a deletion at the same place.
fn joined(path: &[Prop], what: &What, out: &mut [Seen]) -> bool {
    let (Some(last), What::Text(index, inserted, deleted)) = (out.last_mut(), what) else {
        return false;
    };
    let What::Text(at, text, gone) = &mut last.what else {
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
        return true;
    }
    false
}

/// What stands for a value inside a text.
fn shown(value: automerge::Value<'_>) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => "\u{fffc}".to_owned(),
    }
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
    let path = path_to_py(py, patch.path)?;
    let typed = |value| values::to_py(py, value, Style::Typed);
    match patch.what {
        What::Text(index, inserted, deleted) => (0, path, index, inserted, deleted).into_pyobject(py),
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
        What::Mark(start, end, name, value) => (8, path, start, end, name, typed(value)?).into_pyobject(py),
    }
}
