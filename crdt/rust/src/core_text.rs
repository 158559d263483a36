//! What the Python class does with texts: characters, positions, marks, blocks, cursors.

use automerge::marks::Mark;
use automerge::{Cursor, CursorPosition, MoveCursor, ObjId, ObjType, ReadDoc};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PyTuple};

use crate::convert::breathe;
use crate::core::Core;
use crate::document::{reading, Document};
use crate::error::{guard, Error, Result};
use crate::input::{self, Input};
use crate::text::Sides;
use crate::units::{self, Unit};
use crate::values::{self, Form, Obj, Style};
use crate::version::At;

/// Run `f` on a text, which stays beside the document for the next call.
fn mirrored<T>(document: &mut Document, obj: &Obj, at: &At, f: impl Fn(&str) -> Result<T>) -> Result<T> {
    if at.heads().is_none() {
        if let Some(text) = document.mirror.text(&obj.id) {
            return f(text);
        }
    }
    let text = reading!(document, doc => at.text(doc, &obj.id))?;
    let result = f(&text);
    if at.heads().is_none() {
        document.mirror.keep(&obj.id, text);
    }
    result
}

#[pymethods]
impl Core {
    #[pyo3(signature = (obj, at=At::default()))]
    fn text(&self, py: Python<'_>, obj: &Obj, at: At) -> PyResult<String> {
        self.heavy(py, |d| match d.mirror.text(&obj.id).filter(|_| at.heads().is_none()) {
            Some(text) => Ok(text.to_owned()),
            None => reading!(d, doc => at.text(doc, &obj.id)),
        })
    }

    fn splice_text(
        &self,
        py: Python<'_>,
        obj: &Obj,
        index: usize,
        delete: usize,
        text: &str,
    ) -> PyResult<()> {
        let operations = (delete as u64).saturating_add(text.len() as u64);
        self.write(py, Some(operations), |d| d.splice_text(&obj.id, index, delete, text))
    }

    fn update_text(&self, py: Python<'_>, obj: &Obj, text: &str) -> PyResult<()> {
        self.write(py, None, |d| d.update_text(&obj.id, text))
    }

    #[allow(clippy::too_many_arguments)]
    fn mark(
        &self,
        py: Python<'_>,
        obj: &Obj,
        start: usize,
        end: usize,
        name: String,
        value: &Bound<'_, PyAny>,
        expand: (bool, bool),
    ) -> PyResult<()> {
        let value = input::read_mark(value)?;
        self.write(py, Some(2), |d| d.mark(&obj.id, Mark::new(name, value, start, end), expand))
    }

