//! Reading a document as it is now, or as it was at some heads.

use std::ops;

use automerge::iter::{ListRangeItem, MapRangeItem};
use automerge::marks::Mark;
use automerge::{ChangeHash, ObjId, ObjType, Parents, Prop, ReadDoc, Value};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::read_heads;
use crate::error::Result;

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
            Some(heads) => match doc.object_type(obj) {
                // Where a character had two values, the crate (0.12.0) counts both.
                Ok(ObjType::Text) => doc.text_at(obj, heads).map_or(0, |text| text.chars().count()),
                _ => doc.length_at(obj, heads),
            },
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

/// Who wrote the value with this id.
pub fn actor_of<'py>(py: Python<'py>, id: &ObjId) -> Bound<'py, PyBytes> {
    match id {
        ObjId::Id(_, actor, _) => PyBytes::new(py, actor.to_bytes()),
        ObjId::Root => PyBytes::new(py, &[]),
    }
}
