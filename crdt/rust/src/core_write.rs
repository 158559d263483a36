//! What the Python class writes to maps and lists.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::convert::Place;
use crate::core::Core;
use crate::input;
use crate::values::Obj;

#[pymethods]
impl Core {
    fn put(&self, py: Python<'_>, obj: &Obj, place: Place, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = input::read(value)?;
        self.write(py, Some(value.operations()), |d| d.put(&obj.id, place.0, value))
    }

    /// Write values to places: all of them or, after an error, none.
    fn put_all(&self, py: Python<'_>, obj: &Obj, items: Vec<(Place, Bound<'_, PyAny>)>) -> PyResult<()> {
        let read = |(place, value): (Place, Bound<'_, PyAny>)| Ok((place.0, input::read(&value)?));
        let items = items.into_iter().map(read).collect::<PyResult<Vec<_>>>()?;
        let operations = items.iter().map(|(_, value)| value.operations()).sum();
        self.write(py, Some(operations), |d| d.put_all(&obj.id, items))
    }

    fn insert(&self, py: Python<'_>, obj: &Obj, index: usize, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = input::read(value)?;
        self.write(py, Some(value.operations()), |d| d.insert(&obj.id, index, value))
    }

    fn splice_list(
        &self,
        py: Python<'_>,
        obj: &Obj,
        index: usize,
        delete: usize,
        values: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        let values: PyResult<Vec<_>> = values.iter().map(|v| input::read(&v)).collect();
        let values = values?;
        let written = values.iter().map(input::Input::operations).sum::<u64>();
        self.write(py, Some(written.saturating_add(delete as u64)), |d| {
            d.splice_list(&obj.id, index, delete, values)
        })
    }

    fn delete(&self, py: Python<'_>, obj: &Obj, place: Place) -> PyResult<()> {
        self.write(py, Some(1), |d| d.delete(&obj.id, place.0))
    }

    fn increment(&self, py: Python<'_>, obj: &Obj, place: Place, by: i64) -> PyResult<()> {
        self.write(py, Some(1), |d| d.increment(&obj.id, place.0, by))
    }
}
