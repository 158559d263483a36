//! Who wrote what is there, item by item, with no look at the contents of changes.

use std::iter::repeat_n;
use std::ops::Range;

use automerge::iter::ListRangeItem;
use automerge::{Automerge, ChangeHash, ObjId, ObjType, Prop, ReadDoc, ScalarValueRef, ValueRef};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::convert::breathe;
use crate::cut;
use crate::error::{Error, Result};
use crate::version::At;

/// A range shorter than this part of its object is read item by item, not by a walk over all.
const SMALL_PART: usize = 16;

/// A run of items of a text or list that one change wrote.
pub struct Run {
    start: usize,
    end: usize,
    change: ChangeHash,
    actor: Vec<u8>,
    time: i64,
    message: Option<String>,
}

impl Run {
    pub fn into_py(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        breathe(py)?;
        let (actor, change) = (PyBytes::new(py, &self.actor), PyBytes::new(py, &self.change.0));
        (self.start, self.end, actor, change, self.time, self.message).into_pyobject(py)
    }
}

/// Who wrote each item in a range of a text or list, in runs.
pub fn blame(doc: &Automerge, obj: &ObjId, range: Range<usize>, at: &At) -> Result<Vec<Run>> {
    let unknown = || Error::Crdt("the document has an operation of no change".into());
    let start = range.start;
    let mut runs: Vec<Run> = Vec::new();
    for (i, id) in ids(doc, obj, range, at)?.iter().enumerate() {
        let index = start + i;
        let change = doc.hash_for_opid(id).ok_or_else(unknown)?;
        match runs.last_mut() {
            Some(run) if run.change == change => run.end = index + 1,
            _ => {
                let meta = doc.get_change_meta_by_hash(&change).ok_or_else(unknown)?;
                runs.push(Run {
                    start: index,
                    end: index + 1,
                    change,
                    actor: meta.actor.to_bytes().to_vec(),
                    time: meta.timestamp,
                    message: meta.message.filter(|m| !m.is_empty()).map(|m| m.into_owned()),
                });
            }
        }
    }
    Ok(runs)
}

/// How many places each item takes up: a string in a text one for each character. Together they are more than the length
/// of a text where the begins and ends of marks are among them, as in the crate's range.
pub fn widths(doc: &Automerge, obj: &ObjId, items: &[ListRangeItem<'_>]) -> Result<Vec<usize>> {
    let is_text = doc.object_type(obj)? == ObjType::Text;
    let width = |item: &ListRangeItem<'_>| match &item.value {
        ValueRef::Scalar(ScalarValueRef::Str(text)) if is_text => text.chars().count(),
        _ => 1,
    };
    Ok(items.iter().map(width).collect())
}

/// The id of what is at each index of a range of a text or list.
pub fn ids(doc: &Automerge, obj: &ObjId, range: Range<usize>, at: &At) -> Result<Vec<ObjId>> {
    let length = at.length(doc, obj);
    if range.len().saturating_mul(SMALL_PART) >= length {
        let items: Vec<_> = at.items(doc, obj).collect();
        let widths = widths(doc, obj, &items)?;
        if widths.iter().sum::<usize>() == length {
            let all = items.iter().zip(widths).flat_map(|(item, width)| repeat_n(item.id(), width));
            return Ok(all.skip(range.start).take(range.len()).collect());
        }
        if let Some(heads) = at.heads() {
            // Looking up one item in an older version takes as long as a walk over all.
            return ids(&cut::fork_at(doc, heads)?, obj, range, &At::default());
        }
    }
    let id = |index| Ok(at.get(doc, obj, Prop::Seq(index))?.map(|(_, id)| id));
    range.filter_map(|index| id(index).transpose()).collect()
}
