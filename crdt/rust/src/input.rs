//! Python values on their way into a document.

use std::collections::HashMap;

use automerge::{hydrate, ObjType, ScalarValue};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyList, PyMapping, PyMemoryView, PySequence, PyString,
    PyTuple,
};

use crate::convert::breathe;
use crate::spans::{Marks, NewPiece, Piece};
use crate::values::{types, ENCODING, MAX_DEPTH};

/// A value on its way into a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Scalar(ScalarValue),
    Text(String),
    Map(Vec<(String, Input)>),
    List(Vec<Input>),
}

impl Input {
    /// How many operations writing this value takes.
    pub fn operations(&self) -> u64 {
        match self {
            Input::Scalar(_) => 1,
            Input::Text(text) => 1 + text.chars().count() as u64,
            Input::Map(items) => 1 + items.iter().map(|(_, v)| v.operations()).sum::<u64>(),
            Input::List(items) => 1 + items.iter().map(Input::operations).sum::<u64>(),
        }
    }

    /// How many objects lie in one another in it.
    pub fn depth(&self) -> usize {
        match self {
            Input::Scalar(_) => 0,
            Input::Text(_) => 1,
            Input::Map(items) => depth(items),
            Input::List(items) => 1 + items.iter().map(Input::depth).max().unwrap_or(0),
        }
    }

    pub fn kind(&self) -> ObjType {
        match self {
            Input::Map(_) | Input::Scalar(_) => ObjType::Map,
            Input::List(_) => ObjType::List,
            Input::Text(_) => ObjType::Text,
        }
    }

    pub fn into_hydrate(self) -> hydrate::Value {
        match self {
            Input::Scalar(scalar) => hydrate::Value::Scalar(scalar),
            Input::Text(text) => hydrate::Value::text(ENCODING, &text),
            Input::Map(items) => {
                let map: HashMap<String, hydrate::Value> =
                    items.into_iter().map(|(k, v)| (k, v.into_hydrate())).collect();
                hydrate::Value::Map(map.into())
            }
            Input::List(items) => {
                let list: Vec<_> = items.into_iter().map(Input::into_hydrate).collect();
                list.into()
            }
        }
    }
}

/// How many objects lie in one another in a map with this content.
pub fn depth(items: &[(String, Input)]) -> usize {
    1 + items.iter().map(|(_, value)| value.depth()).max().unwrap_or(0)
}

/// Read a Python value; a type that a document cannot hold is a `TypeError`.
pub fn read(value: &Bound<'_, PyAny>) -> PyResult<Input> {
    read_at(value, 0)
}

fn read_at(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Input> {
    breathe(value.py())?;
    if depth > MAX_DEPTH {
        return Err(PyValueError::new_err("the value is nested too deeply, or contains itself"));
    }
    if let Some(scalar) = read_scalar(value)? {
        return Ok(Input::Scalar(scalar));
    }
    let py = value.py();
    let types = types(py)?;
    if value.is_instance(types.text.bind(py))? {
        return Ok(Input::Text(value.str()?.to_str()?.to_owned()));
    }
    if let Ok(list) = value.cast::<PyList>() {
        return read_items(list.iter(), depth);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return read_items(tuple.iter(), depth);
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        return read_mapping(mapping, depth);
    }
    if value.cast::<PySequence>().is_ok() {
        return read_items(value.try_iter()?.collect::<PyResult<Vec<_>>>()?.into_iter(), depth);
    }
    let name = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("a document cannot hold a value of type {name}")))
}

