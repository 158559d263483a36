//! The native core of `lichen_crdt`: a thin binding over crate `automerge`.
//!
//! Values in, values out. Heavy calls release the GIL, every call runs under a panic guard, and
//! bytes from outside are bounded and checked before the crate sees them.

mod apply;
mod applying;
mod blame;
mod check;
mod chunk;
mod clock;
mod columns;
mod contents;
mod convert;
mod core;
mod core_apply;
mod core_text;
mod core_write;
mod cut;
mod diff;
mod document;
mod elements;
mod encode;
mod error;
mod facts;
mod giants;
mod give;
mod graph;
mod history;
mod incoming;
mod input;
mod job;
mod keystroke;
mod load;
mod mend;
mod open;
mod past;
mod patches;
mod plain;
mod player;
mod reader;
mod record;
mod replay;
mod rows;
mod save;
mod shared;
mod spans;
mod text;
mod tracker;
mod trust;
mod typed;
mod units;
mod values;
mod version;
mod versions;
mod winners;
mod writing;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The header of one change: actor, seq, start_op, operations, deps, time, message, hash, size.
type Info = (Py<PyBytes>, u64, u64, u64, Vec<Py<PyBytes>>, i64, Option<String>, Py<PyBytes>, usize);

#[pyfunction]
fn inspect(py: Python<'_>, data: &[u8]) -> PyResult<Info> {
    let head = error::guard(|| chunk::Head::parse(data, chunk::MAX_OPERATIONS))?;
    Ok((
        PyBytes::new(py, &head.actor).unbind(),
        head.seq,
        head.start_op,
        head.operations,
        head.deps.iter().map(|d| PyBytes::new(py, d).unbind()).collect(),
        head.time,
        head.message,
        PyBytes::new(py, &head.hash).unbind(),
        data.len(),
    ))
}

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    // Panics are caught and become errors: they must not write to stderr as well.
    std::panic::set_hook(Box::new(|_| {}));
    m.add_class::<core::Core>()?;
    m.add_class::<applying::Applying>()?;
    m.add_class::<values::Obj>()?;
    m.add_class::<record::Record>()?;
    m.add_function(wrap_pyfunction!(inspect, m)?)?;
    m.add_function(wrap_pyfunction!(values::register, m)?)?;
    m.add_function(wrap_pyfunction!(core_text::to_points, m)?)?;
    m.add_function(wrap_pyfunction!(core_text::from_points, m)?)?;
    m.add_function(wrap_pyfunction!(core_text::boundaries, m)?)?;
    m.add_function(wrap_pyfunction!(core_text::around, m)?)?;
    m.add_function(wrap_pyfunction!(history::headers, m)?)?;
    m.add_function(wrap_pyfunction!(history::operations, m)?)?;
    m.add_function(wrap_pyfunction!(history::contents, m)?)?;
    m.add_function(wrap_pyfunction!(history::values_beside, m)?)?;
    m.add_function(wrap_pyfunction!(history::object_of, m)?)?;
    m.add_function(wrap_pyfunction!(history::is_reachable, m)?)?;
    m.add_function(wrap_pyfunction!(history::next_operation, m)?)?;
    m.add_function(wrap_pyfunction!(history::build, m)?)?;
    m.add("MAX_OPERATIONS", chunk::MAX_OPERATIONS)?;
    m.add("MAX_TIME", chunk::MAX_TIME)?;
    m.add("TIMES", chunk::TIMES)?;
    Ok(())
}