    #[pyo3(signature = (obj, at=At::default()))]
    fn marks<'py>(&self, py: Python<'py>, obj: &Obj, at: At) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let marks = self.heavy(py, |d| reading!(d, doc => at.marks(doc, &obj.id)))?;
        let to_py = |mark: Mark| {
            breathe(py)?;
            let value = values::scalar_to_py(py, &mark.value, Style::Plain)?;
            (mark.start, mark.end, mark.name.to_string(), value).into_pyobject(py)
        };
        marks.into_iter().map(to_py).collect()
    }

    /// A cursor at an index, or without one at the start.
    #[pyo3(signature = (obj, index, before, at=At::default()))]
    fn cursor<'py>(
        &self,
        py: Python<'py>,
        obj: &Obj,
        index: Option<usize>,
        before: bool,
        at: At,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let side = if before { MoveCursor::Before } else { MoveCursor::After };
        let cursor = self.quick(py, |d| {
            reading!(d, doc => {
                let place = match index {
                    None => CursorPosition::Start,
                    Some(index) if index == at.length(doc, &obj.id) => CursorPosition::End,
                    Some(index) => CursorPosition::Index(index),
                };
                Ok(doc.get_cursor_moving(&obj.id, place, at.heads(), side)?.to_bytes())
            })
        })?;
        Ok(PyBytes::new(py, &cursor))
    }

    #[pyo3(signature = (obj, cursor, at=At::default()))]
    fn position(&self, py: Python<'_>, obj: &Obj, cursor: &[u8], at: At) -> PyResult<usize> {
        let read = guard(|| Cursor::try_from(cursor).map_err(|e| Error::InvalidCursor(e.to_string())))
            .ok()
            .filter(|read| read.to_bytes() == cursor)
            .ok_or_else(|| Error::InvalidCursor("not a cursor".into()))?;
        let found = self.quick(py, |d| {
            guard(|| {
                reading!(d, doc => match read {
                    Cursor::End => Ok(at.length(doc, &obj.id)),
                    _ => Ok(doc.get_cursor_position(&obj.id, &read, at.heads())?),
                })
            })
            .map_err(|e| match e {
                Error::Crdt(_) => Error::InvalidCursor("the cursor is of another object".into()),
                other => other,
            })
        })?;
        Ok(found)
    }

    /// The indexes of code points at offsets in another unit.
    #[pyo3(signature = (obj, unit, offsets, at=At::default()))]
    fn to_points(
        &self,
        py: Python<'_>,
        obj: &Obj,
        unit: Unit,
        offsets: Vec<usize>,
        at: At,
    ) -> PyResult<Vec<usize>> {
        self.heavy(py, |d| mirrored(d, obj, &at, |text| units::to_points(text, unit, &offsets)))
    }

    /// The offsets in another unit of the code points at indexes; None: the length.
    #[pyo3(name = "from_points", signature = (obj, unit, indexes, at=At::default()))]
    fn offsets_of_points(
        &self,
        py: Python<'_>,
        obj: &Obj,
        unit: Unit,
        indexes: Option<Vec<usize>>,
        at: At,
    ) -> PyResult<Vec<usize>> {
        self.heavy(py, |d| mirrored(d, obj, &at, |text| from_or_length(text, unit, indexes.as_deref())))
    }

    #[pyo3(signature = (obj, at=At::default()))]
    fn boundaries(&self, py: Python<'_>, obj: &Obj, at: At) -> PyResult<Vec<usize>> {
        self.heavy(py, |d| mirrored(d, obj, &at, |text| Ok(units::boundaries(text))))
    }

    #[pyo3(signature = (obj, index, at=At::default()))]
    fn around(&self, py: Python<'_>, obj: &Obj, index: usize, at: At) -> PyResult<(usize, usize)> {
        self.heavy(py, |d| mirrored(d, obj, &at, |text| units::around(text, index)))
    }

    /// The runs of a text with their marks, and its blocks.
    #[pyo3(signature = (obj, at=At::default()))]
    fn spans<'py>(&self, py: Python<'py>, obj: &Obj, at: At) -> PyResult<Bound<'py, PyAny>> {
        if obj.kind() != "text" {
            return Err(Error::Type("not a text".into()).into());
        }
        let value = self.heavy(py, |d| reading!(d, doc => values::plain(doc, &obj.id, &at, Form::Rich)))?;
        values::to_py(py, value, Style::Plain)
    }

    fn split_block(
        &self,
        py: Python<'_>,
        obj: &Obj,
        index: usize,
        content: &Bound<'_, PyMapping>,
    ) -> PyResult<Obj> {
        self.new_block(py, content, |d, content| d.split_block(&obj.id, index, content))
    }

    fn replace_block(
        &self,
        py: Python<'_>,
        obj: &Obj,
        index: usize,
        content: &Bound<'_, PyMapping>,
    ) -> PyResult<Obj> {
        self.new_block(py, content, |d, content| d.replace_block(&obj.id, index, content))
    }

    fn join_block(&self, py: Python<'_>, obj: &Obj, index: usize) -> PyResult<()> {
        self.write(py, Some(1), |d| d.join_block(&obj.id, index))
    }

    /// Make a text of these parts, (text, marks) or (None, block); `expand` by the names of marks.
    fn update_spans(
        &self,
        py: Python<'_>,
        obj: &Obj,
        pieces: Vec<(Option<String>, Bound<'_, PyMapping>)>,
        expand: std::collections::HashMap<String, Sides>,
        default: Sides,
    ) -> PyResult<()> {
        let pieces = input::read_pieces(pieces)?;
        let sides = |name: &str| expand.get(name).copied().unwrap_or(default);
        self.write(py, None, |d| d.update_spans(&obj.id, pieces, sides))
    }
}

impl Core {
    fn new_block(
        &self,
        py: Python<'_>,
        content: &Bound<'_, PyMapping>,
        put: impl FnOnce(&mut Document, Vec<(String, Input)>) -> Result<ObjId> + Send,
    ) -> PyResult<Obj> {
        let content = input::read_map(content)?;
        let operations = content.iter().map(|(_, value)| value.operations()).sum();
        let block = self.write(py, Some(operations), |d| put(d, content))?;
        Ok(Obj::new(block, ObjType::Map))
    }
}

fn from_or_length(text: &str, unit: Unit, indexes: Option<&[usize]>) -> Result<Vec<usize>> {
    match indexes {
        Some(indexes) => units::from_points(text, unit, indexes),
        None => Ok(vec![units::length(text, unit)]),
    }
}

#[pyfunction]
pub fn to_points(text: &str, unit: Unit, offsets: Vec<usize>) -> PyResult<Vec<usize>> {
    Ok(units::to_points(text, unit, &offsets)?)
}

#[pyfunction]
pub fn from_points(text: &str, unit: Unit, indexes: Option<Vec<usize>>) -> PyResult<Vec<usize>> {
    Ok(from_or_length(text, unit, indexes.as_deref())?)
}

#[pyfunction]
pub fn boundaries(text: &str) -> Vec<usize> {
    units::boundaries(text)
}

#[pyfunction]
pub fn around(text: &str, index: usize) -> PyResult<(usize, usize)> {
    Ok(units::around(text, index)?)
}