/// Read the content of a map.
pub fn read_map(value: &Bound<'_, PyMapping>) -> PyResult<Vec<(String, Input)>> {
    match read_mapping(value, 0)? {
        Input::Map(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// Read the parts of a rich text: (text, marks) for a run, (None, content) for a block.
pub fn read_pieces(pieces: Vec<(Option<String>, Bound<'_, PyMapping>)>) -> PyResult<Vec<NewPiece>> {
    let read = |(text, rest): (Option<String>, Bound<'_, PyMapping>)| match text {
        None => Ok(Piece::Block(read_map(&rest)?)),
        Some(text) => {
            let scalar = |(name, value)| Ok((name, as_mark(value)?));
            let mut marks: Marks = read_map(&rest)?.into_iter().map(scalar).collect::<PyResult<_>>()?;
            marks.retain(|_, value| *value != ScalarValue::Null);
            Ok(Piece::Text(text, marks))
        }
    };
    pieces.into_iter().map(read).collect()
}

/// Read the value of a mark.
pub fn read_mark(value: &Bound<'_, PyAny>) -> PyResult<ScalarValue> {
    as_mark(read(value)?)
}

fn as_mark(value: Input) -> PyResult<ScalarValue> {
    match value {
        Input::Scalar(scalar) if !matches!(scalar, ScalarValue::Counter(_)) => Ok(scalar),
        _ => Err(PyTypeError::new_err("the value of a mark is a scalar, and no counter")),
    }
}

fn read_items<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> PyResult<Input> {
    let items: PyResult<Vec<_>> = items.map(|item| read_at(&item, depth + 1)).collect();
    Ok(Input::List(items?))
}

fn read_mapping(mapping: &Bound<'_, PyMapping>, depth: usize) -> PyResult<Input> {
    let pairs = mapping.items()?;
    let mut items = Vec::with_capacity(pairs.len());
    for pair in pairs.iter() {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
        let Ok(key) = key.cast::<PyString>() else {
            return Err(PyTypeError::new_err("the keys of a map are strings"));
        };
        items.push((key.to_str()?.to_owned(), read_at(&value, depth + 1)?));
    }
    items.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Input::Map(items))
}

/// Read a scalar, or None if the value is not one.
pub fn read_scalar(value: &Bound<'_, PyAny>) -> PyResult<Option<ScalarValue>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Some(ScalarValue::Str(text.to_str()?.into())));
    }
    if value.is_none() {
        return Ok(Some(ScalarValue::Null));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Some(ScalarValue::Boolean(flag.is_true())));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return read_int(number).map(Some);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Some(ScalarValue::F64(number.extract()?)));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(ScalarValue::Bytes(bytes.as_bytes().to_vec())));
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Some(ScalarValue::Bytes(bytes.to_vec())));
    }
    if value.cast::<PyMemoryView>().is_ok() {
        return Ok(Some(ScalarValue::Bytes(value.call_method0("tobytes")?.extract()?)));
    }
    read_registered(value)
}

fn read_int(number: &Bound<'_, PyInt>) -> PyResult<ScalarValue> {
    if let Ok(n) = number.extract::<i64>() {
        return Ok(ScalarValue::Int(n));
    }
    match number.extract::<u64>() {
        Ok(n) => Ok(ScalarValue::Uint(n)),
        Err(_) => Err(PyOverflowError::new_err("an integer must fit 64 bits")),
    }
}

fn read_registered(value: &Bound<'_, PyAny>) -> PyResult<Option<ScalarValue>> {
    let py = value.py();
    let types = types(py)?;
    if value.is_instance(types.counter.bind(py))? {
        let n: i64 = value.getattr("value")?.extract()?;
        return Ok(Some(ScalarValue::counter(n)));
    }
    if value.is_instance(types.datetime.bind(py))? {
        let ms: i64 = types.to_ms.bind(py).call1((value,))?.extract()?;
        return Ok(Some(ScalarValue::Timestamp(ms)));
    }
    if value.is_instance(types.unknown.bind(py))? {
        let type_code: u8 = value.getattr("type_code")?.extract()?;
        if !(10..=15).contains(&type_code) {
            return Err(PyValueError::new_err("the types of a later version are 10 to 15"));
        }
        let bytes: Vec<u8> = value.getattr("data")?.extract()?;
        return Ok(Some(ScalarValue::Unknown { type_code, bytes }));
    }
    Ok(None)
}
