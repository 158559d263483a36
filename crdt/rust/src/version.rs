//! Reading a document as it is now, or as it was at some heads; and who wrote what is there.

use std::collections::HashMap;
use std::ops;

use automerge::iter::{ListRangeItem, MapRangeItem};
use automerge::marks::Mark;
use automerge::{ActorId, Automerge, ChangeHash, ObjId, Parents, Prop, ReadDoc, Value};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::read_heads;
use crate::error::{Error, Result};

/// Heads to read at; none: now.
#[derive(Default)]
pub struct At(Option<Vec<ChangeHash>>);

impl<'py> FromPyObject<'_, 'py> for At {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let heads: Option<Vec<Vec<u8>>> = value.extract()?;
        Ok(At(heads.map(read_heads).transpose()?))
    }
}

impl At {
    pub fn heads_of(heads: &[ChangeHash]) -> Self {
        At(Some(heads.to_vec()))
    }

    pub fn parents<'d, D: ReadDoc>(&self, doc: &'d D, obj: &ObjId) -> Result<Parents<'d>> {
        Ok(match self.heads() {
            None => doc.parents(obj)?,
            Some(heads) => doc.parents_at(obj, heads)?,
        })
    }

    pub fn heads(&self) -> Option<&[ChangeHash]> {
        self.0.as_deref()
    }

    pub fn get<'d, D: ReadDoc>(
        &self,
        doc: &'d D,
        obj: &ObjId,
        prop: Prop,
    ) -> Result<Option<(Value<'d>, ObjId)>> {
        Ok(match self.heads() {
            None => doc.get(obj, prop)?,
            Some(heads) => doc.get_at(obj, prop, heads)?,
        })
    }

    pub fn get_all<'d, D: ReadDoc>(
        &self,
        doc: &'d D,
        obj: &ObjId,
        prop: Prop,
    ) -> Result<Vec<(Value<'d>, ObjId)>> {
        Ok(match self.heads() {
            None => doc.get_all(obj, prop)?,
            Some(heads) => doc.get_all_at(obj, prop, heads)?,
        })
    }

    pub fn keys<D: ReadDoc>(&self, doc: &D, obj: &ObjId) -> Vec<String> {
        match self.heads() {
            None => doc.keys(obj).collect(),
            Some(heads) => doc.keys_at(obj, heads).collect(),
        }
    }

    pub fn length<D: ReadDoc>(&self, doc: &D, obj: &ObjId) -> usize {
        match self.heads() {
            None => doc.length(obj),
            Some(heads) => doc.length_at(obj, heads),
        }
    }

    pub fn text<D: ReadDoc>(&self, doc: &D, obj: &ObjId) -> Result<String> {
        Ok(match self.heads() {
            None => doc.text(obj)?,
            Some(heads) => doc.text_at(obj, heads)?,
        })
    }

    pub fn marks<D: ReadDoc>(&self, doc: &D, obj: &ObjId) -> Result<Vec<Mark>> {
        Ok(match self.heads() {
            None => doc.marks(obj)?,
            Some(heads) => doc.marks_at(obj, heads)?,
        })
    }

    pub fn items<'d, D: ReadDoc>(&self, doc: &'d D, obj: &ObjId) -> impl Iterator<Item = ListRangeItem<'d>> {
        self.items_in(doc, obj, 0..usize::MAX)
    }

    pub fn items_in<'d, D: ReadDoc>(
        &self,
        doc: &'d D,
        obj: &ObjId,
        range: ops::Range<usize>,
    ) -> impl Iterator<Item = ListRangeItem<'d>> {
        match self.heads() {
            None => doc.list_range(obj, range),
            Some(heads) => doc.list_range_at(obj, range, heads),
        }
    }

    pub fn entries<'d, D: ReadDoc>(
        &self,
        doc: &'d D,
        obj: &'d ObjId,
    ) -> impl Iterator<Item = MapRangeItem<'d>> {
        match self.heads() {
            None => doc.map_range(obj, ..),
            Some(heads) => doc.map_range_at(obj, .., heads),
        }
    }
}

/// A run of items of a text or list that one change wrote: start, end, actor, hash of the change.
pub struct Run {
    pub start: usize,
    pub end: usize,
    pub actor: Vec<u8>,
    pub change: [u8; 32],
}

/// Who wrote each item of a text or list, in runs.
pub fn blame(doc: &Automerge, obj: &ObjId, at: &At) -> Result<Vec<Run>> {
    let authors = Authors::of(doc);
    let mut runs: Vec<Run> = Vec::new();
    for (index, id) in ids(doc, obj, at)?.iter().enumerate() {
        let (actor, change) = authors.find(id)?;
        match runs.last_mut() {
            Some(run) if run.change == change.0 => run.end = index + 1,
            _ => runs.push(Run {
                start: index,
                end: index + 1,
                actor: actor.to_bytes().to_vec(),
                change: change.0,
            }),
        }
    }
    Ok(runs)
}

/// The id of what is at each index of a text or list.
fn ids(doc: &Automerge, obj: &ObjId, at: &At) -> Result<Vec<ObjId>> {
    let length = at.length(doc, obj);
    let items: Vec<ObjId> = at.items(doc, obj).map(|item| item.id()).collect();
    if items.len() == length {
        return Ok(items);
    }
    // A text with marks or wide items, which the crate's range does not count as the text does.
    let id = |index| Ok(at.get(doc, obj, Prop::Seq(index))?.map(|(_, id)| id));
    (0..length).filter_map(|index| id(index).transpose()).collect()
}

/// Every change of a document by its writer and its first operation.
struct Authors {
    changes: HashMap<ActorId, Vec<(u64, ChangeHash)>>,
}

impl Authors {
    fn of(doc: &Automerge) -> Self {
        let mut changes: HashMap<ActorId, Vec<(u64, ChangeHash)>> = HashMap::new();
        for change in doc.get_changes_meta(&[]) {
            changes.entry(change.actor.into_owned()).or_default().push((change.start_op, change.hash));
        }
        for made in changes.values_mut() {
            made.sort_unstable_by_key(|(start, _)| *start);
        }
        Authors { changes }
    }

    fn find<'i>(&self, id: &'i ObjId) -> Result<(&'i ActorId, ChangeHash)> {
        let unknown = || Error::Crdt("the document has an operation of no change".into());
        let ObjId::Id(number, actor, _) = id else {
            return Err(unknown());
        };
        let made = self.changes.get(actor).ok_or_else(unknown)?;
        let after = made.partition_point(|(start, _)| start <= number);
        let (_, hash) = made[..after].last().ok_or_else(unknown)?;
        Ok((actor, *hash))
    }
}

/// Who wrote the value with this id.
pub fn actor_of<'py>(py: Python<'py>, id: &ObjId) -> Bound<'py, PyBytes> {
    match id {
        ObjId::Id(_, actor, _) => PyBytes::new(py, actor.to_bytes()),
        ObjId::Root => PyBytes::new(py, &[]),
    }
}
